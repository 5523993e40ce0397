//! How much harm could what a server defines do, and all of it together?

use super::finding::{Outcome, Scanned, Severity};
use portcullis_core::catalog::analyse::{Capabilities, Risk, capabilities, risk, server_risk};
use portcullis_core::catalog::{Definition, Kind};
use serde_json::Value;
use std::collections::BTreeMap;

/// The risk of a server, and of each of its definitions.
#[derive(Debug)]
pub(super) struct Risks<'a> {
    pub(super) server: Risk,
    pub(super) defined: Vec<(&'a Definition, Risk)>,
}

impl<'a> Risks<'a> {
    /// That of a server that was looked at, by all that was found of it.
    pub(super) fn of(server: &'a Scanned) -> Option<Self> {
        let Outcome::Seen(definitions) = &server.outcome else {
            return None;
        };
        let mut found: BTreeMap<(Kind, &str), Vec<(Severity, &str)>> = BTreeMap::new();
        for finding in &server.findings {
            if let Some((kind, name)) = &finding.about {
                let of_it = found.entry((*kind, name)).or_default();
                of_it.push((finding.severity, finding.rule));
            }
        }
        let (mut defined, mut all) = (Vec::new(), Vec::new());
        for own in definitions {
            let value: Value = serde_json::from_str(own.canonical()).unwrap_or_default();
            let rules = found.get(&(own.kind(), &**own.name()));
            let risk = risk(own.kind(), &value, rules.into_iter().flatten().copied());
            let can = if own.kind() == Kind::Tool {
                capabilities(&value)
            } else {
                Capabilities::default()
            };
            all.push((risk.clone(), can));
            defined.push((own, risk));
        }
        Some(Self {
            server: server_risk(&all),
            defined,
        })
    }
}
