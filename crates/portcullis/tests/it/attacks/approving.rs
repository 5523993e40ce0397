//! ATK-070 and DYN-01: calls that somebody has to approve, and those who would like it to be somebody else, another call, or
//! nobody.

use super::eras::{with_sessions, without_sessions};
use crate::harness::{
    Answer, Gateway, Login, Request, Response, STATELESS, Seen, Stream, Surfer, Upstream,
    WITH_SESSIONS, form_of, goes_to, initialize, message, portcullis, post, wait_for,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

pub(super) struct Scene {
    pub(super) gateway: Gateway,
    pub(super) login: Login,
    pub(super) upstream: Upstream,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(
            "[servers.notes.tools.echo.approval]\nby = [\"caller\"]\n\
[servers.notes.tools.write_note]\napproval = { by = [\"group:leads\", \"user:zoe\"], expires = \"1m\" }\n\
[servers.notes.tools.shout]\napproval = { expires = \"1s\" }\n\
[servers.notes.tools.delete_all]\napproval = { risk = \"high\" }\n",
        )
    }

    /// With that in the table of the server.
    pub(super) fn with(server: &str) -> Self {
        let (login, upstream) = (Login::start(), Upstream::start());
        let config = format!(
            "{}[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"corp\"]\n{server}",
            login.config(),
            upstream.url()
        );
        Self {
            gateway: Gateway::start(&config),
            login,
            upstream,
        }
    }

    pub(super) fn token(&self, subject: &str) -> String {
        let draft = self.login.draft(subject);
        draft.claim("aud", self.gateway.url("notes")).sign()
    }

    /// A call of the revision without sessions, by a client that can do this.
    pub(super) fn call(
        &self,
        who: &str,
        (tool, arguments): (&str, &Value),
        can: &Value,
    ) -> Request {
        let params = json!({ "name": tool, "arguments": arguments });
        stateless(params, can).token(&self.token(who))
    }

    pub(super) fn send(&self, request: &Request) -> Response {
        request.send(self.gateway.address)
    }

    pub(super) fn plain(&self, who: &str, tool: &str, arguments: &Value) -> Response {
        self.send(&self.call(who, (tool, arguments), &json!({})))
    }

    /// Must wait for somebody, and the server hears nothing; gives the link.
    pub(super) fn waits(&self, who: &str, tool: &str, arguments: &Value) -> String {
        let before = self.calls();
        let told = self.plain(who, tool, arguments);
        assert_eq!((told.status, told.code()), (200, 403), "{told:?}");
        assert_eq!(self.calls(), before, "{told:?}");
        let record = self.gateway.record_of(&told);
        assert_eq!(record["event"], "approval.required", "{record}");
        assert_eq!(record["decision"]["effect"], "deny", "{record}");
        assert!(record["detail"]["approval"].is_string(), "{record}");
        let error = &told.json()["error"];
        let url = error["data"]["url"].as_str().unwrap().to_owned();
        assert!(
            error["message"].as_str().unwrap().contains(&url),
            "{told:?}"
        );
        url
    }

    /// Must be made.
    pub(super) fn made(&self, who: &str, tool: &str, arguments: &Value) {
        let before = self.calls();
        let done = self.plain(who, tool, arguments);
        assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
        let record = self.gateway.record_of(&done);
        assert_eq!(record["event"], "call.completed", "{record}");
        assert_eq!(self.calls(), before + 1);
    }

    pub(super) fn calls(&self) -> usize {
        let seen = self.upstream.requests();
        seen.iter()
            .filter(|seen| seen.body.contains("tools/call"))
            .count()
    }

    /// A browser in which this user has signed in.
    pub(super) fn browser(&self, user: &str) -> Surfer {
        let mut browser = Surfer::default();
        self.login.user(Some(user));
        browser.signs_in(&self.gateway);
        assert!(browser.is_signed_in(&self.gateway));
        browser
    }

    /// Opens the link, and says this on the page.
    pub(super) fn says(&self, browser: &mut Surfer, url: &str, said: &[(&str, &str)]) -> Response {
        let page = browser.get(&self.gateway, url);
        assert_eq!(page.status, 200, "{page:?}");
        browser.submit(&self.gateway, &page, said)
    }

    pub(super) fn allows(&self, user: &str, url: &str) {
        let done = self.says(&mut self.browser(user), url, &[("decision", "allow")]);
        assert_eq!(done.status, 200, "{done:?}");
        assert!(done.body.contains("Approved"), "{}", done.body);
    }

    pub(super) fn is_refused(
        &self,
        response: &Response,
        status: u16,
        (event, reason): (&str, &str),
    ) -> Value {
        assert_eq!(response.status, status, "{response:?}");
        wait_for(&format!("{event} {reason}"), || {
            self.gateway.records(event, Some(reason)).pop()
        })
    }
}

