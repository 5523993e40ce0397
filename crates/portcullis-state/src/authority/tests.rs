//! Codes and refresh tokens: each once, whoever comes at the same time, and at whatever time.

use super::*;
use crate::durable::Durable;
use crate::revocations::Kind;
use portcullis_core::time::Timestamp;
use std::time::Duration;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "https://gate.example";
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

async fn durable() -> (TempDir, Durable) {
    let folder = tempfile::tempdir().unwrap();
    let durable = Durable::open(&folder.path().join("state.db")).await;
    (folder, durable.unwrap())
}

fn family(id: &str) -> Family {
    Family {
        id: id.to_owned(),
        issuer: "https://idp.example".to_owned(),
        subject: "alice".to_owned(),
        client: "app".to_owned(),
        granted: "{}".to_owned(),
        made: NOW,
        until: NOW.plus(HOUR * 24),
    }
}

async fn keep(durable: &Durable, id: &str) {
    let code = NewCode {
        family: family(id),
        digest: format!("code-{id}"),
        bound: "bound".to_owned(),
        until: NOW.plus(MINUTE),
    };
    durable.keep_code(code).await.unwrap();
}

fn next(digest: &str) -> Next {
    let (digest, until) = (digest.to_owned(), NOW.plus(HOUR));
    Next {
        digest,
        bound: String::new(),
        until,
    }
}

async fn show(
    durable: &Durable,
    (voucher, digest): (Voucher, &str),
    given: Result<Option<Next>, ()>,
    at: Timestamp,
) -> Taken<String, ()> {
    let decide = |presented: &Presented| given.map(|next| (presented.bound.clone(), next));
    let shown = (voucher, digest.to_owned());
    durable
        .take(shown, (ISSUER.to_owned(), at), decide)
        .await
        .unwrap()
}

async fn revoked(durable: &Durable) -> Vec<String> {
    let all = durable.revocations(NOW).await.unwrap();
    let claims = all.into_iter().filter(|one| one.whom.kind == Kind::Claim);
    claims.map(|one| one.whom.name).collect()
}

#[tokio::test]
async fn cd_11_a_code_is_used_once_and_then_betrays_whoever_comes() {
    let (_folder, durable) = durable().await;
    keep(&durable, "a").await;
    let code = (Voucher::Code, "code-a");
    let taken = show(&durable, code, Ok(Some(next("r1"))), NOW).await;
    assert_eq!(taken, Taken::Good(family("a"), "bound".to_owned()));
    assert!(revoked(&durable).await.is_empty());
    let again = show(&durable, code, Ok(None), NOW).await;
    assert_eq!(again, Taken::Again(family("a")));
    assert_eq!(revoked(&durable).await, ["grant_id=a"]);
    let refresh = (Voucher::Refresh, "r1");
    let over = show(&durable, refresh, Ok(None), NOW).await;
    assert_eq!(over, Taken::Over(family("a")));
    let unknown = show(&durable, (Voucher::Refresh, "code-a"), Ok(None), NOW).await;
    assert_eq!(unknown, Taken::Unknown, "a code is no refresh token");
}

#[tokio::test]
async fn cd_11_of_many_at_once_one_gets_it() {
    let (folder, durable) = durable().await;
    let file = folder.path().join("state.db");
    let mut instances = vec![durable.clone()];
    for _ in 0..2 {
        instances.push(Durable::open(&file).await.unwrap());
    }
    keep(&durable, "a").await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..50 {
        let durable = instances[index % 3].clone();
        tasks.spawn(async move {
            let code = (Voucher::Code, "code-a");
            let taken = show(&durable, code, Ok(Some(next(&format!("r{index}")))), NOW).await;
            assert!(
                matches!(taken, Taken::Good(..) | Taken::Again(_)),
                "{taken:?}"
            );
            i32::from(matches!(taken, Taken::Good(..)))
        });
    }
    let won: i32 = tasks.join_all().await.into_iter().sum();
    assert_eq!(won, 1);
    assert_eq!(revoked(&durable).await, ["grant_id=a"]);
}

