//! `portcullis inspect`: what the inspection of the gateway says of texts and tools, a line each.

use super::{Ending, out};
use anyhow::Context as _;
use clap::Args;
use portcullis_core::catalog::Kind;
use portcullis_core::inspect::model;
use portcullis_core::inspect::screen::{self, Pack, Screened};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

/// The longest line, in bytes.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Args)]
#[command(
    after_help = "Without --jsonl, all of stdin is one text. Exit codes: 0 everything was read, 1 some lines could not be, \
2 wrong usage."
)]
pub(super) struct Inspect {
    /// Read `{"id", "text"}` or `{"id", "tool"}` a line, and print `{"id", "verdict", "score", "findings", "model"}` a line.
    #[arg(long)]
    jsonl: bool,
    /// A file of rules beside our own; may be given several times.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Line {
    id: Value,
    text: Option<String>,
    tool: Option<Value>,
}

/// What a line asks about.
enum Asked {
    Text(String),
    Tool(Value),
}

impl Inspect {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let pack = pack(&self.rules)?;
        let mut stdin = std::io::stdin().lock();
        if !self.jsonl {
            let mut text = String::new();
            stdin
                .take(MAX_LINE_BYTES)
                .read_to_string(&mut text)
                .context("stdin cannot be read as text")?;
            out::print(&format!("{}\n", of_text(&text, &pack)?));
            return Ok(Ending::Good);
        }
        let mut ending = Ending::Good;
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = stdin.by_ref().take(MAX_LINE_BYTES);
            let read = limited
                .read_until(b'\n', &mut line)
                .context("stdin cannot be read")?;
            if read == 0 {
                return Ok(ending);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let said = match asked(&line) {
                Ok((id, asked)) => answer(id, &asked, &pack)?,
                Err(why) => {
                    ending = Ending::Bad;
                    json!({ "id": null, "error": why })
                }
            };
            out::print(&format!("{said}\n"));
        }
    }
}

/// Our own rules, and those of files.
fn pack(files: &[PathBuf]) -> anyhow::Result<Arc<Pack>> {
    if files.is_empty() {
        return Ok(Pack::own());
    }
    let read = files.iter().map(|file| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    });
    let texts = read.collect::<anyhow::Result<Vec<String>>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(Arc::new(Pack::with(&texts)?))
}

fn asked(line: &[u8]) -> Result<(Value, Asked), &'static str> {
    let Line { id, text, tool } =
        serde_json::from_slice(line).map_err(|_| "no line of the form {\"id\", \"text\"}")?;
    match (text, tool) {
        (Some(text), None) => Ok((id, Asked::Text(text))),
        (None, Some(tool)) => Ok((id, Asked::Tool(tool))),
        (None, None) | (Some(_), Some(_)) => Err("needs either `text` or `tool`"),
    }
}

fn answer(id: Value, asked: &Asked, pack: &Pack) -> anyhow::Result<Value> {
    let mut said = match asked {
        Asked::Text(text) => of_text(text, pack)?,
        Asked::Tool(tool) => of_tool(tool)?,
    };
    if let Some(members) = said.as_object_mut() {
        members.insert("id".to_owned(), id);
    }
    Ok(said)
}

fn of_text(text: &str, pack: &Pack) -> anyhow::Result<Value> {
    let screened = screen::screen(text, pack);
    let place = |byte: usize| {
        let before = text.get(..byte).unwrap_or(text);
        before.chars().count()
    };
    let findings = screened.findings.iter().map(|finding| {
        json!({
            "rule": &*finding.rule,
            "technique": &*finding.technique,
            "weight": f64::from(finding.weight) / 100.0,
            "span": [place(finding.range.start), place(finding.range.end)],
            "hidden_by": finding.hidden_by,
        })
    });
    Ok(said(&screened, findings, over(text)?))
}

/// The model reads the definition as JSON.
fn of_tool(tool: &Value) -> anyhow::Result<Value> {
    let (found, screened) = screen::definition(Kind::Tool, tool);
    let findings = found.iter().map(|finding| {
        json!({
            "rule": finding.rule,
            "technique": finding.technique,
            "severity": finding.severity,
            "pointer": finding.pointer,
        })
    });
    Ok(said(&screened, findings, over(&tool.to_string())?))
}

/// How far the model has a text over its threshold, or under it; nothing if there is nothing to read in it.
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn over(text: &str) -> anyhow::Result<Option<f64>> {
    let scored = model::score(text).context("no text is judged without the model")?;
    Ok(scored.map(|scored| scored.over as f64 / 1000.0))
}

fn said(screened: &Screened, findings: impl Iterator<Item = Value>, model: Option<f64>) -> Value {
    json!({
        "verdict": screened.verdict().name(),
        "score": f64::from(screened.score) / 1000.0,
        "findings": findings.collect::<Vec<Value>>(),
        "model": model,
    })
}
