//! How risky is what is approved? It is scored once in each version, before anything of it is called.

use super::analyse::{Finding, analyse, risk};
use super::{Approved, Definition, Kind, Pinned};
use crate::protocol::Target;

/// The risk of a definition by itself, from 0 to 100.
pub fn score(definition: &Definition) -> u32 {
    let kind = definition.kind();
    let value = serde_json::from_str(definition.canonical()).unwrap_or_default();
    let found = analyse(kind, &value);
    risk(kind, &value, found.iter().map(Finding::rated)).score
}

impl Approved {
    /// Scores its tools, but those that were scored before.
    pub(super) fn rate(&mut self, before: &Self) {
        let shelves = self.servers.values();
        let tools = shelves.filter_map(|kinds| kinds.get(&Kind::Tool));
        for tool in tools.flat_map(|shelf| shelf.values()) {
            let known = before.scores.get(&tool.digest()).copied();
            let scored = self.scores.entry(tool.digest());
            scored.or_insert_with(|| known.unwrap_or_else(|| score(tool)));
        }
    }
}

impl Pinned {
    /// The risk of a tool in the version that is approved; none if nothing of it is.
    pub fn score(&self, server: &str, target: &Target) -> Option<u32> {
        let Target::Tool(name) = target else {
            return None;
        };
        let approved = self.approved.load();
        let tool = approved.find(server, Kind::Tool, name)?;
        approved.scores.get(&tool.digest()).copied()
    }
}
