//! ATK-098: calls with a login that is too weak or too old, and clients that call it better than it is.

use crate::harness::{
    Answer, Draft, Gateway, Idp, Request, Response, Scene, Upstream, call, call_in, initialize,
    message, now, wait_for,
};
use serde_json::{Value, json};

const GUARDED: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["*"]

[servers.notes.tools.write_note]
scopes = ["notes:write"]
step_up = { acr = ["urn:example:gold", "urn:example:silver"], amr = ["pwd", "otp"], max_age = "1h" }

[servers.notes.tools.delete_all]
step_up = { amr = ["mfa"] }
"#;

const FRESH: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["*"]
step_up = { max_age = "1h" }
"#;

const HOUR: u64 = 3600;

/// A token of somebody who has just authenticated in two ways.
fn strong(scene: &Scene) -> Draft {
    scene
        .draft("alice")
        .claim("scope", "notes:write")
        .claim("acr", "urn:example:silver")
        .claim("amr", json!(["pwd", "otp", "mfa"]))
        .claim("auth_time", now())
}

fn challenge(gateway: &Gateway, path: &str, words: &str) -> String {
    format!(
        "Bearer error=\"insufficient_user_authentication\", \
         error_description=\"stronger or newer authentication needed\", {words}\
         resource_metadata=\"http://{}/.well-known/oauth-protected-resource{path}/mcp\"",
        gateway.address
    )
}

const GOLD: &str =
    "acr_values=\"urn:example:gold urn:example:silver\", max_age=\"3600\", scope=\"notes:write\", ";

/// Must be told to step up; what was seen stands in the record beside what is needed.
fn told(scene: &Scene, request: &Request, (reason, words): (&str, &str)) -> Value {
    let response = scene.refuses(request, (401, 401), ("authn.step_up_required", reason));
    let expected = challenge(&scene.gateway, "/servers/notes", words);
    assert_eq!(response.challenge(), expected, "{request:?}");
    let record = scene.gateway.record_of(&response);
    assert_eq!(record["principal"]["sub"], "alice", "{record}");
    assert_eq!(record["decision"]["effect"], "deny", "{record}");
    record
}

#[test]
fn auth_04_a_weak_or_old_login_is_told_to_step_up() {
    let scene = Scene::with(GUARDED);
    let write = |draft: Draft| call("write_note").token(&draft.sign());
    for (weak, reason) in [
        (strong(&scene).claim("amr", json!(["pwd"])), "amr"),
        (strong(&scene).claim("amr", json!("pwd otp")), "amr"),
        (strong(&scene).claim("amr", json!(["pwd", "otp", 7])), "amr"),
        (strong(&scene).without("amr"), "amr"),
        (strong(&scene).claim("acr", "urn:example:bronze"), "acr"),
        (strong(&scene).claim("acr", "URN:EXAMPLE:GOLD"), "acr"),
        (
            strong(&scene).claim("acr", "urn:example:gold urn:example:silver"),
            "acr",
        ),
        (
            strong(&scene).claim("acr", json!(["urn:example:gold"])),
            "acr",
        ),
        (strong(&scene).without("acr"), "acr"),
        (
            strong(&scene).claim("auth_time", now() - 2 * HOUR),
            "auth_time",
        ),
        (strong(&scene).claim("auth_time", now() + HOUR), "auth_time"),
        (
            strong(&scene).claim("auth_time", now().to_string()),
            "auth_time",
        ),
        (strong(&scene).without("auth_time"), "auth_time"),
        // Nor does a missing scope hide it: one new token has to be enough.
        (strong(&scene).without("acr").without("scope"), "acr"),
    ] {
        told(&scene, &write(weak), (reason, GOLD));
    }
    let weak = strong(&scene).claim("amr", json!(["pwd"]));
    let old = weak.claim("auth_time", now() - 2 * HOUR);
    let record = told(&scene, &write(old), ("amr", GOLD));
    let seen = record["detail"]["seen"].as_str().unwrap();
    let age = seen.strip_prefix("acr=urn:example:silver; amr=pwd; age=");
    let age: u64 = age.expect(seen).parse().unwrap();
    assert!((2 * HOUR..3 * HOUR).contains(&age), "{seen}");
    assert_eq!(
        record["detail"]["required"],
        "acr=urn:example:gold urn:example:silver; amr=otp pwd; max_age=3600"
    );
    let none = scene.draft("alice").sign();
    let record = told(&scene, &call("delete_all").token(&none), ("amr", ""));
    assert_eq!(record["detail"]["seen"], "");
    assert_eq!(record["detail"]["required"], "amr=mfa");
    // What needs nothing gets it, and the same call succeeds after the step-up.
    scene.permits(&call("echo").token(&none));
    scene.permits(&write(strong(&scene)));
    scene.permits(&call("delete_all").token(&strong(&scene).sign()));
}

