//! What the weights were made of, for those who have to answer for them.

use crate::known::{Known, MADE};
use crate::table::{self, Measured};
use crate::train::ROUNDS;
use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many words in a row two texts share if one is taken from the other.
const SHARED: usize = 12;

/// The manifest: sources, licences, digests, split, overlaps, seed and what was measured.
pub(crate) fn of(
    known: &Known,
    measured: &[Measured],
    folder: &Path,
    weights: &[u8],
) -> Result<String> {
    let mut sources: BTreeMap<String, (usize, BTreeSet<&str>, BTreeSet<usize>)> = BTreeMap::new();
    for row in &known.rows {
        let source = sources
            .entry(format!("{} {}", row.label, row.family()))
            .or_default();
        source.0 += 1;
        source.1.insert(&row.license);
        source.2.insert(row.fold());
    }
    let sources: Vec<Value> = sources
        .into_iter()
        .map(|(name, (texts, licences, folds))| {
            json!({ "name": name, "texts": texts, "licences": licences, "parts": folds })
        })
        .collect();
    let text = std::fs::read(folder.join("text.jsonl")).context("reading text.jsonl")?;
    let thresholds = table::thresholds(measured);
    let recall = table::shares(measured, thresholds, |one| {
        one.is_attack.then(|| one.family.clone())
    });
    let wrong = table::shares(measured, thresholds, |one| {
        (!one.is_attack).then(|| one.family.clone())
    });
    let listed = |shares: &BTreeMap<String, table::Share>| -> BTreeMap<String, [String; 2]> {
        shares
            .iter()
            .map(|(name, share)| {
                (
                    name.clone(),
                    [0, 1].map(|at| format!("{:.3}", share.of(at))),
                )
            })
            .collect()
    };
    let manifest = json!({
        "weights": { "sha256": sha256(weights)?, "bytes": weights.len() },
        "data": { "sha256": sha256(&text)?, "texts": known.rows.len(), "sources": sources,
            "note": "the texts themselves are not part of this project" },
        "made": { "texts": MADE.0, "seed": MADE.1, "grammar": "crates/portcullis-core/examples/inspection/grammar" },
        "training": { "rounds": ROUNDS, "parts": crate::data::FOLDS,
            "split": "each part is left out once; texts of one source, and of sources that are alike, are in one part" },
        "overlap": overlap(known),
        "measured": { "at": ["0.5 %", "1 %"], "of": "benign_output and benign_request",
            "recall": listed(&recall), "taken for attacks": listed(&wrong) },
    });
    Ok(serde_json::to_string_pretty(&manifest)? + "\n")
}

/// How many attacks of a part share many words in a row with attacks of another.
fn overlap(known: &Known) -> Value {
    let mut of: BTreeMap<Vec<&str>, BTreeSet<usize>> = BTreeMap::new();
    let attacks = || {
        known
            .rows
            .iter()
            .filter(|row| row.label == 1 && !row.is_composed())
    };
    for row in attacks() {
        let words: Vec<&str> = row.text.split_whitespace().collect();
        for shared in words.windows(SHARED) {
            of.entry(shared.to_vec()).or_default().insert(row.fold());
        }
    }
    let is_shared = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        words
            .windows(SHARED)
            .any(|shared| of.get(shared).is_some_and(|folds| folds.len() > 1))
    };
    let mut families: BTreeMap<String, usize> = BTreeMap::new();
    for row in attacks().filter(|row| is_shared(&row.text)) {
        *families.entry(row.family()).or_default() += 1;
    }
    json!({ "words in a row": SHARED, "attacks that share them with another part": families })
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> Result<String> {
    let digits = digest(&SHA256, bytes);
    let digits = digits
        .as_ref()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from_digit(u32::from(digit), 16).context("a digit"))
        .collect()
}
