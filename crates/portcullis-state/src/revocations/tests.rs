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
    vec![Change::Enable(
        whom(Kind::Subject, "alice"),
        Source::Disabled,
        lifted,
    )]
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

mod directory {
    use super::*;
    use portcullis_core::scim::{Attribute, Search, User};

    fn user(id: &str, name: &str, external: &str) -> User {
        User {
            id: id.to_owned(),
            user_name: name.to_owned(),
            external_id: Some(external.to_owned()),
            active: true,
        }
    }

    impl Scene {
        /// Has a user be that afterwards, and somebody revoked with it.
        fn provision(&self, id: &str, user: Option<User>) -> Result<&'static str, Failed> {
            let sought = Sought {
                issuer: "https://idp.example".to_owned(),
                id: id.to_owned(),
                unique: Attribute::ExternalId,
            };
            let mut row = Revocation::new(
                whom(Kind::Claim, &format!("oid={id}")),
                at(900),
                (at(100), "scim".to_owned()),
            );
            row.source = Source::Directory;
            row.cause = Some("trace".to_owned());
            let changes = vec![Change::Revoke(row)];
            let decide = |_| Ok(Provision { user, changes });
            let made = self.durable.provision(sought, at(100), "taken", decide);
            Ok(self.runtime.block_on(made)?.err().unwrap_or("done"))
        }

        fn find(&self, search: Search) -> Vec<String> {
            let found = self.durable.users("https://idp.example".to_owned(), search);
            let page = self.runtime.block_on(found).unwrap();
            page.users.into_iter().map(|user| user.id).collect()
        }
    }

    #[test]
    fn auth_03_a_user_changes_together_with_what_it_revokes() {
        let scene = Scene::new();
        for (id, user, expected) in [
            ("1", Some(user("1", "Änne", "x")), "done"),
            ("2", Some(user("2", "bob", "y")), "done"),
            ("3", Some(user("3", "äNNE", "z")), "taken"),
            ("3", Some(user("3", "carol", "y")), "taken"),
            ("2", Some(user("2", "BOB", "y")), "done"),
            ("2", Some(user("2", "änne", "y")), "taken"),
        ] {
            assert_eq!(scene.provision(id, user).unwrap(), expected, "{id}");
        }
        let (epoch, in_force, _) = scene.news(None).unwrap();
        assert_eq!(in_force, 2, "what is refused revokes nobody");
        let by = |attribute, value: &str| Search::Where(attribute, value.to_owned());
        assert_eq!(scene.find(by(Attribute::UserName, "ÄNNE")), ["1"]);
        assert_eq!(scene.find(by(Attribute::ExternalId, "y")), ["2"]);
        assert_eq!(scene.find(by(Attribute::ExternalId, "Y")), [""; 0]);
        assert_eq!(scene.find(Search::All(1, 5)), ["2"]);
        assert_eq!(scene.provision("2", None).unwrap(), "done");
        assert_eq!(scene.find(Search::All(0, 5)), ["1"]);
        assert!(scene.news(Some(epoch)).is_some());
        let made = scene.runtime.block_on(scene.durable.revocations(at(100)));
        let made = made.unwrap();
        assert_eq!(made[0].whom.claim(), Some(("oid", "1")));
        assert_eq!(made[0].cause.as_deref(), Some("trace"));
    }

    #[test]
    fn auth_03_there_is_a_bound_of_users_and_none_of_those_who_leave() {
        let scene = Scene::new();
        scene.provision("1", Some(user("1", "a", "x"))).unwrap();
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_USERS})
             INSERT INTO users (issuer, id, user_name, folded, active)
             SELECT 'https://idp.example', 'u' || i, i, i, 1 FROM n"
        );
        let filled = scene
            .durable
            .run(move |connection| Ok(connection.execute_batch(&fill)?));
        scene.runtime.block_on(filled).unwrap();
        let refused = scene.provision("2", Some(user("2", "b", "y")));
        assert!(matches!(refused, Err(Failed::Full)), "{refused:?}");
        assert_eq!(scene.provision("1", None).unwrap(), "done");
        assert_eq!(
            scene.provision("2", Some(user("2", "b", "y"))).unwrap(),
            "done"
        );
    }
}
