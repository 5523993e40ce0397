//! What becomes of reviews in the database.

use super::*;
use crate::Durable;

const NOW: Timestamp = Timestamp::from_seconds(1_000);
const LATER: Timestamp = Timestamp::from_seconds(2_000);

fn actor(subject: &str, token: &str) -> Actor {
    Actor {
        person: Person {
            issuer: "https://idp.example".to_owned(),
            subject: subject.to_owned(),
        },
        token: token.to_owned(),
        until: Timestamp::from_seconds(9_000),
    }
}

fn new() -> NewReview {
    let item = |id: &str, rule: &str| (id.to_owned(), rule.to_owned());
    NewReview {
        due: Timestamp::from_seconds(1_500),
        policy: "p".to_owned(),
        items: vec![
            item("a", "grant:a"),
            item("b", "grant:b"),
            item("i", INVENTORY),
        ],
    }
}

async fn durable() -> (tempfile::TempDir, Durable) {
    let folder = tempfile::tempdir().unwrap();
    let durable = Durable::open(&folder.path().join("state.db"))
        .await
        .unwrap();
    (folder, durable)
}

fn says(id: &str, verdict: Verdict) -> Vec<(String, Verdict)> {
    vec![(id.to_owned(), verdict)]
}

fn held(standing: &Standing) -> Vec<(&str, u64)> {
    let held = standing.held.iter();
    held.map(|held| (held.id.as_str(), held.from.seconds()))
        .collect()
}

#[tokio::test]
async fn authz_05_what_nobody_decides_lapses_and_only_a_keep_brings_it_back() {
    let (_folder, durable) = durable().await;
    let number = durable.start_review(new(), actor("ann", "1"), NOW).await;
    assert_eq!(number.unwrap(), Ok(1));
    let standing = durable.standing().await.unwrap();
    assert_eq!(held(&standing), [("a", 1_500), ("b", 1_500)]);
    let again = durable.start_review(new(), actor("ann", "2"), NOW).await;
    assert_eq!(again.unwrap(), Err(Undone::Open));
    let by = (actor("bea", "3"), None);
    let kept = durable
        .decide_review(1, says("a", Verdict::Keep), by, NOW)
        .await;
    assert!(kept.unwrap().unwrap().closed.is_none());
    assert!(!durable.lapse(NOW).await.unwrap());
    assert!(durable.lapse(LATER).await.unwrap());
    assert!(!durable.lapse(LATER).await.unwrap());
    let standing = durable.standing().await.unwrap();
    assert_eq!(held(&standing), [("b", 1_500)]);
    assert_eq!(standing.due, None);
    // Also after a newer review has begun.
    let new = NewReview {
        due: Timestamp::from_seconds(9_000),
        ..new()
    };
    let number = durable.start_review(new, actor("ann", "4"), LATER).await;
    assert_eq!(number.unwrap(), Ok(2));
    let by = (actor("bea", "5"), None);
    let stale = durable
        .decide_review(1, says("b", Verdict::Keep), by.clone(), LATER)
        .await;
    assert_eq!(stale.unwrap(), Err(Undone::Stale));
    assert_eq!(held(&durable.standing().await.unwrap())[1], ("b", 1_500));
    let kept = durable
        .decide_review(2, says("b", Verdict::Keep), by, LATER)
        .await;
    assert!(kept.unwrap().is_ok());
    let events = durable.review_events().await.unwrap();
    let names: Vec<&str> = events.iter().map(|(_, one)| one.event.as_str()).collect();
    assert_eq!(
        names,
        [
            "access.review_started",
            "access.reviewed",
            "access.lapsed",
            "access.lapsed",
            "access.review_closed",
            "access.review_started",
            "access.reviewed"
        ]
    );
    for (number, _) in events {
        durable.review_recorded(number).await.unwrap();
    }
    assert_eq!(durable.review_events().await.unwrap(), []);
}

#[tokio::test]
async fn authz_05_a_token_counts_once_and_what_fails_changes_nothing() {
    let (_folder, durable) = durable().await;
    durable
        .start_review(new(), actor("ann", "1"), NOW)
        .await
        .unwrap()
        .unwrap();
    for (id, token, expected) in [
        ("a", "1", Undone::Replayed),
        ("unknown", "2", Undone::NoItem),
    ] {
        let by = (actor("bea", token), None);
        let refused = durable
            .decide_review(1, says(id, Verdict::Revoke), by, NOW)
            .await;
        assert_eq!(refused.unwrap(), Err(expected), "{id}");
    }
    let review = durable.review(None).await.unwrap().unwrap();
    assert!(review.items.iter().all(|item| item.decided.is_none()));
    let by = (actor("bea", "2"), Some("left".to_owned()));
    let revoked = durable
        .decide_review(1, says("a", Verdict::Revoke), by, NOW)
        .await;
    let revoked = revoked.unwrap().unwrap();
    let decided = revoked.items[0].decided.as_ref().unwrap();
    assert_eq!(decided.verdict, Verdict::Revoke);
    assert_eq!(decided.by.as_ref().unwrap().subject, "bea");
    let standing = durable.standing().await.unwrap();
    assert_eq!(held(&standing)[0], ("a", 1_000));
}

#[tokio::test]
async fn authz_05_a_review_has_bounds() {
    let (_folder, durable) = durable().await;
    for items in [0, MAX_ITEMS + 1] {
        let items = (0..items).map(|item| (item.to_string(), "r".to_owned()));
        let new = NewReview {
            items: items.collect(),
            ..new()
        };
        let refused = durable.start_review(new, actor("ann", "1"), NOW).await;
        assert!(matches!(refused, Err(Failed::Unfit)), "{refused:?}");
    }
    assert_eq!(durable.review(Some(1)).await.unwrap(), None);
}

fn wish(subject: &str) -> NewElevation {
    NewElevation {
        person: actor(subject, "").person,
        server: "notes".to_owned(),
        tool: "delete_all".to_owned(),
        tenant: None,
        why: None,
    }
}

#[tokio::test]
async fn tok_16_whoever_asks_for_much_does_not_keep_others_from_asking() {
    let (_folder, durable) = durable().await;
    let mut refused = false;
    for _ in 0..1_001 {
        refused |= durable.ask_elevation(wish("eve"), NOW).await.is_err();
    }
    assert!(refused, "somebody may ask for any number");
    durable.ask_elevation(wish("alice"), NOW).await.unwrap();
    // What nobody can decide about any more is in nobody's way.
    let day = NOW.plus(std::time::Duration::from_hours(25));
    durable.ask_elevation(wish("eve"), day).await.unwrap();
}
