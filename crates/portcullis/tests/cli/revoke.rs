//! `portcullis revoke`, `reinstate` and `revocations`: what they say, how they end, and what they write.

use super::{Ran, command, run};
use serde_json::Value;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Stdio;

const CONFIG: &str = "[gateway]\ndata = \".\"\n[issuers.local]\nembedded = true\n[issuers.idp]\nissuer = \
\"https://idp.example\"\n[servers.notes]\ncommand = \"true\"\n";

/// A data directory in which no gateway has run yet.
fn home(config: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    if !config.is_empty() {
        std::fs::write(home.path().join("portcullis.toml"), config).unwrap();
    }
    home
}

fn listed(home: &tempfile::TempDir) -> Vec<Value> {
    let ran = run(home.path(), &["revocations", "--data", ".", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json().as_array().unwrap().clone()
}

#[test]
fn auth_03_what_is_revoked_is_listed_until_it_is_reinstated() {
    let home = home(CONFIG);
    assert_eq!(listed(&home), [] as [Value; 0]);
    let revoke = |arguments: &[&str]| {
        run(
            home.path(),
            &[&["revoke", "--data", "."], arguments].concat(),
        )
    };
    let ran = revoke(&["--subject", "alice", "--reason", "left", "--json"]);
    assert_eq!(
        (ran.code, &ran.json()["kind"]),
        (0, &"subject".into()),
        "{ran:?}"
    );
    let idp = ["--issuer", "https://idp.example"];
    let until = [&idp[..], &["--client", "ide", "--until", "2100-01-01"]].concat();
    assert_eq!(revoke(&until).code, 0);
    let system = revoke(&["--issuer", "os", "--subject", "1000"]);
    assert!(
        system
            .out
            .starts_with("revoked: subject \"1000\" of \"os\""),
        "{system:?}"
    );
    assert_eq!(revoke(&["--token-id", "t-1"]).code, 0);
    let all = listed(&home);
    let told = all.iter().map(|one| {
        let word = |name: &str| one[name].as_str().unwrap_or("-").to_owned();
        [word("kind"), word("issuer"), word("name"), word("reason")]
    });
    let own = "http://127.0.0.1:8848";
    let expected = [
        ["subject", own, "alice", "left"],
        ["client", "https://idp.example", "ide", "-"],
        ["subject", "os", "1000", "-"],
        ["token", own, "t-1", "-"],
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(all[1]["issued_until"], "2100-01-01T00:00:00.000000Z");
    let text = run(home.path(), &["revocations", "--data", "."]);
    assert_eq!(text.out.lines().count(), 4, "{text:?}");

    let reinstate = |arguments: &[&str]| {
        run(
            home.path(),
            &[&["reinstate", "--data", "."], arguments].concat(),
        )
    };
    assert_eq!(reinstate(&["--subject", "alice"]).code, 0);
    let again = reinstate(&["--subject", "alice"]);
    assert_eq!(
        (again.code, again.err.contains("nothing is revoked")),
        (1, true),
        "{again:?}"
    );
    assert_eq!(listed(&home).len(), 3);
    let mode = std::fs::metadata(home.path().join("state.db")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn auth_03_a_slip_of_the_pen_revokes_nothing() {
    let with_own = home(CONFIG);
    let without = home(&CONFIG.replace("[issuers.local]\nembedded = true\n", ""));
    let bare = home("");
    let rows = [
        (&with_own, "revoke", 2, "required"),
        (
            &with_own,
            "revoke --subject a --client b",
            2,
            "cannot be used",
        ),
        (&with_own, "revoke --token eyJh", 2, "possible values"),
        (
            &with_own,
            "revoke --token-id x --until 1h",
            2,
            "cannot be used",
        ),
        (&with_own, "revoke --subject a --until soon", 2, "no time"),
        (&with_own, "revoke --subject=", 1, "empty or too long"),
        (
            &with_own,
            "revoke --subject a --issuer typo",
            1,
            "no server here trusts",
        ),
        (&with_own, "reinstate --subject a", 1, "nothing is revoked"),
        (&with_own, "reinstate", 2, "required"),
        (
            &without,
            "revoke --subject a",
            1,
            "are: https://idp.example, os",
        ),
        (&bare, "revoke --subject a", 1, "--issuer"),
    ];
    for (home, line, code, says) in rows {
        let arguments: Vec<&str> = line.split(' ').chain(["--data", "."]).collect();
        let ran = run(home.path(), &arguments);
        let outcome = (ran.code, ran.err.contains(says));
        assert_eq!(outcome, (code, true), "{line} {ran:?}");
    }
    let nowhere = ["revoke", "--subject", "a", "--data", "nowhere"];
    assert_eq!(run(with_own.path(), &nowhere).code, 1);
    assert_eq!(listed(&with_own), [] as [Value; 0]);
    let ran = run(
        bare.path(),
        &["revoke", "--data", ".", "--issuer", "os", "--subject", "1"],
    );
    assert_eq!(ran.code, 0, "no configuration is needed: {ran:?}");
}

#[test]
fn auth_03_a_token_is_read_from_stdin_and_shown_nowhere() {
    let home = home(CONFIG);
    // {"iss":"https://idp.example","jti":"t-9"}
    let claims = "eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwianRpIjoidC05In0";
    let nameless = "eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIn0";
    for (token, code, says) in [
        (format!("e30.{claims}.c2VjcmV0\n"), 0, "t-9"),
        (format!("e30.{nameless}.c2VjcmV0\n"), 1, "no `jti`"),
        ("c2VjcmV0".to_owned(), 1, "no JWT"),
        (String::new(), 1, "no JWT"),
    ] {
        let mut child = command(home.path(), &["revoke", "--data", ".", "--token", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(token.as_bytes())
            .unwrap();
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert_eq!(
            (done.status.code(), said.contains(says)),
            (Some(code), true),
            "{said}"
        );
        assert!(!said.contains("c2VjcmV0"), "{said}");
    }
    assert_eq!(listed(&home).len(), 1);
}

#[test]
fn auth_03_no_gateway_starts_on_a_database_that_it_cannot_trust() {
    type Spoil = fn(&std::path::Path);
    let spoil: [(&str, &str, Spoil); 3] = [
        ("state.newer", "knows versions up to", |file| {
            // The last byte of `user_version` (SQLite file format, section 1.3.13).
            let bytes = std::fs::OpenOptions::new().write(true).open(file).unwrap();
            bytes.write_all_at(&[99], 63).unwrap();
        }),
        ("state.damaged", "is damaged", |file| {
            std::fs::write(file, "no database at all, ".repeat(400)).unwrap();
        }),
        ("state.mode", "chmod 600", |file| {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
        }),
    ];
    for (id, says, spoil) in spoil {
        let home = home("");
        let revoke = ["revoke", "--data", ".", "--issuer", "os", "--subject", "1"];
        assert_eq!(run(home.path(), &revoke).code, 0);
        spoil(&home.path().join("state.db"));
        let up = ["up", "--data", ".", "--listen", "127.0.0.1:0"];
        for arguments in [&up[..], &revoke, &["revocations", "--data", "."]] {
            let ran: Ran = run(home.path(), arguments);
            assert_eq!(ran.code, 1, "{arguments:?} {ran:?}");
            assert!(
                ran.err.contains(says) && ran.err.contains("state.db"),
                "{ran:?}"
            );
        }
        let doctor = run(home.path(), &["doctor", "--data", ".", "--json"]);
        let found = doctor.json()["findings"].clone();
        let mut found = found.as_array().unwrap().iter();
        assert!(found.any(|found| found["id"] == id), "{id} {doctor:?}");
        assert_eq!(doctor.code, 1);
    }
}
