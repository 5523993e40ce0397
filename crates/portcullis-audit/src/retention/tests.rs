//! What is removed, what is not, and that it is told from what was cut off.

use std::path::PathBuf;

use super::*;
use crate::checkpoint::tests::key;
use crate::files::LEAVES;
use crate::fixture::{PATIENCE, check, clock, edit, record, settings, start, write};
use crate::verify::{Sound, Verdict, Why};
use crate::writer::{NotOpened, open};
use crate::{Filter, inclusion, newest_first, oldest_first, verify_inclusion};

const RECORDS: u64 = 60;
const SMALL: Keep = Keep {
    age: None,
    bytes: Some(12 * 1024),
};

/// A log that was too large, and what of it is due.
fn log() -> (tempfile::TempDir, PathBuf, Removal) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    write(&log, &settings(), RECORDS);
    let removal = due(&log, &SMALL, clock(), RECORDS).unwrap().unwrap();
    (dir, log, removal)
}

/// Writes the record of a removal, and more; all of it is signed at the end.
fn tell(log: &Path, removal: &Removal) {
    let (recorder, writer) = start(log, &settings());
    let mut entry = recorder.try_reserve().unwrap();
    entry.record = removal.record();
    entry.submit().unwrap().written_blocking().unwrap();
    record(&recorder);
    writer.finish(PATIENCE).unwrap();
}

/// The same log, from which it was removed.
fn removed() -> (tempfile::TempDir, PathBuf, Removal) {
    let (dir, log, removal) = log();
    tell(&log, &removal);
    removal.remove(&log).unwrap();
    (dir, log, removal)
}

fn sound(log: &Path) -> Sound {
    match check(log, &[]) {
        Verdict::Sound(sound) => *sound,
        verdict @ (Verdict::Broken(_) | Verdict::Unknown(_)) => panic!("{verdict:?}"),
    }
}

fn why(log: &Path) -> Why {
    match check(log, &[]) {
        Verdict::Broken(broken) => broken.why,
        verdict @ (Verdict::Sound(_) | Verdict::Unknown(_)) => panic!("{verdict:?}"),
    }
}

#[test]
fn for_01_what_was_removed_as_recorded_leaves_a_sound_log() {
    let (_dir, log, removal) = log();
    let whole = sound(&log);
    assert_eq!((whole.records, whole.removed), (RECORDS, 0));
    assert!(removal.segments.len() > 1 && removal.segments[0] == 0);
    tell(&log, &removal);
    let told = sound(&log);
    assert_eq!(told.removed, 0, "nothing is gone yet");
    removal.remove(&log).unwrap();
    let rest = sound(&log);
    assert_eq!((rest.records, rest.removed), (RECORDS + 2, removal.next));
    assert_eq!(rest.root, told.root, "it is the same tree");
    let first = |filter| oldest_first(&log, filter).unwrap().next().unwrap().unwrap();
    assert_eq!(first(Filter::default()).seq, removal.next);
    let all = newest_first(&log, Filter::default()).unwrap();
    assert_eq!(all.count() as u64, RECORDS + 2 - removal.next);

    // The log goes on, also if the saved state is lost, and again.
    std::fs::remove_file(log.join("state")).unwrap();
    write(&log, &settings(), RECORDS);
    let grown = sound(&log);
    let again = due(&log, &SMALL, clock(), grown.records).unwrap().unwrap();
    assert_eq!(again.segments[0], removal.next);
    tell(&log, &again);
    again.remove(&log).unwrap();
    let rest = sound(&log);
    assert_eq!(
        (rest.records, rest.removed),
        (grown.records + 2, again.next)
    );
}

#[test]
fn for_01_what_is_left_can_be_proven_and_what_is_gone_cannot() {
    let (_dir, log, removal) = removed();
    let checkpoint = sound(&log).checkpoint;
    let size = checkpoint.tree().size;
    let proof = inclusion(&log, removal.next, size).unwrap();
    assert_eq!(verify_inclusion(&proof, &checkpoint), Ok(()));
    assert!(inclusion(&log, removal.next - 1, size).is_err());
    assert!(crate::consistency(&log, 3, size).is_ok());
}

