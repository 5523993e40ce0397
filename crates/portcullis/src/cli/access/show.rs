//! `portcullis access review show`: what was decided, as the audit log has it and its checkpoints sign it.

use super::reviewer::ending;
use crate::cli::audit::{self, Named, Prover};
use crate::cli::{Ending, out};
use anyhow::Context as _;
use clap::Args;
use portcullis_audit::{Filter, Found, oldest_first};
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(
    after_help = "With --json, each record comes with the proof that `portcullis audit proof --check` takes. Exit codes: 0 \
printed, 1 the log has no such review, or something of it is not signed yet, 2 wrong usage, or it cannot be told."
)]
pub(super) struct Show {
    #[command(flatten)]
    named: Named,
    /// A verifier key or a file of them; may be given several times [default: audit.vkey in the data directory].
    #[arg(long, value_name = "FILE|VKEY")]
    key: Vec<String>,
    /// Which review [default: the newest].
    #[arg(long, value_name = "N")]
    review: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Ending {
        ending(self.show())
    }

    fn show(&self) -> anyhow::Result<Ending> {
        let place = audit::place(&self.named)?;
        let prover = Prover::of(&place.log, &audit::keys(&self.key, &place)?)?;
        let filter = Filter {
            event: Some("access.".to_owned()),
            ..Filter::default()
        };
        let mut all = Vec::new();
        for found in oldest_first(&place.log, filter)? {
            let found = found?;
            if let Some(number) = number_of(&found) {
                all.push((number, found));
            }
        }
        let newest = all.iter().map(|(number, _)| *number).max();
        let Some(number) = self.review.or(newest) else {
            out::error("the log has no review");
            return Ok(Ending::Bad);
        };
        all.retain(|(own, _)| *own == number);
        if all.is_empty() {
            out::error(&format!("the log has no review {number}"));
            return Ok(Ending::Bad);
        }
        let mut is_signed = true;
        let mut shown = Vec::new();
        for (_, found) in &all {
            let proof = prover.included(&place.log, found.seq)?;
            is_signed &= proof.is_some();
            shown.push((found, proof));
        }
        out::print(&if self.json {
            let records: Result<Vec<Value>, _> = shown.iter().map(json_of).collect();
            let told = json!({ "review": number, "signed": is_signed, "records": records? });
            format!("{told:#}\n")
        } else {
            let lines = shown.iter().map(line_of);
            lines.collect()
        });
        Ok(if is_signed { Ending::Good } else { Ending::Bad })
    }
}

fn number_of(found: &Found) -> Option<u64> {
    let record: Value = serde_json::from_str(&found.line).ok()?;
    record.pointer("/detail/review")?.as_str()?.parse().ok()
}

fn json_of((found, proof): &(&Found, Option<Value>)) -> anyhow::Result<Value> {
    let record: Value = serde_json::from_str(&found.line).context("a line is no record")?;
    Ok(json!({ "seq": found.seq, "record": record, "proof": proof }))
}

fn line_of((found, proof): &(&Found, Option<Value>)) -> String {
    let record: Value = serde_json::from_str(&found.line).unwrap_or_default();
    let text = |path: &str| {
        let text = record.pointer(path).and_then(Value::as_str);
        text.map(|text| text.escape_debug().to_string())
    };
    let words = ["/time", "/event", "/reason", "/detail/rule", "/detail/why"];
    let words: Vec<String> = words.into_iter().filter_map(text).collect();
    let by = text("/principal/sub").map(|by| format!(" by {by}"));
    let by = by.unwrap_or_default();
    let signed = proof.as_ref().map_or("not signed yet", |_| "signed");
    format!("{}{by} (record {}, {signed})\n", words.join(" "), found.seq)
}
