//! ATK-014: tokens that only their issuer can read, and what becomes of them when it says no, or nothing.

use crate::harness::{AMPLE, Draft, Key, Oracle, Request, Response, Scene, call, now, wait_for};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

struct Asked {
    scene: Scene,
    oracle: Oracle,
}

impl Asked {
    /// `more` are further keys of the introspection.
    fn with(more: &str) -> Self {
        Self::and(more, "")
    }

    /// The same, and further keys of the server.
    fn and(more: &str, server: &str) -> Self {
        let oracle = Oracle::start();
        let client = "client_id = \"gate:way\", client_secret = { env = \"SECRET\" }";
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{{idp}}\"\n\
             introspection = {{ endpoint = \"{}\", {client}{more} }}\n\
             [servers.notes]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\n{server}\n",
            oracle.url()
        );
        let scene = Scene::started("export SECRET='s%cret of ours'", &config);
        Self { scene, oracle }
    }

    /// A good answer about a token of this subject.
    fn answer(&self, subject: &str) -> Value {
        json!({
            "active": true, "iss": self.scene.idp.issuer(), "aud": self.scene.gateway.url("notes"),
            "sub": subject, "client_id": "agent", "scope": "notes:read", "jti": format!("id-{subject}"),
            "iat": now(), "exp": now() + 600, "token_type": "Bearer",
        })
    }

    /// The same, signed for us (RFC 9701), still to be changed.
    fn signed(&self, subject: &str) -> Draft {
        let idp = &self.scene.idp;
        let bare = idp.draft(subject, "gate:way");
        ["sub", "exp", "jti", "client_id"]
            .into_iter()
            .fold(bare, Draft::without)
            .header("typ", "token-introspection+jwt")
            .claim("token_introspection", self.answer(subject))
    }

    /// Makes a token good.
    fn issue(&self, token: &str, subject: &str) {
        self.oracle.knows(token, self.answer(subject));
    }

    /// How often it was asked about a token.
    fn asked(&self, token: &str) -> usize {
        let asked = self.oracle.asked();
        let field = format!("token={token}&");
        asked
            .iter()
            .filter(|seen| seen.body.starts_with(&field))
            .count()
    }

    fn unavailable(&self, token: &str) -> Response {
        let request = call("echo").token(token);
        let expected = ("gateway.unavailable", "introspection");
        let response = self.scene.refuses(&request, (503, -32603), expected);
        assert!(response.header("retry-after").is_some(), "{response:?}");
        response
    }
}

#[test]
fn auth_04_what_an_issuer_says_of_a_login_counts_as_in_a_token() {
    let asked = Asked::and(
        "",
        "step_up = { acr = [\"gold\"], amr = [\"otp\"], max_age = \"1h\" }",
    );
    let scene = &asked.scene;
    let knows = |token: &str, (acr, amr, age): (&str, &str, u64)| {
        let mut answer = asked.answer("alice");
        answer["acr"] = json!(acr);
        answer["amr"] = json!([amr]);
        answer["auth_time"] = json!(now() - age);
        asked.oracle.knows(token, answer);
    };
    asked.issue("silent", "alice");
    knows("weak", ("bronze", "otp", 0));
    knows("single", ("gold", "pwd", 0));
    knows("old", ("gold", "otp", 7200));
    knows("strong", ("gold", "otp", 0));
    for (token, reason) in [
        ("silent", "acr"),
        ("weak", "acr"),
        ("single", "amr"),
        ("old", "auth_time"),
    ] {
        let told = scene.refuses(&with(token), (401, 401), ("authn.step_up_required", reason));
        let challenge = told.challenge();
        assert!(
            challenge.contains("acr_values=\"gold\", max_age=\"3600\""),
            "{challenge}"
        );
    }
    scene.permits(&with("strong"));
}

fn with(token: &str) -> Request {
    call("echo").token(token)
}

