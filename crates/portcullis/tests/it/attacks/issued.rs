//! ATK-002: what an upstream is shown is made for it, for one call, and names who calls in both logs.

use crate::harness::{
    AMPLE, Gateway, Idp, Relying, Request, WITH_SESSIONS, call, call_in, initialize, now, post,
    verified, wait_for,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What the first and the second server are called among themselves.
const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";

/// Two servers that believe the gateway, and no other word.
struct Behind {
    gateway: Gateway,
    idp: Idp,
    one: Relying,
    two: Relying,
}

impl Behind {
    fn start() -> Self {
        Self::with("")
    }

    /// `more` are further keys of the first server, or tables of it.
    fn with(more: &str) -> Self {
        let (idp, one, two) = (Idp::start(), Relying::start(ONE), Relying::start(TWO));
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{}\"\n\
             [servers.other]\nurl = \"{}\"\nallow = [\"*\"]\n\
             credentials = {{ kind = \"assertion\", audience = \"{TWO}\" }}\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"echo\", \"read_note\"]\n\
             credentials = {{ kind = \"assertion\", audience = \"{ONE}\", scopes = [\"mcp\"] }}\n{more}",
            idp.issuer(),
            two.upstream.url(),
            one.upstream.url(),
        );
        let gateway = Gateway::start(&config);
        one.trust(gateway.address);
        two.trust(gateway.address);
        Self {
            gateway,
            idp,
            one,
            two,
        }
    }

    fn token(&self, subject: &str, client: &str) -> String {
        let audience = self.gateway.url("notes");
        let draft = self.idp.draft(subject, &audience);
        draft.claim("client_id", client).sign()
    }

    fn send(&self, request: &Request) -> crate::harness::Response {
        request.send(self.gateway.address)
    }
}

fn bearer(seen: &crate::harness::Seen) -> String {
    let shown = seen.header("authorization").unwrap_or_default();
    shown.trim_start_matches("Bearer ").to_owned()
}

#[test]
fn tok_02_both_logs_name_the_same_user_client_and_call() {
    let behind = Behind::start();
    let callers: Vec<(&str, &str, String)> = ["alice", "bob"]
        .into_iter()
        .flat_map(|user| ["editor", "agent"].map(|client| (user, client)))
        .map(|(user, client)| (user, client, behind.token(user, client)))
        .collect();
    const CALLS: usize = 25;
    std::thread::scope(|threads| {
        for (_, _, token) in &callers {
            threads.spawn(|| {
                for _ in 0..CALLS {
                    let response = behind.send(&call("echo").token(token));
                    assert_eq!(response.status, 200, "{response:?}");
                }
            });
        }
    });
    let believed = behind.one.believed();
    assert_eq!(believed.len(), callers.len() * CALLS);
    assert_eq!(believed.len(), behind.one.upstream.requests().len());
    let records = behind.gateway.records("call.completed", None);
    let mut ids = BTreeSet::new();
    for (_, claims) in &believed {
        let own: Vec<&Value> = records
            .iter()
            .filter(|record| record["detail"]["issued_jti"] == claims["jti"])
            .collect();
        let [record] = own[..] else {
            panic!("{} records of {claims}", own.len());
        };
        assert_eq!(record["principal"]["sub"], claims["sub"], "{record}");
        assert_eq!(record["client"], claims["client_id"], "{record}");
        assert_eq!(record["trace"], claims["txn"], "{record}");
        assert_eq!(record["detail"]["issued_aud"], ONE, "{record}");
        assert_ne!(
            record["jti"], claims["jti"],
            "the client's own token has its own id"
        );
        ids.insert(claims["jti"].to_string());
        let (made, ends) = (
            claims["iat"].as_u64().unwrap(),
            claims["exp"].as_u64().unwrap(),
        );
        assert!(ends - made <= 60 && made <= now(), "{claims}");
        assert_eq!(claims["scope"], "mcp");
    }
    assert_eq!(
        ids.len(),
        believed.len(),
        "each call has a token of its own"
    );
    for (user, client, _) in &callers {
        let own = believed.iter();
        let own =
            own.filter(|(_, claims)| claims["sub"] == *user && claims["client_id"] == *client);
        assert_eq!(own.count(), CALLS, "{user} {client}");
    }
}

