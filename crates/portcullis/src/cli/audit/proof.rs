//! `portcullis audit proof`: what can be shown to someone who has the public key and nothing else.

use super::{Ending, Named, Place, keys, out, place, unknown};
use crate::checkpoints;
use anyhow::Context as _;
use clap::Args;
use portcullis_audit::{
    BadNote, CHECKPOINTS, Checkpoint, Consistency, Inclusion, Lineage, NoProof, VerifierKey,
    consistency, inclusion, verify_consistency, verify_inclusion,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A proof is smaller: one line, two checkpoints and some hashes.
const MAX_PROOF_BYTES: u64 = 4 << 20;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the proof is made, or holds; 1 it cannot be made, or does not hold; 2 wrong \
usage, or something cannot be read, or there is no key."
)]
#[command(group = clap::ArgGroup::new("task").required(true).args(["seq", "consistency", "check"]))]
pub(super) struct Proof {
    #[command(flatten)]
    named: Named,
    /// A verifier key or a file of them; may be given several times [default: audit.vkey in the data directory].
    #[arg(long, value_name = "FILE|VKEY")]
    key: Vec<String>,
    /// Prove that this record is in the log.
    #[arg(long, value_name = "N")]
    seq: Option<u64>,
    /// The size of a checkpoint to prove it against [default: that of the last one].
    #[arg(long, value_name = "M", requires = "seq")]
    size: Option<u64>,
    /// Prove that the log of NEW records begins with the log of OLD records; both are sizes of checkpoints.
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    consistency: Option<Vec<u64>>,
    /// Check the proof in this file; needs the key, not the log.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Print the result of a check as JSON; a proof is JSON anyway.
    #[arg(long)]
    json: bool,
}

/// A proof and the signed notes that it leads to: all that is needed besides the key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Shown {
    Inclusion {
        proof: Inclusion,
        checkpoint: String,
        /// The checkpoints by which one key handed over to the next, if any did.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handovers: Vec<String>,
    },
    Consistency {
        proof: Consistency,
        old: String,
        new: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handovers: Vec<String>,
    },
}

/// Why there is no proof.
enum Without {
    /// There cannot be one.
    Refused(String),
    /// It cannot be told.
    Unknown(anyhow::Error),
}

impl From<anyhow::Error> for Without {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast_ref::<BadNote>() {
            Some(_) => Self::Refused(format!("{error:#}")),
            None => Self::Unknown(error),
        }
    }
}

impl From<NoProof> for Without {
    fn from(error: NoProof) -> Self {
        match error {
            NoProof::OutOfRange => Self::Refused(error.to_string()),
            NoProof::Io(_) => Self::Unknown(error.into()),
        }
    }
}

impl Proof {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let (keys, place) =
            match place(&self.named).and_then(|place| Ok((keys(&self.key, &place)?, place))) {
                Ok(found) => found,
                Err(error) => return Ok(unknown(&format!("{error:#}"))),
            };
        if let Some(file) = &self.check {
            return Ok(self.check(file, &keys));
        }
        let shown = match self.make(&place, &keys) {
            Ok(shown) => shown,
            Err(Without::Unknown(error)) => return Ok(unknown(&format!("{error:#}"))),
            Err(Without::Refused(why)) => {
                out::error(&why);
                return Ok(Ending::Bad);
            }
        };
        out::print(&format!("{}\n", serde_json::to_string_pretty(&shown)?));
        Ok(Ending::Good)
    }

    fn make(&self, place: &Place, keys: &[VerifierKey]) -> Result<Shown, Without> {
        if let Some([old, new]) = self.consistency.as_deref() {
            let (before, _) = signed(&place.log, keys, Some(*old))?;
            let (after, lineage) = signed(&place.log, keys, Some(*new))?;
            let proof = consistency(&place.log, *old, *new)?;
            // What is handed out is checked first: a log that was touched has no proofs.
            verify_consistency(&proof, &before, &after).map_err(touched)?;
            return Ok(Shown::Consistency {
                proof,
                old: before.note().to_owned(),
                new: after.note().to_owned(),
                handovers: handovers(&lineage),
            });
        }
        let seq = self.seq.unwrap_or_default();
        let (checkpoint, lineage) = signed(&place.log, keys, self.size)?;
        let size = checkpoint.tree().size;
        if seq >= size {
            let why = format!("record {seq} is not among the {size} that are signed");
            return Err(Without::Refused(why));
        }
        let proof = inclusion(&place.log, seq, size)?;
        verify_inclusion(&proof, &checkpoint).map_err(touched)?;
        Ok(Shown::Inclusion {
            proof,
            checkpoint: checkpoint.note().to_owned(),
            handovers: handovers(&lineage),
        })
    }

    fn check(&self, file: &Path, keys: &[VerifierKey]) -> Ending {
        let shown = match read(file) {
            Ok(shown) => shown,
            Err(error) => return unknown(&format!("{error:#}")),
        };
        let outcome = match &shown {
            Shown::Inclusion {
                proof,
                checkpoint,
                handovers,
            } => followed(handovers, keys)
                .and_then(|lineage| check_inclusion(proof, checkpoint, &lineage)),
            Shown::Consistency {
                proof,
                old,
                new,
                handovers,
            } => followed(handovers, keys)
                .and_then(|lineage| check_consistency(proof, old, new, &lineage)),
        };
        let holds = outcome.is_ok();
        let (Ok(message) | Err(message)) = outcome;
        if self.json {
            out::print(&format!(
                "{:#}\n",
                json!({ "holds": holds, "message": message })
            ));
        } else {
            out::print(&format!(
                "{}: {message}\n",
                if holds { "holds" } else { "does not hold" }
            ));
        }
        if holds { Ending::Good } else { Ending::Bad }
    }
}

