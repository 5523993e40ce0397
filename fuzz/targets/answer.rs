//! Whatever an upstream sends: it goes nowhere, or it is one well-formed message of this exchange.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::Credentials;
use portcullis_core::authenticate::{Resource, operating_system_user};
use portcullis_core::authorize::policy::{Policy, Sources};
use portcullis_core::authorize::{Circumstances, Gate, Strengths};
use portcullis_core::inspect::{Contents, Inspector, Said, View};
use portcullis_core::misuse::Anomaly;
use portcullis_core::pipeline::{self, Head, Rules, Server, State, Trail};
use portcullis_core::protocol::{Headers, check_strict};
use portcullis_core::quota::{Limits, Rate};
use portcullis_core::route::Ticket;
use portcullis_core::session;
use portcullis_core::time::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const CIRCUMSTANCES: Circumstances<'static> = Circumstances {
    now: NOW,
    network: None,
    anomaly: Anomaly::CALM,
};
const POLICY: &str = r#"
permit (principal, action in [Action::"list", Action::"server/use"], resource);
permit (principal, action == Action::"tools/call", resource == Tool::"notes__seen");
permit (principal, action == Action::"roots/list", resource);
"#;
const METHODS: [&str; 4] = [
    "tools/list",
    "resources/list",
    "prompts/list",
    "server/discover",
];
const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

static WORLD: LazyLock<(Rules, State, Vec<Ticket>)> = LazyLock::new(|| {
    let rules = rules();
    let tickets = METHODS
        .iter()
        .map(|method| ticket(&rules, method))
        .collect();
    (rules, State::default(), tickets)
});

fn rules() -> Rules {
    let wide = Rate {
        per_minute: 1_000_000,
        burst: 1_000_000,
    };
    let server = Server {
        gate: Gate {
            resource: Resource {
                server: "notes".into(),
                audience: String::new(),
                metadata_url: String::new(),
                issuers: Vec::new(),
                scopes: Vec::new(),
                scopes_supported: Vec::new(),
                ..Resource::default()
            },
            tool_scopes: HashMap::new(),
            strengths: Strengths::default(),
            is_aggregate: false,
            privileged: HashMap::new(),
            tenants: Vec::new(),
        },
        quota: Limits {
            requests: wide,
            tool_requests: None,
            per_tool: HashMap::new(),
            concurrency: 10,
            bytes: wide,
            upstream_concurrency: 10,
        },
        terms: portcullis_core::catalog::Terms::OBSERVED,
        approvers: Vec::new(),
        contents: Contents::observed(),
    };
    let cedar = [("fuzz".to_owned(), POLICY.to_owned())];
    Rules {
        policy: Policy::compile(&Sources {
            cedar: &cedar,
            grants: &[],
            ..Sources::default()
        })
        .expect("policies")
        .into(),
        servers: HashMap::from([("notes".into(), server)]),
        elevations: Arc::default(),
        sessions: session::Limits {
            idle: Duration::MAX,
            absolute: Duration::MAX,
            most: 1,
            most_per_principal: 1,
        },
        view: View::Redacted,
    }
}

fn ticket(rules: &Rules, method: &str) -> Ticket {
    let state = State::default();
    let mut trail = Trail::default();
    let head = Head {
        server: "notes",
        credentials: Credentials::default(),
        session: None,
    };
    let alice = operating_system_user(1, "alice", Timestamp::default());
    let session =
        pipeline::converse(rules, &state, alice, &head, (NOW, &mut trail)).expect("a server");
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"_meta":{META}}}}}"#);
    let headers = Headers {
        version: Some("2026-07-28"),
        method: Some(method),
        ..Headers::default()
    };
    let message = (body.into(), &headers);
    let admitted = pipeline::admit(rules, &state, session, message, (CIRCUMSTANCES, &mut trail));
    admitted.expect("permitted").1
}

fuzz_target!(|message: &[u8]| {
    let (rules, state, tickets) = &*WORLD;
    for ticket in tickets {
        let message = Bytes::copy_from_slice(message);
        let looking = (CIRCUMSTANCES, &mut Inspector::new(&|| Some([7; 16])));
        let Ok(released) = pipeline::release((rules, state), ticket, message, looking) else {
            continue;
        };
        let is_result = matches!(released.said(), Said::Answer { code: None, .. });
        let passed = released.into_bytes();
        let text = std::str::from_utf8(&passed).expect("UTF-8");
        assert_eq!(check_strict(text), Ok(()));
        let value: Value = serde_json::from_str(text).expect("JSON");
        if !is_result {
            continue;
        }
        assert_eq!(value["id"], 7);
        let lists_tools = ticket
            .method()
            .is_some_and(|method| method.name() == "tools/list");
        if let (true, Some(tools)) = (lists_tools, value["result"]["tools"].as_array()) {
            assert!(tools.iter().all(|tool| tool["name"] == "seen"));
        }
    }
});
