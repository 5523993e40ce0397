//! ATK-011: bound tokens without their key, proofs for something else, and copies of whole requests.

use crate::harness::{
    Draft, Gateway, Idp, Key, Request, Response, Scene, Upstream, call, call_in, initialize,
    message,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A caller who holds a key, and a token that is bound to it.
struct Holder {
    key: Key,
    token: String,
    url: String,
}

impl Holder {
    fn of(scene: &Scene, subject: &str) -> Self {
        Self::with(scene, subject, Key::ec("client"))
    }

    fn with(scene: &Scene, subject: &str, key: Key) -> Self {
        let draft = scene.draft(subject);
        Self {
            token: draft
                .claim("cnf", json!({ "jkt": key.thumbprint() }))
                .sign(),
            url: scene.gateway.url("notes"),
            key,
        }
    }

    fn proof(&self, method: &str) -> Draft {
        Draft::proof(&self.key, (method, &self.url), &self.token)
    }

    /// The request with the token and a fresh proof.
    fn signs(&self, method: &str, request: &Request) -> Request {
        let proof = self.proof(method).sign();
        request.clone().bound(&self.token, &proof)
    }

    fn call(&self) -> Request {
        self.signs("POST", &call("echo"))
    }
}

/// Must be refused for this reason, with this challenge.
fn denied(scene: &Scene, request: &Request, (reason, error): (&str, &str)) -> Response {
    let response = scene.refuses(request, (401, 401), ("authn.reject", reason));
    let error = format!("error=\"{error}\"");
    assert!(
        response.challenge().contains(&error),
        "{reason} {response:?}"
    );
    let algorithms = "algs=\"ES256 EdDSA PS256 RS256\"";
    let told = response.challenges();
    assert!(
        told.iter()
            .any(|one| one.starts_with("DPoP ") && one.ends_with(algorithms)),
        "{response:?}"
    );
    response
}

#[test]
fn tok_18_refuses_a_stolen_bound_token() {
    let scene = Scene::new();
    let (alice, mallory) = (Holder::of(&scene, "alice"), Holder::of(&scene, "mallory"));
    let token = alice.token.as_str();
    let as_bearer = denied(
        &scene,
        &call("echo").token(token),
        ("dpop_missing", "invalid_token"),
    );
    assert!(
        as_bearer.challenge().starts_with("Bearer "),
        "{as_bearer:?}"
    );
    let beside = call("echo")
        .token(token)
        .set("dpop", &alice.proof("POST").sign());
    denied(&scene, &beside, ("dpop_missing", "invalid_token"));
    let without = call("echo").set("authorization", &format!("DPoP {token}"));
    let without = denied(&scene, &without, ("dpop_missing", "invalid_dpop_proof"));
    assert!(without.challenge().starts_with("DPoP "), "{without:?}");
    // With a key of one's own, with one's own token's proof, and with somebody else's public key.
    let own = Draft::proof(&mallory.key, ("POST", &alice.url), token);
    denied(
        &scene,
        &call("echo").bound(token, &own.sign()),
        ("dpop_key", "invalid_token"),
    );
    let theirs = mallory.proof("POST").sign();
    denied(
        &scene,
        &call("echo").bound(token, &theirs),
        ("dpop_key", "invalid_token"),
    );
    let forged = own.header("jwk", alice.key.public()).sign();
    let forged = call("echo").bound(token, &forged);
    denied(&scene, &forged, ("dpop_signature", "invalid_dpop_proof"));
    // A token that is not bound is not made so, nor one that is bound to what cannot be checked.
    let plain = scene.token("alice");
    let plain = Draft::proof(&alice.key, ("POST", &alice.url), &plain).sign();
    let plain = call("echo").bound(&scene.token("alice"), &plain);
    denied(&scene, &plain, ("cnf", "invalid_token"));
    for bound in [
        json!({ "x5t#S256": alice.key.thumbprint() }),
        json!({ "jkt": alice.key.thumbprint(), "kid": "k" }),
        json!({ "jwk": alice.key.public() }),
        json!({}),
    ] {
        let token = scene.draft("alice").claim("cnf", bound).sign();
        denied(
            &scene,
            &call("echo").token(&token),
            ("cnf", "invalid_token"),
        );
        let proof = Draft::proof(&alice.key, ("POST", &alice.url), &token).sign();
        denied(
            &scene,
            &call("echo").bound(&token, &proof),
            ("cnf", "invalid_token"),
        );
    }
    for key in [Key::ec("c"), Key::ed("c"), Idp::rsa()] {
        scene.permits(&Holder::with(&scene, "alice", key).call());
    }
    scene.permits(&alice.call());
    scene.permits(&call("echo").token(&scene.token("alice")));
}

#[test]
fn tok_14_refuses_a_proof_for_anything_else() {
    let scene = Scene::new();
    let alice = Holder::of(&scene, "alice");
    let again = scene
        .draft("alice")
        .claim("cnf", json!({ "jkt": alice.key.thumbprint() }))
        .sign();
    let now = crate::harness::now();
    let other = Draft::proof(&alice.key, ("POST", &alice.url), &again);
    let proof = || alice.proof("POST");
    for (proof, reason) in [
        (alice.proof("GET"), "dpop_htm"),
        (
            proof().claim("htu", alice.url.replace("notes", "mail")),
            "dpop_htu",
        ),
        (
            proof().claim("htu", alice.url.replace("127.0.0.1", "localhost")),
            "dpop_htu",
        ),
        (
            proof().claim("htu", format!("{}?server=notes", alice.url)),
            "dpop_htu",
        ),
        (other, "dpop_ath"),
        (proof().without("ath"), "dpop_proof"),
        (proof().claim("iat", now - 120), "dpop_iat"),
        (proof().claim("iat", now + 60), "dpop_iat"),
        (proof().without("iat"), "dpop_proof"),
        (proof().without("jti"), "dpop_proof"),
        (proof().header("typ", "at+jwt"), "dpop_proof"),
        (proof().header("alg", "none"), "dpop_proof"),
        (proof().header("crit", json!(["exp"])), "dpop_proof"),
        (proof().header("jwk", Value::Null), "dpop_proof"),
    ] {
        let request = call("echo").bound(&alice.token, &proof.sign());
        denied(&scene, &request, (reason, "invalid_dpop_proof"));
    }
    // The public key as a shared secret, and a key that is not only public.
    let x = alice.key.public()["x"].as_str().unwrap().to_owned();
    let shared = json!({ "kty": "oct", "k": x });
    for key in [alice.key.public(), shared] {
        let proof = proof().header("alg", "HS256").header("jwk", key);
        let request = call("echo").bound(&alice.token, &proof.sign_hmac(x.as_bytes()));
        denied(&scene, &request, ("dpop_proof", "invalid_dpop_proof"));
    }
    let mut private = alice.key.public();
    private["d"] = json!(x);
    let private = proof().header("jwk", private).sign();
    let private = call("echo").bound(&alice.token, &private);
    denied(&scene, &private, ("dpop_proof", "invalid_dpop_proof"));
    let two = alice.call().add("dpop", &proof().sign());
    denied(&scene, &two, ("dpop_duplicate", "invalid_dpop_proof"));
    for broken in ["", "..", "x", &"x".repeat(9000)] {
        let request = call("echo").bound(&alice.token, broken);
        denied(&scene, &request, ("dpop_proof", "invalid_dpop_proof"));
    }
    let spelled = alice
        .url
        .replace("http://", "HTTP://")
        .replace("notes", "%6eotes");
    let spelled = proof().claim("htu", spelled).sign();
    scene.permits(&call("echo").bound(&alice.token, &spelled));
    scene.permits(&call("echo").bound(&alice.token, &proof().claim("iat", now - 30).sign()));
}

#[test]
fn tok_14_refuses_a_copy_of_a_whole_request() {
    let scene = Scene::new();
    let alice = Holder::of(&scene, "alice");
    let recorded = alice.call();
    scene.permits(&recorded);
    let replay = ("dpop_replay", "invalid_dpop_proof");
    denied(&scene, &recorded, replay);
    denied(&scene, &recorded, replay);
    // The body is not in the proof: that it was used is what refuses.
    let changed = message("tools/list", json!({}));
    let proof = alice.proof("POST").sign();
    scene.permits(&call("echo").bound(&alice.token, &proof));
    denied(&scene, &changed.bound(&alice.token, &proof), replay);
    let same_name = alice.proof("POST").claim("jti", "chosen");
    scene.permits(&call("echo").bound(&alice.token, &same_name.sign()));
    let again = same_name.header("kid", "changed").sign();
    denied(&scene, &call("echo").bound(&alice.token, &again), replay);
    // Of copies at the same time, one passes.
    let copy = alice.call();
    let before = scene.upstream.requests().len();
    let statuses = std::thread::scope(|scope| {
        let copies: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| scene.send(&copy).status))
            .collect();
        let mut statuses = BTreeMap::new();
        for copy in copies {
            *statuses.entry(copy.join().unwrap()).or_insert(0) += 1;
        }
        statuses
    });
    assert_eq!(statuses, BTreeMap::from([(200, 1), (401, 19)]));
    assert_eq!(scene.upstream.requests().len(), before + 1);
    scene.permits(&alice.call());
}