#[tokio::test]
async fn cd_07_a_code_that_is_refused_is_burnt_and_a_refresh_token_is_not() {
    let (_folder, durable) = durable().await;
    keep(&durable, "a").await;
    let code = (Voucher::Code, "code-a");
    let refused = show(&durable, code, Err(()), NOW).await;
    assert_eq!(refused, Taken::Refused(family("a"), ()));
    assert_eq!(
        show(&durable, code, Ok(None), NOW).await,
        Taken::Again(family("a"))
    );
    keep(&durable, "b").await;
    show(
        &durable,
        (Voucher::Code, "code-b"),
        Ok(Some(next("r1"))),
        NOW,
    )
    .await;
    let refresh = (Voucher::Refresh, "r1");
    assert_eq!(
        show(&durable, refresh, Err(()), NOW).await,
        Taken::Refused(family("b"), ())
    );
    let good = show(&durable, refresh, Ok(Some(next("r2"))), NOW).await;
    assert_eq!(good, Taken::Good(family("b"), String::new()));
}

#[tokio::test]
async fn tok_11_a_refresh_token_that_is_shown_again_ends_its_family() {
    let (_folder, durable) = durable().await;
    keep(&durable, "a").await;
    show(
        &durable,
        (Voucher::Code, "code-a"),
        Ok(Some(next("r1"))),
        NOW,
    )
    .await;
    show(
        &durable,
        (Voucher::Refresh, "r1"),
        Ok(Some(next("r2"))),
        NOW,
    )
    .await;
    let held = durable.family_of("r2".to_owned(), NOW).await.unwrap();
    assert_eq!(held.map(|(family, _)| family.id).as_deref(), Some("a"));
    assert_eq!(durable.family_of("r1".to_owned(), NOW).await.unwrap(), None);
    let again = show(
        &durable,
        (Voucher::Refresh, "r1"),
        Ok(Some(next("r3"))),
        NOW,
    )
    .await;
    assert_eq!(again, Taken::Again(family("a")));
    let over = show(&durable, (Voucher::Refresh, "r2"), Ok(None), NOW).await;
    assert_eq!(over, Taken::Over(family("a")));
    assert_eq!(revoked(&durable).await, ["grant_id=a"]);
}

#[tokio::test]
async fn tok_11_a_family_is_not_renewed_without_end() {
    let (_folder, durable) = durable().await;
    keep(&durable, "a").await;
    let first = Ok(Some(next("r1")));
    show(&durable, (Voucher::Code, "code-a"), first, NOW).await;
    // As if it had been renewed that often.
    let filled = durable.run(|connection| {
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 19998)
             INSERT INTO vouchers SELECT 'x' || i, kind, family, bound, made, until, made
             FROM n, vouchers WHERE digest = 'r1'",
            [],
        )?;
        Ok(())
    });
    filled.await.unwrap();
    let over = show(&durable, (Voucher::Refresh, "r1"), Ok(None), NOW).await;
    assert_eq!(over, Taken::Over(family("a")));
}

#[tokio::test]
async fn cd_11_time_ends_codes_whichever_way_it_jumps() {
    let (_folder, durable) = durable().await;
    for (id, at, is_good) in [
        ("a", NOW.plus(MINUTE), false),
        ("b", NOW.plus(Duration::from_secs(59)), true),
        ("c", NOW.plus(HOUR), false),
        ("d", Timestamp::from_seconds(NOW.seconds() - 3600), false),
        ("e", Timestamp::from_seconds(NOW.seconds() - 2), true),
    ] {
        keep(&durable, id).await;
        let taken = show(
            &durable,
            (Voucher::Code, &format!("code-{id}")),
            Ok(None),
            at,
        )
        .await;
        assert_eq!(matches!(taken, Taken::Good(..)), is_good, "{id} {taken:?}");
    }
    // A refresh token goes on after a jump back, and ends with its time and its family.
    keep(&durable, "f").await;
    show(
        &durable,
        (Voucher::Code, "code-f"),
        Ok(Some(next("r1"))),
        NOW,
    )
    .await;
    let before = Timestamp::from_seconds(NOW.seconds() - 3600);
    let refresh = |digest| (Voucher::Refresh, digest);
    let good = show(&durable, refresh("r1"), Ok(Some(next("r2"))), before).await;
    assert!(matches!(good, Taken::Good(..)));
    let over = show(&durable, refresh("r2"), Ok(None), NOW.plus(HOUR)).await;
    assert_eq!(over, Taken::Over(family("f")));
}

