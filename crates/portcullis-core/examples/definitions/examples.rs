//! What the model is trained on: texts of the grammars in the places of a definition, and windows of labelled ones.

use crate::data::Row;
use crate::grammar::Grammar;
use crate::train::Example;
use anyhow::Result;
use portcullis_core::catalog::Kind;
use portcullis_core::catalog::analyse::model::windows;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many poisoned texts, and how many honest ones, are made.
const MADE: usize = 14_000;

/// Examples of the two grammars; `honest` are texts before which some of the poisoned ones are put.
pub(crate) fn made(honest: &[&str]) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    let mut poison = Grammar::read(include_str!("poison.grammar"), 11)?;
    let mut twins = Grammar::read(include_str!("honest.grammar"), 12)?;
    for _ in 0..MADE {
        let attack = poison.text("attack");
        let before = match poison.below(4) {
            0 => twins.text("honest"),
            1 => poison.one(honest).copied().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let text = if before.is_empty() {
            attack
        } else {
            format!("{before} {attack}")
        };
        let weight = 1.0;
        let found = windows(Kind::Tool, &placed(&text, &mut poison));
        examples.extend(found.into_iter().map(|features| Example {
            features,
            is_poisoned: true,
            weight,
        }));
        for _ in 0..2 {
            let text = match twins.below(2) {
                0 => twins.text("honest"),
                _ => format!(
                    "{} {}",
                    twins.one(honest).copied().unwrap_or_default(),
                    twins.text("honest")
                ),
            };
            let found = windows(Kind::Tool, &placed(&text, &mut twins));
            examples.extend(found.into_iter().map(|features| Example {
                features,
                is_poisoned: false,
                weight,
            }));
        }
    }
    Ok(examples)
}

/// A definition in which a text stands somewhere.
fn placed(text: &str, chance: &mut Grammar) -> Value {
    let name = |text: &str| {
        let words: Vec<&str> = text
            .split(|char: char| !char.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        words.join("_").to_lowercase()
    };
    match chance.below(20) {
        0..=10 => json!({ "description": text }),
        11..=15 => json!({ "inputSchema": { "properties": { "a": { "description": text } } } }),
        16 => json!({ "title": text }),
        17 => json!({ "inputSchema": { "properties": { "a": { "default": text } } } }),
        18 => json!({ "inputSchema": { "properties": { "a": { "enum": [text] } } } }),
        _ => json!({ "inputSchema": { "properties": { name(text): {} } } }),
    }
}

/// Windows of labelled definitions. Of poisoned ones only those that stand in no honest one.
pub(crate) fn labelled(
    rows: &[(&Row, &Vec<Vec<u32>>)],
    honest: &BTreeSet<&Vec<u32>>,
) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut seen = BTreeSet::new();
    for (row, windows) in rows {
        let is_poisoned = row.label == 1;
        let weight = 2.0 - f32::from(row.label);
        for features in *windows {
            let is_new = (is_poisoned && !honest.contains(features))
                || (!is_poisoned && seen.insert(features));
            let features = features.clone();
            examples.extend(is_new.then_some(Example {
                features,
                is_poisoned,
                weight,
            }));
        }
    }
    examples
}
