//! ATK-010: what one tenant is granted, whoever wrote the grant, opens nothing of another's.

use crate::harness::{
    Gateway, Idp, Request, Response, Upstream, call, call_in, initialize, message,
};
use serde_json::{Value, json};

/// Two tenants with a server each and one that they share; an issuer of both, and a server and an issuer of none.
const CONFIG: &str = r#"
[issuers.acme]
issuer = "{acme}"

[issuers.both]
issuer = "{both}"

[issuers.free]
issuer = "{free}"

[tenants.acme]
servers = ["notes", "clock"]
issuers = ["acme"]
members = { both = "org.id=17" }

[tenants.beta]
servers = ["files", "clock"]
members = { both = "org.id=18" }

[servers.notes]
url = "{upstream}"
allow = ["echo"]

[servers.files]
url = "{upstream}"

[servers.clock]
url = "{upstream}"
allow = ["*"]

[servers.open]
url = "{upstream}"
allow = ["*"]

[[grants]]
who = "role:admin"
allow = ["files__*", "notes__*", "open__*"]
"#;

struct Shared {
    gateway: Gateway,
    upstream: Upstream,
    acme: Idp,
    both: Idp,
    free: Idp,
}

impl Shared {
    fn new() -> Self {
        let (acme, both, free) = (Idp::start(), Idp::start(), Idp::start());
        let upstream = Upstream::start();
        let config = CONFIG
            .replace("{acme}", &acme.issuer())
            .replace("{both}", &both.issuer())
            .replace("{free}", &free.issuer())
            .replace("{upstream}", &upstream.url());
        Self {
            gateway: Gateway::start(&config),
            upstream,
            acme,
            both,
            free,
        }
    }

    fn send(&self, server: &str, request: &Request) -> Response {
        let request = request.clone().to(&format!("/servers/{server}/mcp"));
        request.send(self.gateway.address)
    }

    /// An administrator by the role in the token.
    fn of(&self, idp: &Idp, server: &str, org: Option<&str>) -> String {
        let draft = idp.draft("mallory", &self.gateway.url(server));
        let draft = draft.claim("roles", json!(["admin"]));
        match org {
            None => draft.sign(),
            Some(id) => draft.claim("org", json!({ "id": id })).sign(),
        }
    }

    fn refuses(&self, server: &str, request: &Request, rule: &str) {
        let before = self.upstream.requests().len();
        let response = self.send(server, request);
        assert_eq!((response.status, response.code()), (403, 403));
        assert_eq!(response.challenge(), "", "no scope would help");
        let record = self.gateway.record_of(&response);
        let told = (&record["event"], &record["reason"]);
        assert_eq!(told, (&json!("authz.deny"), &json!("tenant")), "{record}");
        assert_eq!(record["decision"]["rule"], rule, "{record}");
        assert_eq!(record["decision"]["effect"], "deny");
        assert_eq!(self.upstream.requests().len(), before, "it was reached");
    }

    fn permits(&self, server: &str, request: &Request) {
        let response = self.send(server, request);
        assert_eq!((response.status, response.code()), (200, 0), "{response:?}");
        let record = self.gateway.record_of(&response);
        assert_eq!(record["event"], "call.completed", "{record}");
    }
}

#[test]
fn authz_03_no_role_and_no_grant_reaches_over_to_another_tenant() {
    let shared = Shared::new();
    let (acme, both, free) = (&shared.acme, &shared.both, &shared.free);
    for (server, idp, org, rule) in [
        ("files", acme, None, "tenant:acme"),
        ("files", both, Some("17"), "tenant:acme"),
        ("notes", both, Some("18"), "tenant:beta"),
        ("notes", free, None, "tenant:none"),
        ("clock", free, None, "tenant:none"),
        ("open", acme, None, "tenant:acme"),
        ("open", both, Some("18"), "tenant:beta"),
    ] {
        let token = shared.of(idp, server, org);
        for request in [
            call("echo").token(&token),
            message("tools/list", json!({})).token(&token),
            initialize(&token),
        ] {
            shared.refuses(server, &request, rule);
        }
    }
    // Each in their own, where the same grants count, and in what they share.
    for (server, idp, org) in [
        ("notes", acme, None),
        ("notes", both, Some("17")),
        ("files", both, Some("18")),
        ("clock", acme, None),
        ("clock", both, Some("18")),
        ("open", free, None),
    ] {
        let token = shared.of(idp, server, org);
        shared.permits(server, &call("echo").token(&token));
    }
    let token = shared.of(acme, "notes", None);
    shared.permits("notes", &call("delete_all").token(&token));
}

