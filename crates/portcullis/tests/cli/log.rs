//! Logs to verify, made by the writer of the gateway.

use portcullis_audit::{
    Decision, Effect, NotOpened, Principal, Record, Recorder, Settings, SigningKey, Writer, open,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The first time in the logs: 2026-07-28T09:00:00Z.
const BEGIN: u64 = 1_785_229_200_000_000;
/// How many records a log of the tests has.
pub(crate) const RECORDS: u64 = 40;
/// How many of them each checkpoint adds.
const EACH: u64 = 8;

static NOW: AtomicU64 = AtomicU64::new(BEGIN);

/// A clock that moves by a second whenever it is looked at.
fn clock() -> u64 {
    NOW.fetch_add(1_000_000, Ordering::Relaxed)
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed("portcullis.local/audit", &[seed; 32]).unwrap()
}

/// A data directory with a log, its witness and its key, and no configuration.
pub(crate) struct Home {
    pub(crate) directory: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::signed_by(1)
    }

    pub(crate) fn signed_by(seed: u8) -> Self {
        let home = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(home.path().join("witness")).unwrap();
        std::fs::write(
            home.path().join("audit.vkey"),
            format!("{}\n", key(seed).verifier()),
        )
        .unwrap();
        let (recorder, writer) = home.start(seed);
        for number in 0..RECORDS {
            home.expect_checkpoints(number / EACH);
            write(&recorder, number);
        }
        writer.finish(Duration::from_secs(5)).unwrap();
        home
    }

    /// Opens the log for writing: small segments, many checkpoints.
    pub(crate) fn start(&self, seed: u8) -> (Recorder, Writer) {
        let settings = Settings {
            segment_bytes: 4096,
            checkpoint_records: EACH,
            witnesses: vec![self.witness()],
            ..Settings::default()
        };
        // A child that another test has just forked holds our lock until it becomes the binary.
        for _ in 0..500 {
            match open(&self.log(), key(seed), clock, &settings) {
                Err(NotOpened::Locked) => std::thread::sleep(Duration::from_millis(10)),
                opened => {
                    let opened = opened.unwrap();
                    return (opened.recorder, opened.writer);
                }
            }
        }
        panic!("the log stays locked");
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("audit")
    }

    pub(crate) fn witness(&self) -> PathBuf {
        self.path().join("witness/checkpoint")
    }

    /// The segments in their order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.log())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut segments: Vec<PathBuf> = entries
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .collect();
        segments.sort();
        segments
    }

    /// Changes the lines of one segment.
    pub(crate) fn edit(&self, segment: usize, change: impl FnOnce(&mut Vec<String>)) {
        let path = &self.segments()[segment];
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(
            path,
            lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<Vec<_>>()
                .concat(),
        )
        .unwrap();
    }

    /// Waits for so many checkpoints: each is of its own size then, however fast records are written.
    fn expect_checkpoints(&self, count: u64) {
        let path = self.log().join("checkpoints");
        for _ in 0..500 {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // One has a text and its signatures.
            if text.matches("\n\n").count() >= usize::try_from(count * 2).unwrap() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no checkpoint {count}");
    }

    /// Keeps the first `count` checkpoints.
    pub(crate) fn keep_checkpoints(&self, count: usize) -> u64 {
        let path = self.log().join("checkpoints");
        let text = std::fs::read_to_string(&path).unwrap();
        let parts: Vec<&str> = text.split_inclusive("\n\n").collect();
        std::fs::write(&path, parts[..count * 2].concat()).unwrap();
        parts[count * 2 - 2]
            .lines()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Cuts the log to its first `records`.
    pub(crate) fn cut(&self, records: u64) {
        for path in self.segments().into_iter().rev() {
            let first: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            if first >= records {
                std::fs::remove_file(path).unwrap();
                continue;
            }
            let keep = usize::try_from(records - first).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').take(keep).collect();
            std::fs::write(&path, lines.concat()).unwrap();
        }
    }
}

pub(crate) fn write(recorder: &Recorder, number: u64) {
    let is_denied = number.is_multiple_of(4);
    let mut record = Record::new(if is_denied {
        "authz.deny"
    } else {
        "call.completed"
    });
    let subject = if number.is_multiple_of(2) {
        "alice"
    } else {
        "bob"
    };
    record.principal = Some(Principal {
        iss: "https://idp.example".into(),
        sub: subject.into(),
    });
    record.server = Some("notes".into());
    record.target = Some("search".into());
    record.trace = Some("0af7651916cd43dd8448eb211c80319c".into());
    record.decision = Some(Decision {
        effect: if is_denied {
            Effect::Deny
        } else {
            Effect::Allow
        },
        rule: "anyone notes__search".into(),
        policy: "0".into(),
    });
    let mut entry = recorder.try_reserve().unwrap();
    entry.record = record;
    entry.submit().unwrap().written_blocking().unwrap();
}
