//! ATK-005: what the JOSE header asks for, and signatures that are none.

use crate::harness::{Draft, Host, Idp, Key, Scene, call, encode, unsigned};
use serde_json::json;

const NARROW: &str = r#"
[issuers.idp]
issuer = "{idp}"
algorithms = ["RS256", "ES256"]

[servers.notes]
url = "{upstream}"
allow = ["*"]
"#;

#[test]
fn auth_08_refuses_algorithm_confusion() {
    let scene = Scene::with(NARROW);
    let (rsa, ec) = (scene.idp.key("rsa-1"), scene.idp.key("ec-1"));
    let by_rsa = scene.draft("alice").key(&rsa);
    let by_ec = scene.draft("alice").key(&ec);
    let zeros = encode(&[0; 64]);
    for (what, token, reason) in [
        (
            "alg none, no signature",
            unsigned(&by_rsa.clone().header("alg", "none").sign(), ""),
            "alg",
        ),
        (
            "alg None",
            unsigned(&by_rsa.clone().header("alg", "None").sign(), ""),
            "alg",
        ),
        (
            "alg nOnE with a signature",
            by_rsa.clone().header("alg", "nOnE").sign(),
            "alg",
        ),
        (
            "HS256 under the public PEM",
            by_rsa
                .clone()
                .header("alg", "HS256")
                .sign_hmac(&rsa.public_pem()),
            "alg",
        ),
        (
            "HS256 under the modulus",
            by_rsa
                .clone()
                .header("alg", "HS256")
                .sign_hmac(rsa.jwk()["n"].as_str().unwrap().as_bytes()),
            "alg",
        ),
        (
            "HS256 under nothing",
            by_rsa.clone().header("alg", "HS256").sign_hmac(b""),
            "alg",
        ),
        (
            "PS256 where RS256 is allowed",
            by_rsa.clone().header("alg", "PS256").sign(),
            "alg",
        ),
        (
            "RS512 where RS256 is allowed",
            by_rsa.clone().header("alg", "RS512").sign(),
            "alg",
        ),
        (
            "EdDSA where it is not allowed",
            scene.draft("alice").sign(),
            "alg",
        ),
        (
            "PSS said to be RS256",
            said_to_be(&by_rsa.clone().header("alg", "PS256").sign(), &by_rsa),
            "signature",
        ),
        (
            "an RSA key for ES256",
            by_rsa.clone().header("alg", "ES256").sign(),
            "kid",
        ),
        (
            "an EC key for RS256",
            by_ec.clone().header("alg", "RS256").sign(),
            "kid",
        ),
        (
            "ES256 of zeros (CVE-2022-21449)",
            unsigned(&by_ec.sign(), &zeros),
            "signature",
        ),
        ("no signature", unsigned(&by_ec.sign(), ""), "signature"),
        (
            "a signature of another token",
            unsigned(
                &by_ec.sign(),
                scene.token("bob").rsplit('.').next().unwrap(),
            ),
            "signature",
        ),
        ("a flipped bit", flipped(&by_rsa.sign()), "signature"),
        ("a flipped bit (EC)", flipped(&by_ec.sign()), "signature"),
        (
            "other claims under the same signature",
            swapped(&by_ec.sign(), &by_ec.clone().claim("sub", "root").sign()),
            "signature",
        ),
        (
            "the right kid, another's key",
            by_rsa
                .clone()
                .key(&Key::ec("x"))
                .header("kid", "ec-1")
                .sign(),
            "signature",
        ),
        (
            "no alg",
            by_rsa.clone().header("alg", json!(null)).sign(),
            "malformed",
        ),
        (
            "alg a list",
            by_rsa.clone().header("alg", json!(["RS256"])).sign(),
            "malformed",
        ),
    ] {
        println!("{what}");
        scene.unauthenticated(&call("echo").token(&token), reason);
    }
    scene.permits(&call("echo").token(&by_rsa.sign()));
    scene.permits(&call("echo").token(&by_ec.sign()));
}