#[test]
fn auth_04_a_client_says_nothing_of_its_own_login() {
    let scene = Scene::with(GUARDED);
    let weak = strong(&scene).claim("acr", "urn:example:bronze").sign();
    let claims = json!({ "acr": "urn:example:gold", "amr": ["pwd", "otp"], "auth_time": now() });
    let mut params = json!({ "name": "write_note", "arguments": claims.clone() });
    for name in ["acr", "amr", "auth_time"] {
        params[name] = claims[name].clone();
    }
    let lies = message("tools/call", params)
        .set("mcp-name", "write_note")
        .set("acr", "urn:example:gold")
        .set("x-acr", "urn:example:gold")
        .set("x-auth-time", &now().to_string());
    let lies = lies.token(&weak);
    told(&scene, &lies, ("acr", GOLD));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": crate::harness::STATELESS,
        "io.modelcontextprotocol/clientInfo": { "name": "attacker", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
        "acr": "urn:example:gold", "amr": ["pwd", "otp"], "auth_time": now(),
    });
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": "write_note", "arguments": {}, "_meta": meta } });
    told(&scene, &lies.clone().body(&body.to_string()), ("acr", GOLD));
    // A session that a better token opened is not for this one, and one of its own helps as little.
    let body = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"write_note","_meta":{"acr":"urn:example:gold"}}}"#;
    let session = scene.session(&strong(&scene).sign());
    scene.permits(&call_in(&session, &strong(&scene).sign()).body(body));
    let refused = scene.send(&call_in(&session, &weak).body(body));
    assert_eq!(refused.status, 404, "{refused:?}");
    let session = scene.session(&weak);
    told(&scene, &call_in(&session, &weak).body(body), ("acr", GOLD));
}

#[test]
fn auth_04_lists_show_what_a_step_up_would_open() {
    let scene = Scene::with(GUARDED);
    let token = scene.draft("alice").sign();
    assert_eq!(
        scene.tools(&token),
        ["echo", "read_note", "write_note", "delete_all"],
        "as for a scope that is missing"
    );
    told(&scene, &call("delete_all").token(&token), ("amr", ""));
}

#[test]
fn auth_04_a_login_ages_while_a_session_is_open() {
    let scene = Scene::with(FRESH);
    scene.upstream.misbehave(|seen| {
        let listens = || {
            let ack = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#;
            Answer::events(&format!("data: {ack}\n\n"))
        };
        seen.body.contains("subscriptions/listen").then(listens)
    });
    let age = |at: u64| scene.draft("alice").claim("auth_time", at).sign();
    let words = "max_age=\"3600\", ";
    let old = age(now() - HOUR - 1);
    for request in [
        initialize(&old),
        message("tools/list", json!({})).token(&old),
        message("subscriptions/listen", json!({ "notifications": {} })).token(&old),
        call("echo").token(&old),
    ] {
        told(&scene, &request, ("auth_time", words));
    }
    let end = now() + 12;
    let aging = age(end - HOUR);
    let session = scene.session(&aging);
    scene.permits(&call_in(&session, &aging)); // verified, and remembered so
    let listening = scene.open(&Request::in_session("GET", &session).token(&aging));
    let stateless = message("subscriptions/listen", json!({ "notifications": {} }));
    let watching = scene.open(&stateless.token(&aging));
    assert_eq!(
        (listening.response.status, watching.response.status),
        (200, 200)
    );
    listening.end();
    watching.end();
    assert!(now() >= end, "cut before the login was too old");
    wait_for("both records", || {
        let cut = scene.gateway.records("stream.closed", Some("step_up"));
        (cut.len() == 2).then_some(())
    });
    told(&scene, &call_in(&session, &aging), ("auth_time", words));
    told(&scene, &call("echo").token(&aging), ("auth_time", words));
    let again = scene.open(&Request::in_session("GET", &session).token(&aging));
    assert_eq!(again.response.status, 401);
    // The session is still there for a newer login.
    scene.permits(&call_in(&session, &age(now())));
}

