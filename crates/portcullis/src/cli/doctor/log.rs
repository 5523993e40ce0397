//! Is the audit log as it should be, and can it go on?

use super::Findings;
use crate::cli::audit::{Place, checkpoint, keys};
use crate::clock;
use crate::config::Checked;
use crate::lifecycle::Home;
use portcullis_audit::{
    Checkpoint, Filter, Found, Lineage, MAX_BACKWARDS_MICROS, MAX_NOTE_BYTES, VerifierKey,
    newest_first,
};
use rustix::fs::{Access, access, statvfs};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// With less room, the log may be full before someone looks.
const LOW_BYTES: u64 = 1 << 30;
/// With less room, requests are about to be refused.
const FULL_BYTES: u64 = 64 << 20;
/// No clock that is right shows less: the first second of 2026.
const EARLIEST_SECONDS: u64 = 1_767_225_600;

pub(super) fn look(data: &Path, checked: &Checked, findings: &mut Findings) {
    let directory = &checked.audit.directory;
    witnesses(data, checked, findings);
    disk(directory, findings);
    findings.look("clock");
    if clock::now().seconds() < EARLIEST_SECONDS {
        findings.error(
            "clock.wrong",
            "the clock is years behind",
            "set it: tokens are judged by it",
        );
    }
    findings.look("audit");
    if !directory.is_dir() {
        let what = format!("there is no log in {} yet", directory.display());
        return findings.note("audit.missing", what, "start the gateway once");
    }
    if let Err(error) = access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        let what = format!("{} cannot be written to ({error})", directory.display());
        findings.error(
            "audit.unwritable",
            what,
            "give it to the user of the gateway: no log, no requests",
        );
    }
    let place = Place {
        log: directory.clone(),
        witnesses: Vec::new(),
        key: Home(data.to_owned()).verifier_key(),
    };
    let keys = match keys(&[], &place) {
        Ok(keys) => keys,
        Err(error) => {
            let fix = "start the gateway once, or restore the file";
            return findings.warning("audit.key", format!("{error:#}"), fix);
        }
    };
    compare(data, checked, &keys, findings);
}

/// The quick look: the last checkpoint and the witnesses against the newest record.
fn compare(data: &Path, checked: &Checked, keys: &[VerifierKey], findings: &mut Findings) {
    let fix = format!("run `portcullis audit verify --data {}`", data.display());
    // Signed trees before records: a writer at work only adds.
    let stated = stated(checked, keys, &fix, findings);
    let newest = match newest(&checked.audit.directory) {
        Ok(newest) => newest,
        Err(error) => {
            return findings.error("audit.record", format!("the newest record: {error:#}"), fix);
        }
    };
    let records = newest
        .as_ref()
        .map_or(0, |newest| newest.seq.saturating_add(1));
    for (name, checkpoint) in &stated {
        let size = checkpoint.tree().size;
        if size > records {
            let what = format!("the log has {records} records, but {name} states {size}");
            findings.error("audit.cut", what, fix.as_str());
        }
        let differs =
            |other: &Checkpoint| other.tree().size == size && other.tree() != checkpoint.tree();
        if stated.first().is_some_and(|(_, first)| differs(first)) {
            let what = format!("{name} and the last checkpoint state different logs");
            findings.error("audit.fork", what, fix.as_str());
        }
    }
    let latest = clock::micros().saturating_add(MAX_BACKWARDS_MICROS);
    if newest.is_some_and(|newest| newest.stamp.time > latest) {
        let what = "the clock is behind the newest record of the log";
        findings.error("clock.behind", what, "set it: it went back");
    }
}

/// The signed trees that can be believed, by what they are called.
fn stated(
    checked: &Checked,
    keys: &[VerifierKey],
    fix: &str,
    findings: &mut Findings,
) -> Vec<(String, Checkpoint)> {
    let (mut stated, mut lineage) = (Vec::new(), Lineage::new(keys));
    match checkpoint(&checked.audit.directory, keys, None) {
        Ok(Some((last, keys))) => {
            stated.push(("the last checkpoint".to_owned(), last));
            lineage = keys;
        }
        Ok(None) => findings.error("audit.checkpoint", "the log has no checkpoint", fix),
        Err(error) => findings.error("audit.checkpoint", format!("{error:#}"), fix),
    }
    for witness in checked
        .audit
        .witness
        .iter()
        .filter(|witness| witness.exists())
    {
        match read(witness, &lineage) {
            Ok(copy) => stated.push((format!("the witness {}", witness.display()), copy)),
            Err(error) => findings.error(
                "audit.witness",
                format!("{}: {error:#}", witness.display()),
                fix,
            ),
        }
    }
    stated
}

fn read(witness: &Path, keys: &Lineage) -> anyhow::Result<Checkpoint> {
    let mut note = String::new();
    std::fs::File::open(witness)?
        .take(u64::try_from(MAX_NOTE_BYTES)? + 1)
        .read_to_string(&mut note)?;
    Ok(keys.open(&note)?)
}

fn newest(directory: &Path) -> anyhow::Result<Option<Found>> {
    Ok(newest_first(directory, Filter::default())?
        .next()
        .transpose()?)
}

fn witnesses(data: &Path, checked: &Checked, findings: &mut Findings) {
    findings.look("witness");
    let witnesses = &checked.audit.witness;
    if witnesses.is_empty() {
        let fix = "set `audit.witness` to a file on another disk or machine";
        findings.note(
            "witness.none",
            "no copy of the checkpoints is kept: a log that is cut back is not noticed",
            fix,
        );
    }
    for witness in witnesses {
        let directory = existing(witness.parent().unwrap_or(Path::new("/")));
        let writable = if witness.exists() {
            access(witness, Access::WRITE_OK)
        } else {
            Ok(())
        };
        if let Err(error) = access(&directory, Access::WRITE_OK | Access::EXEC_OK).and(writable) {
            let what = format!(
                "the witness {} cannot be written ({error})",
                witness.display()
            );
            findings.error(
                "witness.unwritable",
                what,
                format!("make {} writable", directory.display()),
            );
        }
        if witness.starts_with(&checked.audit.directory) {
            let what = format!(
                "the witness {} lies in the log that it should watch",
                witness.display()
            );
            findings.warning(
                "witness.beside",
                what,
                "set `audit.witness` to a file on another disk or machine",
            );
        } else if witness.starts_with(data) {
            let what = format!(
                "the witness {} lies near the log: who changes one can change both",
                witness.display()
            );
            findings.note(
                "witness.near",
                what,
                "set `audit.witness` to a file on another disk or machine",
            );
        }
    }
}

fn disk(directory: &Path, findings: &mut Findings) {
    findings.look("disk");
    let Ok(disk) = statvfs(existing(directory)) else {
        return;
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let what = format!(
        "{} MiB are free for the audit log in {}",
        free >> 20,
        directory.display()
    );
    let fix =
        "make room, or move `audit.directory`: when the disk is full, every request is refused";
    if free < FULL_BYTES {
        findings.error("disk.full", what, fix);
    } else if free < LOW_BYTES {
        findings.warning("disk.low", what, fix);
    }
}

/// The nearest directory that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}
