//! What a thief of the database gets, what fits nowhere else, and a wrapping key that changes.

use super::*;
use std::path::Path;
use tempfile::TempDir;

const CANARY: &[u8] = b"canary-refresh-token-of-alice";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn sealer(&self) -> Result<Sealer, NotSealed> {
        let durable = Durable::open(&self.0.path().join("state.db"))
            .await
            .map_err(Failed::from)?;
        Sealer::open(&durable, WrappingKeys::within(self.0.path())).await
    }

    fn keys(&self) -> Vec<PathBuf> {
        files(self.0.path(), |name| name.starts_with("wrapping-"))
    }

    fn database(&self) -> Vec<u8> {
        let files = files(self.0.path(), |name| name.starts_with("state.db"));
        files
            .iter()
            .flat_map(|file| std::fs::read(file).unwrap())
            .collect()
    }
}

fn files(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| wanted(path.file_name().unwrap().to_str().unwrap()));
    files.sort();
    files
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

fn slot<'a>(tenant: &'a str, row: &'a str) -> Slot<'a> {
    Slot {
        tenant,
        purpose: "test",
        row,
    }
}

fn canary() -> Secret<Vec<u8>> {
    Secret::new(CANARY.to_vec())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn tok_12_what_is_sealed_opens_at_its_place_only() {
    let home = Home::new();
    run(async {
        let sealer = home.sealer().await.unwrap();
        let token = sealer.seal(slot("acme", "1"), &canary()).await.unwrap();
        assert!(!contains(&token, b"canary"));
        let again = sealer.seal(slot("acme", "1"), &canary()).await.unwrap();
        assert_ne!(token, again, "a nonce of its own each time");
        sealer.seal(slot("other", "1"), &canary()).await.unwrap();
        let elsewhere = Slot {
            purpose: "else",
            ..slot("acme", "1")
        };
        for (place, what) in [
            (slot("other", "1"), "tenant"),
            (slot("nobody", "1"), "tenant without a key"),
            (slot("acme", "2"), "row"),
            (slot("acmetest1", "1"), "shifted texts"),
            (elsewhere, "purpose"),
        ] {
            let opened = sealer.reveal(place, &token).await;
            assert!(matches!(opened, Err(NotSealed::Broken)), "{what}");
        }
        for at in 0..token.len() {
            let mut changed = token.clone();
            changed[at] ^= 1;
            let opened = sealer.reveal(slot("acme", "1"), &changed).await;
            assert!(matches!(opened, Err(NotSealed::Broken)), "byte {at}");
            let opened = sealer.reveal(slot("acme", "1"), &token[..at]).await;
            assert!(matches!(opened, Err(NotSealed::Broken)), "cut at {at}");
        }
        let opened = sealer.reveal(slot("acme", "1"), &token).await.unwrap();
        assert_eq!(opened.expose(), CANARY);
        // Another process, or the same after a restart.
        let other = home.sealer().await.unwrap();
        let opened = other.reveal(slot("acme", "1"), &token).await.unwrap();
        assert_eq!(opened.expose(), CANARY);
    });
}

#[test]
fn tok_12_the_database_alone_opens_nothing() {
    let home = Home::new();
    run(async {
        let sealer = home.sealer().await.unwrap();
        let token = sealer.seal(slot("acme", "1"), &canary()).await.unwrap();
        let key = std::fs::read(&home.keys()[0]).unwrap();
        assert_eq!(key.len(), KEY_BYTES);
        assert!(!contains(&home.database(), &key));
        drop(sealer);
        std::fs::remove_file(&home.keys()[0]).unwrap();
        let lost = home.sealer().await;
        assert!(matches!(lost, Err(NotSealed::Wrapping { .. })), "{lost:?}");
        assert!(home.keys().is_empty(), "no new key in place of a lost one");
        // A key of somebody else in its place.
        let other = Home::new();
        other.sealer().await.unwrap();
        let name = home.0.path().join("wrapping-0011223344556677.key");
        std::fs::copy(&other.keys()[0], &name).unwrap();
        assert!(home.sealer().await.is_err());
        assert!(!contains(&token, CANARY));
    });
}

#[test]
fn tok_12_a_wrapping_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    run(async {
        home.sealer().await.unwrap();
        let file = &home.keys()[0];
        let mode = |mode| std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode));
        assert_eq!(
            std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        mode(0o640).unwrap();
        let refused = home.sealer().await.unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        mode(0o600).unwrap();
        home.sealer().await.unwrap();
    });
}

