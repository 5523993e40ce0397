//! Every way in which a proof of possession is none.

use super::*;
use aws_lc_rs::digest;

const URL: &str = "https://gateway.example/servers/notes/mcp";

/// A server that takes bound tokens like that.
fn taking(dpop: Binding) -> Resource {
    Resource {
        url: URL.to_owned(),
        dpop,
        ..resource()
    }
}

/// The public half of a key, as a proof brings it along.
fn public(key: &Signer) -> Value {
    let mut public = key.public.clone();
    public.as_object_mut().unwrap().remove("kid");
    public
}

fn thumbprint(key: &Signer) -> String {
    let public = public(key);
    // In the order of their names (RFC 7638 section 3).
    let members: std::collections::BTreeMap<_, _> = public.as_object().unwrap().iter().collect();
    let canonical = serde_json::to_string(&members).unwrap();
    hash_of(&canonical)
}

fn bound_to(key: &Signer) -> String {
    token(
        &ED,
        &json!({}),
        &json!({ "cnf": { "jkt": thumbprint(key) } }),
    )
}

fn hash_of(token: &str) -> String {
    b64(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

/// A proof of this key for this token, with these changes to its header and its claims; `null` leaves one out.
fn proof(key: &Signer, token: &str, (header, claims): (&Value, &Value)) -> String {
    let mut head = json!({ "typ": "dpop+jwt", "alg": key.algorithm, "jwk": public(key) });
    let mut body = json!({
        "htm": "POST", "htu": URL, "ath": hash_of(token), "iat": NOW,
        "jti": format!("p-{}", b64(hash_of(&claims.to_string()))),
    });
    for (target, changes) in [(&mut head, header), (&mut body, claims)] {
        let target = target.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                target.remove(name);
            } else {
                target.insert(name.clone(), value.clone());
            }
        }
    }
    let signed = format!("{}.{}", b64(head.to_string()), b64(body.to_string()));
    let signature = (key.sign)(signed.as_bytes());
    format!("{signed}.{}", b64(signature))
}

/// What comes of a request with this header and this proof.
fn sent(authorization: &str, proof: &str, resource: &Resource, proofs: &Proofs) -> &'static str {
    let credentials = Credentials {
        proof: Some(proof.as_bytes()),
        proofs: 1,
        method: "POST",
        ..bearer(authorization)
    };
    let now = Timestamp::from_seconds(NOW);
    let memory = (&Verified::default(), proofs);
    word(&verify(&credentials, resource, &TRUST, memory, now))
}

/// Rows of changes to header and claims of a proof, and the word for each.
fn check(rows: &[(Value, Value, &str)]) {
    let token = bound_to(&P256);
    for (header, claims, expected) in rows {
        let proof = proof(&P256, &token, (header, claims));
        let outcome = sent(
            &format!("DPoP {token}"),
            &proof,
            &taking(Binding::Required),
            &Proofs::default(),
        );
        assert_eq!(outcome, *expected, "{header} {claims}");
    }
}

#[test]
fn tok_18_takes_a_bound_token_with_its_proof_and_not_without() {
    let (token, plain) = (bound_to(&P256), token(&ED, &json!({}), &json!({})));
    let good = |token: &str| proof(&P256, token, (&json!({}), &json!({})));
    for (dpop, presented, expected) in [
        (Binding::Accepted, format!("DPoP {token}"), "ok"),
        (Binding::Accepted, format!("dpop  {token}"), "ok"),
        (Binding::Accepted, format!("Bearer {plain}"), "ok"),
        (Binding::Accepted, format!("Bearer {token}"), "dpop_missing"),
        (Binding::Accepted, format!("DPoP {plain}"), "cnf"),
        (Binding::Required, format!("DPoP {token}"), "ok"),
        (Binding::Required, format!("Bearer {plain}"), "dpop_missing"),
        (Binding::Required, format!("Bearer {token}"), "dpop_missing"),
        (Binding::Required, format!("DPoP {plain}"), "cnf"),
        (Binding::Off, format!("Bearer {plain}"), "ok"),
        (Binding::Off, format!("Bearer {token}"), "cnf"),
        (Binding::Off, format!("DPoP {token}"), "scheme"),
    ] {
        let proof = good(if presented.ends_with(&token) {
            &token
        } else {
            &plain
        });
        let outcome = sent(&presented, &proof, &taking(dpop), &Proofs::default());
        assert_eq!(outcome, expected, "{dpop:?} {presented}");
    }
}

