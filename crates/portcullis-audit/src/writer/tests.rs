//! Writing, failing, crashing and opening again.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};

use super::*;
use crate::checkpoint::Remote;
use crate::checkpoint::tests::{NAME, key};
use crate::files::{CHECKPOINTS, LEAVES, STATE, segment_name, segments};
use crate::fixture::{
    PATIENCE, check, clock, edit, record, relink, segment_of, settings, start, write,
};
use crate::recorder::{ABANDONED, Unavailable};
use crate::search::{Filter, newest_first, oldest_first};
use crate::verify::Verdict;

fn reopen(dir: &Path) -> Result<Recovery, NotOpened> {
    let opened = open(dir, key(1), clock, &settings())?;
    opened.writer.finish(PATIENCE).unwrap();
    Ok(opened.recovery)
}

fn is_sound(dir: &Path, records: u64, unanchored: u64) -> bool {
    matches!(check(dir, &[]), Verdict::Sound(sound) if (sound.records, sound.unanchored) == (records, unanchored))
}

#[tokio::test]
async fn authz_04_a_record_is_acknowledged_when_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(dir.path(), &settings());
    for seq in 0..30 {
        let mut entry = recorder.reserve().await.unwrap();
        entry.record.event = "authz.deny".into();
        assert_eq!(entry.settle().await.unwrap().seq, seq);
        assert_eq!(
            newest_first(dir.path(), Filter::default())
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .seq,
            seq
        );
    }
    assert_eq!(recorder.written(), 30);
    assert!(recorder.is_healthy());
    tokio::task::spawn_blocking(move || writer.finish(PATIENCE))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(recorder.anchored(), 30);
    assert_eq!(
        recorder.reserve().await.map(|_| ()),
        Err(Unavailable::Closed)
    );
    assert!(is_sound(dir.path(), 30, 0));
    assert!(segments(dir.path()).unwrap().firsts.len() > 1);
}

#[test]
fn authz_04_an_abandoned_exchange_leaves_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(dir.path(), &settings());
    let mut entry = recorder.try_reserve().unwrap();
    entry.record.event = "call.completed".into();
    entry.record.method = Some("tools/call".into());
    drop(entry);
    let mut entry = recorder.try_reserve().unwrap();
    entry.record.event = "call.completed".into();
    drop(entry.settle());
    writer.finish(PATIENCE).unwrap();
    let found: Vec<_> = oldest_first(dir.path(), Filter::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(found.len(), 2);
    assert!(
        found
            .iter()
            .all(|found| found.record.event.as_str() == ABANDONED)
    );
    assert_eq!(
        found[0].record.method.as_ref().unwrap().as_str(),
        "tools/call"
    );
}

#[test]
fn authz_04_no_place_no_exchange() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(
        dir.path(),
        &Settings {
            places: 2,
            ..settings()
        },
    );
    let entries = [
        recorder.try_reserve().unwrap(),
        recorder.try_reserve().unwrap(),
    ];
    assert_eq!(recorder.try_reserve().map(|_| ()), Err(Unavailable::Full));
    for entry in entries {
        entry.submit().unwrap().written_blocking().unwrap();
    }
    record(&recorder);
    let late = recorder.try_reserve().unwrap();
    writer.finish(Duration::ZERO).unwrap();
    assert_eq!(late.submit().map(|_| ()), Err(Unavailable::Closed));
    assert!(is_sound(dir.path(), 3, 0));
}

#[test]
fn sixteen_threads_make_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(
        dir.path(),
        &Settings {
            segment_bytes: 65_536,
            ..settings()
        },
    );
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                std::iter::repeat_with(|| record(&recorder))
                    .nth(99)
                    .unwrap()
            });
        }
    });
    writer.finish(PATIENCE).unwrap();
    assert!(is_sound(dir.path(), 1600, 0));
}