#[test]
fn tok_14_asks_for_a_nonce_and_changes_it_in_time() {
    let scene = Scene::and("dpop_nonce = true\n");
    let alice = Holder::of(&scene, "alice");
    let first = denied(&scene, &alice.call(), ("dpop_nonce", "use_dpop_nonce"));
    let nonce = first.header("dpop-nonce").expect("a nonce").to_owned();
    let with = |nonce: &str| {
        let proof = alice.proof("POST").claim("nonce", nonce).sign();
        call("echo").bound(&alice.token, &proof)
    };
    let answer = scene.permits(&with(&nonce));
    assert!(
        answer.header("dpop-nonce").is_some(),
        "the next one comes with the answer"
    );
    let used = with(&nonce);
    scene.permits(&used);
    denied(&scene, &used, ("dpop_replay", "invalid_dpop_proof"));
    // Of another process, of another time, of nobody.
    let other = Scene::and("dpop_nonce = true\n");
    let stranger = denied(
        &other,
        &Holder::of(&other, "x").call(),
        ("dpop_nonce", "use_dpop_nonce"),
    );
    for wrong in [
        stranger.header("dpop-nonce").unwrap(),
        "",
        "AAAA",
        &format!("{nonce}A"),
    ] {
        let refused = denied(&scene, &with(wrong), ("dpop_nonce", "use_dpop_nonce"));
        assert!(refused.header("dpop-nonce").is_some());
    }
    let stale = alice.proof("POST").claim("iat", 1_700_000_000).sign();
    let stale = call("echo").bound(&alice.token, &stale);
    denied(&scene, &stale, ("dpop_nonce", "use_dpop_nonce"));
    // Whoever has no bound token needs none.
    let plain = scene.permits(&call("echo").token(&scene.token("alice")));
    assert_eq!(plain.header("dpop-nonce"), None);
}

