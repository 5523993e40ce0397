//! How well are poisoned definitions told from honest ones? Measures `catalog::analyse` on families of attacks that
//! it never saw, and trains its model.
//!
//! `definitions measure FOLDER` prints tables for the `tools.jsonl` of a folder; `definitions train FOLDER` writes the
//! model beside `catalog/analyse/model.rs`; `definitions speed FOLDER` says how long 1,000 real definitions take.

mod data;
mod grammar;
mod train;
mod examples;
mod table;

use anyhow::{Context as _, Result, bail};
use data::Row;
use portcullis_core::catalog::Kind;
use portcullis_core::catalog::analyse::{analyse, model};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use table::Measured;
use train::{Example, Model};

/// How many definitions make a long list.
const DEFINITIONS: usize = 1_000;
/// In how many parts the sources and the families are divided.
const FOLDS: usize = 5;

/// Whether other families of attacks than the one that is measured are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taught {
    /// Nothing but what the grammars make, and honest definitions of other sources.
    Grammars,
    /// The other families of the folder too.
    OtherFamilies,
}

/// Labelled definitions with what the model sees of them.
struct Known {
    rows: Vec<Row>,
    groups: Vec<String>,
    windows: Vec<Vec<Vec<u32>>>,
    made: Vec<Example>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["measure", folder] => {
            let known = Known::read(Path::new(folder))?;
            table::shipped(&known.rows, &known.groups);
            for taught in [Taught::Grammars, Taught::OtherFamilies] {
                table::print(&format!("{taught:?}"), &known.left_out(taught));
            }
        }
        ["train", folder] => {
            let known = Known::read(Path::new(folder))?;
            let all: Vec<usize> = (0..known.rows.len()).collect();
            let is_taught = |row: &Row| row.label == 0 || row.kind == "tool_poisoning";
            let model = known.train(
                all.into_iter()
                    .filter(|index| known.rows.get(*index).is_some_and(is_taught)),
            );
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/analyse");
            model.write(&folder)?;
        }
        ["speed", folder] => speed(&data::read(Path::new(folder))?)?,
        _ => bail!(
            "definitions measure FOLDER, definitions train FOLDER, or definitions speed FOLDER"
        ),
    }
    Ok(())
}

/// How long 1,000 real honest definitions keep a processor, the first time and again.
fn speed(rows: &[Row]) -> Result<()> {
    let real: Vec<&Row> = rows
        .iter()
        .filter(|row| row.kind == "benign_tool")
        .collect();
    let step = (real.len() / DEFINITIONS).max(1);
    let some: Vec<&Row> = real.into_iter().step_by(step).take(DEFINITIONS).collect();
    for time in ["cold", "again", "again"] {
        let before = on_processor()?;
        let found: usize = some
            .iter()
            .map(|row| analyse(Kind::Tool, &row.tool).len())
            .sum();
        let took = on_processor()?.saturating_sub(before);
        table::say(&format!(
            "{} definitions, {time}: {took:?}, {found} findings",
            some.len()
        ));
    }
    Ok(())
}

/// How long this thread had a processor (Linux).
fn on_processor() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text
        .split_whitespace()
        .next()
        .context("schedstat is empty")?;
    Ok(Duration::from_nanos(first.parse()?))
}

impl Known {
    fn read(folder: &Path) -> Result<Self> {
        let rows = data::read(folder)?;
        let groups = data::groups(&rows);
        let windows = rows
            .iter()
            .map(|row| model::windows(Kind::Tool, &row.tool))
            .collect();
        let honest = rows.iter().filter(|row| row.label == 0);
        let texts = honest.filter_map(|row| row.tool.get("description")?.as_str());
        let starts: Vec<&str> = texts
            .filter_map(|text| text.get(..text.floor_char_boundary(200)))
            .collect();
        let made = examples::made(&starts)?;
        Ok(Self {
            rows,
            groups,
            windows,
            made,
        })
    }

    /// The scores of all, each by a model that saw neither its source nor its family.
    fn left_out(&self, taught: Taught) -> Vec<Measured<'_>> {
        let mut measured = Vec::new();
        for fold in 0..FOLDS {
            let is_taught = |row: &Row| {
                row.label == 0 || (taught == Taught::OtherFamilies && row.kind == "tool_poisoning")
            };
            let others = self.rows.iter().enumerate();
            let others = others.filter(|(index, row)| self.fold(*index) != fold && is_taught(row));
            let model = self.train(others.map(|(index, _)| index));
            for (index, row) in self
                .rows
                .iter()
                .enumerate()
                .filter(|(index, _)| self.fold(*index) == fold)
            {
                let windows = self
                    .windows
                    .get(index)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let group = self
                    .groups
                    .get(index)
                    .map(String::as_str)
                    .unwrap_or_default();
                measured.push(Measured::of(row, group, model.worst(windows)));
            }
        }
        measured
    }

    fn train(&self, indices: impl Iterator<Item = usize>) -> Model {
        let all = self.rows.iter().zip(&self.windows);
        let honest: BTreeSet<&Vec<u32>> = all
            .filter(|(row, _)| row.label == 0)
            .flat_map(|(_, windows)| windows)
            .collect();
        let rows: Vec<(&Row, &Vec<Vec<u32>>)> = indices
            .filter_map(|index| Some((self.rows.get(index)?, self.windows.get(index)?)))
            .collect();
        let mut examples = self.made.clone();
        examples.extend(examples::labelled(&rows, &honest));
        Model::train(&examples)
    }

    /// A family or a source is left out as a whole; one source is so large that it is divided.
    fn fold(&self, index: usize) -> usize {
        let group = self
            .groups
            .get(index)
            .map(String::as_str)
            .unwrap_or_default();
        if group.contains("bfcl-eval") {
            return index % FOLDS;
        }
        group.bytes().fold(7_usize, |sum, byte| {
            sum.wrapping_mul(31) ^ usize::from(byte)
        }) % FOLDS
    }
}