#[test]
fn tok_18_refuses_what_a_token_is_bound_to_and_cannot_be_checked() {
    let key = thumbprint(&P256);
    for bound in [
        json!({}),
        json!(null),
        json!("x"),
        json!([{ "jkt": key }]),
        json!({ "jkt": null }),
        json!({ "jkt": "short" }),
        json!({ "jkt": format!("{key}=") }),
        json!({ "jkt": key, "x5t#S256": key }),
        json!({ "jkt": key, "kid": "k" }),
        json!({ "x5t#S256": key }),
        json!({ "jwk": public(&P256) }),
        json!({ "kid": "k" }),
    ] {
        let token = sign_with(&bound);
        let proof = proof(&P256, &token, (&json!({}), &json!({})));
        for scheme in ["Bearer", "DPoP"] {
            let presented = format!("{scheme} {token}");
            let resource = taking(Binding::Accepted);
            let outcome = sent(&presented, &proof, &resource, &Proofs::default());
            assert_eq!(outcome, "cnf", "{scheme} {bound}");
        }
    }
}

/// A token with this `cnf`, which may be `null`.
fn sign_with(bound: &Value) -> String {
    let whole = token(&ED, &json!({}), &json!({ "cnf": "BOUND" }));
    let (header, rest) = whole.split_once('.').unwrap();
    let claims = URL_SAFE_NO_PAD
        .decode(rest.split_once('.').unwrap().0)
        .unwrap();
    let claims = String::from_utf8(claims).unwrap();
    let claims = claims.replace("\"BOUND\"", &bound.to_string());
    let signed = format!("{header}.{}", b64(claims));
    let signature = (ED.sign)(signed.as_bytes());
    format!("{signed}.{}", b64(signature))
}

#[test]
fn tok_14_takes_every_allowed_kind_of_key() {
    for key in [&*P256, &*ED, &*RSA] {
        let token = bound_to(key);
        let proof = proof(key, &token, (&json!({}), &json!({})));
        let resource = taking(Binding::Required);
        let outcome = sent(
            &format!("DPoP {token}"),
            &proof,
            &resource,
            &Proofs::default(),
        );
        assert_eq!(outcome, "ok", "{}", key.algorithm);
    }
    let token = bound_to(&P384);
    let proof = proof(&P384, &token, (&json!({}), &json!({})));
    let resource = taking(Binding::Required);
    let outcome = sent(
        &format!("DPoP {token}"),
        &proof,
        &resource,
        &Proofs::default(),
    );
    assert_eq!(outcome, "dpop_proof", "ES384 is not on the list");
}

