//! What the analysis says of a version, for whoever decides about it.

use crate::cataloguing::compared;
use portcullis_core::catalog::analyse::{Finding, Risk, analyse, risk};
use portcullis_core::catalog::shadow::Others;
use portcullis_core::catalog::{Change, Definition, Piece, Thing, visible};
use portcullis_state::{Catalog, Failed};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::fmt::Write as _;

/// What was found in a definition, and its risk.
pub(crate) struct Judged {
    findings: Vec<Finding>,
    pub(crate) risk: Risk,
}

impl Judged {
    /// Of a definition of this server, beside what is approved of the others.
    pub(crate) fn of(definition: &Definition, others: &Others<'_>) -> Self {
        let value: Value = serde_json::from_str(definition.canonical()).unwrap_or_default();
        let mut findings = analyse(definition.kind(), &value);
        findings.extend(others.like(definition));
        findings.sort_by_key(|found| Reverse(found.severity));
        let risk = risk(
            definition.kind(),
            &value,
            findings.iter().map(Finding::rated),
        );
        Self { findings, risk }
    }

    /// The gravest of what was found, if it is so grave that somebody has to read it first.
    pub(crate) fn gravest(&self) -> Option<&Finding> {
        self.findings.first().filter(|found| found.is_grave())
    }

    /// Adds both to what is told of the definition in JSON.
    pub(crate) fn add_to(&self, mut told: Value) -> Value {
        if let Some(told) = told.as_object_mut() {
            told.insert("risk".to_owned(), json!(self.risk));
            told.insert("findings".to_owned(), json!(self.findings));
        }
        told
    }

    /// The same to be read, the gravest first.
    pub(crate) fn text(&self) -> String {
        let factors = factors(&self.risk);
        let factors = Some(factors).filter(|factors| !factors.is_empty());
        let factors = factors.map(|factors| format!(": {factors}"));
        let mut text = format!("risk {}{}\n", self.risk.score, factors.unwrap_or_default());
        for found in &self.findings {
            let (severity, rule) = (found.severity, found.rule);
            let place = visible(&found.pointer);
            let reason = visible(&found.reason);
            let _infallible = write!(
                text,
                "{severity} {rule} {place}: {reason}\n    {}\n",
                found.excerpt
            );
        }
        text
    }
}

/// The names of what is approved, each with its server and kind.
pub(crate) struct Names(Vec<Thing>);

impl Names {
    /// Those in the catalogue.
    pub(crate) async fn read(catalog: &Catalog) -> Result<Self, Failed> {
        let all = catalog.histories(None).await?.into_iter();
        let approved = all.filter(|(_, history)| {
            let standing = history.as_ref().map(|history| history.standing());
            standing.is_ok_and(|standing| standing.approved.is_some())
        });
        Ok(Self(approved.map(|(thing, _)| thing).collect()))
    }

    /// Those of the servers beside this one.
    pub(crate) fn beside(&self, server: &str) -> Others<'_> {
        let others = self.0.iter().filter(|thing| *thing.server != *server);
        Others::of(others.map(|thing| (&*thing.server, thing.kind, &*thing.name)))
    }
}

/// What has changed, below what the analysis says of it, to be read.
pub(crate) fn text(
    thing: &Thing,
    (old, new): (Option<&Definition>, &Definition),
    judged: &Judged,
) -> String {
    let was = old.map_or_else(|| "nothing".to_owned(), |old| old.digest().to_string());
    let changes = compared(old, new);
    let mut text = format!(
        "{}\n- {was}\n+ {}\n{}",
        visible(&thing.to_string()),
        new.digest(),
        judged.text()
    );
    if changes.is_empty() {
        text.push_str("nothing changed\n");
    }
    text.extend(changes.iter().map(lines));
    text
}

fn lines(change: &Change) -> String {
    let words = change.words.iter().map(|piece| match piece {
        Piece::Same(text) => text.clone(),
        Piece::Gone(text) => format!("[-{text}-]"),
        Piece::New(text) => format!("{{+{text}+}}"),
    });
    let words: String = words.collect();
    format!("\n{} ({})\n    {words}\n", change.said, change.pointer)
}

/// What makes a risk, for people: `reads private data 6, sends out 6`.
pub(crate) fn factors(risk: &Risk) -> String {
    let factors = risk.factors.iter();
    let factors = factors.map(|factor| format!("{} {}", factor.name, factor.weight));
    factors.collect::<Vec<_>>().join(", ")
}
