//! ATK-010 and its like against those who operate: a token for servers at the admin API, a role that is not theirs, another
//! tenant's administrator, one person for two.

use crate::harness::{
    AMPLE, Gateway, Idp, Kept, Key, Request, Response, Upstream, call, call_in, free_port,
    initialize, message, next_second, portcullis, wait_for,
};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Two tenants, a server of none, and operators of every kind.
const CONFIG: &str = r#"
[issuers.idp]
issuer = "{idp}"

[issuers.beta]
issuer = "{beta}"

[tenants.beta]
servers = ["files"]
issuers = ["beta"]

[servers.notes]
url = "{upstream}"
issuers = ["idp"]
allow = ["echo"]

[servers.files]
url = "{upstream}"
allow = ["echo"]

[servers.notes.tools.delete_all]
elevation = "1h"

[servers.files.tools.delete_all]
elevation = "1h"

[[grants]]
who = "user:alice"
allow = ["notes__write_note"]

[[grants]]
who = "role:cleaner"
allow = ["notes__delete_all", "files__delete_all"]

[review]
issuer = "idp"
reviewers = ["role:chief"]
within = "14d"

[admin]
listen = "127.0.0.1:{port}"
issuers = ["idp", "beta"]
scopes = ["gate"]
{more}

[[admin.roles]]
role = "viewer"
who = ["user:vic"]

[[admin.roles]]
role = "viewer"
who = ["user:alice"]

[[admin.roles]]
role = "operator"
who = ["user:oli"]

[[admin.roles]]
role = "approver"
who = ["role:chief"]

[[admin.roles]]
role = "auditor"
who = ["user:aud"]

[[admin.roles]]
role = "admin"
who = ["role:boss"]

[[admin.roles]]
role = "operator"
who = ["user:tess"]
tenant = "beta"
"#;

/// A second tenant at a server, and who approves for the first.
const TWO: &str = r#"
[tenants.acme]
servers = ["files"]
issuers = ["idp"]

[[admin.roles]]
role = "approver"
who = ["role:second"]
tenant = "beta"
"#;

struct Office {
    gateway: Gateway,
    api: SocketAddr,
    idp: Idp,
    beta: Idp,
    _upstream: Upstream,
}

impl Office {
    fn new() -> Self {
        Self::with("")
    }

    fn with(more: &str) -> Self {
        let (idp, beta, upstream) = (Idp::start(), Idp::start(), Upstream::start());
        let port = free_port();
        let config = CONFIG
            .replace("{idp}", &idp.issuer())
            .replace("{beta}", &beta.issuer())
            .replace("{upstream}", &upstream.url())
            .replace("{port}", &port.to_string())
            .replace("{more}", more);
        let gateway = Gateway::start(&format!("{config}{AMPLE}"));
        Self {
            gateway,
            api: SocketAddr::from(([127, 0, 0, 1], port)),
            idp,
            beta,
            _upstream: upstream,
        }
    }

    fn audience(&self) -> String {
        format!("http://{}/api", self.api)
    }

    fn draft(&self, subject: &str) -> crate::harness::Draft {
        let draft = self.idp.draft(subject, &self.audience());
        draft.claim("scope", "gate")
    }

    fn token(&self, subject: &str) -> String {
        self.draft(subject).sign()
    }

    fn chief(&self, subject: &str) -> String {
        self.draft(subject).claim("roles", json!(["chief"])).sign()
    }

    fn send(&self, request: &Request) -> Response {
        request.send(self.api)
    }

