//! ATK-013, ATK-036 to ATK-038: codes and tokens of our own authorization server, and who should not get any.

use crate::harness::{
    CALLBACK, Draft, Granting, Kept, Key, Request, call, posted, redeeming, wait_for,
};
use serde_json::{Value, json};
use std::time::Duration;

fn works(scene: &Granting, token: &str) -> u16 {
    call("echo").token(token).send(scene.gateway.address).status
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let decoded =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
    serde_json::from_slice(&decoded.unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn cd_05_a_client_finds_what_it_needs_and_never_by_our_host_header() {
    let scene = Granting::start("");
    let address = scene.gateway.address;
    let own = format!("http://{address}");
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let host = format!("localhost:{}", address.port());
        let answer = Request::new("GET", path).set("host", &host).send(address);
        let said = answer.json();
        assert_eq!(
            (answer.status, text(&said["issuer"])),
            (200, &*own),
            "{said}"
        );
        assert_eq!(said["token_endpoint"], format!("{own}/token"));
        assert_eq!(said["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(said["authorization_response_iss_parameter_supported"], true);
        assert_eq!(said["client_id_metadata_document_supported"], true);
        assert!(said.get("registration_endpoint").is_none(), "{said}");
        let keys = text(&said["jwks_uri"])
            .strip_prefix(&own)
            .unwrap()
            .to_owned();
        let keys = Request::new("GET", &keys).send(address).json();
        let token = scene.gateway.token("notes");
        let header = token.split('.').next().unwrap();
        let header =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header);
        let header: Value = serde_json::from_slice(&header.unwrap()).unwrap();
        assert_eq!(keys["keys"][0]["kid"], header["kid"], "{keys}");
        assert!(keys["keys"][0].get("d").is_none(), "{keys}");
    }
    let resource = "/.well-known/oauth-protected-resource/servers/notes/mcp";
    let said = Request::new("GET", resource).send(address).json();
    assert_eq!(said["authorization_servers"], json!([own]), "{said}");
    let posted = Request::new("POST", "/.well-known/openid-configuration").send(address);
    assert_eq!(posted.status, 405);
}

#[test]
fn cd_04_no_answer_goes_where_the_client_has_not_said() {
    let scene = Granting::start("");
    let (mut seen, own) = (Vec::new(), "https://app.example/oauth/callback");
    for (redirect, reason) in [
        ("", "missing"),
        ("https://app.example/oauth/callback/", "unregistered"),
        ("https://app.example/oauth/callback/evil", "unregistered"),
        ("https://app.example/oauth/callback?x=y", "unregistered"),
        ("https://app.example//oauth/callback", "unregistered"),
        ("https://app.example/oauth/../oauth/callback", "path"),
        ("https://app.example/oauth/%2e%2e/oauth/callback", "path"),
        ("https://app.example/oauth%2fcallback", "path"),
        ("https://app.example/oauth/callback%0d%0aLocation", "path"),
        ("https://app.example/oauth/callback;x", "path"),
        ("https://app.example/*", "path"),
        (
            "https://app.example/open?to=https://evil.example",
            "unregistered",
        ),
        ("https://APP.example/oauth/callback", "malformed"),
        ("https://app.example./oauth/callback", "malformed"),
        ("https://app.example:443/oauth/callback", "unregistered"),
        ("https://app.example:/oauth/callback", "malformed"),
        ("https://evil.example/oauth/callback", "unregistered"),
        (
            "https://app.example.evil.example/oauth/callback",
            "unregistered",
        ),
        ("https://app.example@evil.example/oauth/callback", "user"),
        ("https://evil@app.example/oauth/callback", "user"),
        (
            "https://evil.example\\@app.example/oauth/callback",
            "malformed",
        ),
        (
            "https://evil.example#app.example/oauth/callback",
            "fragment",
        ),
        ("https://app.example/oauth/callback#x", "fragment"),
        ("https://xn--pp-6kc.example/oauth/callback", "unregistered"),
        ("https://\u{430}pp.example/oauth/callback", "malformed"),
        ("https://app\u{3002}example/oauth/callback", "malformed"),
        ("https://[fe80::1%25eth0]/oauth/callback", "path"),
        ("https://93.184.216.34/oauth/callback", "address"),
        (" https://app.example/oauth/callback", "malformed"),
        ("http://app.example/oauth/callback", "scheme"),
        ("HTTPS://app.example/oauth/callback", "malformed"),
        ("javascript:alert(1)", "scheme"),
        ("data:text/html,x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("com.example.app:/oauth", "unregistered"),
        ("//app.example/oauth/callback", "malformed"),
        ("http://localhost:4711/callback/", "unregistered"),
        ("http://localhost:4711/other", "unregistered"),
        ("http://localhost.evil.example:4711/callback", "scheme"),
        ("http://localhost@evil.example/callback", "user"),
        ("http://127.0.0.1:4711/callback", "unregistered"),
        ("http://2130706433/callback", "malformed"),
        ("http://0177.0.0.1/callback", "malformed"),
        ("http://[::ffff:127.0.0.1]/callback", "scheme"),
        ("http://localhost:0/callback", "malformed"),
        ("http://localhost:65536/callback", "malformed"),
    ] {
        let answer = scene.authorize(&[("redirect_uri", redirect)]);
        assert_eq!(answer.status, 400, "{redirect} {answer:?}");
        assert_eq!(answer.header("location"), None, "{redirect}");
        let kind = answer.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{redirect} {kind}");
        assert!(!answer.body.contains("evil.example"), "{answer:?}");
        scene.refused(&answer, ("oauth.redirect_rejected", reason));
        seen.push(redirect);
    }
    assert!(seen.len() >= 40);
    for redirect in [
        own,
        CALLBACK,
        "http://localhost/callback",
        "http://localhost:1/callback",
    ] {
        let answer = scene.authorize(&[("redirect_uri", redirect), ("response_type", "token")]);
        let location = answer.header("location").unwrap_or_default();
        assert!(
            location.starts_with(&format!("{redirect}?error=")),
            "{answer:?}"
        );
        assert!(
            location.contains("state=the-state") && location.contains("iss=http"),
            "{location}"
        );
    }
}

#[test]
fn cd_05_refuses_to_do_without_s256() {
    let scene = Granting::start("");
    for (change, reason) in [
        (("code_challenge", ""), "no_challenge"),
        (("code_challenge_method", "plain"), "method"),
        (("code_challenge_method", ""), "method"),
        (("code_challenge", "short"), "challenge"),
    ] {
        let answer = scene.authorize(&[change]);
        let location = answer.header("location").unwrap_or_default();
        assert_eq!(answer.status, 303, "{answer:?}");
        assert!(
            location.starts_with(&format!("{CALLBACK}?error=invalid_request")),
            "{location}"
        );
        scene.refused(&answer, ("oauth.pkce_rejected", reason));
    }
    for (code, verifier) in [("no-verifier", ""), ("other-verifier", &*"x".repeat(43))] {
        scene.approve(code, json!({}), json!({}));
        let answer = scene.redeem(code, &[("code_verifier", verifier)]);
        let error = scene.refused(&answer, ("oauth.pkce_rejected", "verifier"));
        assert_eq!((answer.status, &*error), (400, "invalid_grant"));
    }
    scene.approve("good", json!({}), json!({}));
    assert_eq!(scene.redeem("good", &[]).status, 200);
}

#[test]
fn cd_07_a_code_gives_tokens_to_whom_and_for_what_it_was_made() {
    let scene = Granting::start(
        "[authority.clients.other]\nredirect_uris = [\"http://localhost/callback\"]",
    );
    scene.approve("good", json!({}), json!({}));
    let answer = scene.redeem("good", &[("resource", &scene.resource())]);
    let given = answer.json();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        (text(&given["token_type"]), text(&given["scope"])),
        ("Bearer", "notes:read")
    );
    assert!(given["expires_in"].as_u64().unwrap() <= 900);
    let access = text(&given["access_token"]);
    let said = claims(access);
    assert_eq!(said["aud"], scene.resource());
    assert_eq!(
        (&said["sub"], &said["client_id"]),
        (&json!("alice"), &json!("app"))
    );
    assert_eq!(
        (&said["groups"], &said["roles"]),
        (&json!(["writers"]), &json!(["editor"]))
    );
    assert_eq!(
        (&said["acr"], &said["idp"]),
        (&json!("gold"), &json!(scene.issuer()))
    );
    assert_eq!(works(&scene, access), 200);
    let record = scene.gateway.record_of(&answer);
    assert_eq!(record["event"], "oauth.token_issued", "{record}");
    let other = call("echo")
        .to("/servers/other/mcp")
        .token(access)
        .send(scene.gateway.address);
    assert_eq!(other.status, 401, "a token for another server");

    for (code, change, (event, reason), error) in [
        (
            "client",
            ("client_id", "other"),
            ("oauth.token_refused", "client"),
            "invalid_grant",
        ),
        (
            "redirect",
            ("redirect_uri", "http://localhost:4712/callback"),
            ("oauth.token_refused", "redirect_uri"),
            "invalid_grant",
        ),
        (
            "no-redirect",
            ("redirect_uri", ""),
            ("oauth.token_refused", "redirect_uri"),
            "invalid_grant",
        ),
        (
            "resource",
            ("resource", "https://other.example/mcp"),
            ("oauth.token_refused", "resource"),
            "invalid_target",
        ),
        (
            "unknown",
            ("code", "guess"),
            ("oauth.token_refused", "unknown"),
            "invalid_grant",
        ),
        (
            "grant",
            ("grant_type", "password"),
            ("oauth.token_refused", "grant_type"),
            "unsupported_grant_type",
        ),
    ] {
        scene.approve(code, json!({}), json!({}));
        let answer = scene.redeem(code, &[change]);
        assert_eq!(scene.refused(&answer, (event, reason)), error, "{answer:?}");
        assert!(answer.json().get("access_token").is_none());
    }
    // What was shown wrongly is burnt.
    let answer = scene.redeem("redirect", &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.code_replay", "again")),
        "invalid_grant"
    );
    let twice = Request::new("POST", "/token")
        .set("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=authorization_code&grant_type=refresh_token")
        .send(scene.gateway.address);
    assert_eq!(
        scene.refused(&twice, ("oauth.request_refused", "twice")),
        "invalid_request"
    );
}

#[test]
fn cd_07_a_key_that_was_promised_is_shown() {
    let scene = Granting::start("");
    let (key, other) = (Key::ec("own"), Key::ec("other"));
    let url = format!("http://{}/token", scene.gateway.address);
    let proof = |key: &Key| Draft::proof(key, ("POST", &url), "").without("ath").sign();
    let bound = json!({ "key": key.thumbprint() });
    let show = |code: &str, proof: Option<&str>| {
        let request = posted("/token", &redeeming(code));
        let request = proof.map_or(request.clone(), |proof| request.set("dpop", proof));
        request.send(scene.gateway.address)
    };
    for (code, shown, reason) in [("none", None, "key"), ("other", Some(proof(&other)), "key")] {
        scene.approve(code, json!({}), bound.clone());
        let answer = show(code, shown.as_deref());
        assert_eq!(
            scene.refused(&answer, ("oauth.token_refused", reason)),
            "invalid_grant"
        );
    }
    scene.approve("good", json!({}), bound);
    let used = proof(&key);
    let answer = show("good", Some(&used));
    let given = answer.json();
    assert_eq!(
        (answer.status, text(&given["token_type"])),
        (200, "DPoP"),
        "{answer:?}"
    );
    let (access, refresh) = (text(&given["access_token"]), text(&given["refresh_token"]));
    assert_eq!(claims(access)["cnf"]["jkt"], key.thumbprint());
    assert_eq!(works(&scene, access), 401, "without its proof");
    let fit = Draft::proof(&key, ("POST", &scene.resource()), access).sign();
    let called = call("echo").bound(access, &fit).send(scene.gateway.address);
    assert_eq!(called.status, 200, "{called:?}");
    // A proof counts once, and the refresh token is sealed to the key.
    scene.approve("again", json!({}), json!({}));
    let answer = show("again", Some(&used));
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "dpop_replay")),
        "invalid_dpop_proof"
    );
    let answer = scene.refresh(refresh, &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "key")),
        "invalid_grant"
    );
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", refresh),
    ];
    let renewed = posted("/token", &pairs)
        .set("dpop", &proof(&key))
        .send(scene.gateway.address);
    assert_eq!(renewed.status, 200, "{renewed:?}");
}

