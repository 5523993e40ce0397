//! One endpoint for all servers: it opens nothing that a server's own endpoint would not, and one server harms no other.

use crate::harness::{
    Answer, Gateway, Idp, Request, STATELESS, Seen, Upstream, WITH_SESSIONS, call, call_in,
    initialize, message, portcullis, wait_for,
};
use serde_json::{Value, json};

struct Together {
    gateway: Gateway,
    idp: Idp,
    notes: Upstream,
    files: Upstream,
}

/// Two servers of different eras, one that is down, and one that trusts another issuer.
const CONFIG: &str = r#"
[issuers.idp]
issuer = "{idp}"

[issuers.local]
embedded = true

[servers.notes]
url = "{notes}"
issuers = ["idp"]
allow = ["echo", "delete_all", "resource:note://*"]

[servers.files]
url = "{files}"
issuers = ["idp"]
allow = ["read_note"]

[servers.dead]
url = "http://127.0.0.1:9/mcp"
issuers = ["idp"]
allow = ["*"]

[servers.own]
url = "{notes}"
issuers = ["local"]
allow = ["*"]

[servers.notes.tools.delete_all]
scopes = ["notes:delete"]
"#;

impl Together {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let (idp, notes, files) = (Idp::start(), Upstream::start(), Upstream::start());
        files.misbehave(with_sessions);
        let config = format!("{CONFIG}{more}")
            .replace("{idp}", &idp.issuer())
            .replace("{notes}", &notes.url())
            .replace("{files}", &files.url());
        Self {
            gateway: Gateway::start(&config),
            idp,
            notes,
            files,
        }
    }

    fn audience(&self) -> String {
        format!("http://{}/mcp", self.gateway.address)
    }

    fn token(&self, subject: &str) -> String {
        self.idp.draft(subject, &self.audience()).sign()
    }

    fn send(&self, request: Request) -> crate::harness::Response {
        request.to("/mcp").send(self.gateway.address)
    }

    fn names(&self, token: &str) -> Vec<String> {
        let listed = self.send(message("tools/list", json!({})).token(token));
        assert_eq!(listed.status, 200, "{listed:?}");
        let tools = listed.json()["result"]["tools"].as_array().cloned();
        let tools = tools.unwrap_or_default().into_iter();
        tools
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .collect()
    }
}

fn with_sessions(seen: &Seen) -> Option<Answer> {
    let is_first = seen.body.contains("\"initialize\"");
    let is_stateless = seen.header("mcp-protocol-version") == Some(STATELESS);
    let is_lost = seen.header("mcp-session-id").is_none() && !is_first;
    (is_stateless || is_lost).then(|| Answer::json(400, "", "{\"error\":\"no session\"}"))
}

#[test]
fn authz_03_lists_of_all_servers_what_each_would_list_and_no_more() {
    let all = Together::new();
    let token = all.token("alice");
    assert_eq!(
        all.names(&token),
        ["files__read_note", "notes__echo", "notes__delete_all"],
        "of the server that is down nothing, of the one that trusts another issuer nothing"
    );
    let missing = all.gateway.expect("upstream.failed", Some("unreachable"));
    assert_eq!(missing["server"], "dead");
    let called = all.send(call("notes__echo").token(&token));
    assert_eq!(called.status, 200, "{called:?}");
    assert!(called.body.contains("echo"), "{called:?}");
    let records = all.gateway.records("call.completed", None);
    let of = |server: &str, target: &str| {
        records
            .iter()
            .any(|record| record["server"] == server && record["target"] == target)
    };
    assert!(of("notes", "echo") && of("*", "notes__echo"), "{records:?}");
    let called = all.send(call("files__read_note").token(&token));
    assert_eq!(called.status, 200, "{called:?}");
    let seen = all.files.requests();
    let last = seen.last().expect("a request");
    assert!(last.header("mcp-session-id").is_some(), "{last:?}");
    assert!(last.body.contains("\"read_note\""), "{last:?}");
    assert!(
        [&all.notes, &all.files]
            .iter()
            .flat_map(|server| server.requests())
            .all(|seen| !seen.whole().contains(&token)),
        "no server sees the caller's token"
    );
}