#[test]
fn authz_03_a_token_that_does_not_say_whose_it_is_is_nobodys() {
    let shared = Shared::new();
    let strange = [None, Some("19"), Some("")];
    for (server, org) in ["notes", "files", "clock", "open"]
        .into_iter()
        .flat_map(|server| strange.map(|org| (server, org)))
    {
        let token = shared.of(&shared.both, server, org);
        let response = shared.send(server, &call("echo").token(&token));
        assert_eq!(response.status, 401, "{server} {org:?}");
        let record = shared.gateway.record_of(&response);
        let told = (&record["event"], &record["reason"]);
        assert_eq!(told, (&json!("authn.reject"), &json!("claim")), "{record}");
    }
    // What an issuer of one tenant says of another changes nothing.
    let token = shared.of(&shared.acme, "files", Some("18"));
    shared.refuses("files", &call("echo").token(&token), "tenant:acme");
    let token = shared.of(&shared.both, "files", Some("18"));
    shared.permits("files", &call("echo").token(&token));
}

#[test]
fn authz_03_all_servers_together_are_those_of_the_tenant() {
    let shared = Shared::new();
    let audience = format!("http://{}/mcp", shared.gateway.address);
    let token = |idp: &Idp, org: &str| {
        let draft = idp.draft("mallory", &audience);
        let draft = draft.claim("roles", json!(["admin"]));
        draft.claim("org", json!({ "id": org })).sign()
    };
    let send = |request: Request| request.to("/mcp").send(shared.gateway.address);
    let servers = |token: &str| {
        let listed = send(message("tools/list", json!({})).token(token)).json();
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        let names = tools.iter().filter_map(|tool| tool["name"].as_str());
        let mut servers: Vec<String> = names
            .filter_map(|name| Some(name.split_once("__")?.0.to_owned()))
            .collect();
        servers.sort();
        servers.dedup();
        servers
    };
    for (idp, org, expected) in [
        (&shared.acme, "", ["clock", "notes"].as_slice()),
        (&shared.both, "17", &["clock", "notes"]),
        (&shared.both, "18", &["clock", "files"]),
        (&shared.free, "", &["open"]),
    ] {
        assert_eq!(servers(&token(idp, org)), expected, "{org}");
    }
    let beta = token(&shared.both, "18");
    let over = send(call("notes__delete_all").token(&beta));
    assert_eq!(over.code(), 403, "{over:?}");
    let denied = shared.gateway.expect("authz.deny", Some("tenant"));
    assert_eq!(denied["server"], "notes", "{denied}");
    assert_eq!(denied["decision"]["rule"], "tenant:beta");
    let own = send(call("files__delete_all").token(&beta));
    assert_eq!((own.status, own.code()), (200, 0), "{own:?}");
}

#[test]
fn authz_03_a_server_that_goes_to_another_tenant_is_closed_to_the_first_at_once() {
    let shared = Shared::new();
    let token = shared.of(&shared.acme, "notes", None);
    let opened = shared.send("notes", &initialize(&token));
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    shared.permits("notes", &call_in(&session, &token));
    let request = Request::in_session("GET", &session).token(&token);
    let mut stream = request.open(shared.gateway.address);
    shared.upstream.notify("ev-1", "for-acme");
    stream.until("for-acme").expect("it is theirs");
    shared
        .gateway
        .reload("servers = [\"notes\", \"clock\"]", "servers = [\"clock\"]");
    shared.upstream.notify("ev-2", "secret-of-beta");
    assert!(stream.until("secret-of-beta").is_none(), "it was passed on");
    shared.refuses("notes", &call_in(&session, &token), "tenant:acme");
    let told: Vec<Value> = shared.gateway.records("authz.deny", Some("tenant"));
    assert!(!told.is_empty());
    let token = shared.of(&shared.free, "notes", None);
    shared.permits("notes", &call("echo").token(&token));
}