#[test]
fn cd_11_of_fifty_at_once_one_gets_tokens_and_loses_them() {
    let scene = Granting::start("");
    scene.approve("raced", json!({}), json!({}));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| scene.redeem("raced", &[])))
            .collect();
        racing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let won: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(
            (lost.status, &lost.json()["error"]),
            (400, &json!("invalid_grant"))
        );
    }
    let record = scene.gateway.expect("oauth.code_replay", Some("again"));
    assert_eq!(record["detail"]["family"], "family-raced", "{record}");
    // What the winner got is worth nothing any more.
    let given = won[0].json();
    scene.gateway.expect("access.revoked", Some("claim"));
    wait_for("the end of the token", || {
        (works(&scene, text(&given["access_token"])) == 401).then_some(())
    });
    let answer = scene.refresh(text(&given["refresh_token"]), &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "over")),
        "invalid_grant"
    );
    let traces = scene.gateway.traces();
    let secrets = [
        text(&given["access_token"]),
        text(&given["refresh_token"]),
        "raced&",
    ];
    assert!(secrets.iter().all(|secret| !traces.contains(secret)));
}

#[test]
fn tok_11_a_refresh_token_that_comes_twice_ends_all_of_its_family() {
    let scene = Granting::start("");
    scene.approve("good", json!({}), json!({}));
    let first = scene.redeem("good", &[]).json();
    let second = scene.refresh(text(&first["refresh_token"]), &[]).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    for given in [&first, &second] {
        assert_eq!(works(&scene, text(&given["access_token"])), 200);
    }
    for (change, reason, error) in [
        (
            ("client_id", "nobody"),
            ("oauth.client_rejected", "unknown"),
            "invalid_client",
        ),
        (
            ("scope", "notes:read notes:admin"),
            ("oauth.token_refused", "scope"),
            "invalid_scope",
        ),
        (
            ("resource", "https://other.example"),
            ("oauth.token_refused", "resource"),
            "invalid_target",
        ),
    ] {
        let answer = scene.refresh(text(&second["refresh_token"]), &[change]);
        assert_eq!(scene.refused(&answer, reason), error, "{answer:?}");
    }
    let reused = scene.refresh(text(&first["refresh_token"]), &[]);
    assert_eq!(
        scene.refused(&reused, ("oauth.refresh_reuse", "again")),
        "invalid_grant"
    );
    assert_eq!(
        scene.gateway.record_of(&reused)["detail"]["family"],
        "family-good"
    );
    for given in [&first, &second] {
        wait_for("the end of both", || {
            (works(&scene, text(&given["access_token"])) == 401).then_some(())
        });
    }
    let answer = scene.refresh(text(&second["refresh_token"]), &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.token_refused", "over")),
        "invalid_grant"
    );
    scene.approve("twin", json!({}), json!({}));
    assert_eq!(
        scene.redeem("twin", &[]).status,
        200,
        "another family of the same user"
    );
}

