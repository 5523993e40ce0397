//! Databases that are new, newer, damaged, somebody else's, lost and found.

use super::*;
use std::fs::Permissions;
use std::os::unix::fs::FileExt as _;
use tempfile::TempDir;

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("state.db");
    (home, file)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn open(file: &Path) -> Result<Durable, NotOpened> {
    runtime().block_on(Durable::open(file))
}

fn ask(durable: &Durable, pragma: &'static str) -> Result<String, Failed> {
    runtime().block_on(durable.run(move |connection| {
        let value: rusqlite::types::Value = connection.query_row(pragma, [], |row| row.get(0))?;
        Ok(format!("{value:?}"))
    }))
}

#[test]
fn auth_03_a_new_database_is_private_and_durable() {
    let (_home, file) = home();
    let durable = open(&file).unwrap();
    for (pragma, value) in [
        ("PRAGMA journal_mode", "Text(\"wal\")"),
        ("PRAGMA synchronous", "Integer(2)"),
        ("PRAGMA foreign_keys", "Integer(1)"),
        ("PRAGMA busy_timeout", "Integer(2000)"),
        ("PRAGMA user_version", "Integer(15)"),
    ] {
        assert_eq!(ask(&durable, pragma).unwrap(), value, "{pragma}");
    }
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let mode = std::fs::metadata(file.with_file_name(name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
    }
    drop(durable);
    assert_eq!(
        examine(&file).unwrap(),
        Examined {
            version: 15,
            known: 15
        }
    );
}

#[test]
fn auth_03_processes_that_start_together_make_one_database() {
    let (_home, file) = home();
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| open(&file).map(drop)))
            .collect();
        for start in starts {
            start.join().unwrap().unwrap();
        }
    });
    assert_eq!(examine(&file).unwrap().version, 15);
}

#[test]
fn auth_03_what_cannot_be_trusted_is_not_opened() {
    type Prepare<'a> = &'a dyn Fn(&Path);
    let change = |sql: &'static str| {
        move |file: &Path| {
            drop(open(file).unwrap());
            Connection::open(file).unwrap().execute_batch(sql).unwrap();
        }
    };
    let rows: [(&str, Prepare<'_>); 6] = [
        (
            "knows versions up to 15",
            &change("PRAGMA user_version = 16"),
        ),
        (
            "a database of another program",
            &change("PRAGMA application_id = 7"),
        ),
        ("a database of another program", &|file: &Path| {
            let other = Connection::open(file).unwrap();
            other.execute_batch("CREATE TABLE x (y)").unwrap();
            std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        }),
        ("is damaged", &|file: &Path| {
            std::fs::write(
                file,
                "this is no database, but it is long enough".repeat(40),
            )
            .unwrap();
            std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        }),
        ("is damaged", &|file: &Path| {
            drop(open(file).unwrap());
            let bytes = OpenOptions::new().write(true).open(file).unwrap();
            let length = bytes.metadata().unwrap().len();
            for page in 1..length / 4096 {
                bytes.write_all_at(&[0xa5; 4000], page * 4096).unwrap();
            }
        }),
        ("chmod 600", &|file: &Path| {
            drop(open(file).unwrap());
            std::fs::set_permissions(file, Permissions::from_mode(0o640)).unwrap();
        }),
    ];
    for (expected, prepare) in rows {
        let (_home, file) = home();
        prepare(&file);
        let why = open(&file).map(drop).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
        assert!(why.contains("state.db"), "{why}");
        if expected != "chmod 600" {
            let seen = examine(&file).unwrap_err().to_string();
            assert_eq!(seen.split(" (").next(), why.split(" (").next());
        }
    }
}

#[test]
fn auth_03_what_was_moved_away_or_replaced_is_not_read_on() {
    let (_home, file) = home();
    let durable = open(&file).unwrap();
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    let why = ask(&durable, "PRAGMA user_version").unwrap_err();
    assert!(
        matches!(why, Failed::Lost(NotOpened::Missing { .. })),
        "{why}"
    );
    std::fs::write(&file, "another").unwrap();
    assert!(ask(&durable, "PRAGMA user_version").is_err());
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(ask(&durable, "PRAGMA user_version").unwrap(), "Integer(15)");
}

#[test]
fn auth_03_a_database_of_the_first_version_keeps_what_was_revoked() {
    let (_home, file) = home();
    let old = Connection::open(&file).unwrap();
    old.execute_batch(include_str!("0001.sql")).unwrap();
    old.execute_batch(
        "PRAGMA application_id = 0x504f5254; PRAGMA user_version = 1;
         INSERT INTO revocations (kind, issuer, name, issued_until, made, made_by, expires, changed)
         VALUES ('subject', 'https://idp.example', 'alice', 7, 7, 'uid:1', 900, 1)",
    )
    .unwrap();
    drop(old);
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let durable = open(&file).unwrap();
    let source = ask(
        &durable,
        "SELECT source FROM revocations WHERE name = 'alice'",
    );
    assert_eq!(source.unwrap(), "Text(\"operator\")");
}
