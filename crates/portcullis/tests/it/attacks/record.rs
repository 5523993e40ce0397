//! ATK-089 and what the audit log says of all the others.

use crate::harness::{Request, Scene, WITH_SESSIONS, call, call_in, message, now, post};
use serde_json::{Value, json};

#[test]
fn authz_04_records_every_request_and_every_decision_once() {
    let scene = Scene::with(
        "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"echo\", \"read_note\"]\n",
    );
    let (alice, mallory) = (scene.token("alice"), scene.token("mallory"));
    let session = scene.session(&alice);
    let expired = scene.draft("alice").claim("exp", now() - 100).sign();
    let requests = [
        (call("echo").token(&alice), "call.completed", Some("allow")),
        (call_in(&session, &alice), "call.completed", Some("allow")),
        (
            message("tools/list", json!({})).token(&alice),
            "call.completed",
            Some("allow"),
        ),
        (call("delete_all").token(&alice), "authz.deny", Some("deny")),
        (
            message("tools/destroy", json!({})).token(&alice),
            "authz.deny",
            Some("deny"),
        ),
        (call("echo"), "authn.reject", None),
        (call("echo").token(&expired), "authn.reject", None),
        (
            call_in(&session, &mallory),
            "session.principal_mismatch",
            None,
        ),
        (
            call("echo").token(&alice).set("mcp-name", "x"),
            "request.header_mismatch",
            None,
        ),
        (post("{").token(&alice), "request.malformed", None),
        (
            call("echo").token(&alice).set("host", "evil.example"),
            "http.origin_rejected",
            None,
        ),
        (Request::new("GET", "/nowhere"), "http.rejected", None),
        (
            post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
                .token(&alice)
                .set("mcp-session-id", &session),
            "message.accepted",
            Some("allow"),
        ),
        (
            Request::new(
                "GET",
                "/.well-known/oauth-protected-resource/servers/notes/mcp",
            ),
            "metadata.served",
            None,
        ),
    ];
    const ROUNDS: usize = 7;
    std::thread::scope(|scope| {
        for _ in 0..ROUNDS {
            scope.spawn(|| {
                for (request, _, _) in &requests {
                    scene.send(request);
                }
            });
        }
    });
    let exchanges = scene.gateway.exchanges();
    assert_eq!(
        exchanges.len(),
        1 + ROUNDS * requests.len(),
        "one record for each request"
    );
    let decided = |record: &&Value| record["decision"].is_object();
    let expected = 1 + ROUNDS
        * requests
            .iter()
            .filter(|(_, _, effect)| effect.is_some())
            .count();
    assert_eq!(
        exchanges.iter().filter(decided).count(),
        expected,
        "one decision for each that was asked for"
    );
    for (_, event, _) in &requests {
        let one = |(_, own, _): &&(Request, &str, Option<&str>)| own == event;
        let count =
            requests.iter().filter(one).count() * ROUNDS + usize::from(*event == "call.completed");
        assert_eq!(scene.gateway.records(event, None).len(), count, "{event}");
    }
    for record in exchanges.iter().filter(decided) {
        let decision = &record["decision"];
        let effect = if record["event"] == "authz.deny" {
            "deny"
        } else {
            "allow"
        };
        assert_eq!(decision["effect"], effect, "{record}");
        assert!(
            decision["policy"]
                .as_str()
                .is_some_and(|hash| hash.len() >= 16),
            "{record}"
        );
    }
    let numbers: Vec<u64> = scene
        .gateway
        .audit()
        .iter()
        .map(|record| record["seq"].as_u64().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "a record is missing"
    );
}

#[test]
fn authz_04_loses_no_answered_request_in_a_crash() {
    let mut scene = Scene::new();
    let token = scene.token("alice");
    let answered: Vec<_> = (0..50)
        .map(|_| scene.send(&call("echo").token(&token)))
        .collect();
    scene.gateway.kill();
    for response in &answered {
        assert_eq!(response.status, 200);
        let records = scene.gateway.exchanges();
        assert!(
            records
                .iter()
                .any(|record| record["trace"] == response.trace.as_str()),
            "an answered request has no record"
        );
    }
    scene.gateway.restart();
    scene.permits(&call("echo").token(&token));
    let numbers: Vec<u64> = scene
        .gateway
        .audit()
        .iter()
        .map(|record| record["seq"].as_u64().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "the log does not go on where it was"
    );
}

