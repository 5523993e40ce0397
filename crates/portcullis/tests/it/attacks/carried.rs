//! ATK-002: on whatever way a message goes up, what the server is shown is made for it and for who calls, and the token that
//! came stays behind.

use super::eras::{over_sse, with_sessions, without_sessions};
use crate::harness::{
    AMPLE, Answer, CLIENT, Gateway, Idp, Issuing, Request, Response, SECRET, Seen, Upstream,
    WITH_SESSIONS, call_in, initialize, message, post, verified,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";
const USERS: [&str; 2] = ["alice", "bob"];
const KINDS: [&str; 2] = ["assertion", "exchange"];

type Era = fn(&Seen) -> Option<Answer>;

/// What tells whether a credential is good, for whom.
#[derive(Clone)]
struct Judge {
    gateway: Arc<Mutex<Option<SocketAddr>>>,
    issuing: Option<Issuing>,
    audience: &'static str,
}

impl Judge {
    fn read(&self, seen: &Seen) -> Result<Value, String> {
        let shown = seen.header("authorization").ok_or("no credential")?;
        let token = shown.strip_prefix("Bearer ").ok_or("no bearer token")?;
        match &self.issuing {
            Some(issuing) => issuing.verified(token, self.audience),
            None => verified(token, self.gateway.lock().unwrap().unwrap(), self.audience),
        }
    }
}

/// A server that answers nobody whose credential is not for it.
struct Server {
    upstream: Upstream,
    judge: Judge,
}

impl Server {
    fn start(audience: &'static str, issuing: Option<Issuing>, era: Era) -> Self {
        let upstream = Upstream::start();
        let judge = Judge {
            gateway: Arc::default(),
            issuing,
            audience,
        };
        let own = judge.clone();
        upstream.misbehave(move |seen| match own.read(seen) {
            Ok(_) => era(seen),
            Err(_) => Some(Answer::status(401)),
        });
        Self { upstream, judge }
    }

    /// All that came, with what it showed; nothing came without.
    fn shown(&self) -> Vec<(Seen, Value)> {
        let seen = self.upstream.requests().into_iter();
        seen.map(|seen| {
            let claims = self.judge.read(&seen);
            let claims = claims.unwrap_or_else(|why| panic!("{why}: {seen:?}"));
            (seen, claims)
        })
        .collect()
    }
}

struct Behind {
    gateway: Gateway,
    idp: Idp,
    one: Server,
    two: Server,
}

impl Behind {
    /// `more` are further keys of both servers.
    fn with(kind: &str, more: &str, era: Era) -> Self {
        let idp = Idp::start();
        let issuing = (kind == "exchange").then(Issuing::start);
        let (one, two) = (
            Server::start(ONE, issuing.clone(), era),
            Server::start(TWO, issuing.clone(), era),
        );
        let asked = issuing.as_ref().map_or_else(String::new, |issuing| {
            format!(
                ", token_endpoint = \"{}\", client_id = \"{CLIENT}\", client_secret = {{ env = \"SECRET\" }}",
                issuing.url()
            )
        });
        let server = |name: &str, server: &Server| {
            format!(
                "[servers.{name}]\nurl = \"{}\"\nallow = [\"echo\"]\n{more}\
                 credentials = {{ kind = \"{kind}\", audience = \"{}\", scopes = [\"mcp\"]{asked} }}\n",
                server.upstream.url(),
                server.judge.audience
            )
        };
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{}\"\n{}{}",
            idp.issuer(),
            server("notes", &one),
            server("other", &two)
        );
        let gateway = Gateway::start_after(&format!("export SECRET='{SECRET}'"), &config);
        for server in [&one, &two] {
            *server.judge.gateway.lock().unwrap() = Some(gateway.address);
        }
        if let Some(issuing) = &issuing {
            issuing.trust(gateway.address, &idp.issuer(), idp.key("ed-1"));
        }
        Self {
            gateway,
            idp,
            one,
            two,
        }
    }

    /// A token of this user for the server, or for all of them.
    fn token(&self, user: &str, path: &str) -> String {
        let audience = format!("http://{}{path}", self.gateway.address);
        self.idp.draft(user, &audience).sign()
    }

    fn answers(&self, request: &Request) -> Response {
        let response = request.send(self.gateway.address);
        assert_eq!(response.status, 200, "{request:?} {response:?}");
        assert!(!response.body.contains("\"error\""), "{response:?}");
        response
    }

    /// Each of both calls in turn, without a session.
    fn call_all(&self, path: &str, tool: &str, tokens: &[String]) {
        for _ in 0..2 {
            for (user, token) in USERS.iter().zip(tokens) {
                let params =
                    json!({ "name": tool, "arguments": { "who": format!("it-is-{user}") } });
                let call = message("tools/call", params).set("mcp-name", tool);
                self.answers(&call.to(path).token(token));
            }
        }
    }

    /// One after the other opens a session, calls, listens and ends it.
    fn hold_sessions(&self, path: &str, tool: &str, tokens: &[String]) {
        for (user, token) in USERS.iter().zip(tokens) {
            let opened = self.answers(&initialize(token).to(path));
            let session = opened.header("mcp-session-id").unwrap();
            let within = |request: Request| {
                let request = request.to(path).token(token);
                let request = request.set("mcp-session-id", session);
                request.set("mcp-protocol-version", WITH_SESSIONS)
            };
            let ready = post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
            let ready = within(ready).send(self.gateway.address);
            assert_eq!(ready.status, 202, "{ready:?}");
            let params = json!({ "name": tool, "arguments": { "who": format!("it-is-{user}") } });
            let call =
                json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
            self.answers(&call_in(session, token).to(path).body(&call.to_string()));
            let stream = within(Request::in_session("GET", session)).open(self.gateway.address);
            assert_eq!(stream.response.status, 200);
            let over = within(Request::in_session("DELETE", session)).send(self.gateway.address);
            assert_eq!(over.status, 200, "{over:?}");
        }
    }

    /// What each server saw is for it and of who called, and nothing that the client brought.
    fn is_right(&self, server: &Server, tokens: &[String]) {
        let (mut sessions, mut calls) = (BTreeMap::new(), BTreeMap::new());
        for (seen, claims) in server.shown() {
            let who = claims["sub"].as_str().unwrap().to_owned();
            for user in USERS {
                if seen.body.contains(&format!("it-is-{user}")) {
                    assert_eq!(who, user, "{seen:?}");
                    *calls.entry(user).or_insert(0) += 1;
                }
            }
            if let Some(session) = seen.header("mcp-session-id") {
                let owner = sessions.entry(session.to_owned()).or_insert(who.clone());
                assert_eq!(*owner, who, "a session of somebody else: {seen:?}");
            }
            let whole = seen.whole();
            assert!(
                tokens.iter().all(|token| !whole.contains(token)),
                "{seen:?}"
            );
        }
        assert_eq!(calls.len(), USERS.len(), "{calls:?}");
        let traces = self.gateway.traces();
        assert!(tokens.iter().all(|token| !traces.contains(token)));
    }

    fn tokens(&self, path: &str) -> Vec<String> {
        USERS.iter().map(|user| self.token(user, path)).collect()
    }
}