/// Proves that records are in the log that the last checkpoint signs.
pub(in crate::cli) struct Prover(Option<(Checkpoint, Lineage)>);

impl Prover {
    pub(in crate::cli) fn of(log: &Path, keys: &[VerifierKey]) -> anyhow::Result<Self> {
        checkpoint(log, keys, None).map(Self)
    }

    /// The proof of a record as `--check` takes it; none if the record is not signed yet.
    pub(in crate::cli) fn included(
        &self,
        log: &Path,
        seq: u64,
    ) -> anyhow::Result<Option<serde_json::Value>> {
        let signed = self.0.as_ref();
        let is_signed = |(checkpoint, _): &&(Checkpoint, Lineage)| seq < checkpoint.tree().size;
        let Some((checkpoint, lineage)) = signed.filter(is_signed) else {
            return Ok(None);
        };
        let proof = inclusion(log, seq, checkpoint.tree().size)?;
        verify_inclusion(&proof, checkpoint)
            .context("the log was touched; run `portcullis audit verify`")?;
        let shown = Shown::Inclusion {
            proof,
            checkpoint: checkpoint.note().to_owned(),
            handovers: handovers(lineage),
        };
        Ok(Some(serde_json::to_value(&shown)?))
    }
}

fn signed(
    log: &Path,
    keys: &[VerifierKey],
    size: Option<u64>,
) -> Result<(Checkpoint, Lineage), Without> {
    checkpoint(log, keys, size)?.ok_or_else(|| {
        Without::Refused(match size {
            Some(size) => format!("no checkpoint of {size} records was signed"),
            None => "no checkpoint was signed".to_owned(),
        })
    })
}

fn touched(error: portcullis_audit::Unproven) -> Without {
    Without::Refused(format!(
        "the log was touched ({error}); run `portcullis audit verify`"
    ))
}

fn read(file: &Path) -> anyhow::Result<Shown> {
    let named = || format!("cannot read a proof from {}", file.display());
    let mut text = String::new();
    File::open(file)
        .with_context(named)?
        .take(MAX_PROOF_BYTES)
        .read_to_string(&mut text)
        .with_context(named)?;
    serde_json::from_str(&text).with_context(named)
}

fn handovers(lineage: &Lineage) -> Vec<String> {
    let notes = lineage.handovers().iter().map(Checkpoint::note);
    notes.map(str::to_owned).collect()
}

/// The keys that are proven by these handovers.
fn followed(handovers: &[String], keys: &[VerifierKey]) -> Result<Lineage, String> {
    let mut lineage = Lineage::new(keys);
    for note in handovers {
        let followed = lineage.follow(note);
        followed.map_err(|error| format!("a handover: {error}"))?;
    }
    Ok(lineage)
}

fn check_inclusion(proof: &Inclusion, note: &str, keys: &Lineage) -> Result<String, String> {
    let checkpoint = keys
        .open(note)
        .map_err(|error| format!("the checkpoint: {error}"))?;
    verify_inclusion(proof, &checkpoint).map_err(|error| error.to_string())?;
    Ok(format!(
        "record {} is among the {} of {}",
        proof.seq,
        proof.size,
        checkpoint.origin()
    ))
}

fn check_consistency(
    proof: &Consistency,
    old: &str,
    new: &str,
    keys: &Lineage,
) -> Result<String, String> {
    let old = keys
        .open(old)
        .map_err(|error| format!("the old checkpoint: {error}"))?;
    let new = keys
        .open(new)
        .map_err(|error| format!("the new checkpoint: {error}"))?;
    verify_consistency(proof, &old, &new).map_err(|error| error.to_string())?;
    Ok(format!(
        "the {} records of {} begin with the earlier {}",
        proof.new,
        new.origin(),
        proof.old
    ))
}

/// The checkpoint of this size, or the last one, if there is one; and the keys of the log.
pub(in crate::cli) fn checkpoint(
    log: &Path,
    keys: &[VerifierKey],
    size: Option<u64>,
) -> anyhow::Result<Option<(Checkpoint, Lineage)>> {
    let found = checkpoints::last(log, |note| {
        size.is_none_or(|size| note.lines().nth(1) == Some(size.to_string().as_str()))
    })?;
    let Some(note) = found else { return Ok(None) };
    let path = log.join(CHECKPOINTS);
    let lineage = Lineage::read(log, keys);
    let lineage = lineage.with_context(|| format!("cannot read {}", path.display()))?;
    let opened = lineage.open(&note);
    let opened = opened.with_context(|| format!("a checkpoint in {}", path.display()))?;
    Ok(Some((opened, lineage)))
}
