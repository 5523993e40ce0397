//! What is revoked, what is news, and what goes away.

use super::*;
use tempfile::TempDir;

struct Scene {
    _home: TempDir,
    durable: Durable,
    other: Durable,
    runtime: tokio::runtime::Runtime,
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn whom(kind: Kind, name: &str) -> Whom {
    Whom {
        kind,
        issuer: "https://idp.example".to_owned(),
        name: name.to_owned(),
    }
}

impl Scene {
    /// A database that two processes have open.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("state.db");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let durable = runtime.block_on(Durable::open(&file)).unwrap();
        let other = runtime.block_on(Durable::open(&file)).unwrap();
        Self {
            _home: home,
            durable,
            other,
            runtime,
        }
    }

    fn revoke(&self, whom: Whom, until: u64, now: u64) -> Revocation {
        let revocation = Revocation::new(whom, at(until), (at(now), "uid:1".to_owned()));
        let revoked = self.runtime.block_on(self.other.revoke(revocation));
        revoked.unwrap()
    }

    fn reinstate(&self, whom: Whom, now: u64) -> Option<Revocation> {
        let lifted = Lifted {
            at: at(now),
            by: "uid:2".to_owned(),
        };
        let taken = self.runtime.block_on(self.other.reinstate(whom, lifted));
        taken.unwrap()
    }

    /// The new state, and how many are in force and have changed.
    fn news(&self, seen: Option<u64>) -> Option<(u64, usize, usize)> {
        let news = self.runtime.block_on(self.durable.news(seen)).unwrap()?;
        Some((news.epoch, news.in_force.len(), news.changed.len()))
    }
}

#[test]
fn auth_03_another_process_notices_each_change() {
    let scene = Scene::new();
    assert_eq!(scene.news(None), Some((0, 0, 0)));
    assert_eq!(scene.news(Some(0)), None);
    scene.revoke(whom(Kind::Subject, "alice"), 100, 100);
    scene.revoke(whom(Kind::Token, "t-1"), 100, 100);
    assert_eq!(scene.news(Some(0)), Some((2, 2, 2)));
    assert_eq!(scene.news(Some(1)), Some((2, 2, 1)));
    assert_eq!(scene.news(Some(2)), None);
    scene.runtime.block_on(scene.durable.noted(2)).unwrap();
    assert_eq!(scene.news(Some(2)), None, "a note is no news");
    assert_eq!(scene.news(None), Some((2, 2, 0)), "they are recorded");
    let taken = scene.reinstate(whom(Kind::Token, "t-1"), 101).unwrap();
    assert_eq!(taken.lifted.unwrap().by, "uid:2");
    assert_eq!(scene.news(Some(2)), Some((3, 1, 1)));
    assert_eq!(scene.news(None), Some((3, 1, 1)));
    assert_eq!(scene.reinstate(whom(Kind::Token, "t-1"), 102), None);
    assert_eq!(scene.reinstate(whom(Kind::Client, "t-1"), 102), None);
    assert_eq!(scene.news(Some(3)), None);
}

#[test]
fn auth_03_a_revocation_is_never_narrowed_by_a_second_one() {
    let scene = Scene::new();
    let alice = || whom(Kind::Subject, "alice");
    scene.revoke(alice(), 5_000, 100);
    let second = scene.revoke(alice(), 200, 200);
    assert_eq!((second.issued_until, second.made), (at(5_000), at(200)));
    assert_eq!(second.expires, at(5_000).plus(KEPT));
    scene.reinstate(alice(), 300).unwrap();
    let third = scene.revoke(alice(), 400, 400);
    assert_eq!((third.issued_until, &third.lifted), (at(400), &None));
    let listed = scene.runtime.block_on(scene.durable.revocations(at(400)));
    assert_eq!(listed.unwrap(), [third]);
}

#[test]
fn auth_03_what_can_matter_no_more_is_removed() {
    let scene = Scene::new();
    let first = scene.revoke(whom(Kind::Token, "t-1"), 100, 100);
    scene.revoke(whom(Kind::Client, "ide"), 200, 200);
    let prune = |now| scene.runtime.block_on(scene.durable.prune(now)).unwrap();
    prune(at(1_000));
    assert_eq!(scene.news(Some(2)), None);
    prune(first.expires);
    assert_eq!(scene.news(Some(2)), Some((3, 1, 0)));
    prune(first.expires);
    assert_eq!(scene.news(Some(3)), None);
}