const NOTES: &str = "/servers/notes/mcp";

#[test]
fn tok_05_stateless_callers_are_told_apart_at_a_server_with_sessions() {
    for kind in KINDS {
        let behind = Behind::with(kind, "", with_sessions);
        let tokens = behind.tokens(NOTES);
        behind.call_all(NOTES, "echo", &tokens);
        behind.is_right(&behind.one, &tokens);
        assert!(behind.two.shown().is_empty());
    }
}

#[test]
fn tok_05_sessions_are_told_apart_at_a_stateless_server() {
    for kind in KINDS {
        let behind = Behind::with(kind, "", without_sessions);
        let tokens = behind.tokens(NOTES);
        behind.hold_sessions(NOTES, "echo", &tokens);
        behind.is_right(&behind.one, &tokens);
        let listens = behind.one.shown().into_iter();
        let listens = listens.filter(|(seen, _)| seen.body.contains("subscriptions/listen"));
        assert!(listens.count() > 0, "the stream was asked for");
    }
}

#[test]
fn tok_05_callers_are_told_apart_at_a_server_over_sse() {
    for kind in KINDS {
        let behind = Behind::with(kind, "transport = \"sse\"\n", |seen| {
            Some(match seen.method.as_str() {
                "GET" => Answer::events("event: endpoint\ndata: /messages?session=1\n\n"),
                _ => Answer::status(202),
            })
        });
        let tokens = behind.tokens(NOTES);
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| over_sse(&behind.one.upstream, &done));
            let driven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                behind.hold_sessions(NOTES, "echo", &tokens);
                behind.call_all(NOTES, "echo", &tokens);
            }));
            done.store(true, Ordering::Relaxed);
            driven.unwrap_or_else(|why| std::panic::resume_unwind(why));
        });
        behind.is_right(&behind.one, &tokens);
        let gets = behind.one.shown().into_iter();
        let gets = gets.filter(|(seen, _)| seen.method == "GET");
        assert!(
            gets.count() >= 4,
            "one connection for each session and caller"
        );
    }
}

#[test]
fn tok_05_the_endpoint_for_all_servers_shows_each_what_is_for_it() {
    for kind in KINDS {
        for era in [with_sessions as Era, without_sessions] {
            let behind = Behind::with(kind, "", era);
            let tokens = behind.tokens("/mcp");
            for (tool, server) in [("notes__echo", &behind.one), ("other__echo", &behind.two)] {
                behind.call_all("/mcp", tool, &tokens);
                behind.hold_sessions("/mcp", tool, &tokens);
                behind.is_right(server, &tokens);
            }
            let listed = message("tools/list", json!({}))
                .to("/mcp")
                .token(&tokens[0]);
            let listed = behind.answers(&listed).body;
            assert!(listed.contains("notes__echo") && listed.contains("other__echo"));
            behind.is_right(&behind.one, &tokens);
            behind.is_right(&behind.two, &tokens);
        }
    }
}