    fn get(&self, path: &str, token: &str) -> Response {
        self.send(&Request::new("GET", path).token(token))
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> Response {
        let request = Request::new("POST", path).token(token);
        self.send(
            &request
                .set("content-type", "application/json")
                .body(&body.to_string()),
        )
    }

    /// Must be refused so, as a problem, and recorded so.
    fn refused(&self, response: &Response, status: u16, (event, reason): (&str, &str)) -> Value {
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(response.json()["status"], status);
        let record = self.gateway.record_of(response);
        let told = (&record["event"], &record["reason"]);
        assert_eq!(told, (&json!(event), &json!(reason)), "{record}");
        assert_eq!(record["outcome"]["status"], status, "{record}");
        record
    }

    /// Must be done, and recorded with who, role and what.
    fn done(&self, response: &Response, (subject, rule): (&str, &str)) -> Value {
        assert!((200..300).contains(&response.status), "{response:?}");
        let record = self.gateway.record_of(response);
        assert_eq!(record["event"], "admin.done", "{record}");
        assert_eq!(record["principal"]["sub"], subject);
        assert_eq!(record["decision"]["rule"], rule, "{record}");
        assert_eq!(record["outcome"]["status"], response.status);
        record
    }
}

#[test]
fn authz_03_tokens_for_servers_open_nothing_of_operators_and_the_other_way_round() {
    let office = Office::new();
    let path = "/api/v1/servers";
    for audience in [
        office.gateway.url("notes"),
        format!("http://{}/mcp", office.gateway.address),
        format!("http://{}", office.api),
    ] {
        let token = office.idp.draft("vic", &audience).claim("scope", "gate");
        let token = token.claim("roles", json!(["admin", "boss"])).sign();
        let refused = office.get(path, &token);
        office.refused(&refused, 401, ("admin.rejected", "audience"));
        assert!(refused.challenge().contains("error=\"invalid_token\""));
        let metadata = format!(
            "http://{}/.well-known/oauth-protected-resource/api",
            office.api
        );
        assert!(refused.challenge().contains(&metadata), "{refused:?}");
    }
    let missing = office.send(&Request::new("GET", path));
    office.refused(&missing, 401, ("admin.rejected", "missing"));
    // Who is not known does not learn which paths there are.
    let nowhere = office.send(&Request::new("GET", "/api/v1/nowhere"));
    office.refused(&nowhere, 401, ("admin.rejected", "missing"));
    let strange = Idp::start();
    let strange = strange
        .draft("vic", &office.audience())
        .claim("scope", "gate");
    let strange = office.get(path, &strange.sign());
    office.refused(&strange, 401, ("admin.rejected", "issuer"));

    let token = office.draft("vic").claim("roles", json!(["boss"])).sign();
    let at_server = call("echo").token(&token).send(office.gateway.address);
    assert_eq!(at_server.status, 401, "{at_server:?}");
    let record = office.gateway.record_of(&at_server);
    assert_eq!(record["reason"], "audience", "{record}");

    let listed = office.get(path, &office.token("vic"));
    let record = office.done(&listed, ("vic", "role:viewer"));
    assert_eq!(record["method"], "GET /api/v1/servers");
    let names: Vec<Value> = listed.json()["servers"].as_array().unwrap().clone();
    assert_eq!(names.len(), 2, "{listed:?}");
    let own = office.idp.draft("vic", &office.gateway.url("notes")).sign();
    let at_server = call("echo").token(&own).send(office.gateway.address);
    assert_eq!(at_server.status, 200);
    let public = office.send(&Request::new(
        "GET",
        "/.well-known/oauth-protected-resource/api",
    ));
    assert_eq!(public.json()["resource"], office.audience());
}

#[test]
fn authz_03_each_role_does_what_is_its_own_and_nobody_is_what_no_row_says() {
    let office = Office::new();
    let boss = office.draft("amy").claim("roles", json!(["boss"])).sign();
    let (vic, oli, aud) = (
        office.token("vic"),
        office.token("oli"),
        office.token("aud"),
    );
    let (chief, eve) = (office.chief("pat"), office.token("eve"));
    let named = office
        .draft("eve")
        .claim("roles", json!(["admin", "operator"]))
        .sign();
    let rules = [
        "/api/v1/policy",
        "/api/v1/keys",
        "/api/v1/audit/records",
        "/api/v1/health",
    ];
    for (token, may) in [
        (&vic, [true, true, false, true]),
        (&oli, [true, true, false, true]),
        (&chief, [true, false, false, false]),
        (&aud, [true, false, true, false]),
        (&boss, [true, true, false, true]),
        (&eve, [false; 4]),
        // What a token calls a role is none here.
        (&named, [false; 4]),
    ] {
        for (path, may) in rules.iter().zip(may) {
            let asked = office.get(path, token);
            if may {
                assert_eq!(asked.status, 200, "{path} {asked:?}");
            } else {
                let record = office.refused(&asked, 403, ("admin.denied", "role"));
                assert_eq!(record["decision"]["effect"], "deny");
                assert!(record["principal"]["sub"].is_string(), "{record}");
            }
        }
    }
    let body = json!({ "kind": "subject", "issuer": office.idp.issuer(), "name": "mallory" });
    for token in [&vic, &chief, &aud, &eve] {
        let asked = office.post("/api/v1/revocations", token, &body);
        office.refused(&asked, 403, ("admin.denied", "role"));
    }
    let rotated = office.post("/api/v1/keys/assertion/rotation", &oli, &json!({}));
    office.refused(&rotated, 403, ("admin.denied", "role"));
    let without = office.idp.draft("vic", &office.audience()).sign();
    let without = office.get("/api/v1/policy", &without);
    office.refused(&without, 403, ("admin.denied", "scope"));
    assert!(without.challenge().contains("insufficient_scope"));
    let made = office.post("/api/v1/revocations", &oli, &body);
    let record = office.done(&made, ("oli", "role:operator"));
    assert_eq!(made.status, 201);
    assert!(
        record["target"].as_str().unwrap().contains("mallory"),
        "{record}"
    );
}

#[test]
fn authz_03_an_operator_of_one_tenant_reaches_nothing_of_another() {
    let office = Office::new();
    let tess = office.token("tess");
    let boss_of_beta = office.beta.draft("amy", &office.audience());
    let boss_of_beta = boss_of_beta
        .claim("scope", "gate")
        .claim("roles", json!(["boss"]));
    let boss_of_beta = boss_of_beta.sign();
    let own = |idp: &Idp, server: &str| {
        let token = idp.draft("alice", &office.gateway.url(server)).sign();
        let first = initialize(&token).to(&format!("/servers/{server}/mcp"));
        let opened = first.send(office.gateway.address);
        assert_eq!(opened.status, 200, "{opened:?}");
        (token, opened.header("mcp-session-id").unwrap().to_owned())
    };
    let (_, of_beta) = own(&office.beta, "files");
    let (alice, of_none) = own(&office.idp, "notes");
    // The row that names no tenant is not over more than the caller's own.
    for token in [&tess, &boss_of_beta] {
        let servers = office.get("/api/v1/servers", token).json();
        let names: Vec<&Value> = servers["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["files"], "{servers}");
        let other = office.get("/api/v1/servers/notes", token);
        office.refused(&other, 404, ("admin.failed", "not_found"));
        let whole = office.get("/api/v1/health", token);
        office.refused(&whole, 403, ("admin.denied", "tenant"));
        let sessions = office.get("/api/v1/sessions", token).json();
        assert_eq!(
            sessions["sessions"].as_array().unwrap().len(),
            1,
            "{sessions}"
        );
        assert_eq!(sessions["sessions"][0]["tenant"], "beta");
    }
    let vic = office
        .get("/api/v1/sessions?server=notes", &office.token("vic"))
        .json();
    let id = vic["sessions"][0]["session"].as_str().unwrap().to_owned();
    let end = |id: &str, token: &str| {
        let request = Request::new("DELETE", &format!("/api/v1/sessions/{id}"));
        office.send(&request.token(token))
    };
    office.refused(&end(&id, &tess), 404, ("admin.failed", "not_found"));
    let issuer = office.idp.issuer();
    let body = json!({ "kind": "subject", "issuer": issuer, "name": "alice" });
    let revoked = office.post("/api/v1/revocations", &tess, &body);
    office.refused(&revoked, 404, ("admin.failed", "not_found"));
    let goes_on = call_in(&of_none, &alice).send(office.gateway.address);
    assert_eq!(goes_on.status, 200, "{goes_on:?}");
    // What is theirs, and whoever is over everything.
    let beta = office.get("/api/v1/sessions", &tess).json();
    let own = beta["sessions"][0]["session"].as_str().unwrap();
    office.done(&end(own, &tess), ("tess", "role:operator"));
    let ended = office
        .gateway
        .expect("session.terminated", Some("operator"));
    assert_eq!(ended["session"], own, "{ended} {of_beta}");
    office.done(&end(&id, &office.token("oli")), ("oli", "role:operator"));
    let over = call_in(&of_none, &alice).send(office.gateway.address);
    assert_eq!(over.status, 404, "{over:?}");
    let body = json!({ "kind": "subject", "issuer": office.beta.issuer(), "name": "alice" });
    office.done(
        &office.post("/api/v1/revocations", &tess, &body),
        ("tess", "role:operator"),
    );
}

#[test]
fn auth_03_agents_are_revoked_and_reinstated_by_the_name_that_records_have() {
    let home = tempfile::tempdir().unwrap();
    let jwks = home.path().join("jwks.json");
    let keys = json!({ "keys": [Key::ec("1").jwk()] });
    std::fs::write(&jwks, keys.to_string()).unwrap();
    let office = Office::with(&format!(
        "[issuers.local]\nembedded = true\n[authority.clients.agent]\n\
grant_types = [\"client_credentials\"]\njwks = '{}'\n",
        jwks.display()
    ));
    let agents = "urn:portcullis:clients";
    let body = json!({ "kind": "subject", "issuer": agents, "name": "agent" });
    let tess = office.draft("tess").sign();
    let (revocations, back) = ("/api/v1/revocations", "/api/v1/reinstatements");
    // Whoever is over a tenant is not over agents.
    let refused = office.post(revocations, &tess, &body);
    office.refused(&refused, 404, ("admin.failed", "not_found"));
    let oli = office.token("oli");
    let slip = json!({ "kind": "subject", "issuer": "urn:portcullis:client", "name": "agent" });
    let slipped = office.post(revocations, &oli, &slip);
    office.refused(&slipped, 404, ("admin.failed", "not_found"));
    assert_eq!(office.post(revocations, &oli, &body).status, 201);
    office.gateway.expect("access.revoked", None);
    let back = office.post(back, &oli, &body);
    assert_eq!(back.status, 200, "{back:?}");
    office.gateway.expect("access.reinstated", None);
    for (issuer, is_known) in [(agents, true), ("urn:portcullis:client", false)] {
        for command in ["revoke", "reinstate"] {
            let whom = ["--issuer", issuer, "--subject", "agent"];
            let ran = office.gateway.asked(command, &whom);
            assert_eq!(ran.status.success(), is_known, "{command} {ran:?}");
        }
    }
}

#[test]
fn authz_05_a_review_through_the_api_needs_two_people_as_well() {
    let office = Office::new();
    let started = office.post("/api/v1/reviews", &office.chief("ann"), &json!({}));
    office.done(&started, ("ann", "role:approver"));
    let grants = office.get("/api/v1/grants", &office.token("vic")).json();
    let grants = grants["grants"].as_array().unwrap().clone();
    let written = grants
        .iter()
        .find(|one| one["who"] == "user:alice")
        .unwrap();
    let id = written["id"].as_str().unwrap();
    let path = "/api/v1/reviews/1/decisions";
    let body = json!({ "revoke": [id], "reason": "unused" });
    for (token, reason) in [
        (office.chief("ann"), "starter"),
        (office.chief("alice"), "own_access"),
    ] {
        let refused = office.post(path, &token, &body);
        office.refused(&refused, 403, ("admin.denied", "second_person"));
        office.gateway.expect("access.review_refused", Some(reason));
    }
    let operator = office.post(path, &office.token("oli"), &body);
    office.refused(&operator, 403, ("admin.denied", "role"));
    let alice = office
        .idp
        .draft("alice", &office.gateway.url("notes"))
        .sign();
    let write = || {
        call("write_note")
            .token(&alice)
            .send(office.gateway.address)
    };
    assert_eq!(write().status, 200);
    let bea = office.chief("bea");
    let decided = office.post(path, &bea, &body);
    office.done(&decided, ("bea", "role:approver"));
    wait_for("access to end", || (write().status == 403).then_some(()));
    let again = office.post(path, &bea, &json!({ "keep": [id] }));
    office.refused(&again, 403, ("admin.denied", "second_person"));
    office
        .gateway
        .expect("access.review_refused", Some("replayed"));
    let review = office.get("/api/v1/review", &office.token("aud")).json();
    assert_eq!(review["by"], "ann", "{review}");
}

#[test]
fn authz_03_the_api_looks_and_acts_as_the_commands_do() {
    let office = Office::new();
    let (vic, oli, aud) = (
        office.token("vic"),
        office.token("oli"),
        office.token("aud"),
    );
    let boss = office.draft("amy").claim("roles", json!(["boss"])).sign();
    let issuer = office.idp.issuer();
    let whom = json!({ "kind": "subject", "issuer": issuer, "name": "mallory" });
    assert_eq!(office.post("/api/v1/revocations", &oli, &whom).status, 201);
    let mallory = office
        .idp
        .draft("mallory", &office.gateway.url("notes"))
        .sign();
    let asks = || call("echo").token(&mallory).send(office.gateway.address);
    wait_for("the revocation", || (asks().status == 401).then_some(()));
    let listed = office.get("/api/v1/revocations", &vic).json();
    let by_command = office.gateway.runs("revocations", &["--json"]);
    let by_command: Value = serde_json::from_slice(&by_command.stdout).unwrap();
    assert_eq!(listed["revocations"], by_command);
    assert_eq!(listed["revocations"][0]["by"], format!("oli of {issuer}"));
    assert_eq!(
        office.post("/api/v1/reinstatements", &oli, &whom).status,
        200
    );
    wait_for("the reinstatement", || (asks().status == 200).then_some(()));

    let found = office
        .get("/api/v1/audit/records?event=admin.&limit=1", &aud)
        .json();
    let newest = found["records"][0]["seq"].as_u64().unwrap();
    let next = found["next"].as_u64().unwrap();
    assert!(next <= newest, "{found}");
    let older = office
        .get(
            &format!("/api/v1/audit/records?event=admin.&limit=1&before={next}"),
            &aud,
        )
        .json();
    assert!(
        older["records"][0]["seq"].as_u64().unwrap() < newest,
        "{older}"
    );
    let note = wait_for("a checkpoint", || {
        let asked = office.get("/api/v1/audit/checkpoint", &aud);
        (asked.status == 200).then(|| asked.json())
    });
    assert!(
        note["checkpoint"].as_str().unwrap().contains("— "),
        "{note}"
    );
    let keys = office.get("/api/v1/keys", &vic).json();
    let data = office.gateway.data().display().to_string();
    let by_command = portcullis(&["keys", "list", "--json", "--data", &data]);
    let by_command: Value = serde_json::from_slice(&by_command.stdout).unwrap();
    assert_eq!(keys["keys"], by_command);
    assert!(
        keys["keys"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["key"] == "audit")
    );
    assert!(!keys.to_string().contains("PRIVATE"));
    let unknown = office.post("/api/v1/keys/wrapping/rotation", &boss, &json!({}));
    office.refused(&unknown, 404, ("admin.failed", "not_found"));

    let reloads = office.gateway.records("config.reloaded", None).len();
    let asked = office.send(&Request::new("POST", "/api/v1/configuration/reload").token(&oli));
    assert_eq!(asked.status, 202, "{asked:?}");
    wait_for("the reload", || {
        (office.gateway.records("config.reloaded", None).len() > reloads).then_some(())
    });
    let document = office.get("/api/v1/openapi.json", &aud);
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin-api.json");
    let committed: Value =
        serde_json::from_str(&std::fs::read_to_string(committed).unwrap()).unwrap();
    assert_eq!(
        document.json(),
        committed,
        "write what is served here: {}",
        document.body
    );
    for (request, status, event) in [
        (
            Request::new("GET", "/api/v1/nowhere"),
            404,
            ("admin.rejected", "path"),
        ),
        (
            Request::new("PUT", "/api/v1/servers"),
            405,
            ("admin.rejected", "method"),
        ),
        (
            Request::new("GET", "/api/v1/servers?x=1"),
            400,
            ("admin.failed", "unreadable"),
        ),
        (
            Request::new("GET", "/api/v1/servers?limit=0"),
            400,
            ("admin.failed", "unreadable"),
        ),
        (
            Request::new("GET", "/api/v1/servers?limit=1&limit=2"),
            400,
            ("admin.failed", "unreadable"),
        ),
        (
            Request::new("GET", "/api/v1/servers").set("host", "evil.example"),
            403,
            ("admin.rejected", "host"),
        ),
        (
            Request::new("GET", "/api/v1/servers").set("origin", "https://evil.example"),
            403,
            ("admin.rejected", "origin"),
        ),
    ] {
        office.refused(&office.send(&request.token(&vic)), status, event);
    }
    let broken = Request::new("POST", "/api/v1/revocations").token(&oli);
    let broken = broken.set("content-type", "application/json");
    for body in [
        "{",
        "[]",
        "{\"kind\":\"subject\"}",
        "{\"kind\":\"x\",\"issuer\":\"a\",\"name\":\"b\"}",
        "{\"kind\":\"subject\",\"kind\":\"token\",\"issuer\":\"a\",\"name\":\"b\"}",
    ] {
        let refused = office.send(&broken.clone().body(body));
        office.refused(&refused, 400, ("admin.failed", "unreadable"));
    }
}

/// A caller at a server whom rules permit the privileged tool.
/// What the command says of the same, by the file.
fn told_by_command(office: &Office, arguments: &[&str]) -> Value {
    let path = office.gateway.config();
    let (path, data) = (path.display().to_string(), office.gateway.data());
    let data = data.display().to_string();
    let place = [
        "policy", "explain", "--json", "--config", &path, "--data", &data,
    ];
    let told = portcullis(&[&place, arguments].concat());
    serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{told:?}"))
}

#[test]
fn authz_05_the_api_explains_by_the_rules_that_are_in_force_as_the_command_does() {
    let office = Office::new();
    let (vic, aud) = (office.token("vic"), office.token("aud"));
    let explain =
        |question: &Value, token: &str| office.post("/api/v1/policy/explanations", token, question);
    let of =
        |user: &str| json!({ "server": "notes", "who": { "user": user }, "tool": "write_note" });
    let denied = explain(&of("mallory"), &vic);
    let record = office.done(&denied, ("vic", "role:viewer"));
    assert_eq!(record["target"], "notes", "{record}");
    let told = denied.json();
    assert_eq!(told["verdict"]["reason"], "no_rule", "{told}");
    assert_eq!(told["near"][0]["who"], "user:alice", "{told}");
    let flags = ["--server", "notes", "--tool", "write_note", "--user"];
    assert_eq!(
        told,
        told_by_command(&office, &[&flags[..], &["mallory"]].concat())
    );
    let told = explain(&of("alice"), &vic).json();
    assert_eq!(told["verdict"]["effect"], "allow", "{told}");
    assert_eq!(
        told,
        told_by_command(&office, &[&flags[..], &["alice"]].concat())
    );

    // A record: only who reads the log may have it explained.
    let token = office
        .idp
        .draft("mallory", &office.gateway.url("notes"))
        .sign();
    let request = call("write_note").token(&token);
    let refused = request.send(office.gateway.address);
    assert_eq!(refused.status, 403, "{refused:?}");
    let trace = office.gateway.record_of(&refused)["trace"].clone();
    let trace = trace.as_str().unwrap();
    let path = format!("/api/v1/audit/records/{trace}/explanation");
    let asked = office.post(&path, &vic, &json!({}));
    office.refused(&asked, 403, ("admin.denied", "role"));
    let asked = office.post(&path, &aud, &json!({}));
    office.done(&asked, ("aud", "role:auditor"));
    let told = asked.json();
    assert_eq!(told["record"]["event"], "authz.deny", "{told}");
    assert_eq!(told["today"]["verdict"]["reason"], "no_rule", "{told}");
    assert_eq!(told, told_by_command(&office, &["--id", trace]));
    let as_cleaner = json!({ "roles": ["cleaner"] });
    let told = office.post(&path, &aud, &as_cleaner).json();
    assert_eq!(told["alike"], true, "{told}");
    let nothing = format!("/api/v1/audit/records/{}/explanation", "0".repeat(32));
    let nothing = office.post(&nothing, &aud, &json!({}));
    office.refused(&nothing, 404, ("admin.failed", "not_found"));

    // What cannot be asked, and who may not ask.
    for wrong in [
        json!({ "server": "nobody", "tool": "echo" }),
        json!({ "server": "notes" }),
        json!({ "server": "notes", "tool": "echo", "who": { "claims": { "iss": "x" } } }),
        json!({ "server": "notes", "tool": "echo", "anomaly": 101 }),
        json!({ "server": "notes", "tool": "echo", "secret": "x" }),
    ] {
        office.refused(&explain(&wrong, &vic), 400, ("admin.failed", "unreadable"));
    }
    let asked = explain(&of("alice"), &office.token("eve"));
    office.refused(&asked, 403, ("admin.denied", "role"));
    let asked = explain(&of("alice"), &office.token("tess"));
    office.refused(&asked, 403, ("admin.denied", "tenant"));

    // What the file says is not in force before it was read.
    let path = office.gateway.config();
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "who = \"user:alice\"\nallow = [\"notes__write",
        "who = \"user:mallory\"\nallow = [\"notes__write",
    );
    std::fs::write(&path, format!("{text}\nbroken")).unwrap();
    office.gateway.expect("config.rejected", None);
    assert_eq!(
        explain(&of("mallory"), &vic).json()["verdict"]["effect"],
        "deny"
    );
    std::fs::write(&path, text).unwrap();
    office.gateway.expect("config.reloaded", None);
    assert_eq!(
        explain(&of("mallory"), &vic).json()["verdict"]["effect"],
        "allow"
    );
    assert_eq!(
        explain(&of("alice"), &vic).json()["verdict"]["effect"],
        "deny"
    );
    office.gateway.expect("admin.done", None);
    assert_eq!(request.send(office.gateway.address).status, 200);
}

fn cleaner(office: &Office, idp: &Idp, subject: &str, server: &str) -> Request {
    let token = idp.draft(subject, &office.gateway.url(server));
    let token = token.claim("roles", json!(["cleaner"])).sign();
    let path = format!("/servers/{server}/mcp");
    call("delete_all").token(&token).to(&path)
}

/// Must be refused for want of an elevation, and recorded so.
fn is_low(office: &Office, request: &Request) {
    let refused = request.send(office.gateway.address);
    assert_eq!((refused.status, refused.code()), (403, 403), "{refused:?}");
    let told = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(told.contains("ask for one through the admin API"), "{told}");
    let record = office.gateway.record_of(&refused);
    let told = (&record["event"], &record["reason"]);
    assert_eq!(
        told,
        (&json!("authz.deny"), &json!("elevation")),
        "{record}"
    );
    assert_eq!(record["decision"]["rule"], "elevation:delete_all");
}

#[test]
fn tok_16_a_privileged_tool_needs_an_elevation_that_somebody_else_has_approved() {
    let mut office = Office::new();
    let alice = cleaner(&office, &office.idp, "alice", "notes");
    let bob = cleaner(&office, &office.idp, "bob", "notes");
    is_low(&office, &alice);
    let wish = json!({ "server": "notes", "tool": "delete_all", "reason": "spring" });
    let asked = office.post("/api/v1/elevations", &office.token("alice"), &wish);
    office.done(&asked, ("alice", "role:viewer"));
    let requested = office.gateway.expect("elevation.requested", None);
    assert_eq!(requested["principal"]["sub"], "alice", "{requested}");
    assert_eq!(requested["detail"]["why"], "spring");
    is_low(&office, &alice);
    // Nobody for themselves, and nobody who is no approver.
    let path = "/api/v1/elevations/1/decision";
    let yes = json!({ "approve": true, "seconds": 4 });
    let own = office.post(path, &office.chief("alice"), &yes);
    office.refused(&own, 403, ("admin.denied", "second_person"));
    for other in ["oli", "vic", "aud", "alice"] {
        let refused = office.post(path, &office.token(other), &yes);
        office.refused(&refused, 403, ("admin.denied", "role"));
    }
    is_low(&office, &alice);
    let approved = office.post(path, &office.chief("pat"), &yes);
    office.done(&approved, ("pat", "role:approver"));
    let recorded = office.gateway.expect("elevation.approved", None);
    assert_eq!(recorded["principal"]["sub"], "pat", "{recorded}");
    assert_eq!(recorded["detail"]["for"], "alice");
    assert!(recorded["detail"]["until"].as_str().unwrap().ends_with('Z'));
    let calls = |request: &Request, office: &Office| request.send(office.gateway.address).status;
    wait_for("the elevation", || {
        (calls(&alice, &office) == 200).then_some(())
    });
    is_low(&office, &bob);
    let again = office.post(path, &office.chief("zoe"), &json!({ "approve": true }));
    office.refused(&again, 409, ("admin.failed", "conflict"));
    // It ends by itself.
    wait_for("its end", || (calls(&alice, &office) == 403).then_some(()));
    is_low(&office, &alice);
    // Who is refused is not raised; who is raised stays so through a restart.
    office.post("/api/v1/elevations", &office.token("alice"), &wish);
    let no = json!({ "approve": false });
    let refused = office.post("/api/v1/elevations/2/decision", &office.chief("pat"), &no);
    office.done(&refused, ("pat", "role:approver"));
    office.gateway.expect("elevation.refused", None);
    is_low(&office, &alice);
    office.post("/api/v1/elevations", &office.token("alice"), &wish);
    let long = json!({ "approve": true });
    office.post("/api/v1/elevations/3/decision", &office.chief("pat"), &long);
    wait_for("the elevation", || {
        (calls(&alice, &office) == 200).then_some(())
    });
    office.gateway.restart();
    assert_eq!(calls(&alice, &office), 200);
    office
        .gateway
        .reload("within = \"14d\"", "within = \"15d\"");
    assert_eq!(calls(&alice, &office), 200);
    is_low(&office, &bob);
}

#[test]
fn authz_03_a_row_that_is_inserted_above_the_boundary_gives_nothing() {
    let office = Office::new();
    let state = office.gateway.data().join("state.db");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // As whoever can write to the database would: approved, by nobody who may.
    runtime.block_on(async {
        let durable = portcullis_state::Durable::open(&state).await.unwrap();
        let now = portcullis_core::time::Timestamp::from_seconds(crate::harness::now());
        for (subject, server) in [("alice", "files"), ("mallory", "notes"), ("alice", "notes")] {
            let person = portcullis_state::Person {
                issuer: office.idp.issuer(),
                subject: subject.to_owned(),
            };
            let new = portcullis_state::NewElevation {
                person: person.clone(),
                server: server.to_owned(),
                tool: "delete_all".to_owned(),
                tenant: None,
                why: None,
            };
            let number = durable.ask_elevation(new, now).await.unwrap();
            let until = now.plus(std::time::Duration::from_hours(1));
            let yes = portcullis_state::Approval::Approve(until);
            durable
                .decide_elevation(number, yes, person, now)
                .await
                .unwrap();
        }
    });
    let own = cleaner(&office, &office.idp, "alice", "notes");
    wait_for("the rows", || {
        (own.send(office.gateway.address).status == 200).then_some(())
    });
    let over = cleaner(&office, &office.idp, "alice", "files").send(office.gateway.address);
    assert_eq!(over.status, 403, "{over:?}");
    let record = office.gateway.record_of(&over);
    assert_eq!(record["reason"], "tenant", "{record}");
    // What no rule permits, an elevation does not either.
    let token = office
        .idp
        .draft("mallory", &office.gateway.url("notes"))
        .sign();
    let nothing = call("delete_all")
        .token(&token)
        .send(office.gateway.address);
    assert_eq!(nothing.status, 403, "{nothing:?}");
    assert_eq!(office.gateway.record_of(&nothing)["reason"], "no_rule");
}

#[test]
fn authz_03_the_api_counts_requests_and_takes_bound_tokens_with_their_proof_only() {
    let office = Office::with("requests_per_minute = 3\ndpop = \"required\"");
    let path = "/api/v1/servers";
    let key = Key::ec("operator");
    let bound = office
        .draft("vic")
        .claim("cnf", json!({ "jkt": key.thumbprint() }))
        .sign();
    let url = format!("http://{}{path}", office.api);
    let proof = |url: &str| crate::harness::Draft::proof(&key, ("GET", url), &bound).sign();
    let plain = office.get(path, &office.token("vic"));
    assert_eq!(plain.status, 401, "{plain:?}");
    let other = Request::new("GET", path).bound(&bound, &proof(&format!("{url}x")));
    office.refused(&office.send(&other), 401, ("admin.rejected", "dpop_htu"));
    let once = Request::new("GET", path).bound(&bound, &proof(&url));
    assert_eq!(office.send(&once).status, 200);
    office.refused(&office.send(&once), 401, ("admin.rejected", "dpop_replay"));
    let ask = || office.send(&Request::new("GET", path).bound(&bound, &proof(&url)));
    assert_eq!((ask().status, ask().status), (200, 200));
    let over = ask();
    office.refused(&over, 429, ("ratelimit.triggered", "principal"));
    assert!(over.header("retry-after").is_some());
    let server = office.idp.draft("vic", &office.gateway.url("notes")).sign();
    let apart = call("echo").token(&server).send(office.gateway.address);
    assert_eq!(
        apart.status, 200,
        "what is used up here is not used up there"
    );
}

#[test]
fn authz_03_a_server_of_two_tenants_shows_nobody_the_other_tenant() {
    let office = Office::with(TWO);
    let wish = json!({ "server": "files", "tool": "delete_all", "reason": "ours alone" });
    let asked = office.post("/api/v1/elevations", &office.token("alice"), &wish);
    office.done(&asked, ("alice", "role:viewer"));
    let of_beta = |subject: &str| {
        let draft = office.beta.draft(subject, &office.audience());
        let draft = draft.claim("scope", "gate");
        draft.claim("roles", json!(["second"])).sign()
    };
    // Another tenant's wish is neither shown nor decided about.
    let seen = office.get("/api/v1/elevations", &of_beta("ben")).json();
    assert_eq!(seen["elevations"], json!([]), "{seen}");
    let path = "/api/v1/elevations/1/decision";
    let decided = office.post(path, &of_beta("ben"), &json!({ "approve": true }));
    office.refused(&decided, 404, ("admin.failed", "not_found"));
    is_low(&office, &cleaner(&office, &office.idp, "alice", "files"));
    // Whoever has asked sees it, as does a colleague who approves.
    let own = office
        .get("/api/v1/elevations", &office.token("alice"))
        .json();
    assert_eq!(own["elevations"][0]["subject"], "alice", "{own}");
    let approved = office.post(path, &office.chief("pat"), &json!({ "approve": true }));
    office.done(&approved, ("pat", "role:approver"));
    // Nor does a server tell of the other tenant and its sessions.
    let token = office
        .idp
        .draft("alice", &office.gateway.url("files"))
        .sign();
    let opened = initialize(&token)
        .to("/servers/files/mcp")
        .send(office.gateway.address);
    assert_eq!(opened.status, 200, "{opened:?}");
    let vera = office.beta.draft("vic", &office.audience());
    let vera = vera.claim("scope", "gate").sign();
    let shown = office.get("/api/v1/servers/files", &vera).json();
    assert_eq!(shown["tenants"], json!(["beta"]), "{shown}");
    assert_eq!(shown["sessions"], 0, "{shown}");
    let shown = office
        .get("/api/v1/servers/files", &office.token("vic"))
        .json();
    assert_eq!(
        (&shown["tenants"], &shown["sessions"]),
        (&json!(["acme"]), &json!(1))
    );
}

#[test]
fn tok_16_one_name_at_two_issuers_is_no_second_person() {
    let office = Office::new();
    let wish = json!({ "server": "notes", "tool": "delete_all" });
    let asked = office.post("/api/v1/elevations", &office.token("alice"), &wish);
    office.done(&asked, ("alice", "role:viewer"));
    let wish = json!({ "server": "files", "tool": "delete_all" });
    let token = office.beta.draft("alice", &office.audience());
    let token = token.claim("scope", "gate").sign();
    let asked = office.post("/api/v1/elevations", &token, &wish);
    office.done(&asked, ("alice", "role:viewer"));
    let path = "/api/v1/elevations/2/decision";
    let yes = json!({ "approve": true });
    let own = office.post(path, &office.chief("alice"), &yes);
    office.refused(&own, 403, ("admin.denied", "second_person"));
    office.done(
        &office.post(path, &office.chief("pat"), &yes),
        ("pat", "role:approver"),
    );
}

#[test]
fn tok_19_a_stolen_token_of_an_operator_is_told_of_too() {
    let office = Office::new();
    let token = office.draft("vic").claim("jti", "stolen").sign();
    let look = Request::new("GET", "/api/v1/servers").token(&token);
    for from in [[127, 0, 1, 1], [127, 0, 2, 1]] {
        assert_eq!(look.send_from(from, office.api).status, 200);
    }
    let told = office
        .gateway
        .expect("token.misuse", Some("token_networks"));
    assert_eq!(told["principal"]["sub"], "vic", "{told}");
}

/// A session of a caller at a server, and a call of the privileged tool in it.
fn session_of(office: &Office, token: &str) -> (String, Request) {
    let opened = initialize(token).send(office.gateway.address);
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": "delete_all", "arguments": {} } });
    let call = call_in(&session, token).body(&body.to_string());
    (session, call)
}

#[test]
fn ses_12_an_elevation_is_of_no_use_in_a_session_of_before() {
    let office = Office::new();
    let token = office.idp.draft("alice", &office.gateway.url("notes"));
    let token = token.claim("roles", json!(["cleaner"])).sign();
    let other = office.idp.draft("bob", &office.gateway.url("notes")).sign();
    let (fixed, in_fixed) = session_of(&office, &token);
    let (bobs, _) = session_of(&office, &other);
    is_low(&office, &in_fixed);
    let wish = json!({ "server": "notes", "tool": "delete_all" });
    office.post("/api/v1/elevations", &office.token("alice"), &wish);
    let yes = json!({ "approve": true });
    let approved = office.post("/api/v1/elevations/1/decision", &office.chief("pat"), &yes);
    office.done(&approved, ("pat", "role:approver"));
    // At no moment does the old id open anything.
    let late = wait_for("the end of the session", || {
        let answer = in_fixed.send(office.gateway.address);
        assert_ne!(answer.status, 200, "{answer:?}");
        (answer.status == 404).then_some(answer)
    });
    assert_eq!(office.gateway.record_of(&late)["reason"], "unknown");
    office
        .gateway
        .expect("session.terminated", Some("rights_changed"));
    let (own, in_own) = session_of(&office, &token);
    assert_ne!(own, fixed);
    assert_eq!(in_own.send(office.gateway.address).status, 200);
    // Nobody else's session ends.
    let go_on = call_in(&bobs, &other).send(office.gateway.address);
    assert_eq!(go_on.status, 200, "{go_on:?}");
}

#[test]
fn ses_12_an_elevation_is_of_no_use_to_a_message_that_is_under_way_in_a_session_of_before() {
    let office = Office::new();
    let token = office.idp.draft("alice", &office.gateway.url("notes"));
    let token = token.claim("roles", json!(["cleaner"])).sign();
    let (_, in_fixed) = session_of(&office, &token);
    // The session is looked up by the head of the message; its body takes its time.
    let (bytes, trace) = in_fixed.traced(office.gateway.address);
    let (first, rest) = bytes.split_at(bytes.len() - 9);
    let mut under_way = Kept::open(office.gateway.address);
    under_way.write(first);
    for _ in 0..2 {
        next_second();
    }
    let wish = json!({ "server": "notes", "tool": "delete_all" });
    office.post("/api/v1/elevations", &office.token("alice"), &wish);
    let yes = json!({ "approve": true });
    let approved = office.post("/api/v1/elevations/1/decision", &office.chief("pat"), &yes);
    office.done(&approved, ("pat", "role:approver"));
    wait_for("the elevation", || {
        let (_, in_own) = session_of(&office, &token);
        (in_own.send(office.gateway.address).status == 200).then_some(())
    });
    under_way.write(rest);
    let late = under_way.answer(trace).unwrap();
    assert_eq!(late.status, 404, "{late:?}");
    let record = office.gateway.record_of(&late);
    let told = (&record["event"], &record["reason"]);
    assert_eq!(told, (&json!("session.reject"), &json!("unknown")));
}

#[test]
fn tok_16_an_operator_of_one_tenant_withdraws_only_what_is_of_that_tenant() {
    let office = Office::with(TWO);
    let of_beta = |subject: &str| {
        let draft = office.beta.draft(subject, &office.audience());
        draft.claim("scope", "gate").sign()
    };
    // Of one server, one for somebody of another tenant, and one for somebody of this tenant.
    let ben = office.beta.draft("ben", &office.audience());
    let ben = ben.claim("scope", "gate").claim("roles", json!(["second"]));
    for (number, token, (who, approver)) in [
        (1, office.token("alice"), ("pat", office.chief("pat"))),
        (2, of_beta("alice"), ("ben", ben.sign())),
    ] {
        let wish = json!({ "server": "files", "tool": "delete_all" });
        let asked = office.post("/api/v1/elevations", &token, &wish);
        office.done(&asked, ("alice", "role:viewer"));
        let path = format!("/api/v1/elevations/{number}/decision");
        let yes = json!({ "approve": true });
        let approved = office.post(&path, &approver, &yes);
        office.done(&approved, (who, "role:approver"));
    }
    let withdraw = |number: u64| {
        let path = format!("/api/v1/elevations/{number}");
        office.send(&Request::new("DELETE", &path).token(&of_beta("tess")))
    };
    office.refused(&withdraw(1), 404, ("admin.failed", "not_found"));
    let alice = cleaner(&office, &office.idp, "alice", "files");
    wait_for("the elevation", || {
        (alice.send(office.gateway.address).status == 200).then_some(())
    });
    office.done(&withdraw(2), ("tess", "role:operator"));
    let told = office.gateway.expect("elevation.withdrawn", None);
    assert_eq!(told["detail"]["elevation"], "2", "{told}");
    assert_eq!(alice.send(office.gateway.address).status, 200);
}

#[test]
fn tok_16_an_elevation_can_be_withdrawn_by_whoever_may_take_access_away() {
    let office = Office::new();
    let alice = cleaner(&office, &office.idp, "alice", "notes");
    let wish = json!({ "server": "notes", "tool": "delete_all", "reason": "spring" });
    let raise = |number: u64| {
        office.post("/api/v1/elevations", &office.token("alice"), &wish);
        let path = format!("/api/v1/elevations/{number}/decision");
        let yes = json!({ "approve": true });
        office.done(
            &office.post(&path, &office.chief("pat"), &yes),
            ("pat", "role:approver"),
        );
        wait_for("the elevation", || {
            (alice.send(office.gateway.address).status == 200).then_some(())
        });
    };
    let is_over = || {
        wait_for("its end", || {
            (alice.send(office.gateway.address).status == 403).then_some(())
        });
        is_low(&office, &alice);
    };
    raise(1);
    let withdraw = |number: u64, token: &str| {
        let path = format!("/api/v1/elevations/{number}");
        office.send(&Request::new("DELETE", &path).token(token))
    };
    for nobody in ["vic", "aud", "alice", "eve"] {
        let refused = withdraw(1, &office.token(nobody));
        office.refused(&refused, 403, ("admin.denied", "role"));
    }
    assert_eq!(alice.send(office.gateway.address).status, 200);
    let done = withdraw(1, &office.token("oli"));
    office.done(&done, ("oli", "role:operator"));
    assert_eq!(done.json()["until"], Value::Null, "{done:?}");
    let told = office.gateway.expect("elevation.withdrawn", None);
    assert_eq!(told["principal"]["sub"], "oli", "{told}");
    assert_eq!(told["detail"]["for"], "alice", "{told}");
    is_over();
    let again = withdraw(1, &office.token("oli"));
    office.refused(&again, 409, ("admin.failed", "conflict"));
    let none = withdraw(7, &office.token("oli"));
    office.refused(&none, 404, ("admin.failed", "not_found"));
    // Another tenant's administrator knows nothing of it.
    let ben = office.beta.draft("ben", &office.audience());
    let ben = ben
        .claim("scope", "gate")
        .claim("roles", json!(["second"]))
        .sign();
    let refused = withdraw(1, &ben);
    assert!([403, 404].contains(&refused.status), "{refused:?}");
    // The same at the machine.
    raise(2);
    let data = office.gateway.data();
    let data = data.to_str().unwrap();
    let step = |more: &[&str]| {
        let ran = portcullis(&[&["access", "elevation"], more, &["--data", data]].concat());
        let out = String::from_utf8(ran.stdout).unwrap();
        (
            ran.status.code(),
            out,
            String::from_utf8(ran.stderr).unwrap(),
        )
    };
    let (code, out, _) = step(&["list"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("1: \"delete_all\" of \"notes\" for \"alice\""),
        "{out}"
    );
    assert!(out.contains("refused or withdrawn by \"oli\""), "{out}");
    assert!(out.contains("approved by \"pat\" until 20"), "{out}");
    let (code, out, _) = step(&["withdraw", "2"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.starts_with("withdrawn: 2: \"delete_all\""), "{out}");
    is_over();
    let told = wait_for("its record", || {
        let all = office.gateway.records("elevation.withdrawn", None);
        all.into_iter()
            .find(|one| one["detail"]["elevation"] == "2")
    });
    assert_eq!(told["principal"]["iss"], "os", "{told}");
    let (code, _, err) = step(&["withdraw", "2"]);
    assert_eq!(code, Some(1), "{err}");
    let (code, out, _) = step(&["list", "--json"]);
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &all[1]["verdict"]),
        (Some(0), &json!("refuse")),
        "{all}"
    );
}

#[test]
fn dyn_01_definitions_are_decided_about_by_approvers_and_shown_to_their_tenants_only() {
    let office = Office::new();
    let known = office.get("/api/v1/tools", &office.token("vic"));
    assert_eq!(known.json()["tools"], json!([]), "{known:?}");
    let wish = json!({
        "verdict": "approve", "server": "notes", "kind": "tool", "name": "echo",
        "digest": format!("sha256:{}", "0".repeat(64)),
    });
    let path = "/api/v1/tools/decisions";
    for subject in ["vic", "oli", "aud"] {
        let refused = office.post(path, &office.token(subject), &wish);
        assert_eq!(refused.status, 403, "{refused:?}");
    }
    // Nothing is approved that no server was seen to define.
    let unknown = office.post(path, &office.chief("cy"), &wish);
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let unread =
        json!({ "verdict": "approve", "server": "notes", "kind": "spell", "name": "echo" });
    assert_eq!(office.post(path, &office.chief("cy"), &unread).status, 400);
}

impl Office {
    /// What a client of `notes` is shown.
    fn shown(&self) -> usize {
        let token = self.idp.draft("alice", &self.gateway.url("notes")).sign();
        let listed = message("tools/list", json!({})).token(&token);
        let listed = listed.send(self.gateway.address);
        assert_eq!(listed.status, 200, "{listed:?}");
        let tools = listed.json()["result"]["tools"].as_array().map(Vec::len);
        tools.unwrap_or_default()
    }