#[test]
fn dyn_01_what_nobody_approved_is_not_there_behind_the_one_endpoint_either() {
    let all = Together::with("[catalog]\nmode = \"pin\"\n");
    let token = all.token("alice");
    let called = |server: &Upstream| {
        let seen = server.requests();
        seen.iter()
            .filter(|one: &&Seen| one.body.contains("tools/call"))
            .count()
    };
    assert!(all.names(&token).is_empty());
    let refused = all.send(call("notes__echo").token(&token));
    assert_eq!(
        (refused.status, refused.code()),
        (200, -32602),
        "{refused:?}"
    );
    assert_eq!(called(&all.notes), 0);
    let told = all.gateway.expect("tool.quarantined", Some("called"));
    assert_eq!(
        (&told["server"], &told["target"]),
        (&json!("notes"), &json!("echo")),
        "{told}"
    );

    // The benign twin: what is approved of one server is there, and nothing of the other.
    let file = all.gateway.data().parent().unwrap().join("portcullis.toml");
    let line = ["tools", "approve", "notes", "--all", "--yes", "--config"];
    let line = [&line[..], &[file.to_str().unwrap()]].concat();
    wait_for("what waits", || {
        portcullis(&line).status.success().then_some(())
    });
    wait_for("what was approved", || {
        (all.names(&token) == ["notes__echo", "notes__delete_all"]).then_some(())
    });
    let passed = all.send(call("notes__echo").token(&token));
    assert_eq!((passed.status, passed.code()), (200, 0), "{passed:?}");
    assert_eq!(called(&all.notes), 1);
}

#[test]
fn tok_01_leaves_a_server_out_that_lists_without_end_and_no_other() {
    let all = Together::new();
    all.notes.misbehave(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let tools = vec![json!({ "name": "echo", "inputSchema": { "type": "object" } }); 1000];
        let result = json!({ "resultType": "complete", "tools": tools, "nextCursor": "more" });
        let answer = json!({ "jsonrpc": "2.0", "id": body["id"], "result": result });
        (body["method"] == "tools/list").then(|| Answer::json(200, "", &answer.to_string()))
    });
    let token = all.token("alice");
    assert_eq!(all.names(&token), ["files__read_note"]);
    let missing = all.gateway.expect("upstream.failed", Some("too_large"));
    assert_eq!(missing["server"], "notes");
    assert!(all.notes.requests().len() < 10, "it was not asked for ever");
    all.notes.misbehave(|_| None);
    assert_eq!(all.names(&token).len(), 3);
}

#[test]
fn authz_02_lets_nothing_through_the_endpoint_for_all_that_a_server_s_own_would_refuse() {
    let all = Together::new();
    let token = all.token("alice");
    for (tool, event, reason) in [
        ("files__delete_all", "authz.deny", "no_rule"),
        ("own__echo", "authz.deny", "no_rule"),
        ("notes__delete_all", "authz.deny", "scope"),
    ] {
        let before = all.notes.requests().len() + all.files.requests().len();
        let denied = all.send(call(tool).token(&token));
        assert_eq!(denied.status, 403, "{tool} {denied:?}");
        let record = all.gateway.expect(event, Some(reason));
        let (server, own) = tool.split_once("__").unwrap_or_default();
        assert_eq!(record["server"], server, "{record}");
        assert_eq!(record["target"], own, "{record}");
        assert_eq!(record["decision"]["effect"], "deny", "{record}");
        let after = all.notes.requests().len() + all.files.requests().len();
        assert_eq!(before, after, "{tool} reached a server");
    }
    for nowhere in ["echo", "nobody__echo", "*__notes__echo", "__echo"] {
        let unknown = all.send(call(nowhere).token(&token));
        assert_eq!((unknown.status, unknown.code()), (200, -32602), "{nowhere}");
    }
    let scope = all.idp.draft("alice", &all.audience());
    let scope = scope.claim("scope", "notes:delete").sign();
    assert_eq!(
        all.send(call("notes__delete_all").token(&scope)).status,
        200
    );
}

