//! Every way to touch a log is found, and found where it was done.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::checkpoint::tests::key;
use crate::files::{LEAVES, segment_name, segments};
use crate::fixture::{PATIENCE, check, clock, edit, relink, segment_of, settings, start, write};
use crate::line::{LINK_BYTES, relinked};
use crate::writer::{Settings, open};

const RECORDS: u64 = 33;

/// A log of [`RECORDS`] with a witness beside it.
fn log() -> (tempfile::TempDir, PathBuf, PathBuf) {
    log_with(8)
}

/// A log with a checkpoint after so many records.
fn log_with(checkpoint_records: u64) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (log, witness) = (dir.path().join("log"), dir.path().join("witness"));
    write(
        &log,
        &Settings {
            witnesses: vec![witness.clone()],
            checkpoint_records,
            ..settings()
        },
        RECORDS,
    );
    (dir, log, witness)
}

fn alter(line: &mut String) {
    *line = line.replace("alice", "carol");
}

/// A record whose segment holds the two before and the two after it as well.
fn middle(dir: &Path) -> u64 {
    let firsts = segments(dir).unwrap().firsts;
    firsts
        .windows(2)
        .skip(1)
        .find(|pair| pair[1] - pair[0] >= 4)
        .map_or(1, |pair| pair[0] + 1)
}

fn drop_checkpoints(dir: &Path, above: u64) {
    let path = dir.join("checkpoints");
    let notes = std::fs::read_to_string(&path).unwrap();
    let blocks: Vec<&str> = notes.split_terminator("\n\n").collect();
    let kept: String = blocks
        .chunks(2)
        .filter(|note| note[0].lines().nth(1).unwrap().parse::<u64>().unwrap() <= above)
        .flat_map(|note| [note[0], "\n\n", note[1], "\n\n"])
        .collect();
    std::fs::write(&path, kept).unwrap();
}

type Attack = fn(&Path, u64);
type Expected = fn(u64) -> (u64, Why);