#[test]
fn auth_08_fetches_nothing_that_a_token_names() {
    let scene = Scene::new();
    let lure = Host::lure();
    let rogue = Key::ed("rogue");
    let forged = scene.draft("alice").key(&rogue);
    let keys = json!({ "keys": [rogue.jwk()] });
    for (name, value) in [
        ("jwk", rogue.jwk()),
        ("jku", json!(lure.url())),
        (
            "jku",
            json!(format!("{}/jwks#{}", scene.idp.issuer(), lure.url())),
        ),
        ("x5u", json!(lure.url())),
        ("x5c", json!(["MIIB"])),
        ("jwks", keys.clone()),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let reason = if name == "jwks" { "kid" } else { "header" };
        scene.unauthenticated(
            &call("echo").token(&forged.clone().header(name, value.clone()).sign()),
            reason,
        );
        if name != "jwks" {
            // Also not on a token that is good otherwise.
            scene.unauthenticated(
                &call("echo").token(&scene.draft("alice").header(name, value).sign()),
                "header",
            );
        }
    }
    let in_claims = forged
        .clone()
        .claim("jwks_uri", lure.url())
        .claim("jku", lure.url())
        .header("kid", "ed-1");
    scene.unauthenticated(&call("echo").token(&in_claims.sign()), "signature");
    assert_eq!(
        lure.seen().len(),
        0,
        "a token made the gateway fetch {:?}",
        lure.seen()
    );
    scene.permits(&call("echo").token(&scene.token("alice")));
}

#[test]
fn auth_08_looks_keys_up_by_name_only() {
    let scene = Scene::new();
    for id in [
        "../../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "' OR '1'='1",
        "ed-1' UNION SELECT 'x",
        "$(id)",
        "ed-1\u{0}",
        "ED-1",
        " ed-1",
        "*",
        "",
    ] {
        let empty = scene
            .draft("alice")
            .header("kid", id)
            .header("alg", "EdDSA");
        scene.unauthenticated(&call("echo").token(&empty.sign()), "kid");
        let hmac = scene
            .draft("alice")
            .header("kid", id)
            .header("alg", "HS256")
            .sign_hmac(b"");
        scene.unauthenticated(&call("echo").token(&hmac), "alg");
    }
    for id in [json!(1), json!(["ed-1"]), json!({ "ed-1": 1 })] {
        scene.unauthenticated(
            &call("echo").token(&scene.draft("alice").header("kid", id).sign()),
            "malformed",
        );
    }
    scene.permits(&call("echo").token(&scene.token("alice")));
}

#[test]
fn auth_08_refuses_tokens_that_are_no_access_tokens() {
    let scene = Scene::new();
    for kind in [
        json!("JWT"),
        json!("jwt"),
        json!("id+jwt"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!(null),
    ] {
        let token = scene
            .draft("alice")
            .header("typ", kind)
            .claim("nonce", "n")
            .sign();
        scene.unauthenticated(&call("echo").token(&token), "typ");
    }
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.permits(
        &call("echo").token(
            &scene
                .draft("alice")
                .header("typ", "application/AT+JWT")
                .sign(),
        ),
    );
}

#[test]
fn auth_08_does_not_let_an_issuer_s_weak_keys_in() {
    let idp = Idp::start();
    let upstream = crate::harness::Upstream::start();
    let config = NARROW
        .replace("{idp}", &idp.issuer())
        .replace("{upstream}", &upstream.url());
    let config = config.replace("\"RS256\", \"ES256\"", "\"ES256\"");
    let scene = Scene {
        gateway: crate::harness::Gateway::start(&config),
        upstream,
        idp,
    };
    // The issuer publishes an RSA key too; the configuration does not want it.
    let token = scene.draft("alice").key(&scene.idp.key("rsa-1")).sign();
    scene.unauthenticated(&call("echo").token(&token), "alg");
    scene.permits(&call("echo").token(&scene.draft("alice").key(&scene.idp.key("ec-1")).sign()));
}

/// A token with the header of `draft` and the signature of `token`.
fn said_to_be(token: &str, draft: &Draft) -> String {
    unsigned(&draft.sign(), token.rsplit('.').next().unwrap())
}

/// The claims of `other` under the signature of `token`.
fn swapped(token: &str, other: &str) -> String {
    unsigned(other, token.rsplit('.').next().unwrap())
}

fn flipped(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{input}.{first}{}", &signature[1..])
}