/// A log with two places on a full disk.
fn start_full(dir: &Path) -> (Recorder, Writer) {
    let first = key(1).verifier().clone();
    let shared = Arc::new(Shared::new(2, 0, first.clone()));
    let own = (key(1), Lineage::new(&[first]));
    let keeper = Keeper::open(dir, own, Vec::new(), Arc::clone(&shared)).unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let store = Store::open(dir, state::End::empty())
        .unwrap()
        .into_file(full);
    let lock = lock(dir).unwrap();
    launch(&settings(), clock, store, (keeper, shared), lock).unwrap()
}

#[test]
fn authz_04_a_full_disk_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start_full(dir.path());
    let waiting = recorder.try_reserve().unwrap();
    let entry = recorder.try_reserve().unwrap();
    assert_eq!(
        entry.submit().unwrap().written_blocking(),
        Err(Unavailable::Failed)
    );
    assert_eq!(recorder.try_reserve().map(|_| ()), Err(Unavailable::Failed));
    assert!(!recorder.is_healthy());
    assert_eq!(recorder.written(), 0);
    let error = writer.finish(PATIENCE).unwrap_err();
    assert!(format!("{error:?}").contains("StorageFull"), "{error:?}");
    assert_eq!(waiting.submit().map(|_| ()), Err(Unavailable::Failed));
}

#[tokio::test]
async fn authz_04_a_full_disk_refuses_who_writes_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start_full(dir.path());
    let entry = recorder.try_reserve().unwrap();
    let other = recorder.try_reserve().unwrap();
    assert_eq!(entry.settle().await, Err(Unavailable::Failed));
    assert_eq!(other.settle().await, Err(Unavailable::Failed));
    assert!(!recorder.is_healthy());
    assert_eq!(recorder.written(), 0);
    let error = writer.finish(PATIENCE).unwrap_err();
    assert!(format!("{error:?}").contains("StorageFull"), "{error:?}");
}

async fn settle_a_hundred(recorder: Recorder) {
    for _ in 0..100 {
        let mut entry = recorder.reserve().await.unwrap();
        entry.record.event = "call.completed".into();
        entry.settle().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authz_04_who_finds_nobody_writing_writes_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(
        dir.path(),
        &Settings {
            segment_bytes: 65_536,
            ..settings()
        },
    );
    let mut settling = tokio::task::JoinSet::new();
    for _ in 0..16 {
        settling.spawn(settle_a_hundred(recorder.clone()));
    }
    settling.join_all().await;
    assert_eq!(recorder.written(), 1600);
    writer.finish(PATIENCE).unwrap();
    assert!(is_sound(dir.path(), 1600, 0));
}

#[test]
fn authz_04_a_record_is_written_though_nobody_waits_for_it_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(dir.path(), &settings());
    let mut entry = recorder.try_reserve().unwrap();
    entry.record.event = "call.completed".into();
    let mut settling = Box::pin(entry.settle());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(settling.as_mut().poll(&mut cx).is_pending());
    drop(settling);
    while recorder.written() == 0 {
        std::thread::yield_now();
    }
    writer.finish(PATIENCE).unwrap();
    let mut found = oldest_first(dir.path(), Filter::default()).unwrap();
    let found = found.next().unwrap().unwrap();
    assert_eq!(found.record.event.as_str(), "call.completed");
}

#[test]
fn authz_04_a_segment_that_cannot_be_begun_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(
        dir.path(),
        &Settings {
            segment_bytes: 1,
            ..settings()
        },
    );
    std::fs::create_dir(dir.path().join(segment_name(1))).unwrap();
    record(&recorder);
    let error = writer.finish(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(!recorder.is_healthy());
    std::fs::remove_dir(dir.path().join(segment_name(1))).unwrap();
    assert_eq!(reopen(dir.path()).unwrap().records, 1);
}