const ATTACKS: [(&str, Attack, Expected); 17] = [
    (
        "edit",
        |dir, seq| edit(dir, seq, |lines| alter(&mut lines[0])),
        |seq| (seq, Why::Edited),
    ),
    (
        "edit two",
        |dir, seq| edit(dir, seq, |lines| lines[..2].iter_mut().for_each(alter)),
        |seq| (seq, Why::Edited),
    ),
    (
        "edit the first",
        |dir, _| edit(dir, 0, |lines| alter(&mut lines[0])),
        |_| (0, Why::Edited),
    ),
    (
        "edit the last",
        |dir, _| edit(dir, RECORDS - 1, |lines| alter(&mut lines[0])),
        |_| (RECORDS - 1, Why::Edited),
    ),
    (
        "edit the number",
        |dir, seq| {
            edit(dir, seq, |lines| {
                lines[0] = lines[0].replacen(
                    &format!("\"seq\":{seq},"),
                    &format!("\"seq\":{},", seq + 9),
                    1,
                );
            });
        },
        |seq| (seq, Why::Edited),
    ),
    (
        "no record",
        |dir, seq| edit(dir, seq, |lines| lines[0].clear()),
        |seq| (seq, Why::NotARecord),
    ),
    (
        "a space",
        |dir, seq| {
            edit(dir, seq, |lines| {
                lines[0] = lines[0].replace(r#""server":"#, r#""server": "#);
            });
            relink(dir);
        },
        |seq| (seq, Why::NotARecord),
    ),
    (
        "delete",
        |dir, seq| edit(dir, seq, |lines| drop(lines.remove(0))),
        |seq| (seq, Why::Displaced { found: seq + 1 }),
    ),
    (
        "reorder",
        |dir, seq| edit(dir, seq, |lines| lines.swap(0, 1)),
        |seq| (seq, Why::Displaced { found: seq + 1 }),
    ),
    (
        "insert",
        |dir, seq| {
            edit(dir, seq, |lines| {
                let mut forged = lines[0].clone();
                alter(&mut forged);
                lines.insert(0, forged);
            });
        },
        |seq| (seq, Why::Inserted),
    ),
    (
        "repeat",
        |dir, seq| edit(dir, seq, |lines| lines.insert(0, lines[0].clone())),
        |seq| (seq + 1, Why::Inserted),
    ),
    (
        "rewrite",
        |dir, seq| {
            edit(dir, seq, |lines| alter(&mut lines[0]));
            relink(dir);
        },
        |seq| (seq, Why::Edited),
    ),
    (
        "date back",
        |dir, seq| {
            edit(dir, seq, |lines| {
                lines[0] = lines[0].replacen(r#""time":"2026"#, r#""time":"2025"#, 1);
            });
            relink(dir);
        },
        |seq| (seq, Why::DatedBack),
    ),
    (
        "cut",
        |dir, _| edit(dir, RECORDS - 1, Vec::clear),
        |_| (RECORDS - 1, Why::Cut { stated: RECORDS }),
    ),
    (
        "cut and hide",
        |dir, _| {
            edit(dir, RECORDS - 1, Vec::clear);
            drop_checkpoints(dir, RECORDS - 1);
        },
        |_| (RECORDS - 1, Why::Cut { stated: RECORDS }),
    ),
    (
        "delete a segment",
        |dir, seq| std::fs::remove_file(segment_of(dir, seq)).unwrap(),
        |seq| (seq - 1, Why::Cut { stated: RECORDS }),
    ),
    (
        "cut a line",
        |dir, _| {
            let path = segment_of(dir, RECORDS - 1);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
        },
        |_| (RECORDS - 1, Why::NotARecord),
    ),
];

#[test]
fn atk_089_each_attack_is_found_where_it_was_done() {
    let often_and_seldom = ATTACKS.iter().flat_map(|row| [(1, row), (1000, row)]);
    for (checkpoint_records, (name, attack, expected)) in often_and_seldom {
        let (_dir, log, witness) = log_with(checkpoint_records);
        let seq = middle(&log);
        attack(&log, seq);
        let (seq, why) = expected(seq);
        let Verdict::Broken(broken) = check(&log, std::slice::from_ref(&witness)) else {
            panic!("{name}: sound")
        };
        assert_eq!(
            (broken.seq, broken.last_seq, &broken.why),
            (seq, seq, &why),
            "{name}: {broken:?}"
        );

        std::fs::remove_file(log.join(LEAVES)).unwrap();
        let Verdict::Broken(broken) = check(&log, &[witness]) else {
            panic!("{name}: sound without the index")
        };
        assert!(
            broken.seq <= seq && seq <= broken.last_seq,
            "{name}: {broken:?}"
        );
    }
}

#[test]
fn atk_089_a_forged_link_is_found_to_the_byte() {
    let (_dir, log, witness) = log();
    let seq = middle(&log);
    edit(&log, seq, |lines| {
        lines[0] = String::from_utf8(relinked(lines[0].as_bytes(), &[7; 32]).unwrap()).unwrap();
    });
    let text = std::fs::read_to_string(segment_of(&log, seq)).unwrap();
    let at = text.find(&"07".repeat(32)).unwrap() as u64;
    let Verdict::Broken(broken) = check(&log, &[witness]) else {
        panic!()
    };
    assert_eq!(
        (broken.seq, broken.offset, broken.bytes),
        (seq, at - 9, LINK_BYTES as u64)
    );
}

#[test]
fn atk_089_a_log_in_the_place_of_another_is_found() {
    let (dir, log, witness) = log();
    let witnesses = [witness];
    let other = dir.path().join("other");
    let opened = open(&other, key(2), clock, &settings()).unwrap();
    opened.writer.finish(PATIENCE).unwrap();
    let Verdict::Broken(broken) = check(&other, &witnesses) else {
        panic!()
    };
    assert_eq!(
        (broken.file.as_str(), broken.why),
        ("checkpoints", Why::Note(BadNote::UnknownKey))
    );

    let older = dir.path().join("older");
    write(&older, &settings(), 3);
    let Verdict::Broken(broken) = check(&older, &witnesses) else {
        panic!()
    };
    assert_eq!((broken.seq, broken.why), (3, Why::Cut { stated: RECORDS }));
    write(&older, &settings(), RECORDS);
    let Verdict::Broken(broken) = check(&older, &witnesses) else {
        panic!()
    };
    assert_eq!(
        (broken.seq, broken.last_seq, broken.why),
        (0, RECORDS - 1, Why::Forked)
    );

    std::fs::write(log.join("0.jsonl"), "").unwrap();
    let Verdict::Broken(broken) = check(&log, &witnesses) else {
        panic!()
    };
    assert_eq!(
        (broken.file.as_str(), broken.why),
        ("0.jsonl", Why::Strange)
    );
    std::fs::rename(log.join("0.jsonl"), log.join(segment_name(1))).unwrap();
    let Verdict::Broken(broken) = check(&log, &witnesses) else {
        panic!()
    };
    assert_eq!(broken.why, Why::Strange);
}

#[test]
fn atk_089_touched_checkpoints_are_found() {
    type Change = fn(&str) -> String;
    let rows: [(Change, Why); 4] = [
        (
            |notes| notes.replace("\n33\n", "\n29\n"),
            Why::Note(BadNote::Signature),
        ),
        (
            |notes| notes.replacen("log.example/audit\n", "log.example/\n", 1),
            Why::Note(BadNote::UnknownKey),
        ),
        (
            |notes| {
                let note = key(1)
                    .sign(&crate::merkle::Tree {
                        size: 0,
                        root: crate::hash::sha256(b""),
                    })
                    .unwrap();
                format!("{notes}{note}\n")
            },
            Why::Order,
        ),
        (|_| String::new(), Why::NoCheckpoint),
    ];
    for (change, why) in rows {
        let (_dir, log, witness) = log();
        let path = log.join("checkpoints");
        let notes = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(&notes)).unwrap();
        let Verdict::Broken(broken) = check(&log, std::slice::from_ref(&witness)) else {
            panic!("{why}")
        };
        assert_eq!((broken.file.as_str(), broken.why), ("checkpoints", why));
        std::fs::write(&path, notes).unwrap();
        std::fs::write(&witness, "x\n").unwrap();
        let Verdict::Broken(broken) = check(&log, &[witness]) else {
            panic!()
        };
        assert_eq!(broken.why, Why::Note(BadNote::Malformed));
    }
}

#[test]
fn for_01_what_cannot_be_judged_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert!(matches!(
        verify(dir.path(), &[], &[]),
        Verdict::Unknown(Unknown::NoKey)
    ));
    assert!(matches!(
        check(&missing, &[]),
        Verdict::Unknown(Unknown::Unreadable(_))
    ));
    write(dir.path(), &settings(), 0);
    assert!(matches!(
        check(dir.path(), &[]),
        Verdict::Unknown(Unknown::Empty)
    ));
    write(dir.path(), &settings(), 1);
    assert!(matches!(
        check(dir.path(), &[missing]),
        Verdict::Unknown(Unknown::Unreadable(_))
    ));
}