#[test]
fn tok_12_a_new_wrapping_key_opens_what_the_old_one_did() {
    let home = Home::new();
    run(async {
        let (sealer, other) = (home.sealer().await.unwrap(), home.sealer().await.unwrap());
        let token = sealer.seal(slot("acme", "1"), &canary()).await.unwrap();
        sealer.seal(slot("other", "1"), &canary()).await.unwrap();
        let old = home.keys();
        let rewrapped = sealer.rewrap().await.unwrap();
        assert_eq!(rewrapped.keys, 2);
        let new = home.keys();
        assert_eq!((old.len(), new.len()), (1, 1));
        assert_ne!(old, new, "the old one is destroyed");
        // One that was open before, one that is opened after, and one that makes a key meanwhile.
        for sealer in [&sealer, &other, &home.sealer().await.unwrap()] {
            let opened = sealer.reveal(slot("acme", "1"), &token).await.unwrap();
            assert_eq!(opened.expose(), CANARY);
        }
        let later = other.seal(slot("late", "1"), &canary()).await.unwrap();
        let opened = sealer.reveal(slot("late", "1"), &later).await.unwrap();
        assert_eq!(opened.expose(), CANARY);
    });
}

#[test]
fn tok_12_a_rewrapping_that_broke_off_leaves_a_sound_state() {
    let home = Home::new();
    run(async {
        let sealer = home.sealer().await.unwrap();
        let token = sealer.seal(slot("acme", "1"), &canary()).await.unwrap();
        let old = home.keys();
        // Killed after the new key was written and before the transaction was done.
        WrappingKeys::within(home.0.path()).make().unwrap();
        assert_eq!(home.keys().len(), 2);
        let sealer = home.sealer().await.unwrap();
        assert_eq!(home.keys(), old, "what nothing refers to is gone");
        let opened = sealer.reveal(slot("acme", "1"), &token).await.unwrap();
        assert_eq!(opened.expose(), CANARY);
        // Killed after the transaction and before the old key was destroyed.
        let before = std::fs::read(&old[0]).unwrap();
        sealer.rewrap().await.unwrap();
        std::fs::write(&old[0], before).unwrap();
        let sealer = home.sealer().await.unwrap();
        assert!(!old[0].exists());
        let opened = sealer.reveal(slot("acme", "1"), &token).await.unwrap();
        assert_eq!(opened.expose(), CANARY);
    });
}

#[test]
fn tok_12_a_rewrapping_that_fails_leaves_the_old_key_only() {
    let home = Home::new();
    run(async {
        let sealer = home.sealer().await.unwrap();
        let token = sealer.seal(slot("acme", "1"), &canary()).await.unwrap();
        let old = home.keys();
        // What was wrapped does not open with what is there now.
        let own = std::fs::read(&old[0]).unwrap();
        std::fs::write(&old[0], [7; 32]).unwrap();
        for _ in 0..3 {
            assert!(sealer.rewrap().await.is_err());
            assert_eq!(home.keys(), old);
        }
        std::fs::write(&old[0], own).unwrap();
        sealer.rewrap().await.unwrap();
        let opened = sealer.reveal(slot("acme", "1"), &token).await.unwrap();
        assert_eq!(opened.expose(), CANARY);
    });
}

#[test]
fn tok_12_bounds_hold() {
    let home = Home::new();
    run(async {
        let sealer = home.sealer().await.unwrap();
        let (long, longest) = ("x".repeat(MAX_SLOT_BYTES + 1), "x".repeat(MAX_SLOT_BYTES));
        let secret = |bytes: usize| Secret::new(vec![7; bytes]);
        for (place, bytes, is_fit) in [
            (slot("acme", "1"), MAX_SECRET_BYTES, true),
            (slot("acme", "1"), MAX_SECRET_BYTES + 1, false),
            (slot("acme", "1"), 0, false),
            (slot("", "1"), 1, false),
            (slot("acme", ""), 1, false),
            (slot(&long, "1"), 1, false),
            (slot(&longest, &longest), 1, true),
        ] {
            let token = sealer.seal(place, &secret(bytes)).await;
            assert_eq!(token.is_ok(), is_fit, "{bytes}");
            if let Ok(token) = token {
                let opened = sealer.reveal(place, &token).await.unwrap();
                assert_eq!(opened.expose().len(), bytes);
            }
        }
        let fill = "INSERT INTO data_keys SELECT 't' || value, (SELECT max(number) FROM wrapping_keys), x'00' FROM (WITH RECURSIVE n(value) AS (SELECT 3 UNION ALL SELECT value + 1 FROM n WHERE value < ?1) SELECT value FROM n)";
        let most = i64::try_from(MAX_TENANTS).unwrap();
        let filled = sealer.0.durable.run(move |connection| {
            connection.execute(fill, [most])?;
            Ok(())
        });
        filled.await.unwrap();
        let refused = sealer.seal(slot("one more", "1"), &canary()).await;
        assert!(matches!(refused, Err(NotSealed::Unfit)), "{refused:?}");
    });
}
