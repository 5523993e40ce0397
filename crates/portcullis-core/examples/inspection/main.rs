//! How well are instructions to an assistant told from other texts? Trains the model of `inspect::model`, and measures
//! it on families that it never saw.
//!
//! `inspection train FOLDER` writes the weights and their manifest beside `inspect/model/mod.rs`; `inspection left-out
//! FOLDER` prints what models that never saw a family find of it; `inspection evaluate` measures the shipped model on
//! texts of our own grammar whose phrases no model was trained on. `FOLDER` holds `text.jsonl`.

mod data;
mod grammar;
mod make;
mod train;
mod table;
mod known;
mod manifest;

use anyhow::{Context as _, Result, bail};
use grammar::Part;
use known::Known;
use make::Maker;
use portcullis_core::inspect::model;
use std::path::Path;
use table::{Measured, Share, say};
use train::Model;

/// How many texts of our own the shipped model is measured on, and the seed they are drawn by.
const KEPT: (usize, u64) = (8_000, 2);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["train", folder] => {
            let known = Known::read(Path::new(folder))?;
            let measured = known.left_out();
            report(&measured);
            let thresholds = table::by_length(&known::with_joined(&measured));
            let bytes = Model::train(&known.all()).bytes(&thresholds);
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inspect/model");
            let manifest = manifest::of(&known, &measured, Path::new(folder), &bytes)?;
            std::fs::write(place.join("weights.bin"), &bytes).context("writing weights.bin")?;
            std::fs::write(
                place.join("weights.sha256"),
                manifest::sha256(&bytes)? + "\n",
            )
            .context("writing weights.sha256")?;
            std::fs::write(place.join("manifest.json"), manifest)
                .context("writing manifest.json")?;
        }
        ["left-out", folder] => report(&Known::read(Path::new(folder))?.left_out()),
        ["evaluate"] => evaluate()?,
        _ => bail!("inspection train FOLDER, inspection left-out FOLDER, or inspection evaluate"),
    }
    Ok(())
}

/// Prints what models found of the families that were left out.
fn report(measured: &[Measured]) {
    let thresholds = table::thresholds(measured);
    let named =
        |is_attack| move |one: &Measured| (one.is_attack == is_attack).then(|| one.family.clone());
    table::print(
        "recall on families left out",
        &table::shares(measured, thresholds, named(true)),
    );
    table::print(
        "harmless texts left out, taken for attacks",
        &table::shares(measured, thresholds, named(false)),
    );
    let lengths = |one: &Measured| {
        one.is_ordinary
            .then(|| format!("length {}", table::length(one.bytes)))
    };
    table::print(
        "ordinary texts by length",
        &table::shares(measured, thresholds, lengths),
    );
    say(&format!("\nAUROC {:.3}", table::auroc(measured)));
}

/// Prints how the shipped model fares with texts of our own grammar.
fn evaluate() -> Result<()> {
    say(
        "Texts of our own grammar, with phrases that no model was trained on; the shipped model at its own thresholds.",
    );
    let made = Maker::new(Part::Kept, KEPT.1)?.texts(KEPT.0, &[]);
    let mut kinds = std::collections::BTreeMap::<String, Share>::new();
    for (made, _) in &made {
        let over = model::score(&made.text)?.is_some_and(|scored| scored.over >= 0);
        let sort = if made.is_attack { "found" } else { "wrong" };
        let length = table::length(made.text.len());
        for name in [
            format!("{sort}: {}", made.kind),
            format!("{sort}: language {}", made.language),
            format!("{sort}: length {length}"),
        ] {
            let share = kinds.entry(name).or_default();
            share.all += 1;
            share.over[0] += usize::from(over);
        }
    }
    say(&format!(
        "\n{:<40} texts   over the threshold",
        "kind, language or length"
    ));
    for (name, share) in kinds {
        say(&format!(
            "{name:<40} {:>5} {:>10.3}",
            share.all,
            share.of(0)
        ));
    }
    let bytes: usize = made.iter().map(|(made, _)| made.text.len()).sum();
    let before = on_processor()?;
    for (made, _) in &made {
        model::score(&made.text)?;
    }
    let nanoseconds = on_processor()?.saturating_sub(before);
    let kibibytes = u64::try_from(bytes / 1024).unwrap_or(1).max(1);
    let each = nanoseconds / kibibytes / 1000;
    say(&format!(
        "\n{each} µs a KiB on one processor, in this build"
    ));
    Ok(())
}

/// How long this thread had a processor, in nanoseconds (Linux).
fn on_processor() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next();
    Ok(first.context("schedstat is empty")?.parse()?)
}
