//! What an authorization server gives for the caller's token: exactly once, exactly for the tool, and nothing else is shown.

use crate::harness::{
    AMPLE, CLIENT, Gateway, Idp, Issuing, Request, Response, SECRET, Seen, Upstream, call, now,
    wait_for,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AUDIENCE: &str = "https://notes.example";

/// A server that takes tokens of an authorization server, and another one that takes none.
struct Behind {
    gateway: Gateway,
    idp: Idp,
    issuing: Issuing,
    upstream: Upstream,
}

impl Behind {
    /// `more` are further keys of `credentials`.
    fn with(kind: &str, more: &str) -> Self {
        let (idp, issuing, upstream) = (Idp::start(), Issuing::start(), Upstream::start());
        let (checking, plain) = (issuing.clone(), Upstream::start());
        upstream.misbehave(
            move |seen| match checking.verified(&bearer(seen), AUDIENCE) {
                Ok(_) => None,
                Err(_) => Some(crate::harness::Answer::status(401)),
            },
        );
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{}\"\n\
             [servers.plain]\nurl = \"{}\"\nallow = [\"*\"]\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"echo\", \"read_note\"]\n\
             [servers.notes.tools.read_note]\nupstream_scopes = [\"read\"]\n\
             [servers.notes.credentials]\nkind = \"{kind}\"\naudience = \"{AUDIENCE}\"\nscopes = [\"mcp\"]\n\
             token_endpoint = \"{}\"\nclient_id = \"{CLIENT}\"\n{more}\n",
            idp.issuer(),
            plain.url(),
            upstream.url(),
            issuing.url(),
        );
        let gateway = Gateway::start_after(&format!("export SECRET='{SECRET}'"), &config);
        issuing.trust(gateway.address, &idp.issuer(), idp.key("ed-1"));
        Self {
            gateway,
            idp,
            issuing,
            upstream,
        }
    }

    fn token(&self, subject: &str) -> String {
        let audience = self.gateway.url("notes");
        self.idp.draft(subject, &audience).sign()
    }

    fn send(&self, request: &Request) -> Response {
        request.send(self.gateway.address)
    }

    fn permits(&self, request: &Request) -> Value {
        let response = self.send(request);
        assert_eq!(response.status, 200, "{response:?}");
        self.gateway.record_of(&response)
    }

    /// Refused for want of a token, and the server saw nothing.
    fn refuses(&self, request: &Request, status: u16, reason: &str) {
        let before = self.upstream.requests().len();
        let response = self.send(request);
        assert_eq!(
            (response.status, response.code()),
            (status, -32603),
            "{reason} {response:?}"
        );
        let record = self.gateway.record_of(&response);
        assert_eq!(record["event"], "token.not_issued", "{record}");
        assert_eq!(record["reason"], reason, "{record}");
        assert_eq!(self.upstream.requests().len(), before, "{reason}");
    }
}

fn bearer(seen: &Seen) -> String {
    let shown = seen.header("authorization").unwrap_or_default();
    shown.trim_start_matches("Bearer ").to_owned()
}