#[tokio::test]
async fn auth_03_all_of_a_user_ends_at_once() {
    let (_folder, durable) = durable().await;
    keep(&durable, "a").await;
    keep(&durable, "b").await;
    let user = ("https://idp.example".to_owned(), "alice".to_owned());
    let issuer = (ISSUER.to_owned(), "revoked");
    let vouching = Whose::Others(["https://idp.example".to_owned()].into());
    let another = Whose::Client("other".to_owned());
    let other = Whose::UserOf(user.clone(), "other".to_owned());
    for nobody in [other, another, vouching] {
        let none = durable.end_families(nobody, issuer.clone(), NOW).await;
        assert!(none.unwrap().is_empty());
    }
    let ended = durable
        .end_families(Whose::User(user.0, user.1), issuer, NOW)
        .await;
    let ended: Vec<String> = ended.unwrap().into_iter().map(|gone| gone.id).collect();
    assert_eq!(ended, ["a", "b"]);
    let over = show(&durable, (Voucher::Code, "code-a"), Ok(None), NOW).await;
    assert_eq!(over, Taken::Over(family("a")));
    durable.prune(NOW.plus(HOUR * 2)).await.unwrap();
    let gone = show(&durable, (Voucher::Code, "code-b"), Ok(None), NOW).await;
    assert_eq!(gone, Taken::Unknown);
}

#[tokio::test]
async fn cd_12_registrations_are_few_and_end() {
    let (_folder, durable) = durable().await;
    let client = |id: &str, network: &str| Registered {
        id: id.to_owned(),
        token: "digest".to_owned(),
        network: network.to_owned(),
        metadata: "{}".to_owned(),
        made: NOW,
        until: NOW.plus(HOUR),
    };
    assert!(durable.register(client("a", "n1"), 2).await.unwrap());
    assert!(durable.register(client("b", "n1"), 2).await.unwrap());
    assert!(!durable.register(client("c", "n1"), 2).await.unwrap());
    assert!(durable.register(client("c", "n2"), 2).await.unwrap());
    let found = durable.registered("a".to_owned(), NOW).await.unwrap();
    assert_eq!(found, Some(client("a", "n1")));
    let over = durable.registered("a".to_owned(), NOW.plus(HOUR)).await;
    assert_eq!(over.unwrap(), None);
    durable.unregister("a".to_owned()).await.unwrap();
    assert!(durable.register(client("d", "n1"), 2).await.unwrap());
    let use_it = |at| durable.use_assertion("x".to_owned(), (NOW.plus(MINUTE), at));
    assert!(use_it(NOW).await.unwrap());
    assert!(!use_it(NOW).await.unwrap());
}

fn device(digest: &str, code: &str, network: &str) -> Waiting {
    Waiting {
        digest: digest.to_owned(),
        user_code: code.to_owned(),
        client: "app".to_owned(),
        network: network.to_owned(),
        asked: "scope=x".to_owned(),
        made: NOW,
        until: NOW.plus(MINUTE * 10),
        pause: Duration::from_secs(5),
    }
}

async fn poll(durable: &Durable, digest: &str, at: Timestamp) -> Polled {
    let polled = durable.poll_device(digest.to_owned(), "app".to_owned(), at);
    polled.await.unwrap()
}