#[test]
fn siem_05_says_who_did_what_without_saying_secrets() {
    let scene = Scene::new();
    let draft = scene.draft("alice");
    let secret = "hunter2-correct-horse";
    let arguments = json!({ "path": "/notes/1", "password": secret, "nested": { "api_key": secret }, "text": format!("Bearer {}", draft.sign()) });
    let request = message(
        "tools/call",
        json!({ "name": "echo", "arguments": arguments }),
    )
    .set("mcp-name", "echo");
    let response = scene.permits(&request.token(&draft.sign()));
    let record = scene.gateway.record_of(&response);
    for (field, expected) in [
        (
            "principal",
            json!({ "iss": scene.idp.issuer(), "sub": "alice" }),
        ),
        ("client", json!("agent")),
        ("jti", json!(draft.jti())),
        ("server", json!("notes")),
        ("method", json!("tools/call")),
        ("target", json!("echo")),
        ("outcome", json!({ "status": 200 })),
        ("trace", json!(response.trace)),
    ] {
        assert_eq!(record[field], expected, "{field}: {record}");
    }
    assert_eq!(record["decision"]["effect"], "allow");
    assert_eq!(record["decision"]["rule"], "grant:anyone notes__*");
    assert_eq!(record["arguments"]["view"]["path"], "/notes/1");
    assert_eq!(record["arguments"]["view"]["password"], "[redacted]");
    assert!(
        record["arguments"]["digest"]
            .as_str()
            .is_some_and(|digest| digest.starts_with("sha256:"))
    );
    assert!(
        record["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:"))
    );
    let written = scene.gateway.traces();
    for material in [
        secret,
        &draft.sign(),
        draft.sign().rsplit('.').next().unwrap(),
    ] {
        assert!(!written.contains(material), "{material} was written");
    }
}

#[test]
fn siem_05_keeps_secrets_out_of_what_is_called() {
    let scene = Scene::and("\n[[grants]]\nwho = \"anyone\"\nallow = [\"resource:notes__*\"]\n");
    let token = scene.token("alice");
    let signature = token.rsplit('.').next().unwrap();
    let uri = format!("https://files.example/x?access_token={token}");
    let response = scene.permits(
        &message("resources/read", json!({ "uri": uri }))
            .set("mcp-name", &uri)
            .token(&token),
    );
    let record = scene.gateway.record_of(&response);
    assert!(
        record["target"]
            .as_str()
            .is_some_and(|target| target.starts_with("https://files.example/x")),
        "{record}"
    );
    assert!(
        !scene.gateway.traces().contains(signature),
        "a token in a URI was written"
    );
}

#[test]
fn siem_04_records_enough_to_decide_again() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let first = scene
        .gateway
        .record_of(&scene.permits(&call("echo").token(&token)));
    scene
        .gateway
        .reload("allow = [\"*\"]", "allow = [\"read_*\"]");
    let denied = scene.refuses(
        &call("echo").token(&scene.token("alice")),
        (403, 403),
        ("authz.deny", "no_rule"),
    );
    let second = scene.gateway.record_of(&denied);
    assert_ne!(
        first["decision"]["policy"], second["decision"]["policy"],
        "another policy, the same hash"
    );
    let loaded = scene.gateway.records("config.reloaded", None);
    assert_eq!(loaded[0]["detail"]["policy"], second["decision"]["policy"]);
    let started = scene.gateway.records("gateway.started", None);
    assert_eq!(started[0]["detail"]["policy"], first["decision"]["policy"]);
    for record in [first, second] {
        assert_eq!(record["detail"]["revision"], "2026-07-28");
        assert_ne!(record["detail"]["revision"], WITH_SESSIONS);
    }
}

#[test]
fn authz_04_keeps_the_old_rules_where_the_new_ones_are_broken() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let file = scene
        .gateway
        .data()
        .parent()
        .unwrap()
        .join("portcullis.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    for broken in [
        "allow = [\"*\"]\nallowed = 1",
        "allow = [\"a*b\"]",
        "allow = ",
    ] {
        std::fs::write(&file, good.replace("allow = [\"*\"]", broken)).unwrap();
        let before = scene.gateway.records("config.rejected", None).len();
        crate::harness::wait_for("the refusal of the file", || {
            (scene.gateway.records("config.rejected", None).len() > before).then_some(())
        });
        scene.permits(&call("echo").token(&token));
    }
    assert_eq!(scene.gateway.records("config.reloaded", None).len(), 0);
}
