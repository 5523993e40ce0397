//! The whole walk, from outside: each room says no in its turn, and nothing after it is reached.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail it where they cannot go on"
)]

use bytes::Bytes;
use portcullis_core::authenticate::{
    Credentials, Keys, Principal, Resource, Trust, operating_system_user,
};
use portcullis_core::authorize::policy::{Policy, Sources};
use portcullis_core::authorize::{Circumstances, Gate, Strengths};
use portcullis_core::catalog::Terms;
use portcullis_core::inspect::{Contents, Inspector, Said, View};
use portcullis_core::misuse::Anomaly;
use portcullis_core::pipeline::{self, Head, Rules, Server, Settled, State, Trail};
use portcullis_core::protocol::Headers;
use portcullis_core::quota::{Limits, Rate};
use portcullis_core::refusal::Refusal;
use portcullis_core::route::{Dispatch, Ticket};
use portcullis_core::session::{self, SessionId};
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const CIRCUMSTANCES: Circumstances<'static> = Circumstances {
    now: NOW,
    network: Some("192.0.2.7"),
    anomaly: Anomaly::CALM,
};
const POLICY: &str = r#"
permit (principal, action == Action::"server/use", resource);
permit (principal == Principal::"os|1", action == Action::"tools/call", resource == Tool::"notes__read")
when { context.arguments.hasTag("path") && context.arguments.getTag("path") like "/notes/*" };
permit (principal, action == Action::"tools/list", resource);
"#;

fn server(scopes: &[&str]) -> Server {
    let wide = Rate {
        per_minute: 1_000_000,
        burst: 1_000_000,
    };
    let few = Rate {
        per_minute: 6,
        burst: 7,
    };
    Server {
        gate: Gate {
            resource: Resource {
                server: "notes".into(),
                audience: "https://gateway.example/notes".to_owned(),
                metadata_url: String::new(),
                issuers: Vec::new(),
                scopes: scopes.iter().map(ToString::to_string).collect(),
                scopes_supported: Vec::new(),
                ..Resource::default()
            },
            tool_scopes: HashMap::from([("admin".to_owned(), vec!["notes:admin".to_owned()])]),
            strengths: Strengths::default(),
            privileged: HashMap::default(),
            tenants: Vec::new(),
            is_aggregate: false,
        },
        terms: Terms::OBSERVED,
        approvers: Vec::new(),
        contents: Contents::observed(),
        quota: Limits {
            requests: few,
            tool_requests: None,
            per_tool: HashMap::new(),
            concurrency: 4,
            bytes: wide,
            upstream_concurrency: 4,
        },
    }
}

fn rules(scopes: &[&str]) -> Rules {
    let cedar = [("walk".to_owned(), POLICY.to_owned())];
    let sources = Sources {
        cedar: &cedar,
        grants: &[],
        ..Sources::default()
    };
    Rules {
        policy: Policy::compile(&sources).unwrap().into(),
        servers: HashMap::from([("notes".into(), server(scopes))]),
        elevations: Arc::default(),
        sessions: session::Limits {
            idle: Duration::from_mins(1),
            absolute: Duration::from_hours(1),
            most: 10,
            most_per_principal: 2,
        },
        view: View::Redacted,
    }
}

fn nobody() -> Trust {
    Trust {
        issuers: HashMap::new(),
        keys: Keys::default(),
        revoked: Arc::default(),
        generation: 0,
    }
}

fn user(uid: u32) -> Principal {
    operating_system_user(uid, "somebody", Timestamp::default())
}

fn head<'a>(server: &'a str, session: Option<&'a str>) -> Head<'a> {
    Head {
        server,
        credentials: Credentials::default(),
        session: session.map(|session| (session, 7)),
    }
}

/// One exchange up to the upstream's door.
fn walk(
    (rules, state): (&Rules, &State),
    (uid, session): (u32, Option<&str>),
    body: &str,
    trail: &mut Trail,
) -> Result<(Dispatch, Ticket), Refusal> {
    let head = head("notes", session);
    let session = pipeline::converse(rules, state, user(uid), &head, (NOW, trail))?;
    let body = Bytes::copy_from_slice(body.as_bytes());
    let headers = Headers::default();
    pipeline::admit(
        rules,
        state,
        session,
        (body, &headers),
        (CIRCUMSTANCES, trail),
    )
}

