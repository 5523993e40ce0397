//! `portcullis audit verify`: is the log what was written?

use super::{Ending, Named, keys, out, place, unknown};
use clap::Args;
use portcullis_audit::{Broken, Sound, VerifierKey, Verdict, Why};
use serde_json::{Value, json};
use std::error::Error as _;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 sound, 1 broken, 2 wrong usage, or it cannot be told: something is missing \
or cannot be read, or there is no key.")]
pub(super) struct Verify {
    #[command(flatten)]
    named: Named,
    /// A verifier key or a file of them; may be given several times [default: audit.vkey in the data directory].
    #[arg(long, value_name = "FILE|VKEY")]
    key: Vec<String>,
    /// A copy of a checkpoint that is kept elsewhere; may be given several times [default: as configured].
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let found = place(&self.named).and_then(|place| Ok((keys(&self.key, &place)?, place)));
        let (keys, place) = match found {
            Ok(found) => found,
            Err(error) => return Ok(self.unknown(&format!("{error:#}"))),
        };
        let witnesses = if self.witness.is_empty() { place.witnesses } else { self.witness.clone() };
        match verify(&place.log, &keys, &witnesses) {
            Verdict::Sound(sound) => {
                out::print(&if self.json { json_of(&place.log, &witnesses, &sound) } else { text_of(&place.log, &witnesses, &sound)? });
                Ok(Ending::Good)
            }
            Verdict::Broken(broken) => {
                out::print(&if self.json { json_of_broken(&place.log, &broken) } else { text_of_broken(&place.log, &broken)? });
                Ok(Ending::Bad)
            }
            Verdict::Unknown(why) => {
                let source = why.source().map(|source| format!(": {source}")).unwrap_or_default();
                Ok(self.unknown(&format!("{why}{source} (log in {})", place.log.display())))
            }
        }
    }

    fn unknown(&self, why: &str) -> Ending {
        if self.json {
            out::print(&format!("{:#}\n", json!({ "verdict": "unknown", "message": why })));
        }
        unknown(why)
    }
}

/// A writer may be at work: what is found broken is looked at once more, and counts only if it stays so.
pub(in crate::cli) fn verify(log: &Path, keys: &[VerifierKey], witnesses: &[PathBuf]) -> Verdict {
    match portcullis_audit::verify(log, keys, witnesses) {
        Verdict::Broken(_) => portcullis_audit::verify(log, keys, witnesses),
        verdict @ (Verdict::Sound(_) | Verdict::Unknown(_)) => verdict,
    }
}

fn json_of(log: &Path, witnesses: &[PathBuf], sound: &Sound) -> String {
    let tree = sound.checkpoint.tree();
    let report = json!({
        "verdict": "sound",
        "log": log.display().to_string(),
        "records": sound.records,
        "root": hex(&sound.root),
        "checkpoint": { "origin": sound.checkpoint.origin(), "size": tree.size, "root": hex(&tree.root) },
        "unanchored": sound.unanchored,
        "torn_bytes": sound.torn_bytes,
        "witnesses": witnesses.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn text_of(log: &Path, witnesses: &[PathBuf], sound: &Sound) -> anyhow::Result<String> {
    let mut text = format!("sound: {} records in {}\n", sound.records, log.display());
    let size = sound.checkpoint.tree().size;
    writeln!(text, "  root        {}", hex(&sound.root))?;
    writeln!(text, "  checkpoint  of {size} records, signed as {}", sound.checkpoint.origin())?;
    if sound.unanchored > 0 {
        writeln!(text, "  not yet signed: the last {}", sound.unanchored)?;
    }
    if sound.torn_bytes > 0 {
        writeln!(text, "  unfinished line of {} bytes at the end: a writer at work, or a crash", sound.torn_bytes)?;
    }
    for witness in witnesses {
        writeln!(text, "  witness     {}", witness.display())?;
    }
    if witnesses.is_empty() {
        writeln!(text, "  no witness: a log that was cut back to an older checkpoint would look the same")?;
    }
    Ok(text)
}

fn json_of_broken(log: &Path, broken: &Broken) -> String {
    let report = json!({
        "verdict": "broken",
        "log": log.display().to_string(),
        "file": broken.file,
        "line": broken.line,
        "byte": broken.offset,
        "bytes": broken.bytes,
        "seq": broken.seq,
        "last_seq": broken.last_seq,
        "why": word(&broken.why),
        "message": broken.why.to_string(),
    });
    format!("{report:#}\n")
}

fn text_of_broken(log: &Path, broken: &Broken) -> anyhow::Result<String> {
    let Broken { file, line, offset, bytes, seq, last_seq, why } = broken;
    let mut text = format!("broken: {why}\n");
    writeln!(text, "  file    {}", log.join(file).display())?;
    writeln!(text, "  line    {line}")?;
    writeln!(text, "  byte    {offset} ({bytes} bytes in question)")?;
    if seq == last_seq {
        writeln!(text, "  record  {seq}")?;
    } else {
        writeln!(text, "  record  one from {seq} to {last_seq}")?;
    }
    Ok(text)
}

/// A word for what is wrong that stays the same from version to version.
const fn word(why: &Why) -> &'static str {
    match why {
        Why::Edited => "edited",
        Why::NotARecord => "not_a_record",
        Why::Displaced { .. } => "displaced",
        Why::Inserted => "inserted",
        Why::Rewritten => "rewritten",
        Why::Cut { .. } => "cut",
        Why::DatedBack => "dated_back",
        Why::Strange => "strange_file",
        Why::NoCheckpoint => "no_checkpoint",
        Why::Note(_) => "checkpoint",
        Why::Order => "checkpoint_order",
    }
}

fn hex(bytes: &[u8]) -> Value {
    Value::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