#[test]
fn auth_03_the_number_of_revocations_and_their_length_are_bounded() {
    let scene = Scene::new();
    let fill = scene.durable.run(|connection| {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
            INSERT INTO revocations (kind, issuer, name, source, issued_until, made, made_by, expires, changed)
            SELECT 'token', 'i', i, 'operator', 1, 1, 'me', 9000000000000000, 0 FROM n";
        Ok(connection.execute(sql, [])?)
    });
    let most = usize::try_from(MAX_REVOCATIONS).unwrap();
    assert_eq!(scene.runtime.block_on(fill).unwrap(), most);
    let made = (at(100), "me".to_owned());
    let tried = |revocation| scene.runtime.block_on(scene.durable.revoke(revocation));
    let mut one = Revocation::new(whom(Kind::Token, "x"), at(100), made);
    assert!(matches!(tried(one.clone()), Err(Failed::Full)));
    "i".clone_into(&mut one.whom.issuer);
    "7".clone_into(&mut one.whom.name);
    tried(one.clone()).expect("one that is there can be renewed");
    for unfit in [String::new(), "x".repeat(MAX_NAME_BYTES + 1)] {
        one.whom.name = unfit;
        assert!(matches!(tried(one.clone()), Err(Failed::Unfit)));
    }
    "7".clone_into(&mut one.whom.name);
    one.reason = Some("x".repeat(MAX_REASON_BYTES + 1));
    assert!(matches!(tried(one), Err(Failed::Unfit)));
}

impl Scene {
    fn hear(&self, id: &str, changes: Vec<Change>, now: u64) -> Heard {
        let told = Told {
            issuer: "https://idp.example".to_owned(),
            id: id.to_owned(),
            until: at(now + 100),
            changes,
        };
        self.runtime
            .block_on(self.other.hear(told, at(now)))
            .unwrap()
    }

    fn in_force(&self) -> Vec<(Source, u64)> {
        let news = self.runtime.block_on(self.durable.news(None)).unwrap();
        let mut held: Vec<(Source, u64)> = news
            .unwrap()
            .in_force
            .iter()
            .map(|one| (one.source, one.issued_until.seconds()))
            .collect();
        held.sort_by_key(|(source, _)| source.word());
        held
    }
}

fn disabled(since: u64) -> Vec<Change> {
    let by = || "issuer:https://idp.example".to_owned();
    let revocation =
        |until| Revocation::new(whom(Kind::Subject, "alice"), at(until), (at(since), by()));
    vec![
        Change::Revoke(Revocation {
            source: Source::Event,
            ..revocation(since)
        }),
        Change::Revoke(Revocation {
            source: Source::Disabled,
            ..revocation(1_000_000)
        }),
    ]
}

fn enabled(since: u64) -> Vec<Change> {
    let lifted = Lifted {
        at: at(since),
        by: "issuer:https://idp.example".to_owned(),
    };
    vec![Change::Enable(whom(Kind::Subject, "alice"), lifted)]
}

#[test]
fn auth_03_an_issuer_takes_back_only_what_it_has_said() {
    let scene = Scene::new();
    scene.revoke(whom(Kind::Subject, "alice"), 500, 10);
    assert_eq!(scene.hear("1", disabled(20), 20), Heard::News);
    let all = [
        (Source::Disabled, 1_000_000),
        (Source::Event, 20),
        (Source::Operator, 500),
    ];
    assert_eq!(scene.in_force(), all);
    assert_eq!(scene.hear("2", enabled(30), 30), Heard::News);
    // What was issued before the account was disabled stays worth nothing, and the operator's word stays too.
    assert_eq!(scene.in_force(), all[1..]);
    // An operator takes back everything.
    assert!(scene.reinstate(whom(Kind::Subject, "alice"), 40).is_some());
    assert_eq!(scene.in_force(), []);
}

#[test]
fn auth_03_an_event_counts_once_and_in_the_order_of_what_it_tells() {
    let scene = Scene::new();
    assert_eq!(scene.hear("1", disabled(20), 20), Heard::News);
    assert_eq!(scene.hear("2", enabled(10), 21), Heard::News);
    assert_eq!(
        scene.in_force().len(),
        2,
        "it was enabled before it was disabled"
    );
    assert_eq!(scene.hear("3", enabled(30), 30), Heard::News);
    assert_eq!(scene.hear("1", disabled(20), 31), Heard::Before);
    assert_eq!(scene.in_force(), [(Source::Event, 20)]);
    assert_eq!(scene.hear("4", disabled(25), 32), Heard::News);
    assert_eq!(
        scene.in_force(),
        [(Source::Event, 25)],
        "it was disabled before it was enabled"
    );
    assert_eq!(scene.hear("5", disabled(35), 35), Heard::News);
    assert_eq!(scene.in_force().len(), 2);
    assert_eq!(scene.hear("1", Vec::new(), 120), Heard::News, "forgotten");
}
