//! Users for whom their identity provider vouches at the authorization server of a service (ID-JAG): its word goes where it
//! was made for, and nothing else goes up.

use crate::harness::{
    AMPLE, AT_IDP, Answer, Gateway, Idp, Request, Seen, Upstream, Vouching, call, now,
};
use serde_json::{Value, json};

struct Behind {
    gateway: Gateway,
    idp: Idp,
    vouching: Vouching,
    upstream: Upstream,
}

impl Behind {
    fn start() -> Self {
        let (idp, vouching, upstream) = (Idp::start(), Vouching::start(), Upstream::start());
        let checking = vouching.clone();
        upstream.misbehave(move |seen| match checking.verified(&bearer(seen)) {
            Ok(_) => None,
            Err(_) => Some(Answer::status(401)),
        });
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"echo\", \"read_note\"]\n\
             [servers.notes.tools.read_note]\nupstream_scopes = [\"read\"]\n{}",
            idp.issuer(),
            upstream.url(),
            vouching.table("notes")
        );
        let gateway = Gateway::start_after(&format!("export AT_IDP='{}'", AT_IDP.1), &config);
        vouching.trust(gateway.address, &idp.issuer(), idp.key("ed-1"));
        Self {
            gateway,
            idp,
            vouching,
            upstream,
        }
    }

    fn token(&self, subject: &str) -> String {
        let audience = self.gateway.url("notes");
        self.idp.draft(subject, &audience).sign()
    }

    fn permits(&self, request: &Request) -> Value {
        let response = request.send(self.gateway.address);
        assert_eq!(response.status, 200, "{response:?}");
        self.gateway.record_of(&response)
    }

    /// Refused for want of a token: the server saw nothing; gives how often the authorization server was asked.
    fn refuses(&self, request: &Request, status: u16, reason: &str) -> usize {
        let before = (self.upstream.requests().len(), self.asked());
        let response = request.send(self.gateway.address);
        assert_eq!(
            (response.status, response.code()),
            (status, -32603),
            "{reason} {response:?}"
        );
        let record = self.gateway.record_of(&response);
        assert_eq!(record["event"], "token.not_issued", "{record}");
        assert_eq!(record["reason"], reason, "{record}");
        assert_eq!(self.upstream.requests().len(), before.0, "{reason}");
        self.asked() - before.1
    }

    /// How often the authorization server was asked.
    fn asked(&self) -> usize {
        self.vouching.seen()[1].len()
    }
}

fn bearer(seen: &Seen) -> String {
    let shown = seen.header("authorization").unwrap_or_default();
    shown.trim_start_matches("Bearer ").to_owned()
}

#[test]
fn tok_16_the_identity_provider_vouches_for_this_caller_tool_and_server() {
    let behind = Behind::start();
    let token = behind.token("alice");
    // Nothing is asked for who is denied.
    let denied = call("delete_all")
        .token(&token)
        .send(behind.gateway.address);
    assert_eq!(denied.status, 403);
    assert!(behind.vouching.seen().iter().all(Vec::is_empty));

    let record = behind.permits(&call("read_note").token(&token));
    let shown = behind.upstream.requests().pop().unwrap();
    let claims = behind.vouching.verified(&bearer(&shown)).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["scope"]),
        (&json!("alice"), &json!("mcp read"))
    );
    assert_eq!(record["detail"]["issued_jti"], claims["jti"], "{record}");
    let issued = behind.gateway.expect("token.issued", Some("fetched"));
    assert_eq!(issued["detail"]["parent_jti"], record["jti"], "{issued}");
    let grant = issued["detail"]["grant_jti"].as_str().unwrap();
    assert!(grant.starts_with("jti-"), "{issued}");

    // What is fresh is shown again; another caller is vouched for anew, and each word is used once.
    behind.permits(&call("read_note").token(&token));
    behind.permits(&call("read_note").token(&behind.token("bob")));
    let [first, second] = behind.vouching.seen();
    assert_eq!((first.len(), second.len()), (2, 2));
    let last = behind.upstream.requests().pop().unwrap();
    let claims = behind.vouching.verified(&bearer(&last)).unwrap();
    assert_eq!(claims["sub"], "bob");

    // The caller's token goes to its identity provider and nowhere else; our secret there, to nobody else.
    for seen in [second, behind.upstream.requests()].concat() {
        let all = seen.whole();
        assert!(!all.contains(&token) && !all.contains(AT_IDP.1), "{all}");
    }
    let traces = behind.gateway.traces();
    for secret in [&token, &bearer(&last), AT_IDP.1] {
        assert!(!traces.contains(secret), "{secret}");
    }
}

