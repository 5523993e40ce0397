//! Does a text that a server sends give orders to the model that reads it? What is found, where, and how sure it is.
//!
//! A text is read as it stands and as it stands behind everything that hides it (`unveil`); rules (`rules.toml`, and
//! packs of the operator) look at each reading. What is hidden counts for more, and what is quoted or spoken of for
//! less. Cost: linear in the text, whatever it says.

mod look;
mod pack;

use crate::catalog::Kind;
use crate::catalog::analyse::{self, Severity};
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

pub use pack::{BadPack, Pack};

/// The score, in thousandths, from which a text is suspect.
const SUSPECT: u16 = 400;
/// The score, in thousandths, from which a text is taken for an attack unless the configuration says otherwise.
pub const ATTACK: u16 = 700;
/// The most findings of one text; the surest are kept.
const MAX_FINDINGS: usize = 32;

/// What a text is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing was found that would matter.
    Clean,
    /// Something was found that honest texts have too.
    Suspect,
    /// It gives orders to the model.
    Attack,
}

impl Verdict {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Suspect => "suspect",
            Self::Attack => "attack",
        }
    }
}

/// What one rule found at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Arc<str>,
    /// The technique, by its id in MITRE ATLAS or SAFE-MCP.
    pub technique: Arc<str>,
    /// How sure it is, in hundredths.
    pub weight: u8,
    /// Where it stands in the text, in bytes.
    pub range: Range<usize>,
    /// What hid it, if anything did.
    pub hidden_by: Option<&'static str>,
}

/// What was found in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screened {
    /// The surest first.
    pub findings: Vec<Finding>,
    /// How sure it is that it gives orders, in thousandths.
    pub score: u16,
}

impl Screened {
    /// What that makes of the text.
    pub const fn verdict(&self) -> Verdict {
        match self.score {
            ATTACK.. => Verdict::Attack,
            SUSPECT..ATTACK => Verdict::Suspect,
            0..SUSPECT => Verdict::Clean,
        }
    }

    /// Sums up findings: rules that find something do not depend on each other, and each counts once.
    fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|one, other| {
            let order = other.weight.cmp(&one.weight);
            order.then_with(|| one.range.start.cmp(&other.range.start))
        });
        let mut doubt = 1000_u32;
        let mut seen: Vec<&str> = Vec::new();
        for finding in &findings {
            if !seen.contains(&&*finding.rule) {
                seen.push(&finding.rule);
                doubt = doubt * (100 - u32::from(finding.weight.min(100))) / 100;
            }
        }
        let score = u16::try_from(1000 - doubt).unwrap_or(1000);
        findings.truncate(MAX_FINDINGS);
        Self { findings, score }
    }
}

/// Looks at a text with all layers that are in this process.
pub fn screen(text: &str, pack: &Pack) -> Screened {
    Screened::of(look::look(text, pack))
}

/// What the analysis of a definition finds, in the same measure: a tool is one text for whoever has to decide.
pub fn definition(kind: Kind, definition: &Value) -> (Vec<analyse::Finding>, Screened) {
    let found = analyse::analyse(kind, definition);
    let findings = found.iter().map(|finding| Finding {
        rule: finding.rule.into(),
        technique: finding.technique.into(),
        weight: match finding.severity {
            Severity::Critical => 95,
            Severity::High => 75,
            Severity::Medium => 35,
            Severity::Low => 10,
            Severity::Info => 2,
        },
        range: 0..0,
        hidden_by: None,
    });
    let screened = Screened::of(findings.collect());
    (found, screened)
}

#[cfg(test)]
mod tests;