#[test]
fn a_segment_that_is_no_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &settings(), 0);
    let segment = dir.path().join(segment_name(0));
    std::fs::remove_file(&segment).unwrap();
    symlink("/dev/zero", &segment).unwrap();
    assert!(matches!(
        open(dir.path(), key(1), clock, &settings()),
        Err(NotOpened::Io(_))
    ));
    assert!(matches!(check(dir.path(), &[]), Verdict::Unknown(_)));
}

#[test]
fn a_checkpoint_that_cannot_be_kept_refuses_and_a_witness_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let witnesses = vec![dir.path().join("missing/witness")];
    let (recorder, writer) = start(
        &dir.path().join("log"),
        &Settings {
            witnesses,
            ..settings()
        },
    );
    record(&recorder);
    writer.finish(PATIENCE).unwrap();
    assert!(recorder.witness_failures() >= 2);

    let path = dir.path().join("log").join(CHECKPOINTS);
    let notes = std::fs::read(&path).unwrap();
    let (recorder, writer) = start(&dir.path().join("log"), &settings());
    std::fs::remove_file(dir.path().join("log").join(STATE)).unwrap();
    std::fs::create_dir(dir.path().join("log").join(STATE)).unwrap();
    record(&recorder);
    writer.finish(PATIENCE).unwrap_err();
    assert!(std::fs::read(&path).unwrap().starts_with(&notes));
}

#[test]
fn for_01_only_the_owner_can_read_and_only_one_can_write() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (recorder, writer) = start(&log, &settings());
    record(&recorder);
    assert!(matches!(
        open(&log, key(1), clock, &settings()),
        Err(NotOpened::Locked)
    ));
    writer.finish(PATIENCE).unwrap();
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for entry in log.read_dir().unwrap() {
        assert_eq!(
            entry.unwrap().metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    reopen(&log).unwrap();
}

#[test]
fn durability_always_writes_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &Settings {
            durability: Durability::Always,
            ..settings()
        },
        12,
    );
    assert!(is_sound(dir.path(), 12, 0));
}

#[test]
fn for_01_a_clock_set_back_is_recorded_as_such() {
    static BACK: AtomicU64 = AtomicU64::new(2_000_000_000_000_000);
    let dir = tempfile::tempdir().unwrap();
    let back = || BACK.fetch_sub(3_000_000, Ordering::Relaxed);
    let opened = open(dir.path(), key(1), back, &settings()).unwrap();
    for _ in 0..9 {
        record(&opened.recorder);
    }
    opened.writer.finish(PATIENCE).unwrap();
    assert!(is_sound(dir.path(), 9, 0));
    let newest = newest_first(dir.path(), Filter::default())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(newest.stamp.clock.unwrap() + 5_000_000 < newest.stamp.time);
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..4 {
        write(dir.path(), &settings(), 7);
        assert!(is_sound(dir.path(), 7 * (run + 1), 0));
    }
    let recovery = reopen(dir.path()).unwrap();
    assert_eq!(
        recovery,
        Recovery {
            records: 28,
            unanchored: 0,
            torn: None,
            is_rebuilt: false
        }
    );
    for damage in [b"".as_slice(), b"{}", b"x"] {
        std::fs::write(dir.path().join(STATE), damage).unwrap();
        assert!(reopen(dir.path()).unwrap().is_rebuilt);
        write(dir.path(), &settings(), 1);
    }
    std::fs::remove_file(dir.path().join(LEAVES)).unwrap();
    assert!(reopen(dir.path()).unwrap().is_rebuilt);
    assert!(is_sound(dir.path(), 31, 0));
}