#[test]
fn auth_10_tells_at_the_endpoint_for_all_which_scopes_a_server_wants() {
    let all = Together::new();
    let token = all.token("alice");
    let metadata = format!(
        "resource_metadata=\"http://{}/.well-known/oauth-protected-resource/mcp\"",
        all.gateway.address
    );
    let opened = all.send(initialize(&token));
    let session = opened.header("mcp-session-id").expect("a session");
    let in_session = json!({
        "jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": { "name": "notes__delete_all", "arguments": {} },
    });
    for request in [
        call("notes__delete_all").token(&token),
        call_in(session, &token).body(&in_session.to_string()),
    ] {
        let denied = all.send(request);
        assert_eq!((denied.status, denied.code()), (403, 403), "{denied:?}");
        let challenge = denied.challenge();
        for part in [
            "Bearer error=\"insufficient_scope\"",
            "scope=\"notes:delete\"",
            &metadata,
        ] {
            assert!(challenge.contains(part), "{part} in {challenge}");
        }
        let record = all.gateway.expect("authz.deny", Some("scope"));
        assert_eq!(record["server"], "notes", "{record}");
    }
    let hopeless = all.send(call("files__delete_all").token(&token));
    assert_eq!(hopeless.status, 403);
    assert!(
        hopeless.header("www-authenticate").is_none(),
        "{hopeless:?}"
    );
    let nobody = all.send(call("notes__delete_all"));
    assert_eq!(nobody.status, 401);
    assert!(nobody.challenge().contains(&metadata), "{nobody:?}");
    let more = all.idp.draft("alice", &all.audience());
    let more = more.claim("scope", "notes:delete").sign();
    let done = all.send(call("notes__delete_all").token(&more));
    assert_eq!(done.status, 200);
    assert!(done.header("www-authenticate").is_none(), "{done:?}");
}

#[test]
fn tok_01_says_at_the_endpoint_for_all_how_long_to_wait() {
    let all = Together::with("[servers.notes.tools.echo]\nrequests_per_minute = 1\n");
    let token = all.token("alice");
    assert_eq!(all.send(call("notes__echo").token(&token)).status, 200);
    let refused = all.send(call("notes__echo").token(&token));
    assert_eq!(refused.status, 429, "{refused:?}");
    let wait = refused.header("retry-after").expect("Retry-After");
    assert!(wait.parse::<u64>().is_ok_and(|wait| wait > 0), "{wait}");
    let record = all.gateway.expect("ratelimit.triggered", Some("tool"));
    assert_eq!(record["server"], "notes");
    assert_eq!(all.send(call("files__read_note").token(&token)).status, 200);
}

#[test]
fn siem_04_records_each_server_that_a_list_of_all_asks() {
    let all = Together::new();
    let token = all.token("alice");
    let listed = all.send(message("tools/list", json!({})).token(&token));
    assert_eq!(listed.status, 200, "{listed:?}");
    let whole = all.gateway.record_of(&listed);
    let records = all.gateway.exchanges();
    let of = |server: &str| {
        let mut own = records.iter().filter(|record| record["server"] == server);
        let first = own.next().cloned().unwrap_or_default();
        assert!(own.next().is_none(), "{server} has one record");
        first
    };
    for server in ["*", "notes", "files", "dead"] {
        let record = of(server);
        assert_eq!(record["trace"], whole["trace"], "{record}");
        assert_eq!(record["method"], "tools/list", "{record}");
        assert_eq!(record["principal"]["sub"], "alice", "{record}");
        assert_eq!(record["decision"]["effect"], "allow", "{record}");
        let event = if server == "dead" {
            "upstream.failed"
        } else {
            "call.completed"
        };
        assert_eq!(record["event"], event, "{record}");
    }
    assert!(of("notes")["bytes_out"].as_u64() > Some(100));
    assert!(of("notes")["upstream_us"].is_u64());
    assert_eq!(
        of("own"),
        Value::Null,
        "it may not be used, and was not asked"
    );
}

