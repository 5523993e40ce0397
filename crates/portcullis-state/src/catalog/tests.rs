//! What becomes of definitions in the database.

use super::*;
use portcullis_core::catalog::{Needed, Provenance};
use std::path::PathBuf;

const NOW: Timestamp = Timestamp::from_seconds(1_000);

/// A notary whose signature is the hash of all that it signs, under a secret.
fn notary(secret: &'static str) -> Notary {
    let sign = move |head: &Head| Digest::of(format!("{secret}{head:?}").as_bytes()).to_string();
    Notary::new(
        move |head| Some(sign(head)),
        move |head, given| sign(head) == given,
    )
}

async fn reopened(file: &std::path::Path) -> Catalog {
    Catalog::new(Durable::open(file).await.unwrap(), notary("ours"))
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    (folder, file)
}

fn tool(version: usize) -> Definition {
    let raw = format!(r#"{{"name":"add","description":"version {version}"}}"#);
    Definition::read(Kind::Tool, &raw).unwrap()
}

fn sighting(definitions: Vec<Definition>) -> Sighting {
    let provenance = Provenance {
        era: "2026-07-28".to_owned(),
        transport: "http".to_owned(),
        origin: "http://127.0.0.1:1/mcp".to_owned(),
    };
    Sighting::new(definitions, provenance, "ann".to_owned())
}

fn thing() -> Thing {
    Thing {
        server: "calc".into(),
        kind: Kind::Tool,
        name: "add".into(),
    }
}

fn by(who: &str, needed: Needed) -> Decision {
    Decision {
        by: who.to_owned(),
        person: None,
        reason: Some("because".to_owned()),
        needed,
        at: NOW,
    }
}

async fn see(catalog: &Catalog, version: usize) -> Vec<Noticed> {
    let sighting = sighting(vec![tool(version)]);
    catalog.seen(&"calc".into(), sighting, NOW).await.unwrap()
}

async fn approve(catalog: &Catalog, version: usize) {
    let digest = tool(version).digest();
    let decided = catalog.approve(thing(), digest, by("uid:1", Needed::One));
    assert_eq!(decided.await.unwrap().unwrap().deed, Deed::Approved);
}

async fn served(catalog: &Catalog) -> Vec<Digest> {
    let news = catalog.news(None).await.unwrap().unwrap();
    let digests = news.approved.iter().map(|one| one.definition.digest());
    digests.collect()
}

#[tokio::test]
async fn poi_07_ten_changes_are_ten_linked_versions_and_one_that_is_missing_is_found() {
    let (_folder, file) = place();
    let catalog = reopened(&file).await;
    for version in 0..10 {
        assert_eq!(see(&catalog, version).await.len(), 1);
        assert_eq!(see(&catalog, version).await, []);
    }
    let read = catalog.histories(None).await.unwrap();
    let history = read[0].1.as_ref().unwrap();
    assert_eq!(history.events().len(), 10);
    for (event, next) in history.events().iter().zip(&history.events()[1..]) {
        assert_eq!(next.parent, Some(event.hash));
    }
    for tampering in [
        "DELETE FROM catalog_events WHERE place = 5",
        "DELETE FROM catalog_events WHERE place = 10",
        "UPDATE catalog_events SET by = 'eve' WHERE place = 3",
        "UPDATE catalog_events SET digest = (SELECT digest FROM catalog_events WHERE place = 1) WHERE place = 10",
        "UPDATE catalog_events SET deed = 'approved' WHERE place = 10",
        "DELETE FROM catalog_heads",
        "UPDATE catalog_texts SET canonical = replace(canonical, 'version 4', 'version 5')",
    ] {
        let copy = file.with_extension("copy");
        let connection = Connection::open(&file).unwrap();
        connection
            .execute("VACUUM INTO ?", [copy.to_str().unwrap()])
            .unwrap();
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let edited = Connection::open(&copy).unwrap();
        assert!(edited.execute(tampering, []).is_err() || tampering.contains("heads"));
        disarm(&edited);
        edited.execute(tampering, []).unwrap();
        drop(edited);
        let catalog = reopened(&copy).await;
        let read = catalog.histories(None).await.unwrap();
        assert!(read[0].1.is_err(), "{tampering}");
        std::fs::remove_file(&copy).unwrap();
    }
}

/// Whoever edits the file is not stopped by its triggers.
fn disarm(connection: &Connection) {
    for name in [
        "catalog_events_stay",
        "catalog_events_stay_so",
        "catalog_texts_stay",
        "catalog_texts_stay_so",
    ] {
        connection
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .unwrap();
    }
}

#[tokio::test]
async fn dyn_01_only_the_version_that_was_looked_at_is_approved() {
    let (_folder, file) = place();
    let catalog = reopened(&file).await;
    see(&catalog, 1).await;
    assert_eq!(served(&catalog).await, []);
    approve(&catalog, 1).await;
    assert_eq!(served(&catalog).await, [tool(1).digest()]);
    see(&catalog, 2).await;
    assert_eq!(served(&catalog).await, [tool(1).digest()]);
    let decided = catalog.approve(thing(), tool(1).digest(), by("uid:1", Needed::One));
    let other = Undecided::Other(tool(2).digest());
    assert_eq!(decided.await.unwrap(), Err(other.into()));
    let digest = tool(2).digest();
    for (who, expected) in [
        ("ann", Ok(Deed::Endorsed)),
        ("ann", Err(Undone::Undecided(Undecided::SamePerson))),
        ("bea", Ok(Deed::Approved)),
    ] {
        let decided = catalog.approve(thing(), digest, by(who, Needed::Two));
        assert_eq!(decided.await.unwrap().map(|outcome| outcome.deed), expected);
    }
    assert_eq!(served(&catalog).await, [digest]);
}

#[tokio::test]
async fn dyn_02_an_earlier_version_is_served_again_and_the_later_one_does_not_wait() {
    let (_folder, file) = place();
    let catalog = reopened(&file).await;
    for version in [1, 2] {
        see(&catalog, version).await;
        approve(&catalog, version).await;
    }
    let back = catalog.rollback(thing(), None, by("uid:1", Needed::One));
    let back = back.await.unwrap().unwrap();
    assert_eq!(
        (back.old, back.digest),
        (Some(tool(2).digest()), tool(1).digest())
    );
    assert_eq!(back.standing.pending(), None);
    assert_eq!(served(&catalog).await, [tool(1).digest()]);
    let never = catalog.rollback(thing(), Some(tool(3).digest()), by("uid:1", Needed::One));
    assert_eq!(never.await.unwrap(), Err(Undecided::Never.into()));
    let forward = catalog.rollback(thing(), Some(tool(2).digest()), by("uid:1", Needed::One));
    forward.await.unwrap().unwrap();
    assert_eq!(served(&catalog).await, [tool(2).digest()]);
    let told = catalog.durable.review_events().await.unwrap();
    let names: Vec<_> = told.iter().map(|(_, told)| told.event.as_str()).collect();
    assert_eq!(
        names,
        [
            "tool.approved",
            "tool.approved",
            "tool.rolled_back",
            "tool.rolled_back"
        ]
    );
}

#[tokio::test]
async fn poi_08_what_is_edited_is_not_served_and_the_rest_is() {
    let (_folder, file) = place();
    let catalog = reopened(&file).await;
    let other = Definition::read(Kind::Tool, r#"{"name":"other"}"#).unwrap();
    let sighting = sighting(vec![other.clone()]);
    catalog.seen(&"calc".into(), sighting, NOW).await.unwrap();
    let named = Thing {
        name: "other".into(),
        ..thing()
    };
    let decided = catalog.approve(named, other.digest(), by("uid:1", Needed::One));
    decided.await.unwrap().unwrap();
    see(&catalog, 1).await;
    approve(&catalog, 1).await;
    see(&catalog, 2).await;
    let seen = catalog.news(None).await.unwrap().unwrap().epoch;
    assert!(catalog.news(Some(seen)).await.unwrap().is_none());
    let edited = Connection::open(&file).unwrap();
    disarm(&edited);
    let sql = "UPDATE catalog_events SET digest = ?1 WHERE name = 'add' AND deed = 'approved'";
    edited.execute(sql, [tool(2).digest().to_string()]).unwrap();
    assert_eq!(served(&catalog).await, [other.digest()]);
    let news = catalog.news(None).await.unwrap().unwrap();
    assert_eq!(
        news.forged,
        [Forged {
            thing: thing(),
            why: Broken::Rewritten(2)
        }]
    );
    // Nothing is built on what is not believed.
    assert_eq!(see(&catalog, 3).await, []);
    let decided = catalog.approve(thing(), tool(2).digest(), by("uid:1", Needed::One));
    assert_eq!(decided.await.unwrap(), Err(Broken::Rewritten(2).into()));
    // Also if the rest of the chain is written anew, without our key.
    let foreign = Catalog::new(Durable::open(&file).await.unwrap(), notary("theirs"));
    assert_eq!(served(&foreign).await, []);
}

#[tokio::test]
async fn dyn_03_what_a_server_defines_no_more_is_removed_and_what_flaps_ends_at_a_bound() {
    let (_folder, file) = place();
    let catalog = reopened(&file).await;
    see(&catalog, 1).await;
    approve(&catalog, 1).await;
    let mut empty = sighting(Vec::new());
    empty.whole = vec![Kind::Tool];
    let gone = catalog
        .seen(&"calc".into(), empty.clone(), NOW)
        .await
        .unwrap();
    assert_eq!(gone[0].deed, Deed::Removed);
    assert_eq!(catalog.seen(&"calc".into(), empty, NOW).await.unwrap(), []);
    assert_eq!(served(&catalog).await, [tool(1).digest()]);
    let decided = catalog.approve(thing(), tool(1).digest(), by("uid:1", Needed::One));
    assert_eq!(decided.await.unwrap(), Err(Undecided::Gone.into()));
    let most = usize::try_from(MAX_EVENTS).unwrap();
    for version in 2..most + 10 {
        see(&catalog, version % 2).await;
    }
    let read = catalog.histories(Some("calc".to_owned())).await.unwrap();
    assert_eq!(read[0].1.as_ref().unwrap().events().len(), most + 1);
    assert_eq!(served(&catalog).await, [tool(1).digest()]);
}