#[test]
fn for_01_what_was_removed_by_hand_is_found() {
    // Without a word, and more than was told.
    let (_dir, untold, removal) = log();
    removal.remove(&untold).unwrap();
    assert_eq!(why(&untold), Why::Cut { stated: RECORDS });
    std::fs::remove_file(untold.join("state")).unwrap();
    let opened = open(&untold, key(1), clock, &settings()).map(drop);
    assert!(
        matches!(opened, Err(NotOpened::Missing { .. })),
        "{opened:?}"
    );

    let (_dir, log, removal) = removed();
    let firsts = segments(&log).unwrap().firsts;
    assert_eq!(firsts[0], removal.next);
    std::fs::remove_file(log.join(segment_name(firsts[0]))).unwrap();
    assert!(matches!(why(&log), Why::Cut { .. }));

    // In the middle of what is left.
    let (_dir, log, _) = removed();
    let firsts = segments(&log).unwrap().firsts;
    assert!(firsts.len() > 2, "{firsts:?}");
    std::fs::remove_file(log.join(segment_name(firsts[1]))).unwrap();
    assert!(matches!(why(&log), Why::Cut { .. }));
}

#[test]
fn for_01_a_removal_that_nobody_signed_is_no_excuse() {
    let (_dir, log, removal) = log();
    let checkpoints = std::fs::read(log.join(CHECKPOINTS)).unwrap();
    tell(&log, &removal);
    // As if the line had been added by somebody without the key.
    std::fs::write(log.join(CHECKPOINTS), checkpoints).unwrap();
    assert_eq!(sound(&log).unanchored, 2);
    removal.remove(&log).unwrap();
    assert!(matches!(why(&log), Why::Cut { .. }));
}

#[test]
fn for_01_what_was_touched_beside_a_removal_is_found() {
    let (_dir, log, removal) = removed();
    edit(&log, removal.next, |lines| {
        lines[0] = lines[0].replace("alice", "carol");
    });
    check_broken(&log);

    let (_dir, log, _) = removed();
    let mut leaves = std::fs::read(log.join(LEAVES)).unwrap();
    leaves[40] ^= 1;
    std::fs::write(log.join(LEAVES), leaves).unwrap();
    assert_eq!(why(&log), Why::Rewritten);

    let (_dir, log, _) = removed();
    std::fs::write(log.join(LEAVES), [0; 64]).unwrap();
    assert_eq!(why(&log), Why::Rewritten);
}

fn check_broken(log: &Path) {
    assert!(matches!(check(log, &[]), Verdict::Broken(_)));
}

#[test]
fn for_01_nothing_is_removed_that_must_be_kept() {
    let (_dir, log, _) = log();
    let now = clock();
    let kept = |keep: Keep, now, anchored| due(&log, &keep, now, anchored).unwrap();
    let hour = Duration::from_hours(1);
    let aged = Keep {
        age: Some(hour),
        bytes: None,
    };
    let later = now + 2 * 3_600_000_000;
    assert_eq!(kept(Keep::default(), later, RECORDS), None);
    assert_eq!(kept(aged, now, RECORDS), None);
    let large = Keep {
        age: None,
        bytes: Some(u64::MAX),
    };
    assert_eq!(kept(large, later, RECORDS), None);
    assert_eq!(kept(SMALL, later, 0), None, "nothing is signed");
    // However old: the segment of the last record that is signed stays, and the one that is written to.
    let firsts = segments(&log).unwrap().firsts;
    let all = kept(aged, later, RECORDS).unwrap();
    let last = firsts.iter().rfind(|first| **first < RECORDS);
    assert_eq!(Some(&all.next), last);
    let some = kept(aged, later, firsts[2]).unwrap();
    assert_eq!(some.next, firsts[1]);
}
