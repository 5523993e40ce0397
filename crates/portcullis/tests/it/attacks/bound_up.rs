//! Tokens for servers that are bound to a key of the gateway's: stolen on the way or at the server, they are worth nothing.

use crate::harness::{
    AMPLE, Answer, BadProof, CLIENT, Draft, Gateway, Idp, Issuing, Key, Proofs, Request, Response,
    SECRET, Seen, Upstream, call,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const AUDIENCE: &str = "https://notes.example";

struct Bound {
    gateway: Gateway,
    idp: Idp,
    issuing: Issuing,
    upstream: Upstream,
    wants: Arc<Mutex<Proofs>>,
}

impl Bound {
    fn new(kind: &str) -> Self {
        let (idp, issuing, upstream) = (Idp::start(), Issuing::start(), Upstream::start());
        let wants: Arc<Mutex<Proofs>> = Arc::default();
        let (checking, url, wanting) = (issuing.clone(), upstream.url(), Arc::clone(&wants));
        upstream.misbehave(move |seen| judge(seen, &checking, &mut wanting.lock().unwrap(), &url));
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{}\"\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"echo\"]\n\
             [servers.notes.credentials]\nkind = \"{kind}\"\naudience = \"{AUDIENCE}\"\nscopes = [\"mcp\"]\n\
             token_endpoint = \"{}\"\nclient_id = \"{CLIENT}\"\nclient_secret = {{ env = \"SECRET\" }}\ndpop = true\n",
            idp.issuer(),
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
            wants,
        }
    }

    fn echo(&self) -> Request {
        let token = self.idp.draft("alice", &self.gateway.url("notes")).sign();
        call("echo").token(&token)
    }

    fn send(&self, request: &Request) -> Response {
        request.send(self.gateway.address)
    }

    fn permits(&self, request: &Request) {
        let response = self.send(request);
        assert_eq!(response.status, 200, "{response:?}");
    }

    /// The same request as the server has seen, by somebody else.
    fn stolen(&self, seen: &Seen, (scheme, proof): (&str, Option<&str>)) -> u16 {
        let shown = seen.header("authorization").unwrap_or_default();
        let token = shown.trim_start_matches("DPoP ");
        let mut request = Request::new("POST", "/mcp")
            .set("content-type", "application/json")
            .set("authorization", &format!("{scheme} {token}"))
            .body(&seen.body);
        if let Some(proof) = proof {
            request = request.set("dpop", proof);
        }
        request.send(self.upstream.address()).status
    }
}

/// What a server does that takes bound tokens only.
fn judge(seen: &Seen, issuing: &Issuing, proofs: &mut Proofs, url: &str) -> Option<Answer> {
    let refuse = |challenge: &str| {
        let nonce = proofs.nonce.clone().unwrap_or_default();
        let more = format!("www-authenticate: {challenge}\r\ndpop-nonce: {nonce}\r\n");
        Some(Answer::json(401, &more, "{}"))
    };
    let shown = seen.header("authorization").unwrap_or_default();
    let Some(token) = shown.strip_prefix("DPoP ") else {
        return refuse("DPoP error=\"invalid_token\"");
    };
    let Ok(claims) = issuing.verified(token, AUDIENCE) else {
        return refuse("DPoP error=\"invalid_token\"");
    };
    let token = token.to_owned();
    match proofs.check(seen, url, Some(&token)) {
        Ok(key) if claims["cnf"]["jkt"] == key.as_str() => None,
        Err(BadProof::Nonce) => {
            let nonce = proofs.nonce.clone().unwrap_or_default();
            let more = format!(
                "www-authenticate: DPoP error=\"use_dpop_nonce\"\r\ndpop-nonce: {nonce}\r\n"
            );
            Some(Answer::json(401, &more, "{}"))
        }
        Ok(_) | Err(BadProof::Wrong(_)) => Some(Answer::json(
            401,
            "www-authenticate: DPoP error=\"invalid_dpop_proof\"\r\n",
            "{}",
        )),
    }
}

