//! Whatever a token is made of: it is refused, or it is one that the trusted key signed.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::{
    Algorithm, Claims, Credentials, Introspection, Issuer, KeySet, Keys, Proofs, Resource, Trust,
    Verified, verify,
};
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://gateway.example/notes";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// Three keys whose private halves nobody has here: any token that verifies is a forgery, but for
/// that of RFC 8037, appendix A.4, whose payload is no JSON.
const JWKS: &str = r#"{"keys":[
 {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
 {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
 {"kty":"RSA","kid":"rsa","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}
]}"#;

static TRUST: LazyLock<Trust> = LazyLock::new(trust);
static RESOURCE: LazyLock<Resource> = LazyLock::new(|| Resource {
    server: "notes".into(),
    audience: AUDIENCE.to_owned(),
    metadata_url: String::new(),
    issuers: vec![ISSUER.to_owned()],
    scopes: Vec::new(),
    scopes_supported: Vec::new(),
    ..Resource::default()
});

fn trust() -> Trust {
    let issuer = Issuer {
        issuer: ISSUER.to_owned(),
        algorithms: vec![
            Algorithm::EdDSA,
            Algorithm::ES256,
            Algorithm::RS256,
            Algorithm::PS256,
        ],
        token_types: vec!["at+jwt".to_owned(), "jwt".to_owned()],
        max_lifetime: Duration::from_secs(3600),
        skew: Duration::from_secs(30),
        claims: Claims::default(),
        lookalikes: Vec::new(),
        introspection: Introspection::Never,
    };
    let keys = KeySet::parse(JWKS.as_bytes()).expect("a key set");
    Trust {
        issuers: HashMap::from([(ISSUER.to_owned(), issuer)]),
        keys: Keys(HashMap::from([(ISSUER.to_owned(), Arc::new(keys))])),
        revoked: Arc::default(),
        generation: 1,
    }
}

fn expect_refused(header: &[u8]) {
    let credentials = Credentials {
        authorization: Some(header),
        count: 1,
        in_query: false,
        ..Credentials::default()
    };
    let (cache, proofs) = (Verified::default(), Proofs::default());
    let outcome = verify(&credentials, &RESOURCE, &TRUST, (&cache, &proofs), NOW);
    let refused = outcome.expect_err("nobody signed this");
    assert!(!refused.reason().is_empty());
}

fuzz_target!(|input: &[u8]| {
    expect_refused(input);
    expect_refused(&[b"Bearer ", input].concat());
    // Header, claims and signature in plain text, so that the mutations reach behind the encoding.
    let parts: Vec<String> = input
        .splitn(3, |byte| *byte == b'\n')
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .collect();
    expect_refused(format!("Bearer {}", parts.join(".")).as_bytes());
});