#[test]
fn auth_03_an_opaque_token_is_what_its_issuer_says_of_it() {
    let asked = Asked::with("");
    let scene = &asked.scene;
    asked.issue("good", "alice");
    let response = scene.permits(&with("good"));
    let record = scene.gateway.record_of(&response);
    assert_eq!(record["principal"]["sub"], "alice", "{record}");
    assert_eq!(
        (&record["client"], &record["jti"]),
        (&json!("agent"), &json!("id-alice"))
    );
    let question = asked.oracle.asked().remove(0);
    assert_eq!(
        (question.method.as_str(), question.body.as_str()),
        ("POST", "token=good&token_type_hint=access_token")
    );
    assert_eq!(
        question.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    // `gate%3Away:s%25cret%20of%20ours` (RFC 6749 section 2.3.1)
    let basic = "Basic Z2F0ZSUzQXdheTpzJTI1Y3JldCUyMG9mJTIwb3Vycw==";
    assert_eq!(question.header("authorization"), Some(basic));

    let url = scene.gateway.url("notes");
    for (number, (member, value, reason)) in [
        ("active", json!(false), "inactive"),
        ("aud", json!("https://other.example"), "audience"),
        ("aud", json!(format!("{url}/")), "audience"),
        ("aud", Value::Null, "audience"),
        ("iss", json!("https://other.example"), "issuer"),
        ("exp", json!(now() - 60), "expired"),
        ("exp", Value::Null, "malformed"),
        ("exp", json!(now() + 10_000_000), "lifetime"),
        ("nbf", json!(now() + 600), "nbf"),
        ("sub", json!(""), "subject"),
        ("token_type", json!("refresh_token"), "typ"),
        ("token_type", json!("DPoP"), "typ"),
        ("cnf", json!({ "jkt": "x" }), "cnf"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut answer = asked.answer("mallory");
        answer[member] = value;
        let token = format!("bad{number}");
        asked.oracle.knows(&token, answer);
        scene.unauthenticated(&with(&token), reason);
    }
    scene.unauthenticated(&with("unknown"), "inactive");
    // What its issuer has signed needs no question, and what another one has signed is none of its business.
    let before = asked.oracle.asked().len();
    scene.permits(&with(&scene.token("alice")));
    let foreign = scene
        .draft("alice")
        .claim("iss", "https://other.example")
        .sign();
    scene.unauthenticated(&with(&foreign), "issuer");
    let late = scene.draft("alice").claim("exp", now() - 60).sign();
    scene.unauthenticated(&with(&late), "expired");
    assert_eq!(asked.oracle.asked().len(), before);
    let traces = scene.gateway.traces();
    for secret in ["good", "unknown", "s%cret", basic] {
        let quoted = format!("{secret}\"");
        assert!(
            !traces.contains(&quoted) && !traces.contains(&format!(" {secret} ")),
            "{secret}"
        );
    }
}

#[test]
fn auth_03_an_answer_is_remembered_for_a_while_and_no_longer() {
    let asked = Asked::with(", ttl = \"2s\"");
    let scene = &asked.scene;
    asked.issue("good", "alice");
    let began = Instant::now();
    scene.permits(&with("good"));
    scene.permits(&with("good"));
    assert_eq!(asked.asked("good"), 1);
    asked.oracle.forgets("good");
    let refused = wait_for("the issuer's no to be heard", || {
        let response = scene.send(&with("good"));
        (response.status == 401).then_some(response)
    });
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["reason"], "inactive", "{record}");
    let questions = asked.asked("good");
    for _ in 0..5 {
        scene.unauthenticated(&with("good"), "inactive");
    }
    assert!(
        asked.asked("good") <= questions + 1,
        "a no is remembered too"
    );

    // What is revoked here is refused at once, whatever the issuer says.
    asked.issue("other", "bob");
    scene.permits(&with("other"));
    let issuer = scene.idp.issuer();
    scene
        .gateway
        .runs("revoke", &["--issuer", &issuer, "--token-id", "id-bob"]);
    scene.gateway.expect("access.revoked", Some("token"));
    wait_for("it to be revoked", || {
        (scene.send(&with("other")).status == 401).then_some(())
    });
    scene.unauthenticated(&with("other"), "revoked");
}

#[test]
fn auth_03_many_who_come_with_one_token_cause_one_question() {
    let asked = Asked::with("");
    asked.issue("good", "alice");
    std::thread::scope(|threads| {
        for _ in 0..12 {
            threads.spawn(|| assert_eq!(asked.scene.send(&with("good")).status, 200));
        }
    });
    assert_eq!(asked.asked("good"), 1);
}

#[test]
fn auth_03_no_answer_is_no_yes() {
    let asked = Asked::with(", ttl = \"1s\"");
    let scene = &asked.scene;
    asked.issue("good", "alice");
    scene.permits(&with("good"));
    let active = r#"{"active":true,"active":true}"#;
    for (status, body) in [
        (500, r#"{"active":true}"#),
        (401, "{}"),
        (200, ""),
        (200, "null"),
        (200, "{}"),
        (200, r#"{"active":"true"}"#),
        (200, active),
        (302, "{}"),
    ] {
        asked.oracle.says(status, body);
        asked.unavailable(&format!("new{status}{}", body.len()));
    }
    let large = format!(r#"{{"active":true,"x":"{}"}}"#, "a".repeat(80_000));
    asked.oracle.says(200, &large);
    asked.unavailable("large");
    // What was good a moment ago is not believed on.
    wait_for("the answer to be forgotten", || {
        (scene.send(&with("good")).status == 503).then_some(())
    });
    asked.unavailable("good");
    let record = scene.gateway.expect("introspection.failed", None);
    assert_eq!(record["detail"]["issuer"], scene.idp.issuer().as_str());
    asked.oracle.says(0, "");
    scene.permits(&with("good"));
}

#[test]
fn auth_03_a_flood_of_unknown_tokens_holds_up_nobody_else() {
    let asked = Asked::with(", ttl = \"1s\"");
    let scene = &asked.scene;
    asked.issue("good", "alice");
    scene.permits(&with("good"));
    asked.oracle.hangs(true);
    let statuses = std::thread::scope(|threads| {
        let floods: Vec<_> = (0..24)
            .map(|number| {
                let scene = &scene;
                threads.spawn(move || scene.send(&with(&format!("flood{number}"))).status)
            })
            .collect();
        // Meanwhile others go on: one with a signed token, one whose token the issuer is asked about again.
        let signed = scene.token("bob");
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2500) {
            let asked = Instant::now();
            scene.permits(&with(&signed));
            scene.permits(&with("good"));
            let took = asked.elapsed();
            assert!(took < Duration::from_secs(2), "they waited for {took:?}");
        }
        floods
            .into_iter()
            .map(|flood| flood.join().unwrap())
            .collect::<Vec<u16>>()
    });
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!(count(429) + count(503), 24, "{statuses:?}");
    assert!(count(429) >= 16, "few of one network at once: {statuses:?}");
    assert!(asked.asked("good") >= 2, "it was asked again meanwhile");
    let flooded = asked.oracle.asked();
    let flooded = flooded.iter().filter(|seen| seen.body.contains("flood"));
    assert!(flooded.count() <= 8, "no amplifier");
    scene.gateway.expect("ratelimit.triggered", Some("network"));
    asked.oracle.hangs(false);
    scene.unauthenticated(&with("after"), "inactive");
}

#[test]
fn auth_03_what_is_always_asked_about_is_signed_as_well() {
    let asked = Asked::with(", always = true, ttl = \"1s\"");
    let scene = &asked.scene;
    let token = scene.token("alice");
    scene.unauthenticated(&with(&token), "inactive");
    let (good, forged) = (scene.token("alice"), scene.draft("alice"));
    asked.issue(&good, "alice");
    scene.permits(&with(&good));
    let before = asked.oracle.asked().len();
    let forged = forged.key(&Key::ed("ed-1")).sign();
    asked.issue(&forged, "alice");
    scene.unauthenticated(&with(&forged), "signature");
    assert_eq!(
        asked.oracle.asked().len(),
        before,
        "nobody is asked about a forgery"
    );
}

#[test]
fn auth_03_where_answers_must_be_signed_nothing_else_is_a_yes() {
    let asked = Asked::with(", signed = true, ttl = \"1s\"");
    let scene = &asked.scene;
    let good = || asked.signed("mallory");
    let plain = asked.answer("mallory").to_string();
    let url = scene.gateway.url("notes");
    let access_token = scene.draft("mallory").claim("active", true);
    let answers = [
        plain,
        access_token.claim("aud", json!([url, "gate:way"])).sign(),
        good().header("typ", "JWT").sign(),
        good().key(&Key::ed("ed-1")).sign(),
        good().header("alg", "none").sign(),
        good().claim("aud", "other").sign(),
        good().claim("iss", "https://other.example").sign(),
        good().claim("iat", now() - 600).sign(),
        good().claim("iat", now() + 600).sign(),
        good().without("iat").sign(),
        good().without("token_introspection").sign(),
    ];
    for (number, answer) in answers.iter().enumerate() {
        asked.oracle.says(200, answer);
        let response = asked.unavailable(&format!("bad{number}"));
        let record = scene.gateway.record_of(&response);
        assert!(record["principal"]["sub"].is_null(), "{record}");
        let question = asked.oracle.asked().pop().unwrap();
        let accept = question.header("accept").unwrap_or_default();
        assert_eq!(accept, "application/token-introspection+jwt");
    }
    let told = scene.gateway.expect("introspection.failed", None);
    let error = told["detail"]["error"].as_str().unwrap();
    assert_eq!(
        error,
        "not a signed introspection response: malformed token"
    );
    // What is said in a signed answer is judged as ever, and a signed answer is no access token.
    let no = json!({ "active": false });
    let answer = good().claim("token_introspection", no).sign();
    asked.oracle.says(200, &answer);
    scene.unauthenticated(&with("ended"), "inactive");
    let mut other = asked.answer("mallory");
    other["aud"] = json!("https://other.example");
    let misdirected = good().claim("token_introspection", other).sign();
    asked.oracle.says(200, &misdirected);
    scene.unauthenticated(&with("misdirected"), "audience");
    let answer = good().claim("aud", json!([url, "gate:way"]));
    let answer = answer.claim("sub", "mallory").claim("exp", now() + 60);
    scene.unauthenticated(&with(&answer.sign()), "typ");

    // The twin; also if the issuer has new keys since.
    asked.oracle.says(200, &asked.signed("alice").sign());
    let record = scene.gateway.record_of(&scene.permits(&with("good")));
    assert_eq!(record["principal"]["sub"], "alice", "{record}");
    let new = Key::ec("new");
    scene.idp.publish(std::slice::from_ref(&new));
    asked
        .oracle
        .says(200, &asked.signed("bob").key(&new).sign());
    let record = scene.gateway.record_of(&scene.permits(&with("newer")));
    assert_eq!(record["principal"]["sub"], "bob", "{record}");
}
