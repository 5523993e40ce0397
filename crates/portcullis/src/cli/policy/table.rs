//! `portcullis policy test`: cases with what is expected of them, and which come out otherwise.

use super::unknown;
use crate::cli::check::{Judged, judge};
use crate::cli::{Ending, audit, out};
use crate::clock;
use crate::explaining::{Asked, Court, Verdict, Who, Wish};
use anyhow::{Context as _, bail};
use clap::Args;
use portcullis_core::catalog::Rated;
use portcullis_core::misuse::Anomaly;
use portcullis_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most cases of one file.
const MAX_CASES: usize = 10_000;

#[derive(Debug, Args)]
#[command(
    after_help = "docs/policies.md describes FILE. Exit codes: 0 all come out as expected, 1 one does not, 2 wrong \
usage, or FILE or the configuration cannot be used."
)]
pub(super) struct Test {
    /// The file with the cases.
    file: PathBuf,
    /// The configuration [default: what FILE says, else portcullis.toml].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The configuration, beside this file.
    config: Option<PathBuf>,
    /// When the cases happen, unless they say so themselves.
    time: Option<String>,
    /// Callers, by name.
    #[serde(default)]
    who: BTreeMap<String, Who>,
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    /// One of the table's callers.
    who: String,
    server: String,
    tool: Option<String>,
    resource: Option<String>,
    prompt: Option<String>,
    ask: Option<String>,
    method: Option<String>,
    arguments: Option<Map<String, Value>>,
    era: Option<String>,
    time: Option<String>,
    network: Option<String>,
    anomaly: Option<u8>,
    risk: Option<u32>,
    #[serde(default)]
    findings: Vec<String>,
    expect: Expected,
    /// The rule that decides.
    rule: Option<String>,
    /// The audit record's word for a denial.
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
}

/// A case that was judged.
struct Tried {
    name: String,
    expected: Expected,
    verdict: Verdict,
    /// What is otherwise than expected.
    differs: Option<String>,
}

impl Test {
    pub(super) fn run(self) -> Ending {
        let tried = match self.attempt() {
            Ok(tried) => tried,
            Err(error) => return unknown(&format!("{error:#}")),
        };
        let failed = tried.iter().filter(|tried| tried.differs.is_some()).count();
        out::print(&if self.json {
            let cases: Vec<Value> = tried.iter().map(Tried::json).collect();
            let passed = tried.len().saturating_sub(failed);
            format!(
                "{:#}\n",
                json!({ "passed": passed, "failed": failed, "cases": cases })
            )
        } else {
            text_of(&tried, failed)
        });
        if failed == 0 {
            Ending::Good
        } else {
            Ending::Bad
        }
    }

    fn attempt(&self) -> anyhow::Result<Vec<Tried>> {
        let named = self.file.display();
        let text =
            std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {named}"))?;
        let table: Table = toml::from_str(&text).with_context(|| format!("{named}"))?;
        if table.cases.is_empty() || table.cases.len() > MAX_CASES {
            bail!("{named} must have from 1 to {MAX_CASES} [[case]]");
        }
        let beside = self.file.parent().unwrap_or(Path::new(""));
        let config = match (&self.config, &table.config) {
            (Some(config), _) => config.clone(),
            (None, Some(config)) => beside.join(config),
            (None, None) => "portcullis.toml".into(),
        };
        let court = court(&config)?;
        let now = clock::now();
        let usual = when(table.time.as_deref(), now).map_err(anyhow::Error::msg)?;
        let mut tried = Vec::new();
        for (index, case) in table.cases.into_iter().enumerate() {
            let number = index.saturating_add(1);
            let name = case
                .name
                .clone()
                .unwrap_or_else(|| format!("case {number}"));
            let one = case.attempt(&court, &table.who, (usual, now), &name);
            tried.push(one.with_context(|| format!("{named}, case {number} ({name})"))?);
        }
        Ok(tried)
    }
}

/// The rules of a configuration file, ready to be asked.
pub(super) fn court(config: &Path) -> anyhow::Result<Court> {
    let named = config.display();
    let text = std::fs::read_to_string(config).with_context(|| format!("cannot read {named}"))?;
    match judge(config, &text)? {
        Judged::Good(_, assembled) => {
            let trusted = assembled.trusted.into_iter();
            let trusted = trusted.map(|trusted| trusted.issuer);
            let book = Arc::clone(&assembled.live.book);
            Court::of(assembled.live.rules, trusted, book)
        }
        Judged::Unbuildable(..) | Judged::Flawed(_) => {
            bail!("{named} is not good: run `portcullis check {named}`")
        }
    }
}

