//! `portcullis audit verify`: is the log what was written?

use super::{Ending, Named, keys, out, place, unknown};
use clap::Args;
use portcullis_audit::{Broken, Sound, Verdict, VerifierKey, Why};
use serde_json::json;
use std::error::Error as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 sound, 1 broken, 2 wrong usage, or it cannot be told: something is missing \
or cannot be read, or there is no key."
)]
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
    pub(super) fn run(self) -> Ending {
        let found = place(&self.named).and_then(|place| Ok((keys(&self.key, &place)?, place)));
        let (keys, place) = match found {
            Ok(found) => found,
            Err(error) => return self.unknown(&format!("{error:#}")),
        };
        let witnesses = if self.witness.is_empty() {
            place.witnesses
        } else {
            self.witness.clone()
        };
        match verify(&place.log, &keys, &witnesses) {
            Verdict::Sound(sound) => {
                let told = if self.json { json_of } else { text_of };
                out::print(&told(&place.log, &witnesses, &sound));
                Ending::Good
            }
            Verdict::Broken(broken) => {
                let told = if self.json {
                    json_of_broken
                } else {
                    text_of_broken
                };
                out::print(&told(&place.log, &broken));
                Ending::Bad
            }
            Verdict::Unknown(why) => {
                let source = why
                    .source()
                    .map(|source| format!(": {source}"))
                    .unwrap_or_default();
                self.unknown(&format!("{why}{source} (log in {})", place.log.display()))
            }
        }
    }

    fn unknown(&self, why: &str) -> Ending {
        if self.json {
            out::print(&format!(
                "{:#}\n",
                json!({ "verdict": "unknown", "message": why })
            ));
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
    let handovers = sound.lineage.handovers().iter().map(|one| {
        let successor = one.successor().map(ToString::to_string);
        json!({ "size": one.tree().size, "from": one.signer().to_string(), "to": successor })
    });
    let report = json!({
        "verdict": "sound",
        "log": log.display().to_string(),
        "records": sound.records,
        "removed": sound.removed,
        "root": hex(&sound.root),
        "checkpoint": { "origin": sound.checkpoint.origin(), "size": tree.size, "root": hex(&tree.root) },
        "signer": sound.checkpoint.signer().to_string(),
        "handovers": handovers.collect::<Vec<_>>(),
        "unanchored": sound.unanchored,
        "torn_bytes": sound.torn_bytes,
        "witnesses": witnesses.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn text_of(log: &Path, witnesses: &[PathBuf], sound: &Sound) -> String {
    let (size, origin) = (sound.checkpoint.tree().size, sound.checkpoint.origin());
    let mut lines = vec![
        format!("sound: {} records in {}", sound.records, log.display()),
        format!("  root        {}", hex(&sound.root)),
        format!("  checkpoint  of {size} records, signed as {origin}"),
    ];
    lines.extend(sound.lineage.handovers().iter().map(|one| {
        let (from, size) = (one.signer().id(), one.tree().size);
        let to = one.successor().map(VerifierKey::id).unwrap_or_default();
        format!("  handover    after {size} records, from the key {from} to {to}")
    }));
    if sound.removed > 0 {
        let first = sound.removed;
        lines.push(format!(
            "  removed     the first {first}, as a signed record says; the rest, from record {first} on, is sound"
        ));
    }
    if sound.unanchored > 0 {
        lines.push(format!("  not yet signed: the last {}", sound.unanchored));
    }
    if sound.torn_bytes > 0 {
        let bytes = sound.torn_bytes;
        lines.push(format!(
            "  unfinished line of {bytes} bytes at the end: a writer at work, or a crash"
        ));
    }
    lines.extend(
        witnesses
            .iter()
            .map(|witness| format!("  witness     {}", witness.display())),
    );
    if witnesses.is_empty() {
        lines.push(
            "  no witness: a log cut back to an older checkpoint would look the same".to_owned(),
        );
    }
    lines.join("\n") + "\n"
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

fn text_of_broken(log: &Path, broken: &Broken) -> String {
    let Broken {
        file,
        line,
        offset,
        bytes,
        seq,
        last_seq,
        why,
    } = broken;
    let record = if seq == last_seq {
        seq.to_string()
    } else {
        format!("one from {seq} to {last_seq}")
    };
    let file = log.join(file);
    format!(
        "broken: {why}\n  file    {}\n  line    {line}\n  byte    {offset} ({bytes} bytes in question)\n  record  {record}\n",
        file.display()
    )
}

/// A word for what is wrong that stays the same from version to version.
const fn word(why: &Why) -> &'static str {
    match why {
        Why::Edited => "edited",
        Why::NotARecord => "not_a_record",
        Why::Displaced { .. } => "displaced",
        Why::Inserted => "inserted",
        Why::Rewritten => "rewritten",
        Why::Forked => "forked",
        Why::Cut { .. } => "cut",
        Why::DatedBack => "dated_back",
        Why::Strange => "strange_file",
        Why::NoCheckpoint => "no_checkpoint",
        Why::Note(_) => "checkpoint",
        Why::Order => "checkpoint_order",
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
