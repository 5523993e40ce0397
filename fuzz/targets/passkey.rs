//! What a browser sends of a passkey: client data, then authenticator data. Nobody without the key signs in, and what is
//! registered is what was asked for, here.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use portcullis_authority::owner::{Asked, Passkey, Place, Purpose};
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};

const ORIGIN: &str = "http://localhost:8848";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const CHALLENGE: [u8; 32] = [7; 32];

fuzz_target!(|data: &[u8]| {
    let place = Place::at(ORIGIN).expect("a place for passkeys");
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (client, authenticator) = (&data[..end], &data[end + 1..]);
    // The id stands behind hash, flags, counter, model and its length.
    let id = authenticator.get(55..58).unwrap_or(b"one");
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut body =
        json!({ "id": text(id), "client": text(client), "authenticator": text(authenticator) });
    let asked = Asked::now(Purpose::Register, CHALLENGE, NOW);
    if let Ok(passkey) = asked.registered(&place, body.to_string().as_bytes(), NOW) {
        let said: Value = serde_json::from_slice(client).expect("JSON");
        assert_eq!(said["type"], "webauthn.create");
        assert_eq!(said["challenge"], text(&CHALLENGE));
        assert_eq!(said["origin"], ORIGIN);
        assert_eq!(passkey.id, id);
        assert!([42, 77, 272].contains(&passkey.key.len()));
    }
    let known = Passkey {
        id: id.to_vec(),
        key: [
            &[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32][..],
            &[9; 32],
        ]
        .concat(),
        counter: 0,
    };
    body["signature"] = json!(text(authenticator.get(..64).unwrap_or_default()));
    let asked = Asked::now(Purpose::SignIn, CHALLENGE, NOW);
    let signed_in = asked.signed_in(&place, body.to_string().as_bytes(), &[known], NOW);
    assert!(signed_in.is_err(), "nobody signed this");
});
