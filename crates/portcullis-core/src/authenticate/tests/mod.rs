//! Every way of not being known, with tokens that are really signed.

use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

mod certificates;
mod proofs;

const NOW: u64 = 1_800_000_000;
const SKEW: u64 = 30;
const MAX_LIFETIME: u64 = 3600;
const AUDIENCE: &str = "https://gateway.example/notes";
const ISSUER: &str = "https://idp.example";
const OTHER: &str = "https://other.example";

type Sign = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// A signing key and what its JWKS says of it.
struct Signer {
    id: &'static str,
    algorithm: &'static str,
    public: Value,
    sign: Box<Sign>,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519(id: &'static str, seed: u8) -> Signer {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    Signer {
        id,
        algorithm: "EdDSA",
        public: json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key()), "kid": id}),
        sign: Box::new(move |message| pair.sign(message).as_ref().to_vec()),
    }
}

fn ecdsa(
    id: &'static str,
    (algorithm, curve): (&'static str, &str),
    kind: &'static EcdsaSigningAlgorithm,
) -> Signer {
    let pair = EcdsaKeyPair::generate(kind).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    Signer {
        id,
        algorithm,
        public: json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y), "kid": id}),
        sign: Box::new(move |message| {
            let signature = pair.sign(&SystemRandom::new(), message).unwrap();
            signature.as_ref().to_vec()
        }),
    }
}

fn rsa(id: &'static str) -> Signer {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = pair.public_key();
    let n = b64(public.modulus().big_endian_without_leading_zero());
    let e = b64(public.exponent().big_endian_without_leading_zero());
    Signer {
        id,
        algorithm: "RS256",
        public: json!({"kty": "RSA", "n": n, "e": e, "kid": id}),
        sign: Box::new(move |message| {
            let mut signature = vec![0; pair.public_modulus_len()];
            let random = SystemRandom::new();
            pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                .unwrap();
            signature
        }),
    }
}

/// Keys of the first issuer, then one of the second, then one that nobody published.
static ED: LazyLock<Signer> = LazyLock::new(|| ed25519("ed", 1));
static P256: LazyLock<Signer> =
    LazyLock::new(|| ecdsa("p256", ("ES256", "P-256"), &ECDSA_P256_SHA256_FIXED_SIGNING));
static P384: LazyLock<Signer> =
    LazyLock::new(|| ecdsa("p384", ("ES384", "P-384"), &ECDSA_P384_SHA384_FIXED_SIGNING));
static RSA: LazyLock<Signer> = LazyLock::new(|| rsa("rsa"));
static ED_OTHER: LazyLock<Signer> = LazyLock::new(|| ed25519("other", 2));
static ED_STRANGER: LazyLock<Signer> = LazyLock::new(|| ed25519("ed", 3));

fn key_set(keys: &[&Signer]) -> Arc<KeySet> {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.public).collect();
    Arc::new(KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap())
}

fn issuer(name: &str, algorithms: &[Algorithm]) -> (String, Issuer) {
    let issuer = Issuer {
        issuer: name.to_owned(),
        algorithms: algorithms.to_vec(),
        token_types: vec!["at+jwt".to_owned(), "jwt".to_owned()],
        max_lifetime: Duration::from_secs(MAX_LIFETIME),
        skew: Duration::from_secs(SKEW),
        claims: Claims::default(),
        lookalikes: Vec::new(),
        introspection: Introspection::Never,
    };
    (name.to_owned(), issuer)
}

fn trust() -> Trust {
    use Algorithm::{ES256, ES384, EdDSA, RS256};
    let all = [EdDSA, ES256, ES384, RS256];
    let keys = HashMap::from([
        (ISSUER.to_owned(), key_set(&[&ED, &P256, &P384, &RSA])),
        (OTHER.to_owned(), key_set(&[&ED_OTHER])),
    ]);
    Trust {
        issuers: HashMap::from([issuer(ISSUER, &all), issuer(OTHER, &[EdDSA])]),
        keys: Keys(keys),
        revoked: Arc::default(),
        generation: 1,
    }
}

static TRUST: LazyLock<Trust> = LazyLock::new(trust);

fn resource() -> Resource {
    Resource {
        server: "notes".into(),
        audience: AUDIENCE.to_owned(),
        metadata_url: "https://gateway.example/.well-known/oauth-protected-resource/notes".into(),
        issuers: vec![ISSUER.to_owned()],
        scopes: Vec::new(),
        scopes_supported: vec!["notes:read".to_owned()],
        ..Resource::default()
    }
}

