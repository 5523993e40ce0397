//! How often rules and points have decided, as the audit log tells it.

use portcullis_audit::{Effect, Filter, Record, oldest_first};
use portcullis_core::authorize::action_of;
use portcullis_core::points;
use portcullis_core::protocol::Method;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Between the rules of one record.
const BETWEEN: &str = ", ";

/// How often, and when last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) hits: u64,
    /// Microseconds since 1970; 0 if never.
    pub(crate) last: u64,
}

/// What a stretch of the log tells.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// How many records were looked at.
    pub(crate) records: u64,
    points: BTreeMap<&'static str, Count>,
    /// By what a record says: one rule, or several with commas between.
    rules: BTreeMap<String, Count>,
    /// Denials for want of scopes, by server and target.
    scopes: BTreeMap<(String, String), Count>,
    /// Calls that rules permitted, by server and target.
    permitted: BTreeMap<(String, String), Count>,
    /// When the oldest record was made that there is, in microseconds since 1970.
    pub(crate) reaches: Option<u64>,
    /// What ended the reading early.
    pub(crate) broken: Option<String>,
}

impl Count {
    fn add(&mut self, time: u64) {
        self.hits = self.hits.saturating_add(1);
        self.last = self.last.max(time);
    }

    fn and(self, other: Self) -> Self {
        Self {
            hits: self.hits.saturating_add(other.hits),
            last: self.last.max(other.last),
        }
    }
}

impl Usage {
    /// Reads the records from that microsecond on.
    pub(crate) fn read(log: &Path, from: u64) -> io::Result<Self> {
        let filter = Filter {
            from: Some(from),
            ..Filter::default()
        };
        let mut oldest = oldest_first(log, Filter::default())?;
        let mut usage = Self {
            reaches: oldest.find_map(Result::ok).map(|found| found.stamp.time),
            ..Self::default()
        };
        for found in oldest_first(log, filter)? {
            match found {
                Ok(found) => usage.add(&found.record, found.stamp.time),
                Err(error) => usage.broken = Some(error.to_string()),
            }
        }
        Ok(usage)
    }

    pub(crate) fn of_point(&self, point: &str) -> Count {
        self.points.get(point).copied().unwrap_or_default()
    }

    pub(crate) fn of_rule(&self, rule: &str) -> Count {
        let counts = self.rules.iter();
        let own = counts.filter(|(text, _)| names(text, rule));
        own.fold(Count::default(), |sum, (_, count)| sum.and(*count))
    }

    /// Denials for want of scopes at a server, or at one tool of it.
    pub(crate) fn of_scopes(&self, server: &str, tool: Option<&str>) -> Count {
        sum(&self.scopes, server, tool)
    }

    /// How often something was asked for that needs the scopes of a server, or of one tool of it.
    pub(crate) fn of_need(&self, server: &str, tool: Option<&str>) -> Count {
        let permitted = sum(&self.permitted, server, tool);
        permitted.and(self.of_scopes(server, tool))
    }

    fn add(&mut self, record: &Record, time: u64) {
        self.records = self.records.saturating_add(1);
        let points = [points::of_event(record.event.as_str()), rules_of(record)];
        for point in points.into_iter().flatten() {
            self.points.entry(point).or_default().add(time);
        }
        let Some(decision) = &record.decision else {
            return;
        };
        let rule = decision.rule.as_str();
        if !rule.is_empty() {
            self.rules.entry(rule.to_owned()).or_default().add(time);
        }
        let text = |text: &Option<portcullis_audit::Text>| {
            text.as_ref().map_or("", |text| text.as_str()).to_owned()
        };
        let (server, target) = (text(&record.server), text(&record.target));
        let is_call = text(&record.method) == Method::ToolsCall.name();
        let reason = record.reason.as_ref().map(|why| why.as_str());
        let (counts, target) = match decision.effect {
            // Only a tool has scopes of its own: what else there is does not matter by its name.
            Effect::Allow if is_call => (&mut self.permitted, target),
            Effect::Allow => (&mut self.permitted, String::new()),
            Effect::Deny if reason == Some("scope") => (&mut self.scopes, target),
            Effect::Deny => return,
        };
        counts.entry((server, target)).or_default().add(time);
    }
}

fn sum(counts: &BTreeMap<(String, String), Count>, server: &str, tool: Option<&str>) -> Count {
    let own = counts
        .iter()
        .filter(|((at, target), _)| at == server && tool.is_none_or(|tool| tool == target));
    own.fold(Count::default(), |sum, (_, count)| sum.and(*count))
}

/// The point of the action, where rules decided.
fn rules_of(record: &Record) -> Option<&'static str> {
    record.decision.as_ref()?;
    let method = record.method.as_ref().map_or("", |method| method.as_str());
    match action_of(&Method::parse(method)) {
        Some(action) => Some(points::of_action(action)),
        // A stream, its end, or an answer of the client's.
        None if ["GET", "DELETE", "response"].contains(&method) => Some("authorize/server/use"),
        None => None,
    }
}

/// Whether a text of rules names this one. A name may hold a comma itself.
fn names(text: &str, rule: &str) -> bool {
    let within = [BETWEEN, text, BETWEEN].concat();
    within.contains(&[BETWEEN, rule, BETWEEN].concat())
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_rule_is_found_among_others() {
        for (text, rule, expected) in [
            ("a", "a", true),
            ("a, b", "a", true),
            ("a, b", "b", true),
            ("a, b", "a, b", true),
            ("ab", "a", false),
            ("grant:x y", "y", false),
            ("", "a", false),
        ] {
            assert_eq!(names(text, rule), expected, "{text} {rule}");
        }
    }
}