fn call(tool: &str, path: &str) -> String {
    let params = format!(r#"{{"name":"{tool}","arguments":{{"path":"{path}","token":"s3cret"}}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
}

/// Opens a session of user 1, and gives the id that the client gets.
fn opened(rules: &Rules, state: &State) -> String {
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    let (_, ticket) = walk((rules, state), (1, None), initialize, &mut Trail::default()).unwrap();
    let answer = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}"#;
    let released = pipeline::release(
        (rules, state),
        &ticket,
        answer.into(),
        (CIRCUMSTANCES, &mut Inspector::new(&|| None)),
    )
    .unwrap();
    let Said::Answer {
        revision: Some(revision),
        ..
    } = released.said()
    else {
        panic!("an answer to initialize");
    };
    let settled = Settled {
        revision,
        upstream: Some("theirs".into()),
        agent: 7,
    };
    let id = SessionId::from_entropy([9; 32]);
    let evicted = pipeline::open(rules, state, &ticket, (id, settled), NOW).unwrap();
    assert!(evicted.is_none());
    id.wire()
}

fn event(outcome: Result<(Dispatch, Ticket), Refusal>) -> (&'static str, &'static str) {
    outcome.unwrap_err().event()
}

#[test]
fn man_3_who_is_not_known_goes_no_further() {
    let (rules, state, trust) = (rules(&[]), State::default(), nobody());
    let mut trail = Trail::default();
    let refused = |server, credentials, trail: &mut Trail| {
        let head = Head {
            credentials,
            ..head(server, None)
        };
        let outcome = pipeline::identify((&rules, &trust), &state, &head, NOW, trail);
        let refusal = outcome.unwrap_err();
        (refusal.event().0, refusal.public(false).status)
    };
    let token = Credentials {
        authorization: Some(b"Bearer e30.e30.AA"),
        count: 1,
        in_query: false,
        ..Credentials::default()
    };
    assert_eq!(
        refused("notes", Credentials::default(), &mut trail),
        ("authn.reject", 401)
    );
    assert_eq!(refused("notes", token, &mut trail), ("authn.reject", 401));
    assert_eq!(
        refused("nowhere", token, &mut trail),
        ("http.rejected", 404)
    );
    assert!(trail.principal.is_none() && trail.method.is_none());
}

#[test]
fn authz_04_a_permitted_call_leaves_its_trail() {
    let (rules, state) = (rules(&[]), State::default());
    let id = opened(&rules, &state);
    let mut trail = Trail::default();
    let body = call("read", "/notes/a");
    let (dispatch, ticket) = walk((&rules, &state), (1, Some(&id)), &body, &mut trail).unwrap();
    assert_eq!(dispatch.call().body(), body.as_bytes());
    assert_eq!(&**dispatch.owner(), "os|1");
    assert_eq!(
        dispatch.session().unwrap().upstream.as_deref(),
        Some("theirs")
    );
    assert_eq!(ticket.server(), dispatch.server());
    assert!(trail.is_decided);
    assert_eq!(trail.rule.as_deref(), Some("walk:3"));
    assert_eq!(trail.target.as_deref(), Some("read"));
    assert_eq!(trail.method.as_deref(), Some("tools/call"));
    let view = trail.arguments.unwrap().view.unwrap().to_string();
    assert!(!view.contains("s3cret"), "{view}");
    assert!(!trail.session.unwrap().contains(&id));
}

