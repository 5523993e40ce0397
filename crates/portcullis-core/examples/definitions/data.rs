//! Labelled definitions, and to which family of attacks each belongs.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How much of what two payloads say has to be the same for one family, of a hundred.
const ALIKE: usize = 30;

/// How many definitions make a family of their own.
const MIN_FAMILY: usize = 5;

/// One labelled definition.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) tool: Value,
    pub(crate) label: u8,
    pub(crate) kind: String,
    pub(crate) source: String,
}

/// Reads `tools.jsonl` of a folder.
pub(crate) fn read(folder: &Path) -> Result<Vec<Row>> {
    let path = folder.join("tools.jsonl");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.lines()
        .map(|line| serde_json::from_str(line).context("a line of tools.jsonl"))
        .collect()
}

/// What each definition is left out with: its source, or its family of attacks. The texts that an attack adds tell
/// families apart; families of fewer than [`MIN_FAMILY`] are one.
pub(crate) fn groups(rows: &[Row]) -> Vec<String> {
    let mut honest: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.label == 0) {
        honest
            .entry(name(&row.tool))
            .or_default()
            .extend(texts(&row.tool));
    }
    let mut known: Vec<(BTreeSet<Vec<&str>>, usize)> = Vec::new();
    let mut families: Vec<Option<usize>> = Vec::new();
    for row in rows {
        if row.kind != "tool_poisoning" || short(&row.source) != "synthetic-dev" {
            families.push(None);
            continue;
        }
        let added = added(&row.tool, honest.get(name(&row.tool)));
        let place = known.iter().position(|(other, _)| is_alike(&added, other));
        let place = place.unwrap_or_else(|| {
            known.push((added, 0));
            known.len() - 1
        });
        if let Some((_, count)) = known.get_mut(place) {
            *count += 1;
        }
        families.push(Some(place));
    }
    let is_large = |place: usize| {
        known
            .get(place)
            .is_some_and(|(_, count)| *count >= MIN_FAMILY)
    };
    let group = |(row, family): (&Row, &Option<usize>)| match family {
        Some(place) if is_large(*place) => format!("family {:02}", place + 1),
        Some(_) => "small families".to_owned(),
        None => format!("{} {}", row.kind, short(&row.source)),
    };
    rows.iter().zip(&families).map(group).collect()
}

/// The source without what tells its files apart: what is held out together.
pub(crate) fn short(source: &str) -> String {
    let mut words = source.split([' ', '@', '=']);
    let first = words.next().unwrap_or_default().to_owned();
    let server = source
        .split("servers/")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    server.map_or(first.clone(), |server| format!("{first}/{server}"))
}

fn name(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// Three words in a row, of what the definition has more than the honest one of its name.
fn added<'a>(tool: &'a Value, base: Option<&BTreeSet<&'a str>>) -> BTreeSet<Vec<&'a str>> {
    let mut shingles = BTreeSet::new();
    for text in texts(tool) {
        let known = base
            .into_iter()
            .flatten()
            .filter(|known| text.starts_with(**known));
        let longest = known.map(|known| known.len()).max().unwrap_or(0);
        let rest = text.get(longest..).unwrap_or_default();
        let words: Vec<&str> = rest.split_whitespace().collect();
        shingles.extend(words.windows(3).map(<[&str]>::to_vec));
    }
    shingles
}

fn is_alike(one: &BTreeSet<Vec<&str>>, other: &BTreeSet<Vec<&str>>) -> bool {
    let common = one.intersection(other).count();
    common * 100 > one.len().min(other.len()) * ALIKE
}