pub(super) fn stateless(mut params: Value, can: &Value) -> Request {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": can,
    });
    let tool = params["name"].as_str().unwrap().to_owned();
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    post(&body.to_string())
        .set("mcp-protocol-version", STATELESS)
        .set("mcp-method", "tools/call")
        .set("mcp-name", &tool)
}

#[test]
fn dyn_01_a_call_waits_for_whoever_makes_it_and_for_nobody_else() {
    let scene = Scene::new();
    let arguments =
        json!({ "to": "<b>board</b>", "text": "pay\u{202e}\u{200b}!", "password": "hunter2" });
    let url = scene.waits("alice", "echo", &arguments);
    // Strangers see nothing of it, and somebody else nothing either.
    let mut fresh = Surfer::default();
    let page = fresh.get(&scene.gateway, &url);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(!page.body.contains("echo") && !page.body.contains("board"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    scene.login.user(Some("mallory"));
    let there = fresh.submit(&scene.gateway, &page, &[]);
    assert_eq!(there.status, 303, "{there:?}");
    fresh.get(&scene.gateway, &goes_to(there.header("location").unwrap()));
    let refused = fresh.get(&scene.gateway, &url);
    assert!(!refused.body.contains("board"));
    let record = scene.is_refused(&refused, 403, ("approval.refused", "another_user"));
    assert_eq!(record["detail"]["asked_by"], "alice", "{record}");
    assert!(
        record["detail"]["for"]
            .as_str()
            .unwrap()
            .ends_with("|mallory")
    );
    // Nor with the form of somebody to whom it belongs.
    let mut alice = scene.browser("alice");
    let page = alice.get(&scene.gateway, &url);
    assert_eq!(
        scene.gateway.expect("approval.shown", None)["server"],
        "notes"
    );
    for said in [
        "&lt;b&gt;board",
        "pay<mark>[U+202E]</mark><mark>[U+200B]</mark>!",
        "[redacted]",
        "<code><bdi>echo</bdi></code>",
    ] {
        assert!(page.body.contains(said), "{said} {}", page.body);
    }
    assert!(!page.body.contains("hunter2") && !page.body.contains("High risk"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.body.contains("<script"), "{}", page.body);
    let stolen = fresh.submit(&scene.gateway, &page, &[("decision", "allow")]);
    scene.is_refused(&stolen, 403, ("form.refused", "token"));
    let (_, fields) = form_of(&page.body, "");
    let link = &fields.iter().find(|(name, _)| name == "link").unwrap().1;
    let forged = [("token", "guessed"), ("link", link), ("decision", "allow")];
    let forged = alice.post(&scene.gateway, "/account/approval", &forged);
    scene.is_refused(&forged, 403, ("form.refused", "token"));
    // All that was for nothing.
    assert_eq!(
        scene.waits("alice", "echo", &arguments),
        url,
        "one question stays one"
    );
    scene.allows("alice", &url);
    let granted = scene.gateway.expect("approval.granted", None);
    assert_eq!(granted["target"], "echo", "{granted}");
    // It is for alice alone; and for one call, however it is laid out.
    scene.waits("bob", "echo", &arguments);
    let order =
        json!({ "text": "pay\u{202e}\u{200b}!", "password": "hunter2", "to": "<b>board</b>" });
    scene.made("alice", "echo", &order);
    let again = scene.waits("alice", "echo", &arguments);
    assert_ne!(again, url);
    let used = alice.get(&scene.gateway, &url);
    scene.is_refused(&used, 404, ("approval.refused", "link"));
    // No is no, and time is up by itself.
    let done = scene.says(&mut alice, &again, &[("decision", "deny")]);
    assert!(done.body.contains("Refused"), "{done:?}");
    scene.gateway.expect("approval.denied", None);
    assert_ne!(scene.waits("alice", "echo", &arguments), again);
    let short = scene.waits("alice", "shout", &arguments);
    let mut alice = scene.browser("alice");
    wait_for("its end", || {
        (alice.get(&scene.gateway, &short).status == 404).then_some(())
    });
}

#[test]
fn atk_070_other_arguments_than_those_that_were_approved_are_refused() {
    let scene = Scene::new();
    let (seen, meant) = (
        json!({ "to": "bob", "n": 1 }),
        json!({ "to": "mallory", "n": 1 }),
    );
    let url = scene.waits("alice", "echo", &seen);
    scene.allows("alice", &url);
    let before = scene.calls();
    let swapped = scene.plain("alice", "echo", &meant);
    assert_eq!((swapped.status, swapped.code()), (403, 403), "{swapped:?}");
    assert_eq!(scene.calls(), before);
    let record = scene.gateway.record_of(&swapped);
    let told = (&record["event"], &record["decision"]["rule"]);
    assert_eq!(
        told,
        (&json!("approval.digest_mismatch"), &json!("approval:echo")),
        "{record}"
    );
    // Nor does the first one go on as if nothing had happened.
    let url = scene.waits("alice", "echo", &seen);
    scene.allows("alice", &url);
    scene.made("alice", "echo", &seen);
}

#[test]
fn atk_070_nobody_is_worn_out_and_what_is_of_high_risk_is_not_one_click_more() {
    let scene = Scene::new();
    for number in 0..10 {
        scene.waits("mallory", "echo", &json!({ "n": number }));
    }
    for number in 10..30 {
        let refused = scene.plain("mallory", "echo", &json!({ "n": number }));
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!(refused.header("retry-after").is_some());
        let record = scene.gateway.record_of(&refused);
        let told = (&record["event"], &record["reason"]);
        assert_eq!(
            told,
            (&json!("ratelimit.triggered"), &json!("approvals")),
            "{record}"
        );
    }
    let last = scene.plain("mallory", "delete_all", &json!({}));
    assert_eq!(last.status, 429, "{last:?}");
    // Others are asked all the same.
    let nothing = json!({});
    let url = scene.waits("alice", "delete_all", &nothing);
    let mut alice = scene.browser("alice");
    let page = alice.get(&scene.gateway, &url);
    assert!(page.body.contains("High risk"), "{}", page.body);
    for typed in ["", "yes", "delete_al", "echo"] {
        let said = [("decision", "allow"), ("typed", typed)];
        let refused = scene.says(&mut alice, &url, &said);
        scene.is_refused(&refused, 400, ("approval.refused", "typed"));
    }
    scene.waits("alice", "delete_all", &nothing);
    let said = [("decision", "allow"), ("typed", "delete_all")];
    let done = scene.says(&mut alice, &url, &said);
    assert_eq!(done.status, 200, "{done:?}");
    scene.made("alice", "delete_all", &nothing);
}

#[test]
fn dyn_01_a_second_person_approves_what_is_not_for_the_caller_to_approve() {
    let scene = Scene::new();
    scene
        .login
        .change(|draft| draft.claim("groups", json!(["leads"])));
    let arguments = json!({ "text": "x" });
    let url = scene.waits("alice", "write_note", &arguments);
    let mut alice = scene.browser("alice");
    let own = alice.get(&scene.gateway, &url);
    scene.is_refused(&own, 403, ("approval.refused", "own_call"));
    scene
        .login
        .change(|draft| draft.claim("groups", json!(["ops"])));
    let mut bob = scene.browser("bob");
    let none = bob.get(&scene.gateway, &url);
    scene.is_refused(&none, 403, ("approval.refused", "not_approver"));
    scene
        .login
        .change(|draft| draft.claim("groups", json!(["leads"])));
    let mut pat = scene.browser("pat");
    let page = pat.get(&scene.gateway, &url);
    assert!(
        page.body.contains("<bdi>alice</bdi></strong>, not you"),
        "{}",
        page.body
    );
    let done = pat.submit(&scene.gateway, &page, &[("decision", "allow")]);
    assert_eq!(done.status, 200, "{done:?}");
    scene.waits("zoe", "write_note", &arguments);
    scene.made("alice", "write_note", &arguments);
    // A client that opens URLs for its user is told in words: it would open this one for the wrong person.
    let can = json!({ "elicitation": { "url": {} } });
    let told = scene.send(&scene.call("alice", ("write_note", &arguments), &can));
    assert_eq!(told.code(), 403, "{told:?}");
    assert!(told.body.contains("somebody else"), "{told:?}");
}

#[test]
fn atk_070_what_one_client_was_approved_no_other_client_of_the_user_does() {
    let scene = Scene::new();
    let arguments = json!({ "text": "x" });
    let by = |client: &str| {
        let params = json!({ "name": "echo", "arguments": arguments });
        let draft = scene.login.draft("alice").claim("client_id", client);
        let token = draft.claim("aud", scene.gateway.url("notes")).sign();
        scene.send(&stateless(params, &json!({})).token(&token))
    };
    let asked = by("ide");
    let url = asked.json()["error"]["data"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    scene.allows("alice", &url);
    let before = scene.calls();
    let other = by("worm");
    assert_eq!((other.status, other.code()), (200, 403), "{other:?}");
    let record = scene.gateway.record_of(&other);
    assert_eq!(record["event"], "approval.required", "{record}");
    assert_ne!(other.json()["error"]["data"]["url"], url, "{other:?}");
    assert_eq!(scene.calls(), before);
    // That it was tried takes nothing from the client that may.
    let done = by("ide");
    assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
    assert_eq!(scene.calls(), before + 1);
}

#[test]
fn dyn_01_what_nobody_could_read_nobody_approves() {
    let scene = Scene::new();
    let long = |bytes: usize| json!({ "text": "x".repeat(bytes) });
    let refused = scene.plain("alice", "echo", &long(17 * 1024));
    assert_eq!((refused.status, refused.code()), (403, 403), "{refused:?}");
    let record = scene.gateway.record_of(&refused);
    let told = [&record["event"], &record["decision"]["rule"]];
    assert_eq!(told, ["authz.deny", "approval:echo"], "{record}");
    assert_eq!(record["reason"], "approval_too_long", "{record}");
    assert_eq!(scene.calls(), 0);
    scene.waits("alice", "echo", &long(15 * 1024));
}

#[test]
fn dyn_01_clients_of_both_eras_are_told_in_their_way() {
    let scene = Scene::new();
    let can = json!({ "elicitation": { "url": {} } });
    // 2026-07-28: a result that asks back, and the same call once more.
    let arguments = json!({ "text": "x" });
    let asked = scene.send(&scene.call("alice", ("echo", &arguments), &can));
    assert_eq!(asked.status, 200, "{asked:?}");
    let result = &asked.json()["result"];
    assert_eq!(result["resultType"], "input_required", "{asked:?}");
    let question = &result["inputRequests"]["portcullis"];
    assert_eq!(question["method"], "elicitation/create", "{asked:?}");
    assert_eq!(question["params"]["mode"], "url", "{asked:?}");
    assert!(
        question["params"].get("elicitationId").is_none(),
        "{asked:?}"
    );
    let url = question["params"]["url"].as_str().unwrap();
    assert_eq!(
        scene.gateway.record_of(&asked)["event"],
        "approval.required"
    );
    let params = json!({ "name": "echo", "arguments": arguments,
        "inputResponses": { "portcullis": { "action": "accept" } } });
    let retry = stateless(params, &can).token(&scene.token("alice"));
    // That the client says so is no approval.
    let early = scene.send(&retry);
    assert_eq!(
        early.json()["result"]["resultType"],
        "input_required",
        "{early:?}"
    );
    scene.allows("alice", url);
    let done = scene.send(&retry);
    assert_eq!(done.json()["result"]["resultType"], "complete", "{done:?}");
    let seen = scene.upstream.requests();
    assert!(!seen.last().unwrap().body.contains("inputResponses"));
    // 2025-11-25: an error, by what the client has said in its session.
    let token = scene.token("alice");
    let open = |can: &Value, revision: &str| {
        let params = json!({ "protocolVersion": revision, "capabilities": can,
            "clientInfo": { "name": "test", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let opened = scene.send(&post(&body.to_string()).token(&token));
        let session = opened
            .header("mcp-session-id")
            .expect("a session")
            .to_owned();
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": "echo", "arguments": { "text": "y" } } });
        post(&body.to_string())
            .token(&token)
            .set("mcp-session-id", &session)
            .set("mcp-protocol-version", revision)
    };
    let in_session = open(&can, WITH_SESSIONS);
    let told = scene.send(&in_session);
    assert_eq!((told.status, told.code()), (200, -32042), "{told:?}");
    let asked = &told.json()["error"]["data"]["elicitations"][0];
    assert_eq!(asked["mode"], "url", "{asked}");
    assert!(asked["elicitationId"].is_string(), "{asked}");
    for plain in [
        open(&json!({}), WITH_SESSIONS),
        open(&json!({ "elicitation": {} }), WITH_SESSIONS),
        open(&can, "2025-06-18"),
    ] {
        let told = scene.send(&plain);
        assert_eq!((told.status, told.code()), (200, 403), "{told:?}");
    }
    scene.allows("alice", asked["url"].as_str().unwrap());
    let done = scene.send(&in_session);
    assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
}

/// Lists one tool that is harmless, one that runs commands, and one that takes what the server wants it to.
fn tools(seen: &Seen, takes: &str) -> Option<Answer> {
    let asked: Value = serde_json::from_str(&seen.body).ok()?;
    if asked["method"] != "tools/list" {
        return None;
    }
    let tool = |name: &str, takes: &str| {
        let schema = json!({ "type": "object", "properties": { takes: { "type": "string" } } });
        json!({ "name": name, "description": "As its name says.", "inputSchema": schema })
    };
    let tools = [
        tool("weather", "city"),
        tool("run_command", "command"),
        tool("convert", takes),
    ];
    let mut result = json!({ "tools": tools });
    if seen.header("mcp-protocol-version") == Some(STATELESS) {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(0);
        result["cacheScope"] = json!("private");
    }
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
    Some(Answer::json(200, "", &answer.to_string()))
}

impl Scene {
    /// The same call in a session.
    fn in_session(&self, token: &str, tool: &str) -> Request {
        let opened = self.send(&initialize(token));
        let session = opened.header("mcp-session-id").unwrap().to_owned();
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": tool, "arguments": {} } });
        post(&body.to_string())
            .token(token)
            .set("mcp-session-id", &session)
            .set("mcp-protocol-version", WITH_SESSIONS)
    }

    fn waits_in_session(&self, token: &str, tool: &str) {
        let before = self.calls();
        let told = self.send(&self.in_session(token, tool));
        assert_eq!((told.status, told.code()), (200, 403), "{told:?}");
        assert_eq!(self.calls(), before, "{told:?}");
        let record = self.gateway.record_of(&told);
        let why = (&record["event"], &record["target"]);
        assert_eq!(why, (&json!("approval.required"), &json!(tool)), "{record}");
    }
}

#[test]
fn dyn_04_calls_of_risky_tools_wait_for_somebody() {
    let scene = Scene::with("catalog = \"learn\"\nrisky_tools = { over = 10 }\n");
    let takes = Arc::new(Mutex::new("unit"));
    let told = Arc::clone(&takes);
    scene
        .upstream
        .misbehave(move |seen| tools(seen, *told.lock().unwrap()));
    let (nothing, token) = (json!({}), scene.token("alice"));
    // Nobody knows yet what there is.
    scene.waits("alice", "weather", &nothing);
    let list = message("tools/list", json!({})).token(&token);
    assert_eq!(scene.send(&list).status, 200);
    // The benign twins, in both eras.
    for harmless in ["weather", "convert"] {
        scene.made("alice", harmless, &nothing);
        let done = scene.send(&scene.in_session(&token, harmless));
        assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
    }
    scene.waits_in_session(&token, "run_command");
    let url = scene.waits("alice", "run_command", &nothing);
    scene.allows("alice", &url);
    scene.made("alice", "run_command", &nothing);
    scene.waits("alice", "run_command", &nothing);

    // What has become risky is so from the moment on at which somebody has approved it.
    *takes.lock().unwrap() = "command";
    let changed = scene.plain("alice", "convert", &nothing);
    assert_eq!(changed.code(), -32602, "{changed:?}");
    let file = scene
        .gateway
        .data()
        .parent()
        .unwrap()
        .join("portcullis.toml");
    let file = file.to_str().unwrap();
    wait_for("the approval", || {
        let line = [
            "tools", "approve", "notes", "convert", "--yes", "--config", file,
        ];
        let shown = portcullis(&["tools", "list", "--pending", "--config", file]);
        let waits = String::from_utf8_lossy(&shown.stdout).contains("convert");
        (waits && portcullis(&line).status.code() == Some(0)).then_some(())
    });
    wait_for("the new version", || {
        let told = scene.plain("alice", "convert", &nothing);
        (told.code() != -32602).then_some(())
    });
    scene.waits("alice", "convert", &nothing);
    scene.waits_in_session(&token, "convert");
    scene.made("alice", "weather", &nothing);
}

#[test]
fn dyn_04_an_approval_of_its_own_counts_before_that_of_risky_tools() {
    let scene = Scene::with(
        "catalog = \"learn\"\nrisky_tools = { over = 10, by = [\"group:leads\"] }\n\
[servers.notes.tools.run_command]\napproval = {}\n",
    );
    scene.upstream.misbehave(|seen| tools(seen, "command"));
    let nothing = json!({});
    let url = scene.waits("alice", "run_command", &nothing);
    scene.allows("alice", &url);
    scene.made("alice", "run_command", &nothing);
    let url = scene.waits("alice", "convert", &nothing);
    let own = scene.browser("alice").get(&scene.gateway, &url);
    scene.is_refused(&own, 403, ("approval.refused", "own_call"));
}

#[test]
fn dyn_01_conf_refuses_approvals_that_nobody_could_give() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("portcullis.toml");
    for (rule, authority, expected) in [
        ("{}", "", "there is no page on which somebody could approve"),
        (
            "{ by = [\"caller\", \"role:lead\"] }",
            "[authority]",
            "whoever calls would always do",
        ),
        ("{ by = [\"anyone\"] }", "[authority]", "names no person"),
        (
            "{ by = [\"client:ide\"] }",
            "[authority]",
            "names no person",
        ),
        ("{ risk = \"none\" }", "[authority]", "`low`"),
        ("{ expires = \"1d\" }", "[authority]", "out of range"),
    ] {
        let config = format!(
            "[issuers.local]\nembedded = true\n[servers.notes]\ncommand = \"true\"\n\
[servers.notes.tools.x]\napproval = {rule}\n{authority}\n"
        );
        std::fs::write(&file, config).unwrap();
        let ran = portcullis(&["check", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned()
            + &String::from_utf8_lossy(&ran.stdout);
        assert_eq!(ran.status.code(), Some(1), "{rule} {said}");
        assert!(said.contains(expected), "{rule} {said}");
    }
    for (rule, expected) in [
        (
            "risky_tools = { over = 40 }\ncatalog = \"pin\"",
            "there is no page",
        ),
        (
            "risky_tools = { over = 40 }\ncatalog = \"observe\"\n[authority]",
            "nobody holds this server",
        ),
        (
            "risky_tools = { over = 100 }\ncatalog = \"pin\"\n[authority]",
            "out of range",
        ),
        ("risky_tools = {}\ncatalog = \"pin\"\n[authority]", "over"),
        (
            "risky_tools = { over = 1, by = [\"anyone\"] }\ncatalog = \"pin\"\n[authority]",
            "names no person",
        ),
    ] {
        let config = format!(
            "[issuers.local]\nembedded = true\n[servers.notes]\ncommand = \"true\"\n{rule}\n"
        );
        std::fs::write(&file, config).unwrap();
        let ran = portcullis(&["check", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned()
            + &String::from_utf8_lossy(&ran.stdout);
        assert_eq!(ran.status.code(), Some(1), "{rule} {said}");
        assert!(said.contains(expected), "{rule} {said}");
    }
}

#[test]
fn atk_070_the_endpoint_for_all_servers_asks_for_the_same_call_and_uses_it_up() {
    let scene = Scene::new();
    let at_all = |arguments: &Value| {
        let params = json!({ "name": "notes__echo", "arguments": arguments });
        let draft = scene.login.draft("alice");
        let audience = format!("http://{}/mcp", scene.gateway.address);
        let token = draft.claim("aud", audience).sign();
        scene.send(&stateless(params, &json!({})).token(&token).to("/mcp"))
    };
    let (seen, meant) = (json!({ "to": "bob" }), json!({ "to": "mallory" }));
    let told = at_all(&seen);
    assert_eq!((told.status, told.code()), (200, 403), "{told:?}");
    let record = scene.gateway.record_of(&told);
    let told_of = [&record["event"], &record["server"], &record["target"]];
    assert_eq!(told_of, ["approval.required", "notes", "echo"], "{record}");
    assert_eq!(scene.calls(), 0);
    let url = told.json()["error"]["data"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        scene.waits("alice", "echo", &seen),
        url,
        "one call, one link"
    );
    scene.allows("alice", &url);
    let swapped = at_all(&meant);
    assert_eq!((swapped.status, swapped.code()), (403, 403), "{swapped:?}");
    let record = scene.gateway.record_of(&swapped);
    assert_eq!(record["event"], "approval.digest_mismatch", "{record}");
    assert_eq!(scene.calls(), 0);
    // Once, at whichever of both.
    scene.allows("alice", &scene.waits("alice", "echo", &seen));
    let done = at_all(&seen);
    assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
    assert_eq!(scene.calls(), 1);
    let url = scene.waits("alice", "echo", &seen);
    scene.allows("alice", &url);
    scene.made("alice", "echo", &seen);
    let again = at_all(&seen);
    assert_eq!((again.status, again.code()), (200, 403), "{again:?}");
    let record = scene.gateway.record_of(&again);
    assert_eq!(record["event"], "approval.required", "{record}");
    assert_eq!(scene.calls(), 2);
}

#[test]
fn atk_070_a_server_of_another_era_hears_what_was_approved_once() {
    let (seen, meant) = (json!({ "to": "bob" }), json!({ "to": "mallory" }));
    let scene = Scene::new();
    scene.upstream.misbehave(with_sessions);
    // From now on it is known which era the server is of.
    scene.plain("alice", "read_note", &json!({ "uri": "note://1" }));
    let before = scene.calls();
    let url = scene.waits("alice", "echo", &seen);
    scene.allows("alice", &url);
    let swapped = scene.plain("alice", "echo", &meant);
    scene.is_refused(&swapped, 403, ("approval.digest_mismatch", "arguments"));
    assert_eq!(scene.calls(), before);
    scene.allows("alice", &scene.waits("alice", "echo", &seen));
    scene.made("alice", "echo", &seen);
    scene.waits("alice", "echo", &seen);

    let scene = Scene::new();
    scene.upstream.misbehave(without_sessions);
    let token = scene.token("alice");
    let opened = scene.send(&initialize(&token));
    let session = opened.header("mcp-session-id").expect("a session");
    let calls = |arguments: &Value| {
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": "echo", "arguments": arguments } });
        let request = post(&body.to_string()).token(&token);
        scene.send(
            &request
                .set("mcp-session-id", session)
                .set("mcp-protocol-version", WITH_SESSIONS),
        )
    };
    let waits = || {
        let told = calls(&seen);
        assert_eq!((told.status, told.code()), (200, 403), "{told:?}");
        let record = scene.gateway.record_of(&told);
        assert_eq!(record["event"], "approval.required", "{record}");
        let url = &told.json()["error"]["data"]["url"];
        url.as_str().unwrap().to_owned()
    };
    scene.allows("alice", &waits());
    let swapped = calls(&meant);
    scene.is_refused(&swapped, 403, ("approval.digest_mismatch", "arguments"));
    assert_eq!(scene.calls(), 0);
    scene.allows("alice", &waits());
    let done = calls(&seen);
    assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
    waits();
    assert_eq!(scene.calls(), 1);
}

#[test]
fn rs_e07_only_the_client_that_was_sent_to_a_page_hears_that_it_is_finished() {
    let scene = Scene::new();
    let opens = json!({ "elicitation": { "url": {} } });
    let session = |who: &str, can: &Value| {
        let token = scene.token(who);
        let params = json!({ "protocolVersion": WITH_SESSIONS, "capabilities": can,
            "clientInfo": { "name": "test", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let opened = scene.send(&post(&body.to_string()).token(&token));
        let session = opened.header("mcp-session-id").unwrap().to_owned();
        let listen = Request::in_session("GET", &session).token(&token);
        let stream = listen.open(scene.gateway.address);
        assert_eq!(stream.response.status, 200);
        (token, session, stream)
    };
    let asks = |(token, session): (&String, &String), text: &str| {
        let params = json!({ "name": "echo", "arguments": { "text": text } });
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
        let call = post(&body.to_string()).token(token);
        let call = call.set("mcp-session-id", session);
        scene.send(&call.set("mcp-protocol-version", WITH_SESSIONS))
    };
    let told = |answer: &Response| {
        assert_eq!(answer.code(), -32042, "{answer:?}");
        let data = &answer.json()["error"]["data"];
        let id = data["elicitations"][0]["elicitationId"].as_str().unwrap();
        (id.to_owned(), data["url"].as_str().unwrap().to_owned())
    };
    let (token, own, mut stream) = session("alice", &opens);
    let mut others = [
        session("alice", &opens),
        session("alice", &json!({})),
        session("bob", &opens),
    ];
    let first = told(&asks((&token, &own), "one"));
    // The same call and link, but by a client that opens no URLs.
    let plain = asks((&others[1].0, &others[1].1), "one");
    assert_eq!(plain.code(), 403, "{plain:?}");
    told(&asks((&others[2].0, &others[2].1), "one"));
    // Who it is not for finishes nothing.
    let stranger = scene.browser("bob").get(&scene.gateway, &first.1);
    scene.is_refused(&stranger, 403, ("approval.refused", "another_user"));
    scene.upstream.notify("ev-1", "before");
    let mut heard = String::new();
    stream.until_collecting("before", &mut heard).unwrap();
    assert!(!heard.contains("elicitation/complete"), "{heard}");
    let finished = |stream: &mut Stream, id: &str| {
        let line = stream.until("notifications/elicitation/complete").unwrap();
        let message: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(message["params"], json!({ "elicitationId": id }), "{line}");
    };
    scene.allows("alice", &first.1);
    scene.gateway.expect("approval.granted", None);
    finished(&mut stream, &first.0);
    assert_eq!(asks((&token, &own), "one").code(), 0);
    // A no is an end too.
    let second = told(&asks((&token, &own), "two"));
    let mut alice = scene.browser("alice");
    let done = scene.says(&mut alice, &second.1, &[("decision", "deny")]);
    assert_eq!(done.status, 200, "{done:?}");
    finished(&mut stream, &second.0);
    scene.upstream.notify("ev-2", "after");
    stream.until("after").unwrap();
    for (_, _, other) in &mut others {
        let mut heard = String::new();
        other.until_collecting("after", &mut heard).unwrap();
        assert!(!heard.contains("elicitation/complete"), "{heard}");
    }
}

/// A client of 2025-11-25 that opens pages, in a session at this path.
struct Elicited<'s> {
    scene: &'s Scene,
    path: &'static str,
    token: String,
    session: String,
}

impl<'s> Elicited<'s> {
    fn opens(scene: &'s Scene, path: &'static str) -> Self {
        let draft = scene.login.draft("alice");
        let audience = format!("http://{}{path}", scene.gateway.address);
        let token = draft.claim("aud", audience).sign();
        let params = json!({ "protocolVersion": WITH_SESSIONS,
            "capabilities": { "elicitation": { "url": {} } },
            "clientInfo": { "name": "test", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let opened = scene.send(&post(&body.to_string()).to(path).token(&token));
        let session = opened.header("mcp-session-id").unwrap().to_owned();
        Self {
            scene,
            path,
            token,
            session,
        }
    }

    fn listens(&self, last: Option<&str>) -> Stream {
        let listen = Request::in_session("GET", &self.session).to(self.path);
        let listen = listen.token(&self.token);
        let listen = match last {
            Some(last) => listen.set("last-event-id", last),
            None => listen,
        };
        let stream = listen.open(self.scene.gateway.address);
        assert_eq!(stream.response.status, 200, "{:?}", stream.response);
        stream
    }

    fn calls(&self, tool: &str) -> Response {
        let params = json!({ "name": tool, "arguments": { "text": "one" } });
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
        let call = post(&body.to_string()).to(self.path).token(&self.token);
        let call = call.set("mcp-session-id", &self.session);
        self.scene
            .send(&call.set("mcp-protocol-version", WITH_SESSIONS))
    }

    /// Must be sent to a page; gives its id and its URL.
    fn is_sent(&self, tool: &str) -> (String, String) {
        let told = self.calls(tool);
        assert_eq!((told.status, told.code()), (200, -32042), "{told:?}");
        let asked = &told.json()["error"]["data"]["elicitations"][0];
        let text = |name: &str| asked[name].as_str().unwrap().to_owned();
        (text("elicitationId"), text("url"))
    }

    fn hears(stream: &mut Stream, page: &str) {
        let line = stream.until("notifications/elicitation/complete").unwrap();
        let message: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(
            message["params"],
            json!({ "elicitationId": page }),
            "{line}"
        );
    }
}

#[test]
fn rs_e07_whoever_reads_on_where_a_stream_broke_hears_that_a_page_is_finished() {
    let scene = Scene::new();
    let alice = Elicited::opens(&scene, "/servers/notes/mcp");
    let mut stream = alice.listens(None);
    scene.upstream.notify("ev-1", "before");
    let last = stream.next_id();
    drop(stream);
    let mut stream = alice.listens(Some(&last));
    let (page, url) = alice.is_sent("echo");
    // Somebody else's session hears nothing of it.
    let mut other = Elicited::opens(&scene, "/servers/notes/mcp").listens(None);
    scene.allows("alice", &url);
    Elicited::hears(&mut stream, &page);
    assert_eq!(alice.calls("echo").code(), 0);
    scene.upstream.notify("ev-2", "after");
    let mut heard = String::new();
    other.until_collecting("after", &mut heard).unwrap();
    assert!(!heard.contains("elicitation/complete"), "{heard}");
}

#[test]
fn rs_e07_at_the_endpoint_for_all_a_client_is_sent_to_a_page_and_hears_of_it() {
    let scene = Scene::new();
    let alice = Elicited::opens(&scene, "/mcp");
    let mut stream = alice.listens(None);
    let (page, url) = alice.is_sent("notes__echo");
    assert_eq!(scene.calls(), 0);
    let record = scene.gateway.expect("approval.required", Some("caller"));
    assert_eq!(record["server"], "notes", "{record}");
    scene.allows("alice", &url);
    Elicited::hears(&mut stream, &page);
    let done = alice.calls("notes__echo");
    assert_eq!((done.status, done.code()), (200, 0), "{done:?}");
}