#[tokio::test]
async fn cd_11_a_device_is_decided_about_once_and_collects_once() {
    let (_folder, durable) = durable().await;
    assert!(durable.keep_device(device("d", "c", "n")).await.unwrap());
    assert!(!durable.keep_device(device("e", "c", "n")).await.unwrap());
    let known = |code: &str, at| durable.device_of(code.to_owned(), at);
    assert_eq!(known("c", NOW).await.unwrap(), Some(device("d", "c", "n")));
    assert_eq!(known("d", NOW).await.unwrap(), None);
    assert_eq!(known("c", NOW.plus(MINUTE * 10)).await.unwrap(), None);
    let early = Timestamp::from_seconds(NOW.seconds() - 60);
    assert_eq!(known("c", early).await.unwrap(), None);
    let voucher = (Voucher::Device, "d");
    assert_eq!(show(&durable, voucher, Ok(None), NOW).await, Taken::Unknown);
    let grant = |id: &str| durable.grant_device("d".to_owned(), family(id), String::new());
    assert!(grant("a").await.unwrap());
    assert!(!grant("b").await.unwrap());
    assert!(!durable.deny_device("d".to_owned(), NOW).await.unwrap());
    assert_eq!(known("c", NOW).await.unwrap(), None);
    assert_eq!(poll(&durable, "d", NOW).await, Polled::Granted);
    let other = durable.poll_device("d".to_owned(), "other".to_owned(), NOW);
    assert_eq!(other.await.unwrap(), Polled::Unknown);
    let as_code = show(&durable, (Voucher::Code, "d"), Ok(None), NOW).await;
    assert_eq!(as_code, Taken::Unknown, "another kind of voucher");
    let taken = show(&durable, voucher, Ok(Some(next("r"))), NOW).await;
    assert!(matches!(taken, Taken::Good(..)), "{taken:?}");
    let again = show(&durable, voucher, Ok(None), NOW).await;
    assert!(matches!(again, Taken::Again(_)), "{again:?}");
    assert_eq!(revoked(&durable).await, ["grant_id=a"]);
}

#[tokio::test]
async fn cd_11_a_device_waits_its_turn_and_not_for_ever() {
    let (_folder, durable) = durable().await;
    durable.keep_device(device("d", "c", "n")).await.unwrap();
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    for (seconds, expected) in [
        (0, Polled::Pending),
        (4, Polled::TooSoon),
        (13, Polled::TooSoon),
        (28, Polled::Pending),
        (600, Polled::Over),
    ] {
        assert_eq!(
            poll(&durable, "d", at(seconds)).await,
            expected,
            "{seconds}"
        );
    }
    let denied = durable.deny_device("d".to_owned(), at(600));
    assert!(!denied.await.unwrap(), "too late");
    durable.keep_device(device("f", "g", "n")).await.unwrap();
    assert!(durable.deny_device("f".to_owned(), NOW).await.unwrap());
    assert_eq!(poll(&durable, "f", at(1)).await, Polled::Denied);
    durable.prune(NOW.plus(HOUR * 3)).await.unwrap();
    assert_eq!(poll(&durable, "f", at(1)).await, Polled::Unknown);
}

#[tokio::test]
async fn cd_11_one_network_leaves_room_for_devices_of_others() {
    let (_folder, durable) = durable().await;
    for index in 0..256 {
        let (digest, code) = (format!("d{index}"), format!("c{index}"));
        assert!(
            durable
                .keep_device(device(&digest, &code, "n"))
                .await
                .unwrap()
        );
    }
    assert!(!durable.keep_device(device("x", "x", "n")).await.unwrap());
    assert!(durable.keep_device(device("x", "x", "m")).await.unwrap());
}

#[tokio::test]
async fn cd_11_devices_that_wait_are_few_wherever_they_come_from() {
    let (_folder, durable) = durable().await;
    assert!(durable.keep_device(device("d", "c", "n")).await.unwrap());
    // As if others had come from as many networks.
    let filled = durable.run(|connection| {
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4095)
             INSERT INTO devices (digest, user_code, client, network, asked, made, until, pause)
             SELECT 'd' || i, 'c' || i, client, 'n' || i, asked, made, until, pause
             FROM n, devices WHERE digest = 'd'",
            [],
        )?;
        Ok(())
    });
    filled.await.unwrap();
    assert!(!durable.keep_device(device("x", "x", "m")).await.unwrap());
    let denied = durable.deny_device("d7".to_owned(), NOW).await;
    assert!(denied.unwrap());
    assert!(durable.keep_device(device("x", "x", "m")).await.unwrap());
}

fn back(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(NOW.seconds() - seconds)
}