#[test]
fn authz_04_a_crash_in_a_line_is_mended_and_told() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &settings(), 10);
    for torn in ["{\"v\":1,\"seq\":10,\"ti".to_owned(), "\0".repeat(300_000)] {
        let segment = segment_of(dir.path(), 9);
        let mut text = std::fs::read(&segment).unwrap();
        text.extend_from_slice(torn.as_bytes());
        std::fs::write(&segment, text).unwrap();
        let found = reopen(dir.path()).unwrap().torn.unwrap();
        assert_eq!((found.seq, found.bytes), (10, torn.len() as u64));
        assert!(
            std::fs::read(&found.file)
                .unwrap()
                .ends_with(torn.as_bytes())
        );
        assert!(is_sound(dir.path(), 10, 0));
    }
    let checkpoints = dir.path().join(CHECKPOINTS);
    let mut notes = std::fs::read(&checkpoints).unwrap();
    notes.extend_from_slice(format!("{NAME}\n11\n").as_bytes());
    std::fs::write(&checkpoints, notes).unwrap();
    assert!(is_sound(dir.path(), 10, 0));
    write(dir.path(), &settings(), 5);
    assert!(is_sound(dir.path(), 15, 0));
}

#[test]
fn a_crash_at_birth_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(CHECKPOINTS), format!("{NAME}\n0\n")).unwrap();
    for count in [0, 1, 1] {
        write(dir.path(), &settings(), count);
    }
    assert!(is_sound(dir.path(), 2, 0));
}

#[test]
fn a_crash_between_two_segments_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &settings(), 3);
    std::fs::write(dir.path().join(segment_name(3)), "").unwrap();
    for count in [0, 2, 2] {
        write(dir.path(), &settings(), count);
    }
    assert!(is_sound(dir.path(), 7, 0));
}

type Attack = fn(&Path);
type Expected = fn(&NotOpened) -> bool;

const ATTACKS: [(&str, Attack, Expected); 9] = [
    (
        "cut",
        |dir| edit(dir, 17, Vec::clear),
        |error| {
            matches!(
                error,
                NotOpened::Missing {
                    records: 17,
                    stated: 18
                }
            )
        },
    ),
    (
        "emptied",
        |dir| {
            for first in segments(dir).unwrap().firsts {
                std::fs::remove_file(dir.join(segment_name(first))).unwrap();
            }
        },
        |error| {
            matches!(
                error,
                NotOpened::Missing {
                    records: 0,
                    stated: 18
                }
            )
        },
    ),
    (
        "a segment removed",
        |dir| std::fs::remove_file(segment_of(dir, 7)).unwrap(),
        |error| matches!(error, NotOpened::Missing { .. }),
    ),
    (
        "edited",
        |dir| {
            edit(dir, 5, |lines| {
                lines[0] = lines[0].replace("alice", "carol");
            });
        },
        |error| matches!(error, NotOpened::Touched { seq: 6, .. }),
    ),
    (
        "rewritten",
        |dir| {
            edit(dir, 5, |lines| {
                lines[0] = lines[0].replace("alice", "carol");
            });
            relink(dir);
        },
        |error| matches!(error, NotOpened::Root { size: 18 }),
    ),
    (
        "a stranger",
        |dir| std::fs::write(dir.join("7.jsonl"), "").unwrap(),
        |error| matches!(error, NotOpened::Strange { .. }),
    ),
    (
        "no checkpoint",
        |dir| std::fs::remove_file(dir.join(CHECKPOINTS)).unwrap(),
        |error| matches!(error, NotOpened::NoCheckpoint),
    ),
    (
        "another key",
        |dir| {
            let note = key(2)
                .sign(&crate::merkle::Tree {
                    size: 18,
                    root: crate::hash::sha256(b""),
                })
                .unwrap();
            std::fs::write(dir.join(CHECKPOINTS), format!("{note}\n")).unwrap();
        },
        |error| matches!(error, NotOpened::Note(BadNote::UnknownKey)),
    ),
    (
        "another size",
        |dir| {
            let notes = std::fs::read_to_string(dir.join(CHECKPOINTS)).unwrap();
            std::fs::write(dir.join(CHECKPOINTS), notes.replace("\n18\n", "\n17\n")).unwrap();
        },
        |error| matches!(error, NotOpened::Note(BadNote::Signature)),
    ),
];