#[test]
fn tok_16_one_call_is_one_exchange_for_exactly_its_tool() {
    let behind = Behind::with("exchange", "actor = true");
    let token = behind.token("alice");
    // Nothing is fetched for who is denied, and nothing ahead of anybody.
    assert_eq!(behind.send(&call("delete_all").token(&token)).status, 403);
    assert_eq!(behind.send(&call("echo")).status, 401);
    assert_eq!(behind.issuing.asked().len(), 0);

    let record = behind.permits(&call("read_note").token(&token));
    let asked = behind.issuing.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0]["scope"], "mcp read");
    assert_eq!(asked[0]["audience"], AUDIENCE);
    assert_eq!(asked[0]["subject_token"], token);
    assert!(asked[0].contains_key("actor_token"));
    let shown = behind.upstream.requests();
    assert_eq!(shown.len(), 1);
    let claims = behind
        .issuing
        .verified(&bearer(&shown[0]), AUDIENCE)
        .unwrap();
    assert_eq!(
        (&claims["sub"], &claims["scope"]),
        (&json!("alice"), &json!("mcp read"))
    );
    assert_eq!(record["detail"]["issued_jti"], claims["jti"], "{record}");
    let issued = behind.gateway.expect("token.issued", Some("fetched"));
    assert_eq!(issued["detail"]["parent_jti"], record["jti"], "{issued}");
    assert_eq!(issued["detail"]["issued_jti"], claims["jti"]);

    // The same again is shown the same; another scope, caller or token is not.
    behind.permits(&call("read_note").token(&token));
    assert_eq!(behind.issuing.asked().len(), 1);
    behind.permits(&call("echo").token(&token));
    behind.permits(&call("read_note").token(&behind.token("alice")));
    behind.permits(&call("read_note").token(&behind.token("bob")));
    assert_eq!(behind.issuing.asked().len(), 4);
    let last = behind.upstream.requests().pop().unwrap();
    assert_eq!(
        behind.issuing.verified(&bearer(&last), AUDIENCE).unwrap()["sub"],
        "bob"
    );
    for seen in behind.upstream.requests() {
        assert!(!seen.whole().contains(&token), "{seen:?}");
    }
    let traces = behind.gateway.traces();
    assert!(!traces.contains(&token) && !traces.contains(&bearer(&last)));
}

#[test]
fn tok_15_many_at_once_cause_one_exchange_and_a_token_is_replaced_before_it_is_over() {
    let behind = Behind::with("exchange", "client_secret = { env = \"SECRET\" }");
    let token = behind.token("alice");
    std::thread::scope(|threads| {
        for _ in 0..12 {
            threads.spawn(|| assert_eq!(behind.send(&call("echo").token(&token)).status, 200));
        }
    });
    assert_eq!(behind.issuing.asked().len(), 1);

    behind.issuing.lifetime(Duration::from_secs(5));
    let (other, began) = (behind.token("bob"), Instant::now());
    while began.elapsed() < Duration::from_secs(12) {
        assert_eq!(behind.send(&call("echo").token(&other)).status, 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    let asked = behind.issuing.asked().len() - 1;
    assert!((2..=6).contains(&asked), "{asked} exchanges");
    // A server that has nothing to say any more: the old one is good until it is over, and not after.
    behind.issuing.hangs();
    let end = Instant::now() + Duration::from_secs(30);
    let refused = wait_for("the token to be over", || {
        assert!(Instant::now() < end, "a token that is never over");
        let response = behind.send(&call("echo").token(&other));
        (response.status != 200).then_some(response)
    });
    assert_eq!(refused.status, 503, "{refused:?}");
    behind.issuing.recovers();
    behind.permits(&call("echo").token(&other));
}

#[test]
fn tok_16_what_is_no_token_for_this_server_is_shown_to_nobody() {
    let behind = Behind::with(
        "exchange",
        "client_auth = \"client_secret_post\"\nclient_secret = { env = \"SECRET\" }",
    );
    let token = behind.token("alice");
    let request = call("echo").token(&token);
    let foreign = behind.idp.draft("alice", "https://other.example").sign();
    let expired = behind
        .idp
        .draft("alice", AUDIENCE)
        .claim("exp", now() - 5)
        .sign();
    for (status, change, expected, reason) in [
        (200, json!({ "access_token": token }), 502, "echoed"),
        (200, json!({ "access_token": foreign }), 502, "audience"),
        (200, json!({ "access_token": expired }), 502, "lifetime"),
        (200, json!({ "access_token": "a b" }), 502, "broken"),
        (200, json!({ "scope": "mcp admin" }), 502, "scope"),
        (200, json!({ "token_type": "mac" }), 502, "type"),
        (200, json!({ "issued_token_type": "urn:x" }), 502, "type"),
        (200, json!({ "expires_in": 0 }), 502, "lifetime"),
        (400, json!({}), 502, "refused"),
        (401, json!({}), 502, "refused"),
        (302, json!({}), 502, "refused"),
        (500, json!({}), 503, "unreachable"),
    ] {
        behind.issuing.says(status, change);
        behind.refuses(&request, expected, reason);
    }
    behind.issuing.recovers();
    behind.permits(&request);
    let traces = behind.gateway.traces();
    assert!(!traces.contains(SECRET) && !traces.contains("s%25cret"));
}

#[test]
fn tok_15_one_authorization_server_that_hangs_holds_up_nobody_else() {
    let behind = Behind::with("exchange", "");
    behind.permits(&call("echo").token(&behind.token("alice")));
    let known = behind.token("bob");
    behind.permits(&call("echo").token(&known));
    behind.issuing.hangs();
    let plain = behind.idp.draft("bob", &behind.gateway.url("plain")).sign();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| {
            let response = behind.send(&call("echo").token(&behind.token("carol")));
            assert_eq!(response.status, 503, "{response:?}");
            assert_eq!(behind.gateway.record_of(&response)["reason"], "timeout");
        });
        let began = Instant::now();
        let mut count = 0;
        while !waiting.is_finished() && began.elapsed() < Duration::from_secs(20) {
            let asked = Instant::now();
            behind.permits(&call("echo").token(&known));
            behind.permits(&call("echo").token(&plain).to("/servers/plain/mcp"));
            assert!(asked.elapsed() < Duration::from_secs(4));
            count += 1;
        }
        assert!(count > 0);
        waiting.join().unwrap();
    });
    // Who is revoked gets nothing, however fresh what was fetched is.
    let issuer = behind.idp.issuer();
    behind
        .gateway
        .runs("revoke", &["--issuer", &issuer, "--subject", "bob"]);
    behind.gateway.expect("access.revoked", Some("subject"));
    wait_for("bob to be revoked", || {
        (behind.send(&call("echo").token(&known)).status == 401).then_some(())
    });
}