#[test]
fn man_1_the_token_that_came_is_never_the_one_that_goes() {
    let behind = Behind::start();
    let draft = behind.idp.draft("alice", &behind.gateway.url("notes"));
    let (token, id) = (draft.sign(), draft.jti());
    assert_eq!(behind.send(&call("echo").token(&token)).status, 200);
    let opened = behind.send(&initialize(&token));
    assert_eq!(opened.status, 200, "{opened:?}");
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    assert_eq!(behind.send(&call_in(&session, &token)).status, 200);
    let ready = post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let ready = ready.token(&token).set("mcp-session-id", &session);
    let ready = ready.set("mcp-protocol-version", WITH_SESSIONS);
    assert_eq!(behind.send(&ready).status, 202);
    let stream = Request::in_session("GET", &session).token(&token);
    let stream = stream.open(behind.gateway.address);
    assert_eq!(stream.response.status, 200);
    let over = Request::in_session("DELETE", &session).token(&token);
    assert_eq!(behind.send(&over).status, 200);
    wait_for("the DELETE at the upstream", || {
        let seen = behind.one.upstream.requests();
        seen.iter()
            .any(|seen| seen.method == "DELETE")
            .then_some(())
    });
    // Every one of them showed a token of ours, the last two as well.
    let believed = behind.one.believed();
    assert_eq!(believed.len(), behind.one.upstream.requests().len());
    assert_eq!(believed.len(), 6);
    let log = behind.gateway.audit();
    for (seen, claims) in believed {
        assert!(
            !seen.whole().contains(&token) && !seen.whole().contains(&id),
            "{seen:?}"
        );
        let id = claims["jti"].as_str().unwrap();
        let is_told = |record: &&Value| {
            let told = record["detail"]["issued_jti"].as_str().unwrap_or_default();
            told.split(' ').any(|told| told == id)
        };
        assert_eq!(log.iter().filter(is_told).count(), 1, "{claims}");
        assert!(
            !behind.gateway.traces().contains(&bearer(&seen)),
            "a token in the log"
        );
    }
    drop(stream);
}

#[test]
fn tok_04_a_server_hears_from_us_alone_who_calls() {
    let behind = Behind::start();
    let token = behind.token("alice", "agent");
    let names = "authorization, mcp-method, mcp-name, x-forwarded-user";
    let request = [
        ("Connection", names),
        ("X-Forwarded-User", "admin"),
        ("X-Forwarded-Email", "admin@example.com"),
        ("X-MS-CLIENT-PRINCIPAL", "YWRtaW4="),
        ("X-MS-CLIENT-PRINCIPAL-NAME", "admin"),
        ("X-MS-TOKEN-AAD-ACCESS-TOKEN", "admin"),
        ("X-Amzn-Oidc-Identity", "admin"),
        ("Cookie", "session=admin"),
        ("Forwarded", "for=10.0.0.1;by=admin"),
        ("X-Original-URL", "/admin"),
        ("Proxy-Authorization", "Bearer admin"),
        ("Authorization-Info", "admin"),
    ]
    .into_iter()
    .fold(call("echo").token(&token), |request, (name, value)| {
        request.add(name, value)
    });
    let response = behind.send(&request);
    assert_eq!(response.status, 200, "{response:?}");
    let [(seen, claims)] = &behind.one.believed()[..] else {
        panic!("one request that is believed");
    };
    assert_eq!(claims["sub"], "alice");
    assert!(!seen.whole().contains("admin"), "{seen:?}");
    let shown = seen
        .headers
        .iter()
        .filter(|(name, _)| name == "authorization");
    assert_eq!(shown.count(), 1, "{seen:?}");
    // A header of ours that the client wants dropped on the way is still there.
    assert_eq!(seen.header("mcp-name"), Some("echo"));
    // Nor does a second credential replace ours.
    let twice = call("echo")
        .token(&token)
        .add("authorization", "Bearer admin");
    assert_eq!(behind.send(&twice).status, 401);
    assert_eq!(behind.one.upstream.requests().len(), 1);
}

