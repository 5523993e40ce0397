//! Sessions: their ids, their owners and their ends.

use super::*;
use crate::authenticate::operating_system_user;
use crate::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use std::time::Duration;

const LIMITS: Limits = Limits {
    idle: Duration::from_mins(1),
    absolute: Duration::from_mins(10),
    most: 4,
    most_per_principal: 3,
};
const START: u64 = 1_000;
const AGENT: u64 = 7;

fn principal(uid: u32) -> Principal {
    operating_system_user(uid, "somebody", Timestamp::default())
}

fn server() -> Arc<str> {
    "notes".into()
}

fn id(number: u8) -> SessionId {
    SessionId::from_entropy([number; 32])
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn opening() -> Opening {
    Opening {
        opens_urls: false,
        server: server(),
        upstream: Some("theirs".into()),
        revision: Revision::V2025_11_25,
        agent: AGENT,
    }
}

/// Opens a session for `uid` under id `number`.
fn open(
    sessions: &Sessions,
    (uid, number): (u32, u8),
    limits: &Limits,
    now: u64,
) -> Result<Option<Closed>, NoSession> {
    sessions.open(&principal(uid), id(number), opening(), (limits, at(now)))
}

/// A table with one session: number 1 of user 1.
fn one() -> Sessions {
    let sessions = Sessions::default();
    assert!(open(&sessions, (1, 1), &LIMITS, START).unwrap().is_none());
    sessions
}

/// The one place that asks the room: the refusal's word, or `ok`.
fn bound(sessions: &Sessions, uid: u32, presented: &str, now: u64) -> &'static str {
    let presented = Some((presented, AGENT));
    match sessions.bind(principal(uid), &server(), presented, (&LIMITS, at(now))) {
        Ok(session) => {
            assert_eq!(session.open().unwrap().upstream.as_deref(), Some("theirs"));
            "ok"
        }
        Err(refusal) => refusal.reason(),
    }
}