    fn approves(&self, token: &str, digest: &str) -> Response {
        let wish = json!({
            "verdict": "approve", "server": "notes", "kind": "tool", "name": "echo", "digest": digest,
        });
        self.post("/api/v1/tools/decisions", token, &wish)
    }
}

fn command(deed: &[&str], config: &[&str]) -> std::process::Output {
    let line = [
        &["tools"],
        deed,
        &["notes", "echo", "--kind", "tool"],
        config,
    ];
    portcullis(&line.concat())
}

#[test]
fn dyn_01_two_persons_are_two_wherever_they_say_yes() {
    let office = Office::with("[catalog]\nmode = \"pin\"\napprovals = 2\n");
    assert_eq!(office.shown(), 0);
    let digest = wait_for("the version that waits", || {
        let known = office.get("/api/v1/tools?server=notes", &office.token("vic"));
        let known = known.json();
        let mut all = known["tools"].as_array().unwrap().iter();
        let echo = all.find(|one| one["name"] == "echo" && one["kind"] == "tool")?;
        echo["pending"].as_str().map(str::to_owned)
    });
    // The first yes serves nothing, and the same person does not say the second one.
    let first = office.approves(&office.chief("cy"), &digest);
    assert_eq!(first.json()["event"], "endorsed", "{first:?}");
    office.gateway.expect("tool.endorsed", None);
    let again = office.approves(&office.chief("cy"), &digest);
    assert_eq!(again.status, 409, "{again:?}");
    assert!(again.body.contains("a second one has to"), "{again:?}");
    assert_eq!(office.shown(), 0);
    // Nobody gets around it by leaving the configuration out.
    let data = office.gateway.data();
    let file = data.parent().unwrap().join("portcullis.toml");
    let (data, file) = (data.display().to_string(), file.display().to_string());
    let bare = command(&["approve", "--yes"], &["--data", &data]);
    let said = String::from_utf8_lossy(&bare.stderr).into_owned();
    assert_eq!(bare.status.code(), Some(1), "{said}");
    assert!(said.contains("--config"), "{said}");
    assert_eq!(office.shown(), 0);
    let config = ["--config", file.as_str()];
    let second = command(&["approve", "--yes"], &config);
    assert!(second.status.success(), "{second:?}");
    wait_for("what two have approved", || {
        (office.shown() == 1).then_some(())
    });
    // And the other way round: the command first, and not twice.
    let reject = command(&["reject", "--digest", &digest], &config);
    assert!(reject.status.success(), "{reject:?}");
    wait_for("the rejection", || (office.shown() == 0).then_some(()));
    let third = command(&["approve", "--yes"], &config);
    let said = String::from_utf8_lossy(&third.stdout).into_owned();
    assert!(
        said.contains("a second person has to approve it too"),
        "{said}"
    );
    let fourth = command(&["approve", "--yes"], &config);
    assert_eq!(fourth.status.code(), Some(1), "{fourth:?}");
    assert_eq!(office.shown(), 0);
    let last = office.approves(&office.chief("di"), &digest);
    assert_eq!(last.json()["event"], "approved", "{last:?}");
    wait_for("what two have approved", || {
        (office.shown() == 1).then_some(())
    });
}