#[test]
fn tok_16_a_call_that_is_denied_issues_nothing() {
    let behind = Behind::with(
        "[servers.notes.tools.read_note]\nscopes = [\"notes:read\"]\n[servers.notes.tools.echo]\nupstream_scopes = [\"say\"]\n",
    );
    let token = behind.token("alice", "agent");
    let refused = behind.send(&call("delete_all").token(&token));
    assert_eq!(refused.status, 403, "{refused:?}");
    let refused = behind.send(&call("read_note").token(&token));
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(behind.send(&call("echo")).status, 401);
    assert_eq!(behind.one.upstream.requests().len(), 0);
    let is_issue = |record: &&Value| record["detail"]["issued_jti"].is_string();
    assert_eq!(behind.gateway.audit().iter().filter(is_issue).count(), 0);

    // What is allowed gets the scopes of that tool, and a life no longer than the caller's own.
    assert_eq!(behind.send(&call("echo").token(&token)).status, 200);
    let reader = behind.idp.draft("alice", &behind.gateway.url("notes"));
    let reader = reader.claim("scope", "notes:read");
    let reader = reader.claim("exp", now() + 20).sign();
    assert_eq!(behind.send(&call("read_note").token(&reader)).status, 200);
    let believed = behind.one.believed();
    let scopes: Vec<&Value> = believed
        .iter()
        .map(|(_, claims)| &claims["scope"])
        .collect();
    assert_eq!(scopes, [&json!("mcp say"), &json!("mcp notes:read")]);
    assert!(believed[1].1["exp"].as_u64().unwrap() <= now() + 20);
}

#[test]
fn tok_05_a_credential_is_good_at_one_upstream() {
    let behind = Behind::start();
    let token = behind.token("alice", "agent");
    assert_eq!(behind.send(&call("echo").token(&token)).status, 200);
    let leaked = bearer(&behind.one.upstream.requests()[0]);
    assert!(verified(&leaked, behind.gateway.address, ONE).is_ok());
    assert!(verified(&leaked, behind.gateway.address, TWO).is_err());
    // At the other one, at every door of ours, and where operators look.
    let url = behind.two.upstream.url();
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches("/mcp")
        .parse()
        .unwrap();
    let replay = call("echo").token(&leaked);
    assert_eq!(replay.clone().to("/mcp").send(address).status, 401);
    for door in ["/servers/notes/mcp", "/servers/other/mcp", "/mcp"] {
        let response = behind.send(&replay.clone().to(door));
        assert_eq!(response.status, 401, "{door} {response:?}");
        let record = behind.gateway.record_of(&response);
        assert_eq!(record["event"], "authn.reject", "{record}");
        assert_eq!(record["detail"]["issued_for"], "notes", "{record}");
    }
    // What opens one server names it at another, and what is for neither names none.
    let there = |token: &str| {
        let response = behind.send(&call("echo").token(token).to("/servers/other/mcp"));
        assert_eq!(response.status, 401, "{response:?}");
        behind.gateway.record_of(&response)
    };
    let record = there(&token);
    assert_eq!(record["reason"], "audience", "{record}");
    assert_eq!(record["detail"]["issued_for"], "notes", "{record}");
    let foreign = behind
        .idp
        .draft("alice", "https://elsewhere.example")
        .sign();
    assert!(there(&foreign)["detail"]["issued_for"].is_null());
    let both = json!([behind.gateway.url("other"), behind.gateway.url("notes")]);
    let late = behind.idp.draft("alice", "").claim("aud", both);
    let late = late.claim("exp", now() - 60).sign();
    assert!(there(&late)["detail"]["issued_for"].is_null());
    // Operators' pages take no token at all.
    for path in ["/servers/notes/mcp", "/metrics"] {
        let looked = replay.clone().method("GET").to(path);
        let status = looked.send(behind.gateway.admin).status;
        assert!((400..500).contains(&status), "{path} {status}");
    }
    behind.gateway.expect("admin.rejected", None);
}