#[test]
fn tok_14_refuses_a_proof_of_another_form() {
    let none = || json!({});
    let with = |name: &str, value: &str| {
        let mut key = public(&P256);
        key[name] = json!(value);
        json!({ "jwk": key })
    };
    check(&[
        (none(), none(), "ok"),
        (json!({ "kid": "ignored" }), json!({ "more": 1 }), "ok"),
        (json!({ "typ": null }), none(), "dpop_proof"),
        (json!({ "typ": "jwt" }), none(), "dpop_proof"),
        (json!({ "typ": "at+jwt" }), none(), "dpop_proof"),
        (json!({ "typ": "DPOP+JWT" }), none(), "dpop_proof"),
        (json!({ "alg": "none" }), none(), "dpop_proof"),
        (json!({ "alg": "HS256" }), none(), "dpop_proof"),
        (json!({ "alg": "ES384" }), none(), "dpop_proof"),
        (json!({ "alg": "EdDSA" }), none(), "dpop_proof"),
        (json!({ "alg": null }), none(), "dpop_proof"),
        (json!({ "jwk": null }), none(), "dpop_proof"),
        (json!({ "jwk": "x" }), none(), "dpop_proof"),
        (json!({ "jwk": public(&ED) }), none(), "dpop_key"),
        (
            json!({ "jwk": { "kty": "oct", "k": "AA" } }),
            none(),
            "dpop_proof",
        ),
        (with("d", "AA"), none(), "dpop_proof"),
        (with("k", "AA"), none(), "dpop_proof"),
        (with("use", "enc"), none(), "dpop_proof"),
        (with("x", "\u{e9}"), none(), "dpop_proof"),
        (json!({ "crit": ["x"] }), none(), "dpop_proof"),
        (json!({ "b64": false }), none(), "dpop_proof"),
        (
            json!({ "jku": "https://evil.example" }),
            none(),
            "dpop_proof",
        ),
        (json!({ "x5c": [] }), none(), "dpop_proof"),
    ]);
}

#[test]
fn tok_14_binds_a_proof_to_its_request() {
    let none = || json!({});
    check(&[
        (none(), json!({ "htm": "GET" }), "dpop_htm"),
        (none(), json!({ "htm": "post" }), "dpop_htm"),
        (none(), json!({ "htm": null }), "dpop_proof"),
        (
            none(),
            json!({ "htu": "https://gateway.example/mcp" }),
            "dpop_htu",
        ),
        (
            none(),
            json!({ "htu": "https://evil.example/servers/notes/mcp" }),
            "dpop_htu",
        ),
        (none(), json!({ "htu": format!("{URL}?a") }), "dpop_htu"),
        (
            none(),
            json!({ "htu": "https://GATEWAY.example:443/servers/notes/mcp" }),
            "ok",
        ),
        (none(), json!({ "htu": null }), "dpop_proof"),
        (none(), json!({ "ath": hash_of("another") }), "dpop_ath"),
        (none(), json!({ "ath": "" }), "dpop_ath"),
        (none(), json!({ "ath": null }), "dpop_proof"),
        (none(), json!({ "iat": NOW - 60 }), "ok"),
        (none(), json!({ "iat": NOW - 61 }), "dpop_iat"),
        (none(), json!({ "iat": NOW + 5 }), "ok"),
        (none(), json!({ "iat": NOW + 6 }), "dpop_iat"),
        (none(), json!({ "iat": NOW * 1000 }), "dpop_iat"),
        (none(), json!({ "iat": "now" }), "dpop_proof"),
        (none(), json!({ "iat": null }), "dpop_proof"),
        (none(), json!({ "jti": null }), "dpop_proof"),
        (none(), json!({ "jti": "" }), "dpop_proof"),
        (none(), json!({ "jti": 1 }), "dpop_proof"),
        (none(), json!({ "jti": "x".repeat(513) }), "dpop_proof"),
        (none(), json!({ "jti": "x".repeat(512) }), "ok"),
    ]);
}

