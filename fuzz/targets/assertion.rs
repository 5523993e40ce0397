//! Whatever an enterprise's provider signs as an assertion: it is refused, or it is for us, for the client, and for now.

#![no_main]

#[path = "common/issuer.rs"]
mod issuer;

use issuer::{ISSUER, NOW, TRUST, issued};
use libfuzzer_sys::fuzz_target;
use portcullis_core::openid::{Enterprise, read_assertion};
use portcullis_core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

const OWN: &str = "https://gate.example";

fuzz_target!(|claims: &[u8]| {
    let providers = BTreeMap::from([(ISSUER, "sub")]);
    let expected = Enterprise {
        providers: &providers,
        own: OWN,
        client: "desk",
        key: None,
    };
    let now = Timestamp::from_seconds(NOW);
    for kind in ["JWT", "at+jwt", "logout+jwt"] {
        assert!(read_assertion(&issued(kind, claims), &expected, &TRUST, now).is_err());
    }
    let Ok(assertion) = read_assertion(&issued("oauth-id-jag+jwt", claims), &expected, &TRUST, now)
    else {
        return;
    };
    let read: serde_json::Value = serde_json::from_slice(claims).expect("strict JSON");
    assert_eq!(read["iss"], ISSUER);
    assert!(read["aud"] == OWN || read["aud"] == serde_json::json!([OWN]));
    assert_eq!(read["client_id"], "desk");
    assert_eq!(read["jti"], assertion.id());
    assert_eq!(read["sub"], assertion.user().identity().subject.as_str());
    assert!(read.get("cnf").is_none(), "nobody has proven a key");
    assert!(now < assertion.until() && assertion.until() <= now.plus(Duration::from_secs(660)));
    assert!(!assertion.resources().is_empty());
});