#[test]
fn authz_03_leaves_a_server_out_that_answers_a_list_with_an_error() {
    let all = Together::new();
    all.notes.misbehave(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let page = body["params"]["cursor"].is_null();
        let answer = if page {
            let tools = [json!({ "name": "echo", "inputSchema": { "type": "object" } })];
            let result = json!({ "resultType": "complete", "tools": tools, "nextCursor": "more" });
            json!({ "jsonrpc": "2.0", "id": body["id"], "result": result })
        } else {
            let error = json!({ "code": -32603, "message": "broken" });
            json!({ "jsonrpc": "2.0", "id": body["id"], "error": error })
        };
        (body["method"] == "tools/list").then(|| Answer::json(200, "", &answer.to_string()))
    });
    let token = all.token("alice");
    assert_eq!(
        all.names(&token),
        ["files__read_note"],
        "half a list is none"
    );
    let missing = all.gateway.expect("call.failed", Some("upstream_error"));
    assert_eq!(missing["server"], "notes", "{missing}");
    assert_eq!(missing["outcome"]["code"], -32603, "{missing}");
    all.notes.misbehave(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let result = json!({ "resultType": "complete" });
        let answer = json!({ "jsonrpc": "2.0", "id": body["id"], "result": result });
        (body["method"] == "tools/list").then(|| Answer::json(200, "", &answer.to_string()))
    });
    assert_eq!(all.names(&token), ["files__read_note"]);
    let missing = all.gateway.expect("upstream.failed", Some("foreign"));
    assert_eq!(missing["server"], "notes", "{missing}");
    all.notes.misbehave(|_| None);
    assert_eq!(all.names(&token).len(), 3);
}

#[test]
fn auth_06_keeps_tokens_for_all_servers_and_for_one_apart() {
    let all = Together::new();
    let (of_all, of_notes) = (
        all.token("alice"),
        all.idp.draft("alice", &all.gateway.url("notes")).sign(),
    );
    let refused = all.send(call("notes__echo").token(&of_notes));
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(
        refused
            .challenge()
            .contains("oauth-protected-resource/mcp\"")
    );
    all.gateway.expect("authn.reject", Some("audience"));
    let refused = call("echo").token(&of_all).send(all.gateway.address);
    assert_eq!(refused.status, 401, "{refused:?}");
    let metadata = Request::new("GET", "/.well-known/oauth-protected-resource/mcp")
        .send(all.gateway.address)
        .json();
    assert_eq!(metadata["resource"], all.audience());
    assert_eq!(metadata["scopes_supported"], json!(["notes:delete"]));
    assert_eq!(all.send(call("notes__echo").token(&of_all)).status, 200);
    // The gateway's own issuer opens what trusts it, and nothing else.
    let own = all.gateway.token("*");
    assert_eq!(all.send(call("own__echo").token(&own)).status, 200);
    assert_eq!(all.send(call("notes__echo").token(&own)).status, 403);
}

#[test]
fn auth_10_a_challenge_at_the_endpoint_for_all_keeps_what_other_servers_want() {
    let all = Together::with(
        r#"
[servers.files.tools.read_note]
scopes = ["files:read"]

[issuers.idp.scope_implies]
"files:all" = ["files:read"]
"#,
    );
    let with = |scope: &str| {
        let draft = all.idp.draft("alice", &all.audience());
        draft.claim("scope", scope).sign()
    };
    let token = with("openid files:all mail");
    assert_eq!(all.send(call("files__read_note").token(&token)).status, 200);
    let denied = all.send(call("notes__delete_all").token(&token));
    assert_eq!((denied.status, denied.code()), (403, 403), "{denied:?}");
    let asked = "notes:delete files:all";
    let challenge = denied.challenge();
    assert!(
        challenge.contains(&format!("scope=\"{asked}\"")),
        "{challenge}"
    );
    all.gateway.expect("authz.deny", Some("scope"));
    let next = with(asked);
    for tool in ["notes__delete_all", "files__read_note"] {
        assert_eq!(all.send(call(tool).token(&next)).status, 200, "{tool}");
    }
}