#[test]
fn tok_14_a_stolen_token_for_a_server_is_worth_nothing_without_our_key() {
    for kind in ["exchange", "client-credentials"] {
        let bound = Bound::new(kind);
        for _ in 0..3 {
            bound.permits(&bound.echo());
        }
        let seen = bound.upstream.requests();
        let calls: Vec<&Seen> = seen
            .iter()
            .filter(|seen| seen.body.contains("echo"))
            .collect();
        let last = calls.last().unwrap();
        let proof = last.header("dpop").unwrap();
        let token = last
            .header("authorization")
            .unwrap()
            .trim_start_matches("DPoP ");
        let thief = Draft::proof(&Key::ec("thief"), ("POST", &bound.upstream.url()), token).sign();
        for (shown, what) in [
            (("Bearer", None), "as a bearer token"),
            (("DPoP", None), "without a proof"),
            (("DPoP", Some(proof)), "with the recorded proof"),
            (("DPoP", Some(&*thief)), "with another key"),
        ] {
            assert_eq!(bound.stolen(last, shown), 401, "{kind} {what}");
        }
        assert!(
            !bound.gateway.traces().contains(proof),
            "no record holds a proof"
        );
        bound.permits(&bound.echo());
    }
}

#[test]
fn tok_14_nonces_of_both_are_heeded_and_nobody_is_asked_for_ever() {
    let bound = Bound::new("client-credentials");
    bound.issuing.wants_nonce("of-the-authority");
    bound.wants.lock().unwrap().nonce = Some("of-the-server".to_owned());
    bound.permits(&bound.echo());
    assert_eq!(bound.issuing.asked().len(), 2, "once more with the nonce");
    let before = bound.upstream.requests().len();
    bound.permits(&bound.echo());
    assert_eq!(bound.upstream.requests().len(), before + 1, "known by now");
    // Another nonce each time.
    let (count, wants) = (Arc::new(Mutex::new(0)), Arc::clone(&bound.wants));
    let (issuing, url, counting) = (
        bound.issuing.clone(),
        bound.upstream.url(),
        Arc::clone(&count),
    );
    bound.upstream.misbehave(move |seen| {
        let mut count = counting.lock().unwrap();
        *count += 1;
        let mut wants = wants.lock().unwrap();
        wants.nonce = Some(format!("number-{count}"));
        judge(seen, &issuing, &mut wants, &url)
    });
    let refused = bound.send(&bound.echo());
    assert_ne!(refused.status, 200, "{refused:?}");
    assert_eq!(*count.lock().unwrap(), 2);
}

#[test]
fn tok_14_a_token_that_is_not_bound_to_our_key_is_shown_to_nobody() {
    let bound = Bound::new("client-credentials");
    let refuses = |reason: &str| {
        let before = bound.upstream.requests().len();
        let response = bound.send(&bound.echo());
        assert_eq!(response.status, 502, "{response:?}");
        let record: Value = bound.gateway.record_of(&response);
        assert_eq!(record["event"], "token.not_issued", "{record}");
        assert_eq!(record["reason"], reason, "{record}");
        assert_eq!(bound.upstream.requests().len(), before);
    };
    bound.issuing.says(200, json!({ "token_type": "Bearer" }));
    refuses("unbound");
    // It says that it is bound, but to somebody else, or to nobody.
    let other = Key::ec("other").thumbprint();
    for cnf in [json!({ "jkt": other }), json!({})] {
        let token = bound.issuing.made(AUDIENCE, "mcp", &cnf);
        bound.issuing.says(200, json!({ "access_token": token }));
        refuses("unbound");
    }
    bound.issuing.says(200, json!({ "token_type": "mac" }));
    refuses("type");
    bound.issuing.recovers();
    bound.permits(&bound.echo());
}
