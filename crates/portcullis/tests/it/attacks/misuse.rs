//! Tokens that are stolen, tried and guessed: what shows of it is told within seconds, and nothing of what is usual.

use crate::harness::{Draft, Key, Request, Scene, call, message, places, portcullis, wait_for};
use serde_json::{Value, json};

const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 9, 1];

const WATCHED: &str = r#"
[issuers.idp]
issuer = "{idp}"
skew = "0s"

[servers.notes]
url = "{upstream}"
allow = ["*"]

[servers.files]
url = "{upstream}"
allow = ["*"]

[servers.mail]
url = "{upstream}"
allow = ["*"]

[servers.chat]
url = "{upstream}"
allow = ["*"]
"#;

/// `misuse` are keys of that section.
pub(super) fn watched(misuse: &str) -> Scene {
    Scene::with(&format!("{WATCHED}\n[misuse]\n{misuse}"))
}

impl Scene {
    fn asks_from(&self, from: [u8; 4], request: &Request) -> u16 {
        request.send_from(from, self.gateway.address).status
    }

    fn told(&self, rule: &str) -> Value {
        let told = self.gateway.expect("token.misuse", Some(rule));
        let metric = format!("portcullis_misuse_total{{rule=\"{rule}\"}} 1");
        let metrics = self.gateway.ask_admin("/metrics").body;
        assert!(metrics.contains(&metric), "{metrics}");
        told
    }

    /// How often anything was told.
    fn tellings(&self) -> usize {
        let told = |event| self.gateway.records(event, None).len();
        told("token.misuse") + told("exfil.budget_exceeded")
    }
}

