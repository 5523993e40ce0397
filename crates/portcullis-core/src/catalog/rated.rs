//! How risky is what is approved? It is scored once in each version, before anything of it is called.

use super::analyse::{Finding, analyse, risk};
use super::{Approved, Definition, Kind, Pinned};
use crate::protocol::Target;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// The finding of what nobody has looked at.
const UNKNOWN: &str = "unknown";

/// How risky a tool is, as rules read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// From 0 to 100.
    pub score: u32,
    /// The rules that found something in its definition, by the alphabet.
    pub findings: Arc<[Box<str>]>,
}

impl Rated {
    /// A tool of which nothing is known: it is as risky as can be.
    pub fn unknown() -> &'static Self {
        static ALL: LazyLock<Rated> = LazyLock::new(|| Rated::of(100, [UNKNOWN]));
        &ALL
    }

    /// This score, with what was found.
    pub fn of<'f>(score: u32, findings: impl IntoIterator<Item = &'f str>) -> Self {
        let findings: BTreeSet<&str> = findings.into_iter().collect();
        Self {
            score: score.min(100),
            findings: findings.into_iter().map(Box::from).collect(),
        }
    }
}

/// The risk of a definition by itself.
fn rated(definition: &Definition) -> Rated {
    let kind = definition.kind();
    let value = serde_json::from_str(definition.canonical()).unwrap_or_default();
    let found = analyse(kind, &value);
    let risk = risk(kind, &value, found.iter().map(Finding::rated));
    Rated::of(risk.score, found.iter().map(|finding| finding.rule))
}

impl Approved {
    /// One tool of which nothing is known but how risky it is.
    pub fn assumed(server: &str, name: &str, rated: Rated) -> Self {
        let tool = Definition::read(Kind::Tool, &json!({ "name": name }).to_string());
        let tool = tool.ok().map(|tool| (server.into(), tool));
        let digest = tool.as_ref().map(|(_, tool)| tool.digest());
        let mut approved = Self::of(tool);
        approved.rated.extend(digest.map(|digest| (digest, rated)));
        approved
    }

    /// Scores its tools, but those that were scored before.
    pub(super) fn rate(&mut self, before: &Self) {
        let shelves = self.servers.values();
        let tools = shelves.filter_map(|kinds| kinds.get(&Kind::Tool));
        for tool in tools.flat_map(|shelf| shelf.values()) {
            let known = before.rated.get(&tool.digest()).cloned();
            let own = self.rated.entry(tool.digest());
            own.or_insert_with(|| known.unwrap_or_else(|| rated(tool)));
        }
    }
}

impl Pinned {
    /// The risk of a tool in the version that is approved; none if nothing of it is.
    pub fn rated(&self, server: &str, target: &Target) -> Option<Rated> {
        let Target::Tool(name) = target else {
            return None;
        };
        let approved = self.approved.load();
        let tool = approved.find(server, Kind::Tool, name)?;
        approved.rated.get(&tool.digest()).cloned()
    }
}
