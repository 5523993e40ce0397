//! The walk of one kind of call, many times: what `cargo xtask instructions` counts the instructions of.
//!
//! `walk STEP COUNT` with STEP `identify`, `admit` or `release`: each goes as far as its name says.
//! The caller has a token that was verified before, one rule permits the call, and no two calls are alike.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use portcullis_core::authenticate::{
    Algorithm, Claims, Credentials, Introspection, Issuer, KeySet, Keys, Resource, Trust,
};
use portcullis_core::authorize::policy::{Grant, Policy, Sources, Who};
use portcullis_core::authorize::{Circumstances, Gate, Strengths};
use portcullis_core::catalog::Terms;
use portcullis_core::inspect::{Contents, Inspector, View};
use portcullis_core::misuse::Anomaly;
use portcullis_core::pipeline::{self, Head, Rules, Server, State, Trail};
use portcullis_core::protocol::Headers;
use portcullis_core::quota::{Limits, Rate};
use portcullis_core::session;
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://gateway.example/servers/notes/mcp";
const REVISION: &str = "2026-07-28";
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// How far a walk goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Identify,
    Admit,
    Release,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let last = match arguments.next().as_deref() {
        Some("identify") => Step::Identify,
        Some("admit") => Step::Admit,
        Some("release") => Step::Release,
        Some(_) | None => return Err("walk identify|admit|release COUNT".into()),
    };
    let count: u64 = arguments.next().ok_or("how many?")?.parse()?;
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32])?;
    let authorization = format!("Bearer {}", token(&key));
    let (rules, trust, state) = (rules()?, trust(&key)?, State::default());
    // The first verifies the token.
    for number in 0..=count {
        walk((&rules, &trust, &state), &authorization, number, last)?;
    }
    Ok(())
}

fn walk(
    (rules, trust, state): (&Rules, &Trust, &State),
    authorization: &str,
    number: u64,
    last: Step,
) -> Result<(), Box<dyn Error>> {
    let mut trail = Trail::default();
    let now = Timestamp::from_seconds(NOW);
    let head = Head {
        server: "notes",
        credentials: Credentials {
            authorization: Some(authorization.as_bytes()),
            count: 1,
            in_query: false,
            ..Credentials::default()
        },
        session: None,
    };
    let session = pipeline::identify((rules, trust), state, &head, now, &mut trail)?;
    if last == Step::Identify {
        return Ok(());
    }
    let circumstances = Circumstances {
        now,
        network: Some("192.0.2.7"),
        anomaly: Anomaly::CALM,
    };
    let headers = Headers {
        version: Some(REVISION),
        method: Some("tools/call"),
        name: Some("echo"),
        ..Headers::default()
    };
    let text = format!("{number:>16} river lantern orchard copper meadow window harbour");
    let (dispatch, ticket) = pipeline::admit(
        rules,
        state,
        session,
        (request(number, &text), &headers),
        (circumstances, &mut trail),
    )?;
    drop(dispatch);
    if last == Step::Admit {
        return Ok(());
    }
    let released = pipeline::release(
        (rules, state),
        &ticket,
        answer(number, &text),
        (circumstances, &mut Inspector::new(&|| None)),
    )?;
    drop(released);
    Ok(())
}

fn request(id: u64, text: &str) -> Bytes {
    let params = format!(r#"{{"name":"echo","arguments":{{"text":"{text}"}},{META}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#).into()
}

fn answer(id: u64, text: &str) -> Bytes {
    let content = format!(r#"[{{"type":"text","text":"{text}"}}]"#);
    let result = format!(r#"{{"content":{content},"isError":false,"resultType":"complete"}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into()
}

fn token(key: &Ed25519KeyPair) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "bench"}));
    let claims = part(&json!({
        "iss": ISSUER, "sub": "somebody", "aud": AUDIENCE, "client_id": "bench", "jti": "1",
        "iat": NOW, "exp": NOW + 600, "scope": "notes",
    }));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn trust(key: &Ed25519KeyPair) -> Result<Trust, Box<dyn Error>> {
    let x = URL_SAFE_NO_PAD.encode(key.public_key());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "bench"}]});
    let keys = KeySet::parse(keys.to_string().as_bytes())?;
    let issuer = Issuer {
        issuer: ISSUER.to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_hours(1),
        skew: Duration::from_secs(30),
        claims: Claims::default(),
        lookalikes: Vec::new(),
        introspection: Introspection::Never,
    };
    Ok(Trust {
        issuers: HashMap::from([(ISSUER.to_owned(), issuer)]),
        keys: Keys(HashMap::from([(ISSUER.to_owned(), Arc::new(keys))])),
        revoked: Arc::default(),
        generation: 1,
    })
}

fn rules() -> Result<Rules, Box<dyn Error>> {
    let grant = Grant {
        id: "bench".to_owned(),
        who: Who::Anyone,
        allow: vec!["notes__echo".to_owned()],
        until: None,
        held: None,
    };
    let sources = Sources {
        cedar: &[],
        grants: &[grant],
        ..Sources::default()
    };
    Ok(Rules {
        policy: Policy::compile(&sources)?.into(),
        servers: HashMap::from([("notes".into(), server())]),
        elevations: Arc::default(),
        sessions: session::Limits {
            idle: Duration::from_mins(1),
            absolute: Duration::from_hours(1),
            most: 10,
            most_per_principal: 2,
        },
        view: View::Redacted,
    })
}

fn server() -> Server {
    let wide = Rate {
        per_minute: 1_000_000_000,
        burst: 1_000_000_000,
    };
    Server {
        gate: Gate {
            resource: Resource {
                server: "notes".into(),
                audience: AUDIENCE.to_owned(),
                metadata_url: String::new(),
                issuers: vec![ISSUER.to_owned()],
                scopes: vec!["notes".to_owned()],
                scopes_supported: Vec::new(),
                ..Resource::default()
            },
            tool_scopes: HashMap::new(),
            strengths: Strengths::default(),
            privileged: HashMap::default(),
            tenants: Vec::new(),
            is_aggregate: false,
        },
        terms: Terms::OBSERVED,
        approvers: Vec::new(),
        contents: Contents::observed(),
        quota: Limits {
            requests: wide,
            tool_requests: Some(wide),
            per_tool: HashMap::new(),
            concurrency: 4,
            bytes: wide,
            upstream_concurrency: 4,
        },
    }
}