#[test]
fn tok_18_binds_a_session_to_its_key() {
    let scene = Scene::new();
    let alice = Holder::of(&scene, "alice");
    let thief = Holder::of(&scene, "alice"); // the same subject and client, and another key
    let plain = scene.token("alice");
    let opened = scene.send(&alice.signs("POST", &initialize("")));
    let session = opened
        .header("mcp-session-id")
        .expect("a session")
        .to_owned();
    let mismatch = ("session.principal_mismatch", "principal_mismatch");
    let requests = |key: &str| {
        [
            ("POST", call_in(&session, key)),
            ("GET", Request::in_session("GET", &session)),
            (
                "GET",
                Request::in_session("GET", &session).set("last-event-id", "x"),
            ),
            ("DELETE", Request::in_session("DELETE", &session)),
        ]
    };
    for (method, request) in requests("") {
        scene.refuses(&thief.signs(method, &request), (404, 404), mismatch);
        scene.refuses(&request.token(&plain), (404, 404), mismatch);
    }
    // Nor does a key take over a session that was opened without.
    let open = scene.session(&plain);
    scene.refuses(
        &alice.signs("POST", &call_in(&open, "")),
        (404, 404),
        mismatch,
    );
    scene.permits(&call_in(&open, &plain));
    scene.permits(&alice.signs("POST", &call_in(&session, "")));
    let stream = scene.open(&alice.signs("GET", &Request::in_session("GET", &session)));
    assert_eq!(stream.response.status, 200);
    let ended = scene.send(&alice.signs("DELETE", &Request::in_session("DELETE", &session)));
    assert_eq!(ended.status, 200, "{ended:?}");
}

#[test]
fn tok_18_refuses_plain_tokens_where_bound_ones_are_required() {
    let scene = Scene::and("dpop = \"required\"\n");
    let alice = Holder::of(&scene, "alice");
    let plain = scene.token("alice");
    let refused = denied(
        &scene,
        &call("echo").token(&plain),
        ("dpop_missing", "invalid_token"),
    );
    assert_eq!(refused.challenges().len(), 1, "{refused:?}");
    let missing = scene.refuses(&call("echo"), (401, 401), ("authn.reject", "missing"));
    assert!(
        missing.challenge().starts_with("DPoP resource_metadata="),
        "{missing:?}"
    );
    denied(
        &scene,
        &call("echo").bound(&plain, &alice.proof("POST").sign()),
        ("cnf", "invalid_token"),
    );
    scene.permits(&alice.call());
    let metadata = |scene: &Scene| {
        let at = "/.well-known/oauth-protected-resource/servers/notes/mcp";
        scene.send(&Request::new("GET", at)).json()
    };
    let document = metadata(&scene);
    assert_eq!(document["dpop_bound_access_tokens_required"], true);
    let algorithms = json!(["ES256", "EdDSA", "PS256", "RS256"]);
    assert_eq!(document["dpop_signing_alg_values_supported"], algorithms);
    // Where they are off, a bound token is not taken for a plain one.
    let off = Scene::and("dpop = \"off\"\n");
    let alice = Holder::of(&off, "alice");
    let as_bearer = call("echo").token(&alice.token);
    off.refuses(&as_bearer, (401, 401), ("authn.reject", "cnf"));
    off.refuses(&alice.call(), (401, 401), ("authn.reject", "scheme"));
    assert!(
        metadata(&off)
            .get("dpop_signing_alg_values_supported")
            .is_none()
    );
    off.permits(&call("echo").token(&off.token("alice")));
}