/// A token out of two texts, so that they may be anything.
fn sign(key: &Signer, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let signature = b64((key.sign)(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// `base` with the members of `patch`; one that is `null` there is left out.
fn patched(mut base: Value, patch: &Value) -> String {
    let members = base.as_object_mut().unwrap();
    for (name, value) in patch.as_object().unwrap() {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    base.to_string()
}

fn header(signer: &Signer, patch: &Value) -> String {
    let base = json!({"alg": signer.algorithm, "typ": "at+jwt", "kid": signer.id});
    patched(base, patch)
}

fn claims(patch: &Value) -> String {
    let base = json!({
        "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW - 10, "jti": "t-1",
    });
    patched(base, patch)
}

fn token(signer: &Signer, in_header: &Value, in_claims: &Value) -> String {
    sign(signer, &header(signer, in_header), &claims(in_claims))
}

fn bearer(header: &str) -> Credentials<'_> {
    Credentials {
        authorization: Some(header.as_bytes()),
        count: 1,
        in_query: false,
        ..Credentials::default()
    }
}

fn seen(token: &str, trust: &Trust) -> Result<Principal, Unauthenticated> {
    let header = format!("Bearer {token}");
    let now = Timestamp::from_seconds(NOW);
    verify(
        &bearer(&header),
        &resource(),
        trust,
        (&Verified::default(), &Proofs::default()),
        now,
    )
}

fn word(outcome: &Result<Principal, Unauthenticated>) -> &'static str {
    outcome.as_ref().err().map_or("ok", Unauthenticated::reason)
}

/// The one place that asks the room: the reason of the refusal, or `ok`.
fn check(token: &str, expected: &str) {
    let outcome = seen(token, &TRUST);
    assert_eq!(word(&outcome), expected, "{token}");
}

fn check_claims(rows: &[(Value, &str)]) {
    for (patch, expected) in rows {
        let outcome = seen(&token(&ED, &json!({}), patch), &TRUST);
        assert_eq!(word(&outcome), *expected, "{patch}");
    }
}

fn check_headers(rows: &[(Value, &str)]) {
    for (patch, expected) in rows {
        let outcome = seen(&token(&ED, patch, &json!({})), &TRUST);
        assert_eq!(word(&outcome), *expected, "{patch}");
    }
}

#[test]
fn auth_02_accepts_each_kind_of_key() {
    for signer in [&*ED, &P256, &P384, &RSA] {
        check(&token(signer, &json!({}), &json!({})), "ok");
    }
}

#[test]
fn auth_01_takes_one_bearer_token_from_one_header() {
    let token = token(&ED, &json!({}), &json!({}));
    let long = "a".repeat(16 * 1024 + 1);
    let rows = [
        (format!("Bearer {token}"), "ok"),
        (format!("bEaReR   {token} "), "ok"),
        (format!("Basic {token}"), "scheme"),
        (format!("DPoP {token}"), "scheme"),
        (format!("Bearer\t{token}"), "scheme"),
        (token.clone(), "scheme"),
        ("Bearer".to_owned(), "scheme"),
        ("Bearer ".to_owned(), "malformed"),
        (format!("Bearer {token} {token}"), "malformed"),
        (format!("Bearer {token},Bearer {token}"), "malformed"),
        (format!("Bearer \t{token}"), "malformed"),
        (format!("Bearer {token}\u{e9}"), "malformed"),
        (format!("Bearer {long}"), "malformed"),
        (format!("Bearer \"{token}\""), "malformed"),
    ];
    for (header, expected) in rows {
        let now = Timestamp::from_seconds(NOW);
        let outcome = verify(
            &bearer(&header),
            &resource(),
            &TRUST,
            (&Verified::default(), &Proofs::default()),
            now,
        );
        assert_eq!(word(&outcome), expected, "{header}");
    }
}

#[test]
fn auth_01_refuses_other_places_for_a_token() {
    let header = format!("Bearer {}", token(&ED, &json!({}), &json!({})));
    let good = bearer(&header);
    let rows = [
        (Credentials::default(), "missing"),
        (Credentials { count: 2, ..good }, "duplicate"),
        (
            Credentials {
                in_query: true,
                ..good
            },
            "query",
        ),
        (
            Credentials {
                in_query: true,
                ..Credentials::default()
            },
            "query",
        ),
        (
            Credentials {
                authorization: Some(b"Bearer \xff"),
                ..good
            },
            "scheme",
        ),
    ];
    for (credentials, expected) in rows {
        let now = Timestamp::from_seconds(NOW);
        let memory = (&Verified::default(), &Proofs::default());
        let outcome = verify(&credentials, &resource(), &TRUST, memory, now);
        assert_eq!(word(&outcome), expected);
    }
}

#[test]
fn auth_08_refuses_what_is_no_jws() {
    let good = token(&ED, &json!({}), &json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let rows = [
        ("opaque".to_owned(), "malformed"),
        ("a.b".to_owned(), "malformed"),
        ("..".to_owned(), "malformed"),
        (format!("{head}.{body}"), "malformed"),
        (format!("{head}.{body}.{signature}.x"), "malformed"),
        (format!("{head}.{body}."), "signature"),
        (format!("{head}.{body}.{signature}="), "signature"),
        (format!("{head}=.{body}.{signature}"), "malformed"),
        (format!("{head}.{body}+.{signature}"), "malformed"),
        (format!("{}.{body}.{signature}", b64("[]")), "malformed"),
        (format!("{}.{body}.{signature}", b64("{}")), "malformed"),
        (
            format!("{}.{body}.{signature}", b64(b"{\"alg\":\"\xff\"}")),
            "malformed",
        ),
        (format!("{head}.{}.{signature}", b64("null")), "malformed"),
    ];
    for (token, expected) in rows {
        check(&token, expected);
    }
}

#[test]
fn auth_08_refuses_header_tricks() {
    check_headers(&[
        (json!({"jwk": ED_STRANGER.public}), "header"),
        (json!({"jku": "https://evil.example/keys"}), "header"),
        (json!({"x5u": "https://evil.example/cert"}), "header"),
        (json!({"x5c": ["MIIB"]}), "header"),
        (json!({"crit": ["exp"], "exp": 1}), "header"),
        (json!({"crit": []}), "header"),
        (json!({"b64": false}), "header"),
        (json!({"zip": "DEF"}), "header"),
        (json!({"alg": null}), "malformed"),
        (json!({"alg": 1}), "malformed"),
        (json!({"kid": 1}), "malformed"),
        (json!({"kid": ["ed"]}), "malformed"),
        (json!({"typ": {"a": 1}}), "malformed"),
        (json!({"x5t": "abc", "cty": "x"}), "ok"),
    ]);
    // A member that is there with `null` is there.
    for name in ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"ed","{name}":null}}"#);
        check(&sign(&ED, &header, &claims(&json!({}))), "header");
    }
}

#[test]
fn auth_08_refuses_algorithm_confusion() {
    check_headers(&[
        (json!({"alg": "none"}), "alg"),
        (json!({"alg": "None"}), "alg"),
        (json!({"alg": "HS256"}), "alg"),
        (json!({"alg": "eddsa"}), "alg"),
        (json!({"alg": "ES512"}), "alg"),
        (json!({"alg": ""}), "alg"),
        (json!({"alg": "PS256"}), "alg"),
        (json!({"alg": "RS256"}), "kid"),
        (json!({"alg": "ES256"}), "kid"),
    ]);
    // Allowed by the configuration for one issuer only.
    let of_other = json!({"iss": OTHER});
    let mut resource = resource();
    resource.issuers.push(OTHER.to_owned());
    let header = format!("Bearer {}", token(&P256, &json!({}), &of_other));
    let now = Timestamp::from_seconds(NOW);
    let outcome = verify(
        &bearer(&header),
        &resource,
        &TRUST,
        (&Verified::default(), &Proofs::default()),
        now,
    );
    assert_eq!(word(&outcome), "alg");
}

#[test]
fn auth_08_refuses_a_public_key_used_as_a_shared_secret() {
    let public = RSA.public["n"].as_str().unwrap().as_bytes().to_vec();
    let forger = Signer {
        id: "rsa",
        algorithm: "HS256",
        public: json!({}),
        sign: Box::new(move |message| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
            aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
        }),
    };
    check(&token(&forger, &json!({}), &json!({})), "alg");
    check(
        &token(&forger, &json!({"alg": "RS256"}), &json!({})),
        "signature",
    );
}

