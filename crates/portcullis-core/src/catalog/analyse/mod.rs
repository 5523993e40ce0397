//! What does a definition try to do to the model that reads it? Each finding has a place, an excerpt and a reason.
//!
//! `places` lists every text that a model may read, `unveil` gives the text behind what hides it, and the files here
//! look: `hidden` for what nobody sees, `names`, `schema` and `annotations` for the shape,
//! `speech` for what is said. Work is bounded by [`MAX_TEXTS`] and [`MAX_TEXT_BYTES`]; what is over them is a finding.

mod places;
mod show;
mod hidden;
mod names;
mod schema;
mod parameters;
mod annotations;
mod features;
pub mod model;
mod risk;
mod speech;

use crate::catalog::Kind;
use crate::unveil::is_invisible;
use places::{Collected, Text};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

pub use risk::{Capabilities, Factor, Risk, capabilities, risk, server_risk};

/// The most texts of a definition that are looked at.
pub const MAX_TEXTS: usize = 20_000;
/// The most bytes of text of a definition that are looked at.
pub const MAX_TEXT_BYTES: usize = 512 * 1024;
/// The most findings of one definition; the gravest are kept.
pub const MAX_FINDINGS: usize = 64;

/// How grave a finding is. From [`Severity::High`] on, a definition is not to be shown to a model before somebody
/// has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Careless, or a reason to look at the rest.
    Low,
    /// Unusual in an honest definition.
    Medium,
    /// Hardly ever seen in an honest definition.
    High,
    /// An attack.
    Critical,
}

impl Severity {
    /// The word for it in records, files and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was found at one place of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static str,
    /// The technique, by its id in MITRE ATLAS or SAFE-MCP.
    pub technique: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// Where it stands: a JSON pointer (RFC 6901) into the definition.
    pub pointer: String,
    /// The text, at most a few hundred characters, with what is hidden in it made visible.
    pub excerpt: String,
    /// Why it was found, for whoever decides.
    pub reason: String,
}

impl Finding {
    /// Whether somebody has to read it before a model does.
    pub fn is_grave(&self) -> bool {
        self.severity >= Severity::High
    }

    /// What it adds to a risk: how grave it is, and the rule.
    pub const fn rated(&self) -> (Severity, &'static str) {
        (self.severity, self.rule)
    }
}

/// A rule: its name, its technique, and how grave what it finds is.
#[derive(Debug, Clone, Copy)]
struct Rule {
    name: &'static str,
    technique: &'static str,
    severity: Severity,
}

impl Rule {
    const fn new(name: &'static str, technique: &'static str, severity: Severity) -> Self {
        Self {
            name,
            technique,
            severity,
        }
    }

    /// What this rule found in a text, from a byte of it on.
    fn at(self, text: &Text<'_>, from: usize, reason: impl Into<String>) -> Finding {
        self.finding(&text.pointer, show::excerpt(text.said, from), reason)
    }

    fn finding(self, pointer: &str, excerpt: String, reason: impl Into<String>) -> Finding {
        Finding {
            rule: self.name,
            technique: self.technique,
            severity: self.severity,
            pointer: pointer.to_owned(),
            excerpt,
            reason: reason.into(),
        }
    }
}

/// Everything that is to be said of a definition, the gravest first. An empty answer means that nothing was found,
/// not that the definition is honest.
pub fn analyse(kind: Kind, definition: &Value) -> Vec<Finding> {
    let collected = places::collect(kind, definition);
    let mut found = Vec::new();
    bounds(&collected, &mut found);
    names::look(kind, &collected, &mut found);
    for text in &collected.texts {
        hidden::look(text, &mut found);
    }
    speech::look(&collected, &mut found);
    if kind == Kind::Tool {
        schema::look(definition, &mut found);
        parameters::look(definition, &mut found);
        annotations::look(definition, &mut found);
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found.dedup_by(|one, other| one.rule == other.rule && one.pointer == other.pointer);
    found.truncate(MAX_FINDINGS);
    found
}

/// A text as it is shown to whoever decides: short, and with what is hidden in it made visible.
pub(super) fn excerpt(text: &str) -> String {
    show::excerpt(text, 0)
}

/// What two names have in common that look the same: the skeleton of Unicode's confusables (UTS #39), without case.
pub(super) fn skeleton(name: &str) -> String {
    let shown: String = name.chars().filter(|char| !is_invisible(*char)).collect();
    let lower = shown.to_lowercase();
    unicode_security::skeleton(&lower)
        .collect::<String>()
        .to_lowercase()
}

const TOO_LARGE: Rule = Rule::new("definition-too-large", "AML.T0029", Severity::High);

fn bounds(collected: &Collected<'_>, found: &mut Vec<Finding>) {
    if collected.is_cut {
        let reason =
            "has more text or is nested deeper than what is looked at, so that the rest is unread";
        found.push(TOO_LARGE.finding("", String::new(), reason));
    }
}

#[cfg(test)]
mod tests;
