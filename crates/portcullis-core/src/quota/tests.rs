//! How much is too much, to the microsecond.

use super::*;
use crate::authenticate::operating_system_user;
use crate::protocol::Headers;
use crate::session::{self, Sessions};
use crate::time::Timestamp;
use bytes::Bytes;
use proptest::prelude::*;

const START: u64 = 1_000_000_000;
/// Never in the way.
const WIDE: Rate = Rate {
    per_minute: 1_000_000,
    burst: 1_000_000,
};
/// One every ten seconds, three at once.
const SLOW: Rate = Rate {
    per_minute: 6,
    burst: 3,
};

fn limits() -> Limits {
    Limits {
        requests: WIDE,
        tool_requests: None,
        per_tool: HashMap::new(),
        concurrency: 1000,
        bytes: Rate {
            per_minute: 1_000_000_000,
            burst: 1_000_000_000,
        },
        upstream_concurrency: 1000,
    }
}

fn session(uid: u32, server: &str) -> Session {
    let limits = session::Limits {
        idle: Duration::MAX,
        absolute: Duration::MAX,
        most: 1,
        most_per_principal: 1,
    };
    let principal = operating_system_user(uid, "somebody", Timestamp::default());
    let bound = Sessions::default().bind(principal, &server.into(), None, (&limits, at(0)));
    bound.unwrap()
}

fn call(tool: &str) -> Call {
    let params = format!(r#"{{"name":"{tool}"}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    Call::parse(Bytes::from(body), &Headers::default(), None).unwrap()
}

/// So many milliseconds after the start.
fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(START + millis * 1000)
}

/// All that one message takes, in the order of the walk.
fn take_all(
    quota: &Arc<Quota>,
    (session, call): (&Session, &Call),
    limits: &Limits,
    now: Timestamp,
) -> Result<Slot, Exhausted> {
    quota.take_request(session.principal(), limits, now)?;
    quota.take_call(session, call, limits, now)?;
    quota.take_slot(session, limits)
}

/// The one place that asks the room: `ok`, or which quota and for how many milliseconds.
fn take(quota: &Arc<Quota>, (uid, tool): (u32, &str), limits: &Limits, millis: u64) -> String {
    let outcome = take_all(
        quota,
        (&session(uid, "notes"), &call(tool)),
        limits,
        at(millis),
    );
    match outcome {
        Ok(slot) => {
            drop(slot);
            "ok".to_owned()
        }
        Err(over) => format!("{} {}", over.which, over.retry_after.as_millis()),
    }
}

