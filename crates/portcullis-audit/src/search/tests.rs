//! Records are found from both ends, and proven.

use super::*;
use crate::checkpoint::{Checkpoint, tests::key};
use crate::files::{CHECKPOINTS, Notes};
use crate::fixture::{PATIENCE, record, settings, start, write};
use crate::proof::{Unproven, consistency, inclusion, verify_consistency, verify_inclusion};

#[test]
fn siem_05_both_directions_find_the_same() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        newest_first(dir.path(), Filter::default()).unwrap().count(),
        0
    );
    write(dir.path(), &settings(), 400);
    let oldest: Vec<Found> = oldest_first(dir.path(), Filter::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut newest: Vec<Found> = newest_first(dir.path(), Filter::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    newest.reverse();
    assert_eq!(oldest.len(), 400);
    assert_eq!(oldest, newest);
}

#[test]
fn siem_05_what_comes_before_a_record_is_found_without_what_comes_after() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &settings(), 400);
    let firsts = segments(dir.path()).unwrap().firsts;
    let last = *firsts.last().unwrap();
    // Whoever reads this finds that it is no record.
    std::fs::write(dir.path().join(segment_name(last)), "no record\n").unwrap();
    assert!(
        newest_first(dir.path(), Filter::default())
            .unwrap()
            .next()
            .unwrap()
            .is_err()
    );
    let found = newest_before(dir.path(), last, Filter::default()).unwrap();
    let found: Vec<u64> = found.map(|found| found.unwrap().seq).collect();
    assert_eq!(
        (found.len(), found.first()),
        (usize::try_from(last).unwrap(), Some(&(last - 1)))
    );
}

#[test]
fn siem_04_a_filter_asks_for_all_it_has() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &settings(), 3);
    let text = |text: &str| Some(text.to_owned());
    let all = Filter {
        event: text("call."),
        sub: text("alice"),
        server: text("files"),
        target: text("read"),
        trace: text("0af7651916cd43dd8448eb211c80319c"),
        effect: Some(Effect::Allow),
        from: Some(0),
        until: Some(u64::MAX),
    };
    let but = |change: fn(&mut Filter)| {
        let mut filter = all.clone();
        change(&mut filter);
        filter
    };
    let rows = [
        (but(|_| {}), 3),
        (but(|filter| filter.event = Some("authz.".into())), 0),
        (but(|filter| filter.sub = Some("al".into())), 0),
        (but(|filter| filter.server = None), 3),
        (but(|filter| filter.server = Some("other".into())), 0),
        (but(|filter| filter.target = Some("other".into())), 0),
        (but(|filter| filter.trace = Some("other".into())), 0),
        (but(|filter| filter.effect = Some(Effect::Deny)), 0),
        (but(|filter| filter.from = Some(u64::MAX)), 0),
        (but(|filter| filter.until = Some(0)), 0),
    ];
    for (filter, count) in rows {
        assert_eq!(
            oldest_first(dir.path(), filter.clone()).unwrap().count(),
            count,
            "{filter:?}"
        );
    }
}

#[test]
fn a_line_that_is_no_record_ends_a_search() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(segment_name(0)), "{}\n{}\n").unwrap();
    for mut search in [
        oldest_first(dir.path(), Filter::default()),
        newest_first(dir.path(), Filter::default()),
    ]
    .map(Result::unwrap)
    {
        assert!(matches!(
            search.next(),
            Some(Err(Unsearchable::NotARecord { .. }))
        ));
        assert!(search.next().is_none());
    }
}

#[test]
fn a_tail_can_be_followed_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, writer) = start(dir.path(), &settings());
    let (lines, mut cursor) = tail(dir.path(), 5).unwrap();
    assert!(lines.is_empty());
    let mut followed = Vec::new();
    for _ in 0..40 {
        record(&recorder);
        followed.extend(since(dir.path(), &mut cursor).unwrap());
    }
    writer.finish(PATIENCE).unwrap();
    let all: Vec<String> = oldest_first(dir.path(), Filter::default())
        .unwrap()
        .map(|found| found.unwrap().line)
        .collect();
    assert_eq!(followed, all);
    let (lines, mut cursor) = tail(dir.path(), 7).unwrap();
    assert_eq!(lines, all[33..]);
    assert!(since(dir.path(), &mut cursor).unwrap().is_empty());
    assert_eq!(
        since(
            dir.path(),
            &mut Cursor {
                segment: 0,
                offset: 0
            }
        )
        .unwrap(),
        all
    );
}

#[test]
fn for_01_a_proof_needs_only_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        write(dir.path(), &settings(), 9);
    }
    let keys = [key(1).verifier().clone()];
    let mut notes = Notes::open(&dir.path().join(CHECKPOINTS)).unwrap();
    let checkpoints: Vec<Checkpoint> = std::iter::from_fn(|| notes.read().unwrap())
        .map(|note| Checkpoint::open(std::str::from_utf8(&note.bytes).unwrap(), &keys).unwrap())
        .collect();
    let last = checkpoints.last().unwrap();
    assert_eq!(last.tree().size, 27);
    for seq in 0..27 {
        let proof = inclusion(dir.path(), seq, 27).unwrap();
        let json = serde_json::to_string(&proof).unwrap();
        let mut proof = serde_json::from_str(&json).unwrap();
        assert_eq!(verify_inclusion(&proof, last), Ok(()));
        assert_eq!(
            verify_inclusion(&proof, &checkpoints[0]),
            Err(Unproven::OtherSize)
        );
        proof.line = proof.line.replace("alice", "carol");
        assert_eq!(verify_inclusion(&proof, last), Err(Unproven::OtherRoot));
        proof.seq += 1;
        assert_eq!(verify_inclusion(&proof, last), Err(Unproven::Malformed));
    }
    for old in checkpoints.iter().filter(|old| old.tree().size > 0) {
        let mut proof = consistency(dir.path(), old.tree().size, 27).unwrap();
        assert_eq!(verify_consistency(&proof, old, last), Ok(()));
        proof.path.push("00".repeat(32));
        assert_eq!(
            verify_consistency(&proof, old, last),
            Err(Unproven::OtherRoot)
        );
        proof.path = vec![String::new(); 65];
        assert_eq!(
            verify_consistency(&proof, old, last),
            Err(Unproven::Malformed)
        );
    }
    assert!(inclusion(dir.path(), 27, 27).is_err());
    assert!(inclusion(dir.path(), 0, 28).is_err());
    assert!(consistency(dir.path(), 0, 27).is_err());
}