#[test]
fn tok_16_entra_and_a_server_without_users_are_asked_in_their_own_form() {
    let behind = Behind::with(
        "on-behalf-of",
        "client_secret = { env = \"SECRET\" }\nclient_auth = \"client_secret_post\"",
    );
    behind.permits(&call("echo").token(&behind.token("alice")));
    let asked = behind.issuing.asked().remove(0);
    assert_eq!(asked["requested_token_use"], "on_behalf_of");
    assert!(asked.contains_key("assertion") && !asked.contains_key("subject_token"));

    let behind = Behind::with(
        "client-credentials",
        "resource = \"https://notes.example/mcp\"",
    );
    for user in ["alice", "bob"] {
        behind.permits(&call("echo").token(&behind.token(user)));
    }
    let asked = behind.issuing.asked();
    assert_eq!(asked.len(), 1, "one for all: {asked:?}");
    assert_eq!(asked[0]["grant_type"], "client_credentials");
    assert_eq!(asked[0]["resource"], "https://notes.example/mcp");
    assert!(!behind.issuing.seen()[0].body.contains("subject_token"));
}

#[test]
fn tok_15_a_reload_and_a_server_that_says_no_fetch_anew() {
    let behind = Behind::with("exchange", "");
    let token = behind.token("alice");
    let request = call("echo").token(&token);
    behind.permits(&request);
    behind
        .gateway
        .reload("[servers.plain]\n", "[servers.plain]\nscopes = [\"x\"]\n");
    behind.permits(&request);
    assert_eq!(
        behind.issuing.asked().len(),
        2,
        "what was fetched before is not shown on"
    );
    behind
        .upstream
        .misbehave(|_| Some(crate::harness::Answer::status(401)));
    assert_eq!(behind.send(&request).status, 502);
    let checking = behind.issuing.clone();
    behind.upstream.misbehave(
        move |seen| match checking.verified(&bearer(seen), AUDIENCE) {
            Ok(_) => None,
            Err(_) => Some(crate::harness::Answer::status(401)),
        },
    );
    behind.permits(&request);
    assert_eq!(behind.issuing.asked().len(), 3);
}