#[test]
fn tok_01_a_burst_then_the_pace() {
    let quota = Arc::default();
    let limits = Limits {
        requests: SLOW,
        ..limits()
    };
    for (millis, expected) in [
        (0, "ok"),
        (0, "ok"),
        (0, "ok"),
        (0, "principal 10000"),
        (1, "principal 9999"),
        (9_999, "principal 1"),
        (10_000, "ok"),
        (10_000, "principal 10000"),
        (20_000, "ok"),
        (20_001, "principal 9999"),
        (60_000, "ok"),
        (60_000, "ok"),
        (60_000, "ok"),
        (60_000, "principal 10000"),
        (0, "principal 10000"), // a clock that goes back gives nothing, and takes nothing
    ] {
        assert_eq!(
            take(&quota, (1, "a"), &limits, millis),
            expected,
            "at {millis}"
        );
    }
    assert_eq!(
        take(&quota, (2, "a"), &limits, 0),
        "ok",
        "another principal"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tok_01_retry_after_is_exact(
        per_minute in 1_u64..100_000,
        burst in 1_u64..20,
        gaps in proptest::collection::vec(0_u64..2_000, 1..60),
    ) {
        let quota = Arc::<Quota>::default();
        let limits = Limits { requests: Rate { per_minute, burst }, ..limits() };
        let (session, call) = (session(1, "notes"), call("a"));
        let mut now = at(0);
        let mut passed = 0;
        for gap in gaps {
            now = now.plus(Duration::from_millis(gap));
            let Err(over) = take_all(&quota, (&session, &call), &limits, now) else {
                passed += 1;
                continue;
            };
            prop_assert!(!over.retry_after.is_zero());
            let just_before = now.plus(over.retry_after.checked_sub(Duration::from_micros(1)).unwrap());
            prop_assert!(take_all(&quota, (&session, &call), &limits, just_before).is_err());
            now = now.plus(over.retry_after);
            prop_assert!(take_all(&quota, (&session, &call), &limits, now).is_ok());
            passed += 1;
        }
        // Never more than the burst and what the pace gives, but for the rounding of a microsecond each.
        let elapsed = u64::try_from(now.since(at(0)).as_micros()).unwrap() + passed;
        prop_assert!(passed <= burst + elapsed * per_minute / 60_000_000 + 1);
    }
}

#[test]
fn tok_01_a_tool_has_its_own_rate() {
    let quota = Arc::default();
    let one = Rate {
        per_minute: 60,
        burst: 1,
    };
    let limits = Limits {
        tool_requests: Some(SLOW),
        per_tool: HashMap::from([("delete".to_owned(), one)]),
        ..limits()
    };
    for (tool, expected) in [
        ("delete", "ok"),
        ("delete", "tool 1000"),
        ("read", "ok"),
        ("read", "ok"),
        ("read", "ok"),
        ("read", "tool 10000"),
        ("write", "ok"),
    ] {
        assert_eq!(take(&quota, (1, tool), &limits, 0), expected, "{tool}");
    }
    assert_eq!(take(&quota, (2, "delete"), &limits, 0), "ok");
    let slot = take_all(
        &quota,
        (&session(1, "mail"), &call("delete")),
        &limits,
        at(0),
    );
    assert!(slot.is_ok(), "the same name at another server");
}

#[test]
fn authz_02_charges_all_or_nothing() {
    let quota = Arc::default();
    let one = Rate {
        per_minute: 60,
        burst: 1,
    };
    let size = call("delete").body().len() as u64;
    let limits = Limits {
        bytes: Rate {
            per_minute: size,
            burst: 3 * size,
        },
        per_tool: HashMap::from([("delete".to_owned(), one)]),
        ..limits()
    };
    assert_eq!(take(&quota, (1, "delete"), &limits, 0), "ok");
    for _ in 0..10 {
        assert_eq!(take(&quota, (1, "delete"), &limits, 0), "tool 1000");
    }
    // The refusals cost no bytes: two messages of the burst of three are left.
    assert_eq!(take(&quota, (1, "search"), &limits, 0), "ok");
    assert_eq!(take(&quota, (1, "search"), &limits, 0), "ok");
    assert_eq!(take(&quota, (1, "search"), &limits, 0), "bytes 60000");
    // Nor do they take a place among the exchanges under way.
    assert!(quota.held.lock().unwrap().under_way.is_empty());
}

#[test]
fn tok_01_counts_bytes_both_ways() {
    let quota = Arc::default();
    let size = call("a").body().len() as u64;
    let limits = Limits {
        bytes: Rate {
            per_minute: 60 * size,
            burst: 2 * size,
        },
        ..limits()
    };
    assert_eq!(take(&quota, (1, "a"), &limits, 0), "ok");
    assert_eq!(take(&quota, (1, "a"), &limits, 0), "ok");
    assert_eq!(take(&quota, (1, "a"), &limits, 0), "bytes 1000");
    // An answer of five such messages takes five seconds more.
    quota.count_bytes("os|1", 5 * size, &limits, at(0));
    assert_eq!(take(&quota, (1, "a"), &limits, 0), "bytes 6000");
    assert_eq!(take(&quota, (1, "a"), &limits, 6000), "ok");
    quota.count_bytes("os|9", 5 * size, &limits, at(0));
    assert_eq!(
        take(&quota, (9, "a"), &limits, 0),
        "ok",
        "nobody is charged before asking"
    );
    // One message over the whole burst passes when nothing else does.
    let small = Limits {
        bytes: Rate {
            per_minute: 60,
            burst: 1,
        },
        ..limits
    };
    assert_eq!(take(&quota, (3, "a"), &small, 0), "ok");
    let millis = size * 1000;
    assert_eq!(take(&quota, (3, "a"), &small, 0), format!("bytes {millis}"));
}

#[test]
fn tok_01_a_place_comes_back_when_dropped() {
    let quota: Arc<Quota> = Arc::default();
    let limits = Limits {
        concurrency: 2,
        upstream_concurrency: 3,
        ..limits()
    };
    let begin = |uid, server| take_all(&quota, (&session(uid, server), &call("a")), &limits, at(0));
    let first = begin(1, "notes").unwrap();
    let second = begin(1, "mail").unwrap();
    let over = begin(1, "notes").unwrap_err();
    assert_eq!(
        over,
        Exhausted {
            which: "concurrency",
            retry_after: SHORT_WAIT
        }
    );
    let others = [begin(2, "notes").unwrap(), begin(3, "notes").unwrap()];
    assert_eq!(begin(4, "notes").unwrap_err().which, "upstream");
    drop(first);
    let again = begin(1, "notes").unwrap();
    assert_eq!(begin(4, "notes").unwrap_err().which, "upstream");
    drop((second, others, again));
    assert!(
        quota.held.lock().unwrap().under_way.is_empty(),
        "nothing is left behind"
    );
    let none = Limits {
        concurrency: 0,
        ..limits
    };
    assert!(take_all(&quota, (&session(1, "notes"), &call("a")), &none, at(0)).is_err());
}

#[test]
fn tok_01_memory_is_bounded() {
    let quota: Arc<Quota> = Arc::default();
    let limits = Limits {
        requests: SLOW,
        bytes: Rate {
            per_minute: 1,
            burst: 1_000,
        },
        ..limits()
    };
    let call = call("a");
    let count = u32::try_from(MAX_BUCKETS / 2).unwrap();
    for uid in 0..count {
        drop(take_all(&quota, (&session(uid, "notes"), &call), &limits, at(0)).unwrap());
    }
    let full = || quota.held.lock().unwrap().full_at.len();
    assert_eq!(full(), MAX_BUCKETS);
    assert_eq!(take(&quota, (count, "a"), &limits, 0), "memory 1000");
    assert_eq!(full(), MAX_BUCKETS);
    // Who has buckets is still served.
    assert_eq!(take(&quota, (7, "a"), &limits, 0), "ok");
    // Once they are full again, they need not be kept.
    assert_eq!(take(&quota, (count, "a"), &limits, 20_000_000), "ok");
    assert_eq!(full(), 2);
    assert_eq!(format!("{quota:?}"), "Quota(..)");
}

#[test]
fn tok_01_a_clock_that_is_set_lets_nobody_wait_for_it() {
    const HOUR: u64 = 3_600_000;
    let limits = Limits {
        requests: SLOW,
        ..limits()
    };
    let quota = Arc::new(Quota::default());
    let takes = |millis: u64| take(&quota, (1, "echo"), &limits, millis);
    let mut now = 2 * HOUR;
    // Ahead, back to where it was, and further back.
    for jump in [now, 2 * now, now, now / 2] {
        now = jump;
        for _ in 0..3 {
            takes(now);
        }
        let refused = takes(now);
        assert_eq!(refused, "principal 10000", "{now}");
        assert_eq!(takes(now + 10_000), "ok", "{now}");
    }
}