#[test]
fn tok_19_a_traveller_whom_a_database_places_is_told_and_loses_access() {
    const NEARBY: [u8; 4] = [127, 0, 8, 1];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cities.mmdb");
    let (berlin, potsdam, new_york) = ((52.52, 13.405), (52.39, 13.06), (40.71, -74.01));
    let rows = [
        ([127, 0, 0, 0], 24, berlin),
        ([127, 0, 8, 0], 24, potsdam),
        ([127, 0, 9, 0], 24, new_york),
    ];
    let whole = places(&rows);
    std::fs::write(&file, &whole).unwrap();
    let mut scene = watched(&format!(
        "revoke = [\"impossible_travel\"]\nplaces_file = \"{}\"",
        file.display()
    ));
    let of = |subject: &str| call("echo").token(&scene.token(subject));
    let alice = of("alice");
    // A second sign-in, so that no token is in two places; what is near is one, and of what is in no record nothing is known.
    for (from, request) in [
        (HERE, &alice),
        (NEARBY, &of("alice")),
        ([127, 0, 7, 1], &of("alice")),
    ] {
        assert_eq!(scene.asks_from(from, request), 200);
    }
    assert_eq!(scene.tellings(), 0);
    assert_eq!(scene.asks_from(ELSEWHERE, &of("alice")), 200);
    let told = scene.told("impossible_travel");
    assert_eq!(told["principal"]["sub"], "alice", "{told}");
    assert_eq!(told["detail"]["response"], "revoked", "{told}");
    wait_for("the first token to be refused", || {
        (scene.send(&alice).status == 401).then_some(())
    });
    assert_eq!(scene.asks_from(HERE, &of("bob")), 200);

    // A reload takes the new file, and none that is broken; and nothing starts by that.
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    scene.gateway.hang_up();
    let rejected = scene.gateway.expect("config.rejected", None);
    let problem = rejected["detail"]["problem"].as_str().unwrap();
    let path = file.display().to_string();
    assert!(
        problem.contains(&path) && problem.contains("remove the key"),
        "{problem}"
    );
    let checked = scene.gateway.config();
    let checked = portcullis(&["check", checked.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(
        said.contains("misuse.places_file") && said.contains(&path),
        "{said}"
    );
    std::fs::write(&file, places(&[([127, 0, 0, 0], 8, berlin)])).unwrap();
    scene.gateway.hang_up();
    scene.gateway.expect("config.reloaded", None);
    assert_eq!(scene.asks_from(ELSEWHERE, &of("bob")), 200);
    let rule = Some("impossible_travel");
    assert_eq!(scene.gateway.records("token.misuse", rule).len(), 1);
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(scene.gateway.stop().success());
    let config = scene.gateway.config().display().to_string();
    let started = portcullis(&["serve", "--config", &config]);
    assert!(!started.status.success(), "{started:?}");
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(
        said.contains(&path) && said.contains("remove the key"),
        "{said}"
    );
}

#[test]
fn tok_19_one_token_from_two_networks_is_told_and_revoked_where_that_is_configured() {
    let scene = watched("revoke = [\"token_networks\"]");
    let (alice, bob) = (scene.draft("alice"), scene.token("bob"));
    let (token, id) = (alice.sign(), alice.jti());
    let request = call("echo").token(&token);
    for _ in 0..3 {
        assert_eq!(scene.asks_from(HERE, &request), 200);
    }
    assert_eq!(scene.tellings(), 0);
    assert_eq!(scene.asks_from(ELSEWHERE, &request), 200);
    let told = scene.told("token_networks");
    assert_eq!(
        (&told["principal"]["sub"], &told["jti"]),
        (&json!("alice"), &json!(id))
    );
    assert_eq!(told["detail"]["response"], "revoked", "{told}");
    let revoked = scene.gateway.expect("access.revoked", Some("token"));
    assert_eq!(
        revoked["detail"]["by"], "misuse:token_networks",
        "{revoked}"
    );
    assert_eq!(revoked["detail"]["cause"], told["trace"], "{revoked}");
    wait_for("the token to be refused", || {
        (scene.send(&request).status == 401).then_some(())
    });
    scene.unauthenticated(&request, "revoked");
    // Another token of hers, and everybody else, go on.
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.permits(&call("echo").token(&bob));
    let told = scene.told("used_after_revocation");
    assert_eq!(told["detail"]["response"], "recorded", "{told}");

    // The default records only, and says nothing of networks that are exempt.
    let scene = watched("exempt = [\"127.0.9.0/24\"]");
    let request = call("echo").token(&scene.token("alice"));
    for from in [HERE, ELSEWHERE, HERE, [127, 0, 0, 7]] {
        assert_eq!(scene.asks_from(from, &request), 200);
    }
    assert_eq!(scene.tellings(), 0);
    assert_eq!(scene.asks_from([127, 0, 8, 1], &request), 200);
    assert_eq!(
        scene.told("token_networks")["detail"]["response"],
        "recorded"
    );
    scene.permits(&request);
    assert!(scene.gateway.records("access.revoked", None).is_empty());
}

#[test]
fn tok_19_tokens_that_are_tried_guessed_and_replayed_are_told_and_lock_nobody_out() {
    let scene = watched("refusals = 20");
    let victim = scene.token("victim");
    let stranger = Key::ed("ed-1");
    let forged = call("echo").token(&scene.draft("victim").key(&stranger).sign());
    for _ in 0..30 {
        scene.unauthenticated(&forged, "signature");
    }
    let told = scene.told("invalid_burst");
    assert_eq!(
        told["detail"]["claimed_issuer"],
        scene.idp.issuer().as_str()
    );
    assert!(told["principal"].is_null(), "nobody is accused: {told}");
    // Tokens of one issuer are guessed from everywhere: no network makes a burst of its own.
    for network in 0..200 {
        assert_eq!(scene.asks_from([127, 1, network, 1], &forged), 401);
    }
    let told = scene.told("issuer_burst");
    assert!(told["principal"].is_null(), "nobody is accused: {told}");
    // A token of one server is tried at others.
    for server in ["files", "mail", "chat"] {
        let probe = call("echo")
            .token(&victim)
            .to(&format!("/servers/{server}/mcp"));
        scene.unauthenticated(&probe, "audience");
    }
    scene.told("audience_probing");
    // A recorded request is sent again.
    let key = Key::ec("client");
    let bound = scene
        .draft("alice")
        .claim("cnf", json!({ "jkt": key.thumbprint() }))
        .sign();
    let url = scene.gateway.url("notes");
    let proof = Draft::proof(&key, ("POST", &url), &bound).sign();
    let request = call("echo").bound(&bound, &proof);
    scene.permits(&request);
    assert_eq!(scene.send(&request).status, 401);
    scene.told("proof_replay");
    // One `jti` with two keys.
    let other = Key::ec("other");
    let draft = scene.draft("alice").claim("jti", "twice");
    for key in [&key, &other] {
        let bound = draft
            .clone()
            .claim("cnf", json!({ "jkt": key.thumbprint() }))
            .sign();
        let proof = Draft::proof(key, ("POST", &url), &bound).sign();
        scene.permits(&call("echo").bound(&bound, &proof));
    }
    assert_eq!(scene.told("token_keys")["jti"], "twice");
    assert_eq!(scene.tellings(), 5);
    // Whose name was in all that goes on.
    scene.permits(&call("echo").token(&victim));
    assert!(scene.gateway.records("access.revoked", None).is_empty());
}

#[test]
fn tok_19_usual_traffic_is_no_misuse() {
    let scene = watched("");
    for subject in ["alice", "bob", "carol"] {
        let token = scene.token(subject);
        let session = scene.session(&token);
        for _ in 0..5 {
            scene.permits(&call("echo").token(&token));
            scene.permits(&message("tools/list", json!({})).token(&token));
            scene.permits(&crate::harness::call_in(&session, &token));
        }
    }
    scene.unauthenticated(&call("echo"), "missing");
    let late = scene
        .draft("alice")
        .claim("exp", crate::harness::now() - 60)
        .sign();
    for _ in 0..60 {
        scene.unauthenticated(&call("echo").token(&late), "expired");
    }
    let wrong = scene.idp.draft("alice", &scene.gateway.url("mail")).sign();
    for _ in 0..10 {
        scene.unauthenticated(&call("echo").token(&wrong), "audience");
    }
    assert_eq!(scene.tellings(), 0);
}

#[test]
fn tok_03_who_moves_more_than_the_budget_is_told_and_suspended() {
    let config = WATCHED.to_owned()
        + "\n[misuse]\nrevoke = [\"volume\"]\n[quota]\nbytes_per_minute = \"64KiB\"\n";
    let scene = Scene::with(&config);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let pull = |token: &str| {
        let text = "x".repeat(20_000);
        let params = json!({ "name": "echo", "arguments": { "text": text } });
        message("tools/call", params)
            .set("mcp-name", "echo")
            .token(token)
    };
    scene.permits(&pull(&bob));
    assert_eq!(scene.tellings(), 0);
    let refused = wait_for("the budget to be used up", || {
        let response = scene.send(&pull(&alice));
        (response.status == 429).then_some(response)
    });
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["reason"], "bytes", "{record}");
    let told = scene
        .gateway
        .expect("exfil.budget_exceeded", Some("volume"));
    assert_eq!(told["principal"]["sub"], "alice", "{told}");
    assert_eq!(told["detail"]["response"], "revoked", "{told}");
    let revoked = scene.gateway.expect("access.revoked", Some("subject"));
    assert_eq!(revoked["detail"]["by"], "misuse:volume", "{revoked}");
    wait_for("her token to be refused", || {
        (scene.send(&call("echo").token(&alice)).status == 401).then_some(())
    });
    scene.permits(&call("echo").token(&bob));
}