#[test]
fn atk_089_a_touched_log_is_not_opened() {
    for (name, attack, expected) in ATTACKS {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &settings(), 18);
        attack(dir.path());
        std::fs::remove_file(dir.path().join(STATE)).unwrap();
        let error = open(dir.path(), key(1), clock, &settings()).unwrap_err();
        assert!(expected(&error), "{name}: {error:?}");
    }
}

#[test]
fn atk_089_a_log_that_a_witness_contradicts_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (log, old) = (dir.path().join("log"), dir.path().join("old"));
    let witnessed = Settings {
        witnesses: vec![dir.path().join("witness")],
        ..settings()
    };
    write(&old, &settings(), 3);
    write(&log, &witnessed, 6);
    assert!(matches!(
        open(&old, key(1), clock, &witnessed),
        Err(NotOpened::Missing {
            records: 3,
            stated: 6
        })
    ));
    write(&old, &settings(), 3);
    assert!(matches!(
        open(&old, key(1), clock, &witnessed),
        Err(NotOpened::Root { size: 6 })
    ));
    write(&log, &settings(), 6);
    write(&log, &witnessed, 6);
}

static NOW: AtomicU64 = AtomicU64::new(1_785_229_200_000_000);

/// A clock that moves by a fifth of a second whenever it is looked at.
fn now() -> u64 {
    NOW.fetch_add(200_000, Ordering::Relaxed)
}

#[test]
fn tok_17_a_key_that_does_not_sign_ends_recording_in_time_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let is_there = Arc::new(AtomicBool::new(true));
    let (asked, away) = (Arc::clone(&is_there), key(1));
    let sign: Remote = Box::new(move |text| {
        let signature = away.signature(text);
        asked.load(Ordering::Relaxed).then_some(signature)
    });
    let remote = SigningKey::elsewhere(key(1).verifier().clone(), sign);
    let strict = Settings {
        sign_within: Duration::from_millis(1500),
        checkpoint_interval: Duration::from_millis(10),
        ..settings()
    };
    let opened = open(dir.path(), remote, now, &strict).unwrap();
    let recorder = &opened.recorder;
    record(recorder);
    until(|| recorder.anchored() == 1);
    is_there.store(false, Ordering::Relaxed);
    let mut count = 1;
    until(|| match recorder.try_reserve() {
        Ok(entry) => {
            entry.submit().unwrap().written_blocking().unwrap();
            count += 1;
            false
        }
        Err(why) => {
            assert_eq!(why, Unavailable::Unsigned);
            true
        }
    });
    assert!(!recorder.is_healthy() && recorder.anchored() == 1 && count > 1);
    is_there.store(true, Ordering::Relaxed);
    until(|| recorder.anchored() == count && recorder.is_healthy());
    is_there.store(false, Ordering::Relaxed);
    record(recorder);
    // The last checkpoint is missing, and nothing else.
    assert!(opened.writer.finish(PATIENCE).is_err());
    let Verdict::Sound(sound) = check(dir.path(), &[]) else {
        panic!("not sound");
    };
    assert_eq!((sound.records, sound.unanchored), (count + 1, 1));
    write(dir.path(), &settings(), 1);
}

#[test]
fn tok_17_what_another_key_signed_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let away = key(2);
    let sign: Remote = Box::new(move |text| Some(away.signature(text)));
    let swapped = SigningKey::elsewhere(key(1).verifier().clone(), sign);
    let opened = open(dir.path(), swapped, clock, &settings());
    assert!(matches!(opened, Err(NotOpened::Unsigned(_))));
}

fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come to that");
}

#[test]
fn nothing_can_be_kept_in_no_room() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [
        Settings {
            places: 0,
            ..settings()
        },
        Settings {
            segment_bytes: 0,
            ..settings()
        },
    ] {
        assert!(matches!(
            open(dir.path(), key(1), clock, &wrong),
            Err(NotOpened::Settings)
        ));
    }
}