#[test]
fn for_01_records_after_the_last_checkpoint_are_told() {
    let (_dir, log, witness) = log();
    drop_checkpoints(&log, RECORDS - 1);
    let Verdict::Sound(sound) = check(&log, &[]) else {
        panic!()
    };
    assert_eq!(sound.unanchored, RECORDS - sound.checkpoint.tree().size);
    assert!(sound.unanchored > 0);
    let Verdict::Sound(sound) = check(&log, &[witness]) else {
        panic!()
    };
    assert_eq!(sound.records, RECORDS);
}

#[test]
fn for_01_a_log_that_is_being_written_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(dir.path(), &settings());
    for count in 1..20 {
        crate::fixture::record(&recorder);
        assert!(matches!(check(dir.path(), &[]), Verdict::Sound(sound) if sound.records == count));
    }
    writer.finish(PATIENCE).unwrap();
}

#[test]
fn atk_089_every_flipped_byte_is_found_in_its_line() {
    let (_dir, log, _) = log();
    let firsts = segments(&log).unwrap().firsts;
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    };
    proptest!(config, |(pick: proptest::sample::Index, at: proptest::sample::Index, bit in 0_u8..8)| {
        let name = segment_name(firsts[pick.index(firsts.len())]);
        let path = log.join(&name);
        let bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        std::fs::write(&path, flipped).unwrap();
        let verdict = check(&log, &[]);
        std::fs::write(&path, bytes).unwrap();
        let Verdict::Broken(broken) = verdict else { panic!("byte {at} of {name}") };
        let at = at as u64;
        prop_assert_eq!(&broken.file, &name);
        prop_assert!(broken.offset <= at && at < broken.offset + broken.bytes, "byte {}: {:?}", at, broken);
        prop_assert_eq!(broken.seq, broken.last_seq);
    });
}