#[tokio::test]
async fn cd_11_devices_neither_live_longer_nor_wait_for_a_clock_that_is_set() {
    let (_folder, durable) = durable().await;
    for at in [back(3600), NOW.plus(HOUR)] {
        let digest = at.seconds().to_string();
        let waits = device(&digest, &digest, "n");
        assert!(durable.keep_device(waits).await.unwrap());
        assert_eq!(poll(&durable, &digest, NOW).await, Polled::Pending);
        assert_eq!(poll(&durable, &digest, at).await, Polled::Over);
        let known = durable.device_of(digest.clone(), at).await;
        assert_eq!(known.unwrap(), None);
        assert!(!durable.deny_device(digest.clone(), at).await.unwrap());
        let late = Family {
            made: at,
            ..family(&digest)
        };
        let granted = durable.grant_device(digest, late, String::new()).await;
        assert!(!granted.unwrap());
    }
    // One that was polled in what is the future now goes on, and so does a network that had as many as it may.
    durable.keep_device(device("d", "c", "m")).await.unwrap();
    let later = NOW.plus(MINUTE * 5);
    assert_eq!(poll(&durable, "d", later).await, Polled::Pending);
    assert_eq!(poll(&durable, "d", NOW).await, Polled::Pending);
    for index in 0..256 {
        let (digest, code) = (format!("d{index}"), format!("c{index}"));
        durable
            .keep_device(device(&digest, &code, "k"))
            .await
            .unwrap();
    }
    assert!(!durable.keep_device(device("x", "x", "k")).await.unwrap());
    let now = Waiting {
        made: back(3600),
        until: back(3000),
        ..device("x", "x", "k")
    };
    assert!(durable.keep_device(now).await.unwrap());
    assert_eq!(poll(&durable, "x", back(3600)).await, Polled::Pending);
}

#[tokio::test]
async fn cd_11_what_a_device_was_granted_ends_whichever_way_time_jumps() {
    let (_folder, durable) = durable().await;
    for (id, at, is_good) in [
        ("a", back(2), true),
        ("b", back(3600), false),
        ("c", NOW.plus(MINUTE * 9), true),
        ("d", NOW.plus(HOUR), false),
    ] {
        durable.keep_device(device(id, id, "n")).await.unwrap();
        let granted = durable.grant_device(id.to_owned(), family(id), String::new());
        assert!(granted.await.unwrap());
        let taken = show(&durable, (Voucher::Device, id), Ok(None), at).await;
        assert_eq!(matches!(taken, Taken::Good(..)), is_good, "{id} {taken:?}");
    }
}

#[tokio::test]
async fn cd_11_what_was_used_stays_so_after_an_hour_ahead_and_back() {
    let (_folder, durable) = durable().await;
    let ahead = NOW.plus(HOUR);
    let once = |at| durable.use_assertion("x".to_owned(), (NOW.plus(MINUTE), at));
    assert!(once(NOW).await.unwrap());
    // Two families: one has ended, the other one's first token is used.
    for (id, first) in [("a", "r1"), ("b", "r2")] {
        keep(&durable, id).await;
        let code = format!("code-{id}");
        let given = Ok(Some(next(first)));
        show(&durable, (Voucher::Code, &code), given, NOW).await;
    }
    let issuer = (ISSUER.to_owned(), "revoked");
    let ended = durable.end_family("a".to_owned(), issuer, NOW).await;
    assert!(ended.unwrap());
    let given = Ok(Some(next("r3")));
    show(&durable, (Voucher::Refresh, "r2"), given, NOW).await;
    durable.prune(ahead).await.unwrap();
    let stranger = durable.use_assertion("y".to_owned(), (ahead.plus(MINUTE), ahead));
    assert!(stranger.await.unwrap());
    let held = durable.revocations(ahead.plus(MINUTE * 15)).await.unwrap();
    assert_eq!(held.len(), 1, "longer than any access token of it");
    assert!(!once(NOW).await.unwrap());
    let over = show(&durable, (Voucher::Refresh, "r1"), Ok(None), NOW).await;
    assert_eq!(over, Taken::Over(family("a")));
    let again = show(&durable, (Voucher::Refresh, "r2"), Ok(None), NOW).await;
    assert_eq!(again, Taken::Again(family("b")));
    // It is not remembered for ever.
    assert!(once(ahead.plus(MINUTE)).await.unwrap());
}
