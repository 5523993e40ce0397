//! Whatever an issuer signs as a security event: it is refused, or everybody reads the same in it.

#![no_main]

#[path = "common/issuer.rs"]
mod issuer;

use issuer::{ISSUER, NOW, TRUST, issued};
use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::Topic;
use portcullis_core::signals::{Effect, Receiver, read};
use portcullis_core::time::Timestamp;
use std::sync::LazyLock;

const AUDIENCE: &str = "https://gateway.example/signals/idp";

static RECEIVER: LazyLock<Receiver> = LazyLock::new(|| Receiver {
    issuer: ISSUER.to_owned(),
    audience: AUDIENCE.to_owned(),
    topics: vec![Topic::DeviceCompliance, Topic::RiskLevel],
});

fuzz_target!(|claims: &[u8]| {
    let now = Timestamp::from_seconds(NOW);
    assert!(
        read(claims, &RECEIVER, &TRUST, now).is_err(),
        "nobody signed this"
    );
    let token = issued("secevent+jwt", claims);
    let Ok(signal) = read(token.as_bytes(), &RECEIVER, &TRUST, now) else {
        return;
    };
    let read: serde_json::Value = serde_json::from_slice(claims).expect("strict JSON");
    assert_eq!(read["iss"], ISSUER);
    assert_eq!(read["jti"], signal.id.as_str());
    assert!(read["aud"] == AUDIENCE || read["aud"].is_array());
    assert_eq!(
        read["events"].as_object().map(serde_json::Map::len),
        Some(1)
    );
    match signal.effect {
        Effect::Nothing => {}
        Effect::End(subject)
        | Effect::Disable(subject)
        | Effect::Enable(subject)
        | Effect::Say(subject, ..) => {
            let id = &read["sub_id"];
            let name = if id["format"] == "opaque" {
                &id["id"]
            } else {
                &id["sub"]
            };
            assert_eq!(name, subject.name.as_str());
            assert!(subject.since <= now);
        }
    }
});