#[test]
fn tok_05_a_word_that_is_for_another_place_goes_nowhere() {
    let behind = Behind::start();
    let request = call("echo").token(&behind.token("alice"));
    let elsewhere = "https://other.example";
    for (grant, reason) in [
        (json!({ "aud": elsewhere }), "audience"),
        (json!({ "aud": [elsewhere, elsewhere] }), "audience"),
        (json!({ "aud": null }), "audience"),
        (json!({ "resource": elsewhere }), "audience"),
        (json!({ "resource": null }), "audience"),
        (json!({ "client_id": "another" }), "audience"),
        (json!({ "client_id": null }), "audience"),
        (json!({ "typ": "at+jwt" }), "type"),
        (json!({ "typ": null }), "type"),
        (json!({ "scope": "mcp admin" }), "scope"),
        (json!({ "scope": 7 }), "broken"),
        (json!({ "exp": now() - 5 }), "lifetime"),
        (json!({ "exp": null }), "lifetime"),
    ] {
        behind.vouching.grants(grant.clone());
        assert_eq!(behind.refuses(&request, 502, reason), 0, "{grant}");
    }
    behind.vouching.recovers();
    let own = behind.token("alice");
    let id_jag = json!("urn:ietf:params:oauth:token-type:access_token");
    for (status, change, expected, reason) in [
        (200, json!({ "issued_token_type": id_jag }), 502, "type"),
        (200, json!({ "issued_token_type": null }), 502, "type"),
        (200, json!({ "token_type": "Bearer" }), 502, "type"),
        (200, json!({ "access_token": own }), 502, "type"),
        (200, json!({ "access_token": "opaque" }), 502, "type"),
        (200, json!({ "access_token": "a b" }), 502, "broken"),
        (200, json!({ "scope": "mcp admin" }), 502, "scope"),
        (400, json!({}), 502, "ungranted"),
        (401, json!({}), 502, "ungranted"),
        (302, json!({}), 502, "ungranted"),
        (500, json!({}), 503, "unreachable"),
    ] {
        behind.vouching.says(status, change.clone());
        assert_eq!(behind.refuses(&request, expected, reason), 0, "{change}");
    }
    behind.vouching.recovers();
    behind.permits(&request);
}

#[test]
fn tok_16_what_the_authorization_server_gives_for_it_is_for_this_server() {
    let behind = Behind::start();
    let request = call("echo").token(&behind.token("alice"));
    let foreign = behind.idp.draft("alice", "https://other.example").sign();
    for (status, change, expected, reason) in [
        (200, json!({ "access_token": foreign }), 502, "audience"),
        (200, json!({ "token_type": "N_A" }), 502, "type"),
        (200, json!({ "scope": "mcp admin" }), 502, "scope"),
        (200, json!({ "expires_in": 0 }), 502, "lifetime"),
        (400, json!({}), 502, "refused"),
        (500, json!({}), 503, "unreachable"),
    ] {
        behind.vouching.issues(status, change.clone());
        assert_eq!(behind.refuses(&request, expected, reason), 1, "{change}");
    }
    behind.vouching.recovers();
    behind.permits(&request);
}