#[test]
fn auth_04_a_reload_asks_for_more_at_once() {
    let scene = Scene::with(FRESH);
    let token = scene.draft("alice").claim("auth_time", now() - 60).sign();
    scene.permits(&call("echo").token(&token));
    scene
        .gateway
        .reload("max_age = \"1h\"", "acr = [\"gold\"], max_age = \"1h\"");
    let words = "acr_values=\"gold\", max_age=\"3600\", ";
    told(&scene, &call("echo").token(&token), ("acr", words));
    let gold = scene.draft("alice").claim("acr", "gold");
    scene.permits(&call("echo").token(&gold.claim("auth_time", now()).sign()));
}

/// Two servers behind one endpoint, of which one asks for more.
struct Both {
    gateway: Gateway,
    idp: Idp,
    notes: Upstream,
    bank: Upstream,
}

impl Both {
    fn start() -> Self {
        let (idp, notes, bank) = (Idp::start(), Upstream::start(), Upstream::start());
        let config = format!(
            "[issuers.idp]\nissuer = \"{}\"\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n\
             [servers.notes.tools.write_note]\nstep_up = {{ acr = [\"gold\"] }}\n\
             [servers.bank]\nurl = \"{}\"\nallow = [\"*\"]\nstep_up = {{ acr = [\"gold\"], max_age = \"1h\" }}\n",
            idp.issuer(),
            notes.url(),
            bank.url()
        );
        Self {
            gateway: Gateway::start(&config),
            idp,
            notes,
            bank,
        }
    }

    fn token(&self, acr: &str) -> String {
        let audience = format!("http://{}/mcp", self.gateway.address);
        let draft = self.idp.draft("alice", &audience);
        draft.claim("acr", acr).claim("auth_time", now()).sign()
    }

    fn send(&self, request: &Request) -> Response {
        request.clone().to("/mcp").send(self.gateway.address)
    }

    fn calls(&self) -> usize {
        let all = [&self.notes, &self.bank].map(Upstream::requests).concat();
        let is_call = |body: &String| body.contains("tools/call");
        all.iter().filter(|seen| is_call(&seen.body)).count()
    }

    fn told(&self, request: &Request, (server, words): (&str, &str)) {
        let before = self.calls();
        let response = self.send(request);
        assert_eq!(
            (response.status, response.code()),
            (401, 401),
            "{response:?}"
        );
        assert_eq!(response.challenge(), challenge(&self.gateway, "", words));
        let records = self.gateway.records("authn.step_up_required", Some("acr"));
        let record = records.last().expect("a record");
        assert_eq!(record["server"], server, "{record}");
        assert_eq!(
            record["detail"]["seen"]
                .as_str()
                .map(|seen| seen.starts_with("acr=bronze")),
            Some(true)
        );
        assert_eq!(self.calls(), before, "a server was reached");
    }
}

#[test]
fn auth_04_each_server_asks_for_its_own_at_the_endpoint_for_all() {
    let both = Both::start();
    let (weak, gold) = (both.token("bronze"), both.token("gold"));
    let (transfer, write) = (call("bank__echo"), call("notes__write_note"));
    let of_bank = ("bank", "acr_values=\"gold\", max_age=\"3600\", ");
    both.told(&transfer.clone().token(&weak), of_bank);
    both.told(
        &write.clone().token(&weak),
        ("notes", "acr_values=\"gold\", "),
    );
    let opened = both.send(&initialize(&weak));
    assert_eq!(opened.status, 200, "{opened:?}");
    let session = opened.header("mcp-session-id").expect("a session");
    let body = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"bank__echo","arguments":{}}}"#;
    both.told(&call_in(session, &weak).body(body), of_bank);
    let names = |token: &str| {
        let listed = both
            .send(&message("tools/list", json!({})).token(token))
            .body;
        ["notes__write_note", "bank__echo"].map(|name| listed.contains(name))
    };
    assert_eq!(
        names(&weak),
        [true, false],
        "a server that asks for more of everybody lists nothing"
    );
    assert_eq!(names(&gold), [true, true]);
    let reopened = both.send(&initialize(&gold));
    let session = reopened.header("mcp-session-id").expect("a session");
    for good in [
        transfer.token(&gold),
        write.token(&gold),
        call_in(session, &gold).body(body),
    ] {
        let answered = both.send(&good);
        assert_eq!((answered.status, answered.code()), (200, 0), "{answered:?}");
    }
}