#[test]
fn ses_02_keeps_sessions_with_all_servers_apart() {
    let all = Together::new();
    let (alice, bob) = (all.token("alice"), all.token("bob"));
    let opened = all.send(initialize(&alice));
    assert_eq!(opened.status, 200, "{opened:?}");
    assert_eq!(opened.json()["result"]["protocolVersion"], WITH_SESSIONS);
    let session = opened
        .header("mcp-session-id")
        .expect("a session")
        .to_owned();
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let listed = all.send(call_in(&session, &alice).body(list));
    assert!(listed.body.contains("files__read_note"), "{listed:?}");
    let own = json!({
        "jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": { "name": "files__read_note", "arguments": {} },
    });
    let called = all.send(call_in(&session, &alice).body(&own.to_string()));
    assert_eq!(called.status, 200, "{called:?}");
    assert_eq!(called.json()["id"], 3);
    let stolen = all.send(call_in(&session, &bob).body(list));
    assert_eq!(stolen.status, 404, "{stolen:?}");
    let elsewhere = call_in(
        &session,
        &all.idp.draft("alice", &all.gateway.url("notes")).sign(),
    );
    assert_eq!(elsewhere.send(all.gateway.address).status, 404);
}

#[test]
fn authz_02_decides_about_each_resource_under_its_own_server() {
    let all = Together::new();
    let token = all.token("alice");
    all.notes.misbehave(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let contents = json!([{ "uri": body["params"]["uri"], "text": "x" }]);
        let result = json!({
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "contents": contents,
        });
        let answer = json!({ "jsonrpc": "2.0", "id": body["id"], "result": result });
        seen.body
            .contains("resources/read")
            .then(|| Answer::json(200, "", &answer.to_string()))
    });
    let read = |uri: &str| {
        let params = json!({ "uri": uri });
        all.send(
            message("resources/read", params)
                .set("mcp-name", uri)
                .token(&token),
        )
    };
    let found = read("notes+note://a");
    assert_eq!(found.status, 200, "{found:?}");
    assert_eq!(
        found.json()["result"]["contents"][0]["uri"],
        "notes+note://a"
    );
    let seen = all.notes.requests();
    let sent = seen
        .last()
        .map(|seen| seen.body.clone())
        .unwrap_or_default();
    assert!(sent.contains("\"note://a\""), "{sent}");
    for denied in ["files+note://a", "notes+file:///etc/passwd"] {
        assert_eq!(read(denied).status, 403, "{denied}");
    }
    let filter = json!({ "notifications": { "resourceSubscriptions": ["files+note://a"] } });
    let watched = message("subscriptions/listen", filter)
        .token(&token)
        .to("/mcp");
    let mut stream = watched.open(all.gateway.address);
    assert!(stream.until("acknowledged").is_some());
    let heard = all.files.requests();
    assert!(
        heard
            .iter()
            .all(|seen| !seen.body.contains("resources/subscribe"))
    );
}

#[test]
fn auth_06_opens_no_endpoint_for_all_servers_where_it_is_not_wanted() {
    let (idp, notes) = (Idp::start(), Upstream::start());
    let config = format!(
        "aggregate = false\n[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        idp.issuer(),
        notes.url()
    );
    let gateway = Gateway::start(&config);
    let all = format!("http://{}/mcp", gateway.address);
    let token = idp.draft("alice", &all).sign();
    let call_of_all = call("notes__echo").to("/mcp").token(&token);
    let refused = call_of_all.send(gateway.address);
    assert_eq!(refused.status, 404, "{refused:?}");
    assert_eq!(gateway.record_of(&refused)["event"], "http.rejected");
    assert!(notes.requests().is_empty());
    let own = idp.draft("alice", &gateway.url("notes")).sign();
    assert_eq!(call("echo").token(&own).send(gateway.address).status, 200);
}
