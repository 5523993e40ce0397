//! Small logs for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::checkpoint::tests::key;
use crate::files::{segment_name, segments};
use crate::hash::sha256;
use crate::line::{GENESIS, relinked};
use crate::record::tests::full;
use crate::recorder::Recorder;
use crate::verify::{Verdict, verify};
use crate::writer::{Opened, Settings, Writer, open};

/// How long tests wait for entries that are open: none is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

static NOW: AtomicU64 = AtomicU64::new(1_785_229_200_000_000);

/// A clock that moves by a millisecond whenever it is looked at.
pub(crate) fn clock() -> u64 {
    NOW.fetch_add(1000, Ordering::Relaxed)
}

/// Settings of small segments and frequent checkpoints.
pub(crate) fn settings() -> Settings {
    Settings {
        segment_bytes: 4096,
        checkpoint_records: 8,
        ..Settings::default()
    }
}

/// Opens a log with the key of the tests.
pub(crate) fn start(dir: &Path, settings: &Settings) -> (Recorder, Writer) {
    let Opened {
        recorder,
        writer,
        recovery: _,
    } = open(dir, key(1), clock, settings).unwrap();
    (recorder, writer)
}

/// Writes one record and waits for it.
pub(crate) fn record(recorder: &Recorder) -> u64 {
    let mut entry = recorder.try_reserve().unwrap();
    entry.record = full();
    entry.submit().unwrap().written_blocking().unwrap().seq
}

/// Adds `count` records to the log in `dir`, and closes it.
pub(crate) fn write(dir: &Path, settings: &Settings, count: u64) {
    let (recorder, writer) = start(dir, settings);
    for _ in 0..count {
        record(&recorder);
    }
    writer.finish(PATIENCE).unwrap();
}

/// What the verifier says with the key of the tests.
pub(crate) fn check(dir: &Path, witnesses: &[PathBuf]) -> Verdict {
    verify(dir, &[key(1).verifier().clone()], witnesses)
}

/// The path of the segment that holds record `seq`.
pub(crate) fn segment_of(dir: &Path, seq: u64) -> PathBuf {
    let firsts = segments(dir).unwrap().firsts;
    dir.join(segment_name(
        *firsts.iter().rfind(|first| **first <= seq).unwrap(),
    ))
}

/// Changes the lines from record `seq` to the end of its segment.
pub(crate) fn edit(dir: &Path, seq: u64, change: impl FnOnce(&mut Vec<String>)) {
    let path = segment_of(dir, seq);
    let text = std::fs::read_to_string(&path).unwrap();
    let mark = format!(r#"{{"v":1,"seq":{seq},"#);
    let (before, after) = text.split_at(text.find(&mark).unwrap());
    let mut lines: Vec<String> = after.lines().map(str::to_owned).collect();
    change(&mut lines);
    let mut changed = before.to_owned();
    for line in lines {
        changed.extend([line.as_str(), "\n"]);
    }
    std::fs::write(&path, changed).unwrap();
}

/// Links all lines of the log anew, as one would who edited some.
pub(crate) fn relink(dir: &Path) {
    let mut prev = GENESIS;
    for first in segments(dir).unwrap().firsts {
        let path = dir.join(segment_name(first));
        let mut linked = Vec::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let line = relinked(line.as_bytes(), &prev).unwrap();
            prev = sha256(&line);
            linked.extend([line, b"\n".to_vec()].concat());
        }
        std::fs::write(&path, linked).unwrap();
    }
}