#[test]
fn tok_08_refuses_changed_bytes() {
    check(&token(&ED_STRANGER, &json!({}), &json!({})), "signature");
    for signer in [&*ED, &P256, &RSA] {
        let good = token(signer, &json!({}), &json!({}));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (head, _) = signed.split_once('.').unwrap();
        let other = b64(claims(&json!({"sub": "mallory"})));
        check(&format!("{head}.{other}.{signature}"), "signature");
        let header = b64(header(signer, &json!({"extra": 1})));
        let (_, body) = signed.split_once('.').unwrap();
        check(&format!("{header}.{body}.{signature}"), "signature");
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[7] ^= 1;
        check(&format!("{signed}.{}", b64(&bytes)), "signature");
        check(
            &format!("{signed}.{}", b64(vec![0; bytes.len()])),
            "signature",
        );
        check(&format!("{signed}.{}", b64(&bytes[1..])), "signature");
    }
}

#[test]
fn tok_08_refuses_duplicate_members() {
    let good = header(&ED, &json!({}));
    let body = claims(&json!({}));
    let again =
        |text: &str, member: &str| format!("{},{member}}}", text.strip_suffix('}').unwrap());
    let rows = [
        (again(&good, r#""alg":"EdDSA""#), body.clone()),
        (again(&good, r#""k\u0069d":"ed""#), body.clone()),
        (good.clone(), again(&body, r#""sub":"mallory""#)),
        (good.clone(), again(&body, r#""su\u0062":"mallory""#)),
        (good.clone(), again(&body, r#""x":{"a":1,"a":2}"#)),
        (good.clone(), format!("{body} ,")),
        (good.clone(), format!("{body}{body}")),
        (good.clone(), format!("\u{feff}{body}")),
    ];
    for (header, claims) in rows {
        check(&sign(&ED, &header, &claims), "malformed");
    }
}

#[test]
fn auth_08_finds_the_key_by_kid() {
    check_headers(&[
        (json!({"kid": "nobody"}), "kid"),
        (json!({"kid": ""}), "kid"),
        (json!({"kid": "ED"}), "kid"),
        (json!({"kid": "p256"}), "kid"),
        (json!({"kid": "other"}), "kid"),
        (json!({"kid": "../../etc/passwd"}), "kid"),
        (json!({"kid": "' or 1=1"}), "kid"),
        (json!({"kid": null}), "ok"), // left out: the only key that fits
    ]);
    check(&token(&P256, &json!({"kid": null}), &json!({})), "ok");
    check(&token(&P384, &json!({"kid": null}), &json!({})), "ok");
    check(&token(&RSA, &json!({"kid": null}), &json!({})), "ok");
    // Two that fit: which of them is not guessed.
    let mut two = trust();
    let second = ed25519("second", 4);
    two.keys
        .0
        .insert(ISSUER.to_owned(), key_set(&[&ED, &second]));
    let outcome = seen(&token(&ED, &json!({"kid": null}), &json!({})), &two);
    let stale = Unauthenticated::UnknownKey {
        issuer: ISSUER.to_owned(),
    };
    assert_eq!(outcome.unwrap_err(), stale);
    assert_eq!(
        word(&seen(&token(&second, &json!({}), &json!({})), &two)),
        "ok"
    );
    // No keys yet.
    let mut none = trust();
    none.keys.0.clear();
    assert_eq!(
        word(&seen(&token(&ED, &json!({}), &json!({})), &none)),
        "kid"
    );
}

#[test]
fn auth_08_takes_signing_keys_only() {
    let with = |patch: &Value| {
        let key: Value = serde_json::from_str(&patched(ED.public.clone(), patch)).unwrap();
        KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).is_ok()
    };
    let rows = [
        (json!({}), true),
        (json!({"use": "sig"}), true),
        (json!({"use": "enc"}), false),
        (json!({"use": 1}), false),
        (json!({"key_ops": ["verify"]}), true),
        (json!({"key_ops": ["encrypt"]}), false),
        (json!({"key_ops": []}), false),
        (json!({"key_ops": "verify"}), false),
        (json!({"alg": "EdDSA"}), true),
        (json!({"alg": "HS256"}), false),
        (json!({"crv": "X25519"}), false),
        (json!({"kty": "oct", "k": "AAAA"}), false),
        (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), false),
        (json!({"kty": "unknown"}), false),
    ];
    for (patch, expected) in rows {
        assert_eq!(with(&patch), expected, "{patch}");
    }
    for document in [
        "",
        "{}",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[1,null]}"#,
    ] {
        assert_eq!(KeySet::parse(document.as_bytes()).unwrap_err(), BadKeys);
    }
}

#[test]
fn auth_08_bounds_the_keys_of_a_set() {
    let mut keys: Vec<Value> = vec![json!({"kty": "unknown"}); 64];
    keys.push(ED.public.clone());
    assert!(KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).is_err());
    keys.swap(0, 64);
    assert!(KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).is_ok());
}

#[test]
fn auth_08_accepts_listed_token_types_only() {
    check_headers(&[
        (json!({"typ": "application/at+jwt"}), "ok"),
        (json!({"typ": "AT+JWT"}), "ok"),
        (json!({"typ": "JWT"}), "ok"),
        (json!({"typ": null}), "ok"), // left out: a plain JWT
        (json!({"typ": "id+jwt"}), "typ"),
        (json!({"typ": "oauth-id-jag+jwt"}), "typ"),
        (json!({"typ": "dpop+jwt"}), "typ"),
        (json!({"typ": ""}), "typ"),
        (json!({"typ": "application/application/jwt"}), "typ"),
    ]);
    let mut strict = trust();
    strict.issuers.get_mut(ISSUER).unwrap().token_types = vec!["at+jwt".to_owned()];
    let plain = token(&ED, &json!({"typ": null}), &json!({}));
    assert_eq!(word(&seen(&plain, &strict)), "typ");
}

#[test]
fn auth_07_compares_the_issuer_byte_for_byte() {
    check_claims(&[
        (json!({"iss": null}), "issuer"),
        (json!({"iss": ""}), "issuer"),
        (json!({"iss": 7}), "issuer"),
        (json!({"iss": [ISSUER]}), "issuer"),
        (json!({"iss": format!("{ISSUER}/")}), "issuer"),
        (json!({"iss": "HTTPS://idp.example"}), "issuer"),
        (json!({"iss": "https://idp.example.evil.example"}), "issuer"),
        (json!({"iss": format!(" {ISSUER}")}), "issuer"),
        (json!({"iss": "os"}), "issuer"),
    ]);
}

#[test]
fn tok_07_keeps_issuers_apart() {
    // Trusted, but not for this resource.
    check(
        &token(&ED_OTHER, &json!({}), &json!({"iss": OTHER})),
        "issuer",
    );
    // A key of one issuer signs nothing of another, not even under its own `kid`.
    check(&token(&ED_OTHER, &json!({}), &json!({})), "kid");
    check(
        &token(&ED_OTHER, &json!({"kid": "ed"}), &json!({})),
        "signature",
    );
    // Named by the resource, but not trusted at all.
    let mut resource = resource();
    resource.issuers.push("https://gone.example".to_owned());
    let header = token(&ED, &json!({}), &json!({"iss": "https://gone.example"}));
    let header = format!("Bearer {header}");
    let now = Timestamp::from_seconds(NOW);
    let outcome = verify(
        &bearer(&header),
        &resource,
        &TRUST,
        (&Verified::default(), &Proofs::default()),
        now,
    );
    assert_eq!(word(&outcome), "issuer");
}

#[test]
fn auth_09_expires_at_the_boundary() {
    check_claims(&[
        (json!({"exp": NOW - SKEW}), "expired"), // exp + skew == now
        (json!({"exp": NOW - SKEW + 1}), "ok"),
        (json!({"exp": NOW - SKEW - 1}), "expired"),
        (json!({"exp": 0}), "expired"),
        (json!({"exp": null}), "lifetime"),
        (json!({"exp": (NOW + 600).to_string()}), "malformed"),
        (json!({"exp": -1}), "malformed"),
        (json!({"exp": [NOW + 600]}), "malformed"),
        (json!({"exp": 1_800_000_600.5}), "ok"),
        (json!({"exp": 1e300}), "malformed"),
        (json!({"exp": u64::MAX}), "lifetime"),
        (json!({"exp": false}), "malformed"),
    ]);
    let text = claims(&json!({})).replace("1800000600", "1e999");
    check(&sign(&ED, &header(&ED, &json!({})), &text), "malformed");
}

#[test]
fn tok_14_refuses_tokens_of_the_future() {
    check_claims(&[
        (json!({"nbf": NOW + SKEW}), "ok"),
        (json!({"nbf": NOW + SKEW + 1}), "nbf"),
        (json!({"iat": NOW + SKEW}), "ok"),
        (json!({"iat": NOW + SKEW + 1}), "nbf"),
        (json!({"iat": u64::MAX}), "nbf"),
        (json!({"nbf": "soon"}), "malformed"),
        (json!({"iat": {}}), "malformed"),
    ]);
}

#[test]
fn auth_09_caps_the_lifetime_for_each_server() {
    let cache = Verified::default();
    let strict = Resource {
        max_lifetime: Some(Duration::from_secs(610)),
        ..resource()
    };
    let now = Timestamp::from_seconds(NOW);
    let ask = |token: &str, resource: &Resource| {
        let proofs = Proofs::default();
        verify(
            &bearer(&format!("Bearer {token}")),
            resource,
            &TRUST,
            (&cache, &proofs),
            now,
        )
    };
    let just = token(&ED, &json!({}), &json!({}));
    let long = token(&ED, &json!({}), &json!({"iat": NOW - 11}));
    assert!(ask(&just, &strict).is_ok());
    // Verified for the same audience and remembered, by a server that asks for less.
    let known = ask(&long, &resource()).unwrap();
    assert_eq!(ask(&long, &strict).unwrap_err(), Unauthenticated::Lifetime);
    assert!(resource().would_know(&known) && !strict.would_know(&known));
}

#[test]
fn tok_11_caps_the_lifetime() {
    check_claims(&[
        (
            json!({"iat": NOW - 10, "exp": NOW - 10 + MAX_LIFETIME}),
            "ok",
        ),
        (
            json!({"iat": NOW - 10, "exp": NOW - 9 + MAX_LIFETIME}),
            "lifetime",
        ),
        (json!({"iat": null, "exp": NOW + MAX_LIFETIME}), "ok"),
        (
            json!({"iat": null, "exp": NOW + MAX_LIFETIME + 1}),
            "lifetime",
        ),
        (
            json!({"iat": null, "nbf": NOW - 10, "exp": NOW - 9 + MAX_LIFETIME}),
            "lifetime",
        ),
        (json!({"iat": 0}), "lifetime"),
    ]);
}

#[test]
fn auth_09_caps_the_skew() {
    let mut lenient = trust();
    lenient.issuers.get_mut(ISSUER).unwrap().skew = Duration::from_hours(1);
    let at = |exp: u64| {
        let token = token(&ED, &json!({}), &json!({"exp": exp, "iat": exp - 600}));
        word(&seen(&token, &lenient))
    };
    assert_eq!(at(NOW - MAX_SKEW.as_secs()), "expired");
    assert_eq!(at(NOW - MAX_SKEW.as_secs() + 1), "ok");
}

#[test]
fn tok_06_accepts_its_own_audience_only() {
    check_claims(&[
        (json!({"aud": AUDIENCE}), "ok"),
        (json!({"aud": [AUDIENCE]}), "ok"),
        (json!({"aud": ["https://else.example", AUDIENCE]}), "ok"),
        (json!({"aud": null}), "audience"),
        (json!({"aud": []}), "audience"),
        (json!({"aud": [[AUDIENCE]]}), "audience"),
        (json!({"aud": {"0": AUDIENCE}}), "audience"),
        (json!({"aud": ""}), "audience"),
        (json!({"aud": format!("{AUDIENCE}/")}), "audience"),
        (json!({"aud": format!("{AUDIENCE}?")}), "audience"),
        (json!({"aud": format!("{AUDIENCE} {AUDIENCE}")}), "audience"),
        (json!({"aud": "https://gateway.example"}), "audience"),
        (json!({"aud": "https://gateway.example/mail"}), "audience"),
        (json!({"aud": "https://GATEWAY.example/notes"}), "audience"),
        (
            json!({"aud": "https://gateway.example:443/notes"}),
            "audience",
        ),
        (
            json!({"aud": "https://gateway.example/n%6ftes"}),
            "audience",
        ),
        (json!({"aud": format!("{AUDIENCE}\u{0}")}), "audience"),
        (
            json!({"aud": null, "client_id": AUDIENCE, "resource": AUDIENCE}),
            "audience",
        ),
    ]);
}

/// Near the right audience, and far from it.
fn audiences() -> impl Strategy<Value = String> {
    let near = (0..=AUDIENCE.len(), "[ -~]{0,2}", any::<bool>()).prop_map(|(at, piece, cuts)| {
        let (before, after) = AUDIENCE.split_at(at);
        let after = if cuts {
            after.get(1..).unwrap_or_default()
        } else {
            after
        };
        format!("{before}{piece}{after}")
    });
    prop_oneof![
        8 => near,
        1 => any::<String>(),
        1 => Just(AUDIENCE.to_owned()),
        1 => (0..=AUDIENCE.len()).prop_map(|at| AUDIENCE.split_at(at).0.to_owned()),
        1 => Just(AUDIENCE.to_uppercase()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn man_1_passes_the_exact_audience_and_no_other(audience in audiences(), is_listed in any::<bool>()) {
        let claim = if is_listed { json!([audience]) } else { json!(audience) };
        let outcome = seen(&token(&ED, &json!({}), &json!({"aud": claim})), &TRUST);
        let expected = if audience == AUDIENCE { "ok" } else { "audience" };
        prop_assert_eq!(word(&outcome), expected, "{}", audience);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tok_08_refuses_any_other_bytes(at in 0_usize..400, byte in 33_u8..127) {
        let good = token(&ED, &json!({}), &json!({}));
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        let outcome = seen(&changed, &TRUST);
        prop_assert_eq!(word(&outcome) == "ok", changed == good, "{}", changed);
    }
}

#[test]
fn auth_06_needs_a_subject() {
    check_claims(&[
        (json!({"sub": null}), "subject"),
        (json!({"sub": ""}), "subject"),
        (json!({"sub": 7}), "subject"),
        (json!({"sub": ["alice"]}), "subject"),
        (json!({"sub": "a".repeat(512)}), "ok"),
        (json!({"sub": "a".repeat(513)}), "subject"),
    ]);
}

fn identity(patch: &Value) -> Principal {
    seen(&token(&ED, &json!({}), patch), &TRUST).unwrap()
}

#[test]
fn tok_10_reads_scopes_in_every_shape() {
    let rows = [
        (json!({}), vec![]),
        (json!({"scope": "a b"}), vec!["a", "b"]),
        (json!({"scope": "  a   b "}), vec!["a", "b"]),
        (json!({"scope": ["a", 1, "b c", null]}), vec!["a", "b c"]),
        (json!({"scp": "a"}), vec!["a"]),
        (json!({"scp": ["a"]}), vec!["a"]),
        (json!({"scope": "a", "scp": "b"}), vec!["a"]),
        (json!({"scope": true}), vec![]),
        (json!({"scope": {"a": 1}}), vec![]),
        (json!({"scopes": "a"}), vec![]),
    ];
    for (patch, expected) in rows {
        assert_eq!(identity(&patch).scopes, expected, "{patch}");
    }
}

#[test]
fn auth_03_reads_roles_and_groups_where_the_configuration_says() {
    let patch = json!({
        "roles": ["admin", 1], "groups": "staff", "wids": ["root"],
        "realm_access": {"roles": ["deep"]}, "resource_access": {"a.b": {"roles": ["deeper"]}},
        "https://a.example/roles": ["named"],
    });
    let principal = identity(&patch);
    assert_eq!(
        (&principal.roles, &principal.groups),
        (&vec!["admin".to_owned()], &vec!["staff".to_owned()])
    );
    let rows: [(&[&str], &[&str]); 7] = [
        (&["wids"], &["root"]),
        (&["realm_access", "roles"], &["deep"]),
        (&["realm_access.roles"], &[]),
        (&["resource_access", "a.b", "roles"], &["deeper"]),
        (&["realm_access", "roles", "deep"], &[]),
        (&["https://a.example/roles"], &["named"]),
        (&[], &[]),
    ];
    for (path, expected) in rows {
        let mut other = trust();
        let way = path.iter().map(ToString::to_string).collect();
        names_of(&mut other).roles = ClaimPath::new(way);
        let outcome = seen(&token(&ED, &json!({}), &patch), &other).unwrap();
        assert_eq!(outcome.roles, expected);
    }
    // Where it is no list of names, nobody knows what it names.
    check_claims(&[
        (json!({"roles": {"admin": true}}), "malformed"),
        (json!({"groups": 7}), "malformed"),
        (json!({"groups": null}), "ok"),
    ]);
}

fn names_of(trust: &mut Trust) -> &mut Claims {
    &mut trust.issuers.get_mut(ISSUER).unwrap().claims
}

/// What comes of a token with these claims where its issuer calls things so.
fn with(names: &Claims, patch: &Value) -> Result<Principal, Unauthenticated> {
    let mut trust = trust();
    *names_of(&mut trust) = names.clone();
    seen(&token(&ED, &json!({}), patch), &trust)
}

#[test]
fn auth_02_knows_the_access_tokens_of_an_issuer_by_their_claims() {
    let text = |text: &str| text.to_owned();
    let names = Claims {
        client: Some(text("azp")),
        required: vec![(text("tid"), vec![text("t1"), text("t2")])],
        one_of: vec![text("scp"), text("roles")],
        forbidden: vec![text("nonce"), text("at_hash")],
        ..Claims::default()
    };
    let good = json!({"azp": "app", "tid": "t1", "scp": "a"});
    for (patch, expected) in [
        (json!({}), "ok"),
        (json!({"tid": "t2"}), "ok"),
        (json!({"tid": "t3"}), "claim"),
        (json!({"tid": null}), "claim"),
        (json!({"tid": ["t1"]}), "claim"),
        (json!({"azp": null}), "claim"),
        (json!({"azp": ""}), "claim"),
        (json!({"scp": null}), "claim"),
        (json!({"scp": ""}), "claim"),
        (json!({"scp": null, "roles": []}), "claim"),
        (json!({"scp": null, "roles": ["r"]}), "ok"),
        (json!({"nonce": "n"}), "claim"),
        (json!({"at_hash": ""}), "claim"),
    ] {
        let mut claims = good.clone();
        for (name, value) in patch.as_object().unwrap() {
            claims[name] = value.clone();
        }
        assert_eq!(word(&with(&names, &claims)), expected, "{patch}");
    }
    let nonce = with(
        &names,
        &json!({"azp": "app", "tid": "t1", "scp": "a", "nonce": "n"}),
    );
    let said = nonce.unwrap_err().to_string();
    assert_eq!(
        said,
        "claim `nonce` is not that of an access token of this issuer"
    );
}

#[test]
fn auth_02_takes_the_subject_that_stays_the_same() {
    let names = Claims {
        subject: "uid".to_owned(),
        client_subject: true,
        client: Some("cid".to_owned()),
        ..Claims::default()
    };
    for (patch, expected) in [
        (json!({"uid": "00u1", "cid": "0oa1"}), Ok("00u1")),
        (json!({"cid": "0oa1", "sub": "0oa1"}), Ok("0oa1")),
        (json!({"cid": "0oa1"}), Err("subject")),
        (
            json!({"uid": "", "cid": "0oa1", "sub": "0oa1"}),
            Err("subject"),
        ),
        (
            json!({"uid": 7, "cid": "0oa1", "sub": "0oa1"}),
            Err("subject"),
        ),
        (json!({"uid": "a".repeat(513), "cid": "c"}), Err("subject")),
        (json!({"uid": "00u1"}), Err("claim")),
    ] {
        let outcome = with(&names, &patch);
        let found = outcome.as_ref().map(|principal| &*principal.subject);
        assert_eq!(found.map_err(Unauthenticated::reason), expected, "{patch}");
    }
}

/// Otherwise whoever may choose the id of a client could choose that of a user.
#[test]
fn auth_02_takes_no_client_for_a_user_of_the_same_id() {
    let names = Claims {
        subject: "uid".to_owned(),
        ..Claims::default()
    };
    let client = json!({"client_id": "4711", "sub": "4711"});
    assert_eq!(word(&with(&names, &client)), "subject");
    let user = json!({"client_id": "4711", "sub": "4711", "uid": "4711"});
    assert_eq!(word(&with(&names, &user)), "ok");
}

#[test]
fn auth_02_sees_that_not_all_groups_are_in_the_token() {
    for (patch, expected) in [
        (json!({}), false),
        (json!({"groups": ["g"]}), false),
        (json!({"hasgroups": false}), false),
        (json!({"hasgroups": true}), true),
        (json!({"hasgroups": "true"}), true),
        (json!({"_claim_names": {"groups": "src1"}}), true),
        (
            json!({"_claim_names": {"groups": "src1"}, "groups": ["g"]}),
            true,
        ),
        (json!({"_claim_names": {"address": "src1"}}), false),
        (json!({"_claim_names": "groups"}), true),
    ] {
        let outcome = with(&Claims::default(), &patch);
        let found = outcome
            .as_ref()
            .map(|principal| principal.has_unknown_groups);
        // Where nobody knows what is elsewhere, the roles may be.
        let expected = if patch["_claim_names"].is_string() {
            Err("claim")
        } else {
            Ok(expected)
        };
        assert_eq!(found.map_err(Unauthenticated::reason), expected, "{patch}");
    }
    check_claims(&[(json!({"_claim_names": {"roles": "src1"}}), "claim")]);
}

/// What is over a bound is refused, not cut: a rule may forbid what the last one names.
#[test]
fn authz_02_refuses_more_than_it_can_hold() {
    let many = |count: usize| vec!["g"; count];
    check_claims(&[
        (json!({"groups": many(1024)}), "ok"),
        (json!({"groups": many(1025)}), "malformed"),
        (json!({"roles": many(1025)}), "malformed"),
        (json!({"scope": many(1025)}), "malformed"),
        (json!({"scope": many(1024).join(" ")}), "ok"),
        (json!({"scope": many(1025).join(" ")}), "malformed"),
    ]);
    let plain = |count: usize| -> Value {
        (0..count)
            .map(|n| (format!("c{n}"), json!("x")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    // `iss`, `sub`, `aud` and `jti` are texts too.
    check_claims(&[(plain(60), "ok"), (plain(61), "malformed")]);
}

#[test]
fn tok_02_names_the_client_and_keeps_the_key_unambiguous() {
    assert_eq!(
        identity(&json!({"client_id": "a", "azp": "b"}))
            .client
            .as_deref(),
        Some("a")
    );
    assert_eq!(identity(&json!({"azp": "b"})).client.as_deref(), Some("b"));
    assert_eq!(identity(&json!({"client_id": 1})).client, None);
    assert_eq!(
        &*identity(&json!({"sub": "a|b%7C"})).key,
        "https://idp.example|a%7Cb%257C"
    );
    assert_ne!(key_of("a|b", "c"), key_of("a", "b|c"));
    let principal = identity(&json!({}));
    assert_eq!(
        format!("{principal:?}"),
        "Principal(https://idp.example|alice)"
    );
    assert_eq!(
        operating_system_user(1000, "alice", Timestamp::default()).issuer,
        "os"
    );
}

#[test]
fn ses_13_refuses_what_was_revoked() {
    let mut trust = trust();
    let mut revoked = Revoked::default();
    revoked.token(ISSUER, "t-2", None);
    revoked.token("https://other.example", "t-3", None);
    let until = |before: u64| (Timestamp::from_seconds(NOW - before), None);
    revoked.subject(ISSUER, "alice", until(200));
    revoked.client(ISSUER, "ide", until(100));
    revoked.claim(ISSUER, ("oid", "o-1"), until(100));
    revoked.claim("https://other.example", ("oid", "o-2"), until(100));
    trust.revoked = Arc::new(revoked);
    let rows = [
        (json!({}), "ok"),
        (json!({"jti": "t-2"}), "revoked"),
        (json!({"jti": "t-2", "sub": "bob"}), "revoked"),
        (json!({"jti": "t-3"}), "ok"), // ids are each issuer's own
        (json!({"jti": null}), "ok"),
        (json!({"iat": NOW - 200}), "revoked"), // at the very moment
        (json!({"iat": NOW - 200 + SKEW}), "revoked"), // its issuer's clock may be ahead
        (json!({"iat": NOW - 199 + SKEW}), "ok"),
        (json!({"iat": null}), "revoked"), // nobody says when
        (json!({"sub": "bob", "iat": NOW - 300}), "ok"),
        (
            json!({"sub": "bob", "iat": NOW - 100, "client_id": "ide"}),
            "revoked",
        ),
        (
            json!({"sub": "bob", "iat": NOW - 100, "azp": "ide"}),
            "revoked",
        ),
        (
            json!({"sub": "bob", "iat": NOW - 99 + SKEW, "client_id": "ide"}),
            "ok",
        ),
        (
            json!({"sub": "bob", "iat": NOW - 100, "client_id": "other"}),
            "ok",
        ),
        (
            json!({"sub": "bob", "iat": NOW - 100, "oid": "o-1"}),
            "revoked",
        ),
        (json!({"sub": "bob", "iat": NOW, "oid": "o-1"}), "ok"),
        (
            json!({"sub": "bob", "iat": NOW - 100, "oid": ["o-1"]}),
            "ok",
        ),
        (json!({"sub": "bob", "iat": NOW - 100, "tid": "o-1"}), "ok"),
        (json!({"sub": "bob", "iat": NOW - 100, "oid": "o-2"}), "ok"),
    ];
    for (patch, expected) in rows {
        let outcome = seen(&token(&ED, &json!({}), &patch), &trust);
        assert_eq!(word(&outcome), expected, "{patch}");
    }
}

/// Asks at `now`, with a cache that is kept.
fn ask(
    (cache, trust): (&Verified, &Trust),
    resource: &Resource,
    token: &str,
    now: u64,
) -> &'static str {
    let header = format!("Bearer {token}");
    let now = Timestamp::from_seconds(now);
    let memory = (cache, &Proofs::default());
    word(&verify(&bearer(&header), resource, trust, memory, now))
}

#[test]
fn auth_09_the_cache_never_outlives_the_token() {
    let cache = Verified::default();
    let token = token(&ED, &json!({}), &json!({"exp": NOW + 5}));
    for (now, expected) in [
        (NOW, "ok"),
        (NOW + 5 + SKEW - 1, "ok"),
        (NOW + 5 + SKEW, "expired"),
        (NOW + 5 + SKEW - 1, "ok"),
    ] {
        assert_eq!(ask((&cache, &TRUST), &resource(), &token, now), expected);
    }
}

#[test]
fn ses_13_the_cache_is_void_once_trust_changes() {
    let cache = Verified::default();
    let token = token(&ED, &json!({}), &json!({}));
    assert_eq!(ask((&cache, &TRUST), &resource(), &token, NOW), "ok");
    let mut changed = trust();
    changed.generation = 2;
    Arc::make_mut(&mut changed.revoked).token(ISSUER, "t-1", None);
    assert_eq!(ask((&cache, &changed), &resource(), &token, NOW), "revoked");
    changed.generation = 3;
    changed.revoked = Arc::default();
    changed.keys.0.clear();
    assert_eq!(ask((&cache, &changed), &resource(), &token, NOW), "kid");
}

#[test]
fn tok_06_the_cache_keeps_audiences_apart() {
    let cache = Verified::default();
    let token = token(&ED, &json!({}), &json!({}));
    assert_eq!(ask((&cache, &TRUST), &resource(), &token, NOW), "ok");
    let sibling = Resource {
        audience: "https://gateway.example/mail".to_owned(),
        ..resource()
    };
    assert_eq!(ask((&cache, &TRUST), &sibling, &token, NOW), "audience");
    let (token, changed) = (token.clone(), format!("{token}A"));
    assert_eq!(
        ask((&cache, &TRUST), &resource(), &changed, NOW),
        "signature"
    );
    assert_eq!(ask((&cache, &TRUST), &resource(), &token, NOW), "ok");
}

#[test]
fn tok_12_the_cache_is_bounded_and_shows_nothing() {
    let cache = Verified::default();
    let principal = operating_system_user(1, "alice", Timestamp::default());
    for number in 0..40_000_u32 {
        cache.keep(
            cache::place(&number.to_string(), AUDIENCE),
            1,
            principal.clone(),
        );
    }
    assert!(cache.len() <= 2 * cache::MAX_ENTRIES);
    assert!(
        cache
            .find(&cache::place("39999", AUDIENCE), 1, Timestamp::default())
            .is_some()
    );
    assert!(
        cache
            .find(&cache::place("39999", AUDIENCE), 2, Timestamp::default())
            .is_none()
    );
    assert!(
        cache
            .find(&cache::place("0", AUDIENCE), 1, Timestamp::default())
            .is_none()
    );
    assert_eq!(format!("{cache:?}"), "Verified(..)");
}

#[test]
fn auth_10_tells_a_client_how_to_ask() {
    let resource = resource();
    let metadata_url = &resource.metadata_url;
    assert_eq!(
        challenges(&resource, Scheme::Bearer, None, &[]),
        [format!("Bearer resource_metadata=\"{metadata_url}\"")]
    );
    assert_eq!(
        challenges(
            &resource,
            Scheme::Bearer,
            Some("insufficient_scope"),
            &["a".to_owned(), "b".to_owned()]
        ),
        [format!(
            "Bearer error=\"insufficient_scope\", scope=\"a b\", resource_metadata=\"{metadata_url}\""
        )]
    );
    let document = metadata(&resource);
    assert_eq!(document["resource"], AUDIENCE);
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
    assert_eq!(document["scopes_supported"], json!(["notes:read"]));
    let bare = Resource {
        scopes_supported: Vec::new(),
        ..resource
    };
    assert!(metadata(&bare).get("scopes_supported").is_none());
}

/// The usual trust, in which the first issuer is asked about tokens.
fn asking(introspection: Introspection) -> Trust {
    let mut trust = trust();
    let issuer = trust.issuers.get_mut(ISSUER).unwrap();
    issuer.introspection = introspection;
    trust
}

#[test]
fn auth_03_says_which_tokens_have_to_be_shown_to_their_issuer() {
    use Introspection::{Always, Never, Opaque};
    let good = token(&ED, &json!({}), &json!({}));
    let jkt = URL_SAFE_NO_PAD.encode([7; 32]);
    let bound = token(&ED, &json!({}), &json!({"cnf": {"jkt": jkt}}));
    let foreign = token(&ED, &json!({}), &json!({"iss": "https://evil.example"}));
    let forged = token(&ED_STRANGER, &json!({}), &json!({}));
    for (which, token, expected) in [
        (Never, "opaque", "malformed"),
        (Opaque, "opaque", "introspection"),
        (Opaque, "a.b.c", "introspection"),
        (Opaque, good.as_str(), "ok"),
        (Opaque, foreign.as_str(), "issuer"),
        (Opaque, forged.as_str(), "signature"),
        (Always, good.as_str(), "introspection"),
        (Always, bound.as_str(), "introspection"),
        (Always, foreign.as_str(), "issuer"),
        (Always, forged.as_str(), "signature"),
    ] {
        let outcome = seen(token, &asking(which));
        assert_eq!(word(&outcome), expected, "{which:?} {token}");
    }
    // Of two, neither is shown what could be the other's.
    let mut both = asking(Opaque);
    both.issuers.get_mut(OTHER).unwrap().introspection = Opaque;
    let resource = Resource {
        issuers: vec![ISSUER.to_owned(), OTHER.to_owned()],
        ..resource()
    };
    let (now, cache) = (Timestamp::from_seconds(NOW), Verified::default());
    let memory = (&cache, &Proofs::default());
    let outcome = verify(&bearer("Bearer opaque"), &resource, &both, memory, now);
    assert_eq!(word(&outcome), "malformed");
}

fn reason_of(why: NoAnswer) -> &'static str {
    match why {
        NoAnswer::Broken => "broken",
        NoAnswer::Unsigned(why) | NoAnswer::Refused(why) => why.reason(),
    }
}

#[test]
fn auth_03_an_answer_is_judged_as_claims_are_and_believed_for_a_while() {
    let (trust, resource) = (asking(Introspection::Opaque), resource());
    let (cache, now) = (Verified::default(), Timestamp::from_seconds(NOW));
    let credentials = bearer("Bearer opaque");
    let question = Question::new(&credentials, &resource, ISSUER, &cache).unwrap();
    assert!(!question.is_known);
    let ttl = Duration::from_secs(30);
    let believe = |answer: &str| {
        let answer = (answer.as_bytes(), &Form::Plain);
        let believed = question.believe(answer, &resource, &trust, (&cache, ttl, now));
        believed.map_err(reason_of)
    };
    for (patch, expected) in [
        (json!({"active": false}), "inactive"),
        (json!({"active": null}), "broken"),
        (json!({"active": "true"}), "broken"),
        (json!({"iss": "https://evil.example"}), "issuer"),
        (json!({"iss": 1}), "issuer"),
        (json!({"aud": OTHER}), "audience"),
        (json!({"aud": null}), "audience"),
        (json!({"exp": null}), "lifetime"),
        (json!({"exp": NOW - SKEW}), "expired"),
        (json!({"exp": NOW + 2 * MAX_LIFETIME}), "lifetime"),
        (json!({"nbf": NOW + SKEW + 1}), "nbf"),
        (json!({"sub": null}), "subject"),
        (json!({"token_type": "refresh_token"}), "typ"),
        (json!({"cnf": {"jkt": "x"}}), "cnf"),
        (json!({"token_type": "DPoP"}), "typ"),
    ] {
        let mut base: Value = serde_json::from_str(&claims(&json!({}))).unwrap();
        base["active"] = json!(true);
        assert_eq!(believe(&patched(base, &patch)), Err(expected), "{patch}");
    }
    let twice = r#"{"active":false,"active":true}"#;
    for broken in ["", "null", "[]", "{}", twice, "{\"active\":true"] {
        assert_eq!(believe(broken), Err("broken"), "{broken}");
    }
    let ask = |at: u64| {
        let at = Timestamp::from_seconds(at);
        let memory = (&cache, &Proofs::default());
        word(&verify(&credentials, &resource, &trust, memory, at))
    };
    assert_eq!(ask(NOW), "introspection");
    let good = json!({"active": true, "token_type": "bearer", "iss": null});
    assert_eq!(believe(&claims(&good)), Ok(()));
    assert_eq!(ask(NOW), "ok");
    assert_eq!(ask(NOW + 29), "ok");
    assert_eq!(ask(NOW + 30), "introspection", "the issuer is asked again");
    let again = Question::new(&credentials, &resource, ISSUER, &cache).unwrap();
    assert!(again.is_known, "it was good before");
    let short = json!({"active": true, "exp": NOW + 5});
    assert_eq!(believe(&claims(&short)), Ok(()));
    assert_eq!(ask(NOW + 4), "ok");
    assert_eq!(
        ask(NOW + 5),
        "introspection",
        "it is believed until it ends at most"
    );
    assert_eq!(encode("a b&c=d+%/ä"), "a%20b%26c%3Dd%2B%25%2F%C3%A4");
}

#[test]
fn auth_10_asks_for_what_is_needed_and_what_would_be_lost() {
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let resource = Resource {
        scopes_of_use: words("read write delete admin").into_iter().collect(),
        ..Resource::default()
    };
    for (needed, held, expected) in [
        ("read delete", "", "read delete"),
        ("read delete", "read write mail", "read delete write"),
        ("read delete", "admin openid delete", "read delete admin"),
        ("unheard", "unheard2 WRITE write", "unheard write"),
    ] {
        assert_eq!(
            wanted(&resource, &words(needed), &words(held)),
            words(expected)
        );
    }
}

/// Both patches; `null` still takes a member away.
fn both(mut one: Value, other: &Value) -> Value {
    let members = one.as_object_mut().unwrap();
    members.extend(other.as_object().unwrap().clone());
    one
}

#[test]
fn auth_03_a_signed_answer_is_of_the_issuer_for_us_and_of_now() {
    let (trust, resource) = (asking(Introspection::Opaque), resource());
    let (cache, now) = (Verified::default(), Timestamp::from_seconds(NOW));
    let question = Question::new(&bearer("Bearer opaque"), &resource, ISSUER, &cache).unwrap();
    let form = Form::Signed {
        client: "gate".to_owned(),
    };
    let believe = |answer: &str| {
        let memory = (&cache, Duration::from_secs(30), now);
        let believed = question.believe((answer.as_bytes(), &form), &resource, &trust, memory);
        believed.map_err(reason_of)
    };
    let said: Value = serde_json::from_str(&claims(&json!({"active": true}))).unwrap();
    let whole = json!({"aud": "gate", "token_introspection": said, "sub": null, "exp": null});
    let signed = |signer: &Signer, header: &Value, patch: &Value| {
        let kind = json!({"typ": "token-introspection+jwt"});
        token(signer, &both(kind, header), &both(whole.clone(), patch))
    };
    let nothing = json!({});
    let of = |patch: Value| signed(&ED, &nothing, &patch);
    let plain = claims(&json!({"active": true}));
    for (answer, expected) in [
        (plain.clone(), "malformed"),
        (String::new(), "malformed"),
        (token(&ED, &nothing, &nothing), "typ"),
        (signed(&ED, &json!({"typ": "JWT"}), &nothing), "typ"),
        (signed(&ED, &json!({"typ": null}), &nothing), "typ"),
        (signed(&ED_STRANGER, &nothing, &nothing), "signature"),
        (signed(&ED, &json!({"alg": "none"}), &nothing), "alg"),
        (of(json!({"iss": OTHER})), "issuer"),
        (of(json!({"iss": null})), "issuer"),
        (of(json!({"aud": "other"})), "audience"),
        (of(json!({"aud": null})), "audience"),
        (of(json!({"iat": null})), "lifetime"),
        (of(json!({"iat": NOW - SKEW - 61})), "expired"),
        (of(json!({"iat": NOW + SKEW + 1})), "nbf"),
        (of(json!({"token_introspection": null})), "broken"),
        (of(json!({"token_introspection": plain})), "broken"),
        (of(json!({"token_introspection": {}})), "broken"),
        (
            of(json!({"token_introspection": {"active": false}})),
            "inactive",
        ),
    ] {
        assert_eq!(believe(&answer), Err(expected), "{answer}");
    }
    let full = "application/token-introspection+jwt";
    assert_eq!(
        believe(&signed(&ED, &json!({"typ": full}), &nothing)),
        Ok(())
    );
    let several = json!({"aud": ["gate", "other"], "iat": NOW - SKEW - 60});
    assert_eq!(believe(&of(several)), Ok(()));
}