/// Two servers, one of which takes bound tokens only.
const TWO: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["*"]

[servers.vault]
url = "{upstream}"
dpop = "required"
allow = ["*"]
"#;

#[test]
fn tok_18_holds_at_the_endpoint_for_all_servers() {
    let scene = Scene::with(TWO);
    let audience = format!("http://{}/mcp", scene.gateway.address);
    let key = Key::ec("client");
    let draft = || scene.idp.draft("alice", &audience);
    let bound = draft()
        .claim("cnf", json!({ "jkt": key.thumbprint() }))
        .sign();
    let plain = draft().sign();
    let signed = |request: Request, url: &str| {
        let proof = Draft::proof(&key, ("POST", url), &bound).sign();
        request.bound(&bound, &proof).to("/mcp")
    };
    let names = |request: Request| {
        let listed = scene.send(&request).json();
        let tools = listed["result"]["tools"].as_array().cloned().unwrap();
        let of = |server: &str| {
            let is_of = |tool: &Value| tool["name"].as_str().unwrap().starts_with(server);
            tools.iter().any(is_of)
        };
        (of("notes__"), of("vault__"))
    };
    let list = || message("tools/list", json!({}));
    assert_eq!(names(list().token(&plain).to("/mcp")), (true, false));
    assert_eq!(names(signed(list(), &audience)), (true, true));
    let refused = scene.send(&call("vault__echo").token(&plain).to("/mcp"));
    assert_eq!(refused.status, 403, "{refused:?}");
    scene.gateway.expect("authz.deny", Some("no_rule"));
    scene.permits(&signed(call("vault__echo"), &audience));
    scene.permits(&call("notes__echo").token(&plain).to("/mcp"));
    // The proof is for the endpoint that is asked.
    let elsewhere = signed(call("vault__echo"), &scene.gateway.url("vault"));
    denied(&scene, &elsewhere, ("dpop_htu", "invalid_dpop_proof"));
    denied(
        &scene,
        &call("echo").token(&bound).to("/mcp"),
        ("dpop_missing", "invalid_token"),
    );
}

#[test]
fn tok_18_makes_bound_tokens_for_a_key_and_shows_no_proof() {
    let config = r#"
[issuers.local]
embedded = true

[servers.notes]
url = "{upstream}"
allow = ["*"]
"#;
    let upstream = Upstream::start();
    let gateway = Gateway::start(&config.replace("{upstream}", &upstream.url()));
    let key = Key::ed("client");
    let ran = |thumbprint: &str| gateway.mint("notes", &["--jkt", thumbprint]);
    assert!(!ran("short").status.success());
    let hyphen = format!("-{}", "A".repeat(42));
    assert!(ran(&hyphen).status.success(), "it is no option");
    let made = ran(&key.thumbprint());
    assert!(made.status.success(), "{made:?}");
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let refused = call("echo").token(&token).send(gateway.address);
    assert_eq!(refused.status, 401);
    gateway.expect("authn.reject", Some("dpop_missing"));
    let proof = Draft::proof(&key, ("POST", &gateway.url("notes")), &token).sign();
    let sent = call("echo").bound(&token, &proof);
    let answered = sent.send(gateway.address);
    assert_eq!(answered.status, 200, "{answered:?}");
    let again = sent.send(gateway.address);
    assert_eq!(again.status, 401);
    let seen = upstream.requests();
    assert!(!seen.is_empty());
    assert!(
        seen.iter()
            .all(|seen| seen.header("dpop").is_none() && !seen.whole().contains(&proof))
    );
    let (_, signature) = proof.rsplit_once('.').unwrap();
    for told in [gateway.stderr(), gateway.traces()] {
        assert!(!told.contains(signature), "{told}");
    }
}

#[test]
fn tok_18_lets_allowed_pages_prove() {
    let scene = Scene::new();
    let page = format!("http://{}", scene.gateway.address);
    let asked = Request::new("OPTIONS", "/servers/notes/mcp").set("origin", &page);
    let told = scene.send(&asked);
    let allowed = told.header("access-control-allow-headers").unwrap();
    assert!(allowed.split(", ").any(|name| name == "dpop"), "{told:?}");
    let refused = scene.send(&call("echo").set("origin", &page));
    let exposed = refused.header("access-control-expose-headers").unwrap();
    for name in ["dpop-nonce", "www-authenticate"] {
        assert!(exposed.contains(name), "{exposed}");
    }
}
