//! What a destination is told: an OCSF Detection Finding (class 2004) of words of ours, names and numbers. What it is about
//! stands in the record, to which the trace id leads.

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_audit::{Record, Stamp, Text};
use portcullis_core::alert::{Alert, Severity};
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};

/// The version of OCSF.
const OCSF: &str = "1.3.0";
/// Facts of a record that may leave the machine.
const FACTS: &[&str] = &[
    "acme",
    "alerts",
    "by",
    "cause",
    "claim",
    "claimed_issuer",
    "class",
    "collector",
    "count",
    "destination",
    "host",
    "issued_for",
    "issuer",
    "key",
    "network",
    "places",
    "response",
    "review",
    "secret",
    "vault",
];
/// Those that do not tell one thing from another.
const FLEETING: &[&str] = &["cause", "count", "response"];

/// One alert that is to be told.
pub(super) struct Due {
    /// The number of its record.
    pub(super) seq: u64,
    /// The same for each attempt, and for nothing else.
    pub(super) id: String,
    pub(super) rule: String,
    pub(super) severity: Severity,
    /// When it happened.
    pub(super) at: Timestamp,
    /// The finding, in one line.
    pub(super) body: String,
}

/// A hash of whom and what a record concerns.
pub(super) fn about(hasher: &RandomState, record: &Record) -> u64 {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
    let reason = record.reason.as_ref().map(|reason| reason.as_str());
    let whom = record.principal.as_ref();
    let whom = whom.map(|whom| (whom.iss.as_str().to_owned(), whom.sub.as_str().to_owned()));
    let facts = FACTS.iter().filter(|name| !FLEETING.contains(name));
    let facts: Vec<_> = facts.map(|name| record.detail.get(name)).collect();
    // Of a stranger nothing is known but from where.
    let from = whom
        .is_none()
        .then(|| record.peer.map(|peer| peer.ip()))
        .flatten();
    hasher.hash_one((
        (record.event.as_str(), reason, text(&record.jti)),
        (whom, from, text(&record.client)),
        facts,
    ))
}

pub(super) fn due(line: &[u8], (seq, stamp): (u64, Stamp), record: &Record, alert: &Alert) -> Due {
    let mut id = format!("{seq}-");
    for byte in digest(&SHA256, line).as_ref().iter().take(8) {
        // Writing to a text does not fail.
        let _ok = write!(id, "{byte:02x}");
    }
    let at = Timestamp::from_micros(stamp.clock.unwrap_or(stamp.time));
    let body = finding(&id, (seq, at), record, alert).to_string();
    Due {
        seq,
        id,
        rule: alert.rule.clone(),
        severity: alert.severity,
        at,
        body,
    }
}

fn finding(id: &str, (seq, at): (u64, Timestamp), record: &Record, alert: &Alert) -> Value {
    let (severity, severity_id) = alert.severity.ocsf();
    let millis = at.micros() / 1_000;
    let mut finding = json!({
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200_401,
        "type_name": "Detection Finding: Create",
        "time": millis,
        "severity": severity,
        "severity_id": severity_id,
        "status": "New",
        "status_id": 1,
        "count": alert.count,
        "message": alert.title,
        "is_alert": true,
        "finding_info": {
            "uid": id,
            "title": alert.title,
            "created_time": millis,
            "analytic": { "type": "Rule", "type_id": 1, "uid": alert.rule, "name": alert.rule },
        },
        "metadata": {
            "version": OCSF,
            "uid": id,
            "sequence": seq,
            "product": {
                "name": "Portcullis",
                "vendor_name": "Portcullis",
                "version": env!("CARGO_PKG_VERSION"),
            },
        },
        "evidences": [evidence(record)],
        "unmapped": unmapped(record),
    });
    let metadata = finding.pointer_mut("/metadata");
    if let (Some(trace), Some(Value::Object(metadata))) = (&record.trace, metadata) {
        metadata.insert("correlation_uid".to_owned(), trace.as_str().into());
    }
    finding
}

/// Who, from where, to what.
fn evidence(record: &Record) -> Value {
    let mut evidence = Map::new();
    if let Some(whom) = &record.principal {
        let user = json!({ "uid": whom.sub.as_str(), "domain": whom.iss.as_str() });
        evidence.insert("actor".to_owned(), json!({ "user": user }));
    }
    if let Some(peer) = record.peer {
        let place = json!({ "ip": peer.ip().to_string(), "port": peer.port() });
        evidence.insert("src_endpoint".to_owned(), place);
    }
    if let Some(server) = &record.server {
        let place = json!({ "name": server.as_str() });
        evidence.insert("dst_endpoint".to_owned(), place);
    }
    let mut data = Map::new();
    for (name, text) in [("client", &record.client), ("jti", &record.jti)] {
        if let Some(text) = text {
            data.insert(name.to_owned(), text.as_str().into());
        }
    }
    evidence.insert("data".to_owned(), data.into());
    evidence.into()
}

fn unmapped(record: &Record) -> Value {
    let mut facts = Map::new();
    facts.insert("event".to_owned(), record.event.as_str().into());
    if let Some(reason) = &record.reason {
        facts.insert("reason".to_owned(), reason.as_str().into());
    }
    for name in FACTS {
        if let Some(fact) = record.detail.get(name) {
            facts.insert((*name).to_owned(), fact.into());
        }
    }
    facts.into()
}