/// A time as people write it; a span is one before now.
fn when(text: Option<&str>, usual: Timestamp) -> Result<Timestamp, String> {
    let Some(text) = text else { return Ok(usual) };
    let micros = audit::parse(text, usual.micros());
    micros
        .map(Timestamp::from_micros)
        .ok_or_else(|| format!("{text:?} is no time: write 2026-07-28T09:00:00Z"))
}

impl Case {
    fn attempt(
        self,
        court: &Court,
        known: &BTreeMap<String, Who>,
        (usual, now): (Timestamp, Timestamp),
        name: &str,
    ) -> anyhow::Result<Tried> {
        let mut who = known
            .get(&self.who)
            .with_context(|| format!("there is no [who.{}]", self.who))?
            .clone();
        who.check().map_err(anyhow::Error::msg)?;
        who.user.get_or_insert_with(|| self.who.clone());
        let time = self.time.as_deref().map(|text| when(Some(text), now));
        let wish = Wish {
            method: self.method,
            tool: self.tool,
            resource: self.resource,
            prompt: self.prompt,
            ask: self.ask,
            arguments: self.arguments,
            era: self.era,
        };
        let (era, what) = wish.read().map_err(anyhow::Error::msg)?;
        let asked = Asked {
            who,
            server: self.server,
            what,
            era,
            time: time
                .transpose()
                .map_err(anyhow::Error::msg)?
                .unwrap_or(usual),
            network: self.network,
            anomaly: self.anomaly.map_or(Anomaly::CALM, Anomaly::assumed),
            rated: self
                .risk
                .map(|risk| Rated::of(risk, self.findings.iter().map(String::as_str))),
        };
        let verdict = court.judge(&asked)?;
        let wanted = (self.rule.as_deref(), self.reason.as_deref());
        Ok(Tried {
            name: name.to_owned(),
            expected: self.expect,
            differs: difference(self.expect, wanted, &verdict),
            verdict,
        })
    }
}

fn difference(
    expected: Expected,
    (rule, reason): (Option<&str>, Option<&str>),
    verdict: &Verdict,
) -> Option<String> {
    let (came, by, why) = match verdict {
        Verdict::Unjudged(why) => return Some(format!("it never came to a decision: {why}")),
        Verdict::Allowed { rule } => (Expected::Allow, Some(rule.as_str()), None),
        Verdict::Denied { reason, rule, .. } => (Expected::Deny, rule.as_deref(), Some(*reason)),
    };
    if came != expected {
        return Some(format!("expected {}", expected.word()));
    }
    if rule.is_some() && rule != by {
        let rule = rule.unwrap_or_default();
        return Some(format!("expected the rule {rule:?}"));
    }
    if reason.is_some() && reason != why {
        let reason = reason.unwrap_or_default();
        return Some(format!("expected the reason {reason:?}"));
    }
    None
}

impl Expected {
    const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Tried {
    fn json(&self) -> Value {
        let (came, reason, rule, scopes) = match &self.verdict {
            Verdict::Allowed { rule } => ("allow", None, Some(rule.as_str()), &[][..]),
            Verdict::Denied {
                reason,
                rule,
                scopes,
            } => ("deny", Some(*reason), rule.as_deref(), scopes.as_slice()),
            Verdict::Unjudged(_) => ("none", None, None, &[][..]),
        };
        json!({
            "name": self.name,
            "expected": self.expected.word(),
            "came": came,
            "reason": reason,
            "rule": rule,
            "scopes": scopes,
            "differs": self.differs,
        })
    }
}

/// Only what differs, and how many there are.
fn text_of(tried: &[Tried], failed: usize) -> String {
    let mut lines = Vec::new();
    for one in tried {
        let Some(differs) = &one.differs else {
            continue;
        };
        lines.push(format!("{}: {differs}; {}", one.name, one.verdict));
    }
    lines.push(match failed {
        0 => format!("cases: {}, all as expected", tried.len()),
        failed => format!("cases: {}, otherwise than expected: {failed}", tried.len()),
    });
    lines.join("\n") + "\n"
}