#[test]
fn ses_06_writes_base64url_and_reads_only_what_it_wrote() {
    let id = SessionId::from_entropy([0xfb; 32]);
    let wire = id.wire();
    assert_eq!(wire.len(), 43);
    assert!(
        wire.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    assert_eq!(SessionId::parse(&wire), Some(id));
    // The last character has two bits that belong to no byte.
    let (head, last) = wire.split_at(42);
    let sloppy = char::from(last.as_bytes()[0] + 1);
    let rows = [
        String::new(),
        URL_SAFE.encode([0xfb; 32]),
        STANDARD.encode([0xfb; 32]),
        URL_SAFE_NO_PAD.encode([0xfb; 31]),
        URL_SAFE_NO_PAD.encode([0xfb; 33]),
        format!("{head}{sloppy}"),
        format!(" {wire}"),
        format!("{wire}\n"),
        format!("{wire}\0"),
        format!("{wire},{wire}"),
        format!("os|1:{wire}"),
        "A".repeat(8 * 1024),
        "é".repeat(21) + "x",
        "00000000-0000-4000-8000-000000000000".to_owned(),
    ];
    for text in rows {
        assert_eq!(SessionId::parse(&text), None, "{text}");
    }
}

#[test]
fn ses_05_ids_hold_256_bits_and_show_none() {
    const { assert!(id::ENTROPY_BYTES * 8 >= 256) };
    let id = id(1);
    assert_eq!(id.fingerprint().len(), 16);
    assert_eq!(
        format!("{id:?}"),
        format!("SessionId({})", id.fingerprint())
    );
    assert!(!id.wire().contains(&id.fingerprint()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ses_06_reads_what_it_writes(entropy: [u8; 32]) {
        let id = SessionId::from_entropy(entropy);
        prop_assert_eq!(SessionId::parse(&id.wire()), Some(id));
    }

    #[test]
    fn ses_06_an_id_has_one_form(text in "[A-Za-z0-9_-]{43}") {
        if let Some(id) = SessionId::parse(&text) {
            prop_assert_eq!(id.wire(), text);
        }
    }
}

#[test]
fn ses_08_a_session_is_its_owners_alone() {
    let sessions = one();
    assert_eq!(bound(&sessions, 1, &id(1).wire(), START), "ok");
    assert_eq!(
        bound(&sessions, 2, &id(1).wire(), START),
        "principal_mismatch"
    );
    assert_eq!(bound(&sessions, 2, &id(9).wire(), START), "unknown");
    assert_eq!(bound(&sessions, 2, "x", START), "unknown");
    // What the thief did changed nothing for the owner.
    assert_eq!(bound(&sessions, 1, &id(1).wire(), START), "ok");
}

#[test]
fn ses_02_the_client_cannot_tell_a_foreign_session_from_none() {
    use crate::refusal::Refusal;
    for is_stateless in [false, true] {
        let unknown = Refusal::NoSession(NoSession::Unknown).public(is_stateless);
        let foreign = Refusal::NoSession(NoSession::NotYours).public(is_stateless);
        assert_eq!(unknown, foreign);
        assert_eq!(unknown.status, 404);
    }
    let event = |refusal| Refusal::NoSession(refusal).event().0;
    assert_eq!(event(NoSession::NotYours), "session.principal_mismatch");
    assert_eq!(event(NoSession::Unknown), "session.reject");
}

#[test]
fn ses_08_a_session_belongs_to_one_server() {
    let sessions = one();
    let wire = id(1).wire();
    let presented = Some((&*wire, AGENT));
    let outcome = sessions.bind(
        principal(1),
        &"mail".into(),
        presented,
        (&LIMITS, at(START)),
    );
    assert_eq!(outcome.unwrap_err(), NoSession::Unknown);
}

#[test]
fn man_2_no_id_gives_no_session_but_the_same_caller() {
    let sessions = one();
    let session = sessions
        .bind(principal(1), &server(), None, (&LIMITS, at(START)))
        .unwrap();
    assert!(session.open().is_none());
    assert_eq!(session.principal().subject, "1");
    assert!(sessions.close(&session, "deleted").is_none());
    assert_eq!(sessions.len(), 1);
}

#[test]
fn ses_11_ends_when_idle_at_the_boundary() {
    let wire = id(1).wire();
    assert_eq!(bound(&one(), 1, &wire, START + 59), "ok");
    assert_eq!(bound(&one(), 1, &wire, START + 60), "unknown");
    let sessions = one();
    for now in [START + 59, START + 118, START + 177] {
        assert_eq!(bound(&sessions, 1, &wire, now), "ok", "use keeps it");
    }
    assert_eq!(bound(&sessions, 1, &wire, START + 237), "unknown");
    // A clock that goes back ends nothing.
    assert_eq!(bound(&one(), 1, &wire, START - 500), "ok");
}

#[test]
fn ses_11_ends_at_last_however_much_it_is_used() {
    let sessions = one();
    let wire = id(1).wire();
    for now in (START..START + 600).step_by(50) {
        assert_eq!(bound(&sessions, 1, &wire, now), "ok");
    }
    assert_eq!(bound(&sessions, 1, &wire, START + 599), "ok");
    assert_eq!(bound(&sessions, 1, &wire, START + 600), "unknown");
}

#[test]
fn ses_14_reaps_what_is_over_and_nothing_else() {
    let sessions = one();
    open(&sessions, (2, 2), &LIMITS, START + 30).unwrap();
    assert!(sessions.reap(&LIMITS, at(START + 59)).is_empty());
    let over = sessions.reap(&LIMITS, at(START + 60));
    let seen: Vec<_> = over
        .iter()
        .map(|closed| (closed.id, closed.reason))
        .collect();
    assert_eq!(seen, [(id(1), "idle")]);
    assert_eq!(over[0].upstream.as_deref(), Some("theirs"));
    let wire = id(2).wire();
    for now in (START + 80..START + 620).step_by(50) {
        assert_eq!(bound(&sessions, 2, &wire, now), "ok");
    }
    let over = sessions.reap(&LIMITS, at(START + 630));
    assert_eq!(over[0].reason, "absolute");
    assert!(sessions.is_empty());
    assert_eq!(format!("{sessions:?}"), "Sessions(0)");
}

#[test]
fn ses_14_ends_the_oldest_of_a_principal_who_has_too_many() {
    let sessions = one();
    open(&sessions, (1, 2), &LIMITS, START).unwrap();
    open(&sessions, (1, 3), &LIMITS, START).unwrap();
    let evicted = open(&sessions, (1, 4), &LIMITS, START).unwrap().unwrap();
    assert_eq!((evicted.id, evicted.reason), (id(1), "evicted"));
    assert_eq!(sessions.len(), 3);
    assert_eq!(bound(&sessions, 1, &id(1).wire(), START), "unknown");
    assert_eq!(
        bound(&sessions, 2, &id(1).wire(), START),
        "unknown",
        "nobody's any more"
    );
    // Another principal's sessions are not in the way.
    assert!(open(&sessions, (2, 5), &LIMITS, START).unwrap().is_none());
}

#[test]
fn ses_14_a_full_table_refuses_and_ends_nothing() {
    let sessions = one();
    for number in 2..=4 {
        open(&sessions, (u32::from(number), number), &LIMITS, START).unwrap();
    }
    assert_eq!(
        open(&sessions, (5, 5), &LIMITS, START).unwrap_err(),
        NoSession::Full
    );
    assert_eq!(sessions.len(), 4);
    // The limits of a reload are lower than what is there.
    let lower = Limits {
        most: 2,
        most_per_principal: 1,
        ..LIMITS
    };
    assert_eq!(
        open(&sessions, (1, 6), &lower, START).unwrap_err(),
        NoSession::Full
    );
    assert_eq!(bound(&sessions, 1, &id(1).wire(), START), "ok");
    // A place that the principal itself gives up is one.
    let full = Limits {
        most_per_principal: 1,
        ..LIMITS
    };
    assert_eq!(
        open(&sessions, (1, 6), &full, START).unwrap().unwrap().id,
        id(1)
    );
    assert_eq!(sessions.len(), 4);
}

#[test]
fn ses_13_a_closed_session_is_gone() {
    let sessions = one();
    let wire = id(1).wire();
    let presented = Some((&*wire, AGENT));
    let session = sessions
        .bind(principal(1), &server(), presented, (&LIMITS, at(START)))
        .unwrap();
    let closed = sessions.close(&session, "deleted").unwrap();
    assert_eq!((closed.reason, &*closed.owner), ("deleted", "os|1"));
    assert!(sessions.close(&session, "deleted").is_none());
    assert_eq!(bound(&sessions, 1, &wire, START), "unknown");
    assert_eq!(bound(&sessions, 2, &wire, START), "unknown");
}

#[test]
fn ses_13_ends_by_owner_and_id_together() {
    let sessions = one();
    assert!(sessions.end(&"os|2".into(), id(1), "upstream").is_none());
    assert!(sessions.is_open(&"os|1".into(), id(1)));
    assert!(!sessions.is_open(&"os|2".into(), id(1)));
    assert!(sessions.end(&"os|1".into(), id(1), "upstream").is_some());
    assert!(!sessions.is_open(&"os|1".into(), id(1)));
}

#[test]
fn ses_10_notes_that_the_software_changed() {
    let sessions = one();
    let wire = id(1).wire();
    let changed = |agent| {
        let presented = Some((&*wire, agent));
        let bound = sessions.bind(principal(1), &server(), presented, (&LIMITS, at(START)));
        bound.unwrap().open().unwrap().changed
    };
    let seen: Vec<bool> = [AGENT, 8, 8, AGENT].into_iter().map(changed).collect();
    assert_eq!(seen, [false, true, false, true]);
}

#[derive(Debug, Clone)]
enum Step {
    Open(u32),
    Bind(u32, u8),
    Close(u32, u8),
    End(u32, u8),
    Reap,
}

/// What two principals do with their own ids and with each other's.
fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let who = || (1_u32..=2, 0_u8..6);
    let step = prop_oneof![
        3 => (1_u32..=2).prop_map(Step::Open),
        4 => who().prop_map(|(uid, number)| Step::Bind(uid, number)),
        1 => who().prop_map(|(uid, number)| Step::Close(uid, number)),
        1 => who().prop_map(|(uid, number)| Step::End(uid, number)),
        1 => Just(Step::Reap),
    ];
    proptest::collection::vec((step, 0_u64..30), 1..60)
}

/// The table, and who was ever given which id.
struct World {
    sessions: Sessions,
    owners: Vec<u32>,
    now: u64,
}

impl World {
    /// One of the ids given so far.
    fn id(&self, number: u8) -> Option<(SessionId, u32)> {
        let last = u8::try_from(self.owners.len()).unwrap().checked_sub(1)?;
        let at = last - number.min(last);
        Some((id(at), self.owners[usize::from(at)]))
    }

    fn bind(&self, uid: u32, number: u8) -> Option<Session> {
        let (id, owner) = self.id(number)?;
        let wire = id.wire();
        let presented = Some((&*wire, AGENT));
        let bound = self.sessions.bind(
            principal(uid),
            &server(),
            presented,
            (&LIMITS, at(self.now)),
        );
        if let Ok(session) = &bound {
            assert_eq!(owner, uid, "a session of another");
            assert_eq!(session.open().unwrap().id, id);
        }
        bound.ok()
    }

    fn walk(&mut self, step: &Step) {
        match *step {
            Step::Open(uid) => {
                let number = u8::try_from(self.owners.len()).unwrap();
                let opened = open(&self.sessions, (uid, number), &LIMITS, self.now);
                if let Some(evicted) = opened.ok().flatten() {
                    assert_eq!(&*evicted.owner, format!("os|{uid}"));
                }
                self.owners.push(uid);
            }
            Step::Bind(uid, number) => drop(self.bind(uid, number)),
            Step::Close(uid, number) => {
                if let Some(session) = self.bind(uid, number) {
                    let closed = self.sessions.close(&session, "deleted").unwrap();
                    assert_eq!(&*closed.owner, format!("os|{uid}"));
                    assert!(self.bind(uid, number).is_none());
                }
            }
            Step::End(uid, number) => {
                if let Some((id, owner)) = self.id(number) {
                    let key = format!("os|{uid}").into();
                    let was_open = self.sessions.is_open(&key, id);
                    let ended = self.sessions.end(&key, id, "upstream");
                    assert_eq!(ended.is_some(), was_open && owner == uid);
                }
            }
            Step::Reap => drop(self.sessions.reap(&LIMITS, at(self.now))),
        }
        assert!(self.sessions.len() <= LIMITS.most);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ses_08_no_order_of_events_gives_away_a_session(steps in steps()) {
        let mut world = World { sessions: Sessions::default(), owners: Vec::new(), now: START };
        for (step, later) in steps {
            world.now += later;
            world.walk(&step);
        }
    }
}