#[test]
fn tok_14_wants_one_proof_that_is_signed_and_was_not_used() {
    let (token, proofs) = (bound_to(&P256), Proofs::default());
    let presented = format!("DPoP {token}");
    let resource = taking(Binding::Required);
    let first = proof(&P256, &token, (&json!({}), &json!({})));
    let (signed, signature) = first.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged: String = signature.chars().skip(1).collect();
    let forged = format!("{signed}.{other}{forged}");
    let again = proof(&P256, &token, (&json!({ "kid": "x" }), &json!({})));
    for (proof, expected) in [
        (forged.as_str(), "dpop_signature"),
        (signed, "dpop_proof"),
        ("", "dpop_proof"),
        ("..", "dpop_proof"),
        (&"x".repeat(8193), "dpop_proof"),
        (&first, "ok"),
        (&first, "dpop_replay"),
        (&again, "dpop_replay"), // another proof of the same name
    ] {
        assert_eq!(
            sent(&presented, proof, &resource, &proofs),
            expected,
            "{proof}"
        );
    }
    let fresh = proof(&P256, &token, (&json!({}), &json!({ "jti": "fresh" })));
    let two = Credentials {
        proof: Some(fresh.as_bytes()),
        proofs: 2,
        method: "POST",
        ..bearer(&presented)
    };
    let none = Credentials {
        proof: None,
        proofs: 0,
        ..two
    };
    for (credentials, expected) in [(two, "dpop_duplicate"), (none, "dpop_missing")] {
        let now = Timestamp::from_seconds(NOW);
        let memory = (&Verified::default(), &proofs);
        let outcome = verify(&credentials, &resource, &TRUST, memory, now);
        assert_eq!(word(&outcome), expected);
    }
    // None of the refused ones used the proof up.
    assert_eq!(sent(&presented, &fresh, &resource, &proofs), "ok");
}

#[test]
fn tok_14_wants_a_nonce_where_it_asks_for_one() {
    let (token, proofs) = (bound_to(&P256), Proofs::new(&[7; 32]));
    let resource = Resource {
        needs_nonce: true,
        ..taking(Binding::Accepted)
    };
    let nonce = |seconds| proofs.nonce(Timestamp::from_seconds(seconds)).unwrap();
    for (claims, expected) in [
        (json!({}), "dpop_nonce"),
        (json!({ "nonce": "" }), "dpop_nonce"),
        (json!({ "nonce": 1 }), "dpop_nonce"),
        (json!({ "nonce": nonce(NOW - 300) }), "dpop_nonce"),
        (json!({ "nonce": nonce(NOW + 300) }), "dpop_nonce"),
        (
            json!({ "nonce": nonce(NOW - 300), "iat": NOW - 300 }),
            "dpop_nonce",
        ),
        (json!({ "nonce": nonce(NOW), "iat": NOW - 300 }), "dpop_iat"),
        (json!({ "nonce": nonce(NOW - 120) }), "ok"),
        (json!({ "nonce": nonce(NOW) }), "ok"),
    ] {
        let proof = proof(&P256, &token, (&json!({}), &claims));
        let outcome = sent(&format!("DPoP {token}"), &proof, &resource, &proofs);
        assert_eq!(outcome, expected, "{claims}");
    }
}

#[test]
fn tok_18_tells_a_client_how_to_prove() {
    let told = |dpop, scheme| challenges(&taking(dpop), scheme, Some("e"), &[]);
    let algorithms = "algs=\"ES256 EdDSA PS256 RS256\"";
    let accepted = told(Binding::Accepted, Scheme::Bearer);
    assert!(accepted[0].starts_with("Bearer error=\"e\""));
    assert_eq!(accepted[1..], [format!("DPoP {algorithms}")]);
    for (dpop, scheme) in [
        (Binding::Accepted, Scheme::Dpop),
        (Binding::Required, Scheme::Bearer),
        (Binding::Required, Scheme::Dpop),
    ] {
        let told = told(dpop, scheme);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("DPoP error=\"e\"") && told[0].ends_with(algorithms));
    }
    for (dpop, expected) in [
        (Binding::Off, Value::Null),
        (Binding::Accepted, json!(false)),
        (Binding::Required, json!(true)),
    ] {
        let document = metadata(&taking(dpop));
        assert_eq!(document["dpop_bound_access_tokens_required"], expected);
        let listed = document["dpop_signing_alg_values_supported"].is_array();
        assert_eq!(listed, dpop != Binding::Off);
    }
}