#[test]
fn cd_11_a_crash_leaves_a_code_as_good_as_it_was() {
    let mut scene = Granting::start("");
    scene.approve("kept", json!({}), json!({}));
    scene.gateway.kill();
    scene.gateway.restart_plainly();
    let given = scene.redeem("kept", &[]);
    assert_eq!(given.status, 200, "{given:?}");
    scene.gateway.kill();
    scene.gateway.restart_plainly();
    let answer = scene.redeem("kept", &[]);
    assert_eq!(
        scene.refused(&answer, ("oauth.code_replay", "again")),
        "invalid_grant"
    );
    let stored = std::fs::read(scene.gateway.data().join("state.db")).unwrap();
    let stored = String::from_utf8_lossy(&stored).into_owned();
    let given = given.json();
    for secret in [text(&given["refresh_token"]), text(&given["access_token"])] {
        assert!(!stored.contains(secret), "a secret in the database");
    }
}

#[test]
fn cd_11_a_thousand_at_once_lose_and_double_none() {
    let scene = Granting::start("");
    let codes: Vec<String> = (0..1000).map(|index| format!("code-{index}")).collect();
    scene.approve_all(&codes, [json!({}), json!({})]);
    let given: Vec<Value> = std::thread::scope(|scope| {
        let scene = &scene;
        let show = |codes: &[String]| {
            let codes = codes.to_vec();
            scope.spawn(move || {
                let mut kept = Kept::open(scene.gateway.address);
                let shown = codes
                    .iter()
                    .map(|code| kept.ask(&posted("/token", &redeeming(code))).unwrap());
                shown.collect::<Vec<_>>()
            })
        };
        let racing: Vec<_> = codes.chunks(20).map(show).collect();
        let answers = racing.into_iter().flat_map(|one| one.join().unwrap());
        answers
            .map(|answer| {
                assert_eq!(answer.status, 200, "{answer:?}");
                answer.json()
            })
            .collect()
    });
    let mut ids: Vec<String> = given
        .iter()
        .map(|one| claims(text(&one["access_token"]))["jti"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    assert!(scene.gateway.records("oauth.code_replay", None).is_empty());
}

#[test]
fn tok_11_access_tokens_live_as_long_as_is_written() {
    let scene = Granting::start("access_tokens = \"10s\"");
    scene.approve("good", json!({}), json!({}));
    let given = scene.redeem("good", &[]).json();
    let life = Duration::from_secs(given["expires_in"].as_u64().unwrap());
    assert_eq!(life, Duration::from_secs(10));
}