#[test]
fn authz_02_each_room_says_no_in_its_turn() {
    let (rules, state) = (rules(&[]), State::default());
    let id = opened(&rules, &state);
    let world = (&rules, &state);
    let trail = &mut Trail::default();
    let no_rule = ("authz.deny", "no_rule");
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    // Session, before the body is looked at.
    let stolen = event(walk(world, (2, Some(&id)), "not json", trail));
    assert_eq!(stolen, ("session.principal_mismatch", "principal_mismatch"));
    let unknown = event(walk(world, (1, Some("x")), "not json", trail));
    assert_eq!(unknown, ("session.reject", "unknown"));
    // Protocol, then the session that its revision needs.
    let broken = event(walk(world, (1, Some(&id)), "not json", trail));
    assert_eq!(broken, ("request.malformed", "json"));
    assert_eq!(
        event(walk(world, (1, None), ping, trail)),
        ("session.reject", "missing")
    );
    assert!(!trail.is_decided);
    // Policy: another path, another tool, a method that nobody knows.
    assert_eq!(
        event(walk(world, (1, Some(&id)), &call("read", "/etc/a"), trail)),
        no_rule
    );
    assert!(trail.is_decided);
    assert_eq!(
        event(walk(
            world,
            (1, Some(&id)),
            &call("write", "/notes/a"),
            trail
        )),
        no_rule
    );
    let other = ping.replace("ping", "shell/run");
    let unknown = event(walk(world, (1, Some(&id)), &other, trail));
    assert_eq!(unknown, ("authz.deny", "unknown_method"));
    // Quota: the seven requests of this principal, whatever came of them, were the burst.
    let over = walk(world, (1, Some(&id)), ping, trail).unwrap_err();
    assert_eq!(over.event(), ("ratelimit.triggered", "principal"));
    assert_eq!(
        over.public(false).retry_after,
        Some(Duration::from_secs(10))
    );
    // Another principal is not in the way.
    assert_eq!(
        event(walk(world, (2, None), ping, trail)),
        ("session.reject", "missing")
    );
}

#[test]
fn auth_10_a_missing_scope_is_named() {
    let (rules, state) = (rules(&["notes:read"]), State::default());
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#;
    let trail = &mut Trail::default();
    let refusal = walk((&rules, &state), (1, None), initialize, trail).unwrap_err();
    assert_eq!(refusal.event(), ("authz.deny", "scope"));
    assert_eq!(refusal.public(false).status, 403);
}

#[test]
fn ses_13_an_ended_session_is_no_session() {
    let (rules, state) = (rules(&[]), State::default());
    let id = opened(&rules, &state);
    let mut trail = Trail::default();
    let head = head("notes", Some(&id));
    let bind = |trail: &mut Trail| pipeline::converse(&rules, &state, user(1), &head, (NOW, trail));
    let session = bind(&mut trail).unwrap();
    let now = Circumstances {
        now: NOW,
        network: None,
        anomaly: Anomaly::CALM,
    };
    let closed = pipeline::end(&rules, &state, &session, now, &mut trail).unwrap();
    assert_eq!(closed.reason, "deleted");
    let again = pipeline::end(&rules, &state, &session, now, &mut trail).unwrap_err();
    assert_eq!(again.event(), ("session.reject", "missing"));
    assert_eq!(bind(&mut trail).unwrap_err().public(false).status, 404);
}

#[test]
fn tok_01_a_place_in_the_quota_lasts_as_long_as_the_ticket() {
    let (rules, state) = (rules(&[]), State::default());
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#;
    let begin = || {
        walk(
            (&rules, &state),
            (1, None),
            initialize,
            &mut Trail::default(),
        )
    };
    let tickets: Vec<Ticket> = (0..4).map(|_| begin().unwrap().1).collect();
    assert_eq!(begin().unwrap_err().event().1, "concurrency");
    drop(tickets);
    drop((begin().unwrap(), begin().unwrap()));
    assert_eq!(begin().unwrap_err().event().1, "principal");
}

#[test]
fn ses_04_a_revision_without_sessions_opens_none() {
    let (rules, state) = (rules(&[]), State::default());
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#;
    let trail = &mut Trail::default();
    let (_, ticket) = walk((&rules, &state), (1, None), initialize, trail).unwrap();
    for revision in ["2026-07-28", "2024-11-05", "", "latest"] {
        let settled = Settled {
            revision,
            upstream: None,
            agent: 0,
        };
        let id = SessionId::from_entropy([1; 32]);
        let outcome = pipeline::open(&rules, &state, &ticket, (id, settled), NOW);
        assert_eq!(outcome.unwrap_err().event(), ("upstream.failed", "foreign"));
    }
    assert!(
        Arc::strong_count(&state.quota) > 1,
        "the ticket holds its place"
    );
    assert!(state.sessions.is_empty());
}
