//! `portcullis import`.

use super::{Ran, run};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const SECRET: &str = "hunter2hunter2";

/// A file of each client, with a secret in it.
const CLIENTS: [(&str, &str); 5] = [
    (
        "claude_desktop_config.json",
        r#"{"mcpServers": {"GitHub": {"command": "npx", "args": ["-y", "pkg"], "env": {"GITHUB_TOKEN": "hunter2hunter2"}}}}"#,
    ),
    (
        ".claude.json",
        r#"{"mcpServers": {"hub": {"type": "http", "url": "https://hub.example/mcp", "headers": {"Authorization": "Bearer hunter2hunter2"}}}}"#,
    ),
    (
        "cursor.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "headers": {"X-Api-Key": "hunter2hunter2"}}}}"#,
    ),
    (
        "windsurf.json",
        r#"{"mcpServers": {"w": {"serverUrl": "https://w.example/mcp", "headers": {"X-Api-Key": "hunter2hunter2"}}}}"#,
    ),
    (
        "vscode.json",
        "{\n// mine\n\"servers\": {\"v\": {\"type\": \"stdio\", \"command\": \"x\", \"env\": {\"API_KEY\": \"hunter2hunter2\"},},}}",
    ),
];

fn import(home: &Path, arguments: &[&str]) -> Ran {
    let ran = run(home, &[&["import"], arguments].concat());
    assert!(
        !ran.out.contains(SECRET) && !ran.err.contains(SECRET),
        "{ran:?}"
    );
    ran
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_file_of_each_client_becomes_ours_and_its_secrets_go_into_files() {
    for (name, text) in CLIENTS {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::write(home.path().join(name), text).unwrap();
        let ran = import(home.path(), &[name, "--data", "data"]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(
            ran.err.contains("a secret was moved"),
            "{name}: {}",
            ran.err
        );
        let written = std::fs::read_to_string(home.path().join("portcullis.toml")).unwrap();
        assert!(!written.contains(SECRET), "{name}: {written}");
        let secrets: Vec<_> = std::fs::read_dir(data.join("secrets"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(secrets.len(), 1, "{name}");
        assert!(
            std::fs::read_to_string(&secrets[0])
                .unwrap()
                .contains(SECRET)
        );
        assert!(
            written.contains(secrets[0].to_str().unwrap()),
            "{name}: {written}"
        );
        assert_eq!(
            (mode(&secrets[0]), mode(&data.join("secrets")), mode(&data)),
            (0o600, 0o700, 0o700)
        );
        assert_eq!(
            std::fs::read_to_string(home.path().join(name)).unwrap(),
            text,
            "{name} is as it was"
        );
        let checked = run(home.path(), &["check"]);
        assert_eq!(checked.code, 0, "{name}: {checked:?}");
    }
}

#[test]
fn nothing_is_overwritten_unless_it_is_forced() {
    let home = tempfile::tempdir().unwrap();
    let (name, text) = CLIENTS[0];
    std::fs::write(home.path().join(name), text).unwrap();
    std::fs::write(home.path().join("mine.toml"), "# mine\n").unwrap();
    let arguments = [name, "--data", "data", "--output", "mine.toml"];
    let ran = import(home.path(), &arguments);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("mine.toml") && ran.err.contains("--force"),
        "{}",
        ran.err
    );
    assert_eq!(
        std::fs::read_to_string(home.path().join("mine.toml")).unwrap(),
        "# mine\n"
    );
    assert!(
        !home.path().join("data").exists(),
        "nothing at all was written"
    );
    assert_eq!(
        import(home.path(), &[&arguments[..], &["--force"]].concat()).code,
        0
    );
    assert!(
        std::fs::read_to_string(home.path().join("mine.toml"))
            .unwrap()
            .contains("[servers.")
    );
    assert_eq!(mode(&home.path().join("mine.toml")), 0o600);
    // A secret that is there is not replaced either.
    assert_eq!(
        import(
            home.path(),
            &[name, "--data", "data", "--output", "other.toml"]
        )
        .code,
        1
    );
    assert!(!home.path().join("other.toml").exists());
    assert_eq!(
        import(home.path(), &[&arguments[..], &["--force"]].concat()).code,
        0
    );
}

#[test]
fn a_dry_run_shows_all_but_the_secrets_and_writes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (name, text) = CLIENTS[1];
    std::fs::write(home.path().join(name), text).unwrap();
    let ran = import(home.path(), &[name, "--data", "data", "--dry-run"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("[servers.hub]"), "{}", ran.out);
    let json = import(
        home.path(),
        &[name, "--data", "data", "--dry-run", "--json"],
    )
    .json();
    assert_eq!(
        (&json["written"], json["secrets"].as_array().unwrap().len()),
        (&false.into(), 1)
    );
    assert!(
        json["content"].as_str().unwrap().contains("[servers.hub]") && json["notes"].is_array()
    );
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    let json = import(home.path(), &[name, "--data", "data", "--json"]).json();
    assert_eq!(
        (&json["written"], &json["content"], &json["output"]),
        (&true.into(), &().into(), &"portcullis.toml".into())
    );
}

#[test]
fn a_wrapped_copy_is_written_and_the_original_stays() {
    let home = tempfile::tempdir().unwrap();
    let (name, text) = CLIENTS[0];
    std::fs::write(home.path().join(name), text).unwrap();
    let dry = import(
        home.path(),
        &[name, "--wrap", "--output", "copy.json", "--dry-run"],
    );
    assert_eq!(dry.code, 0);
    assert!(!home.path().join("copy.json").exists());
    assert_eq!(
        import(home.path(), &[name, "--wrap", "--output", "copy.json"]).code,
        0
    );
    let copy = std::fs::read_to_string(home.path().join("copy.json")).unwrap();
    assert!(
        copy.contains(r#""args": ["wrap", "--name", "github", "--", "npx", "-y", "pkg"]"#),
        "{copy}"
    );
    assert!(copy.contains(env!("CARGO_BIN_EXE_portcullis")));
    assert_eq!(
        mode(&home.path().join("copy.json")),
        0o600,
        "it holds the secrets of the original"
    );
    for output in [name, "./link.json"] {
        if output != name {
            std::os::unix::fs::symlink(name, home.path().join(output)).unwrap();
        }
        let ran = import(
            home.path(),
            &[name, "--wrap", "--output", output, "--force"],
        );
        assert_eq!(ran.code, 1, "{ran:?}");
    }
    assert_eq!(
        std::fs::read_to_string(home.path().join(name)).unwrap(),
        text
    );
}

#[test]
fn what_cannot_be_imported_is_said() {
    let home = tempfile::tempdir().unwrap();
    for (text, code, said) in [
        (Some("{"), 1, "line 1, column 1"),
        (Some("{}"), 1, "mcpServers"),
        (
            Some(r#"{"mcpServers": {"a": {"command": "x", "disabled": true}}}"#),
            1,
            "no server",
        ),
        (None, 2, "cannot read"),
    ] {
        let file = home.path().join("client.json");
        match text {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let ran = import(home.path(), &["client.json", "--data", "data"]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(!home.path().join("portcullis.toml").exists());
    }
}

#[test]
fn no_secret_of_an_argument_or_a_url_is_shown() {
    let home = tempfile::tempdir().unwrap();
    let text = r#"{"mcpServers": {
        "a": {"command": "x", "args": ["--token", "hunter2hunter2", "--api-key=hunter2hunter2", "-e", "keep=this",
            "-e", "API_KEY=hunter2hunter2", "--header", "Authorization: Bearer hunter2hunter2",
            "https://a.example/mcp?key=hunter2hunter2"]},
        "b": {"url": "https://b.example/mcp?tenant=acme&apiKey=hunter2hunter2&x=1"},
        "c": {"url": "https://c.example/key/hunter2hunter2/sse"},
        "d": {"url": "https://d.example/mcp?tenant=acme"}}}"#;
    std::fs::write(home.path().join("mcp.json"), text).unwrap();
    for more in [&[][..], &["--json"]] {
        let arguments = [&["mcp.json", "--data", "data", "--dry-run"], more].concat();
        let ran = import(home.path(), &arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        for shown in [
            "--api-key=***",
            "keep=this",
            "API_KEY=***",
            "Authorization: ***",
            "https://a.example/mcp?key=***",
            "https://b.example/mcp?tenant=acme&apiKey=***&x=1",
            "https://c.example/key/***/sse",
            "https://d.example/mcp?tenant=acme",
        ] {
            assert!(ran.out.contains(shown), "{shown}: {}", ran.out);
        }
    }
    // What is written is what the server needs: arguments as they were, a URL with a secret in a file of its own.
    let ran = import(home.path(), &["mcp.json", "--data", "data"]);
    assert_eq!(ran.code, 0);
    let written = std::fs::read_to_string(home.path().join("portcullis.toml")).unwrap();
    assert_eq!(written.matches(SECRET).count(), 5, "{written}");
    for (name, url) in [
        (
            "b.url",
            "https://b.example/mcp?tenant=acme&apiKey=hunter2hunter2&x=1",
        ),
        ("c.url", "https://c.example/key/hunter2hunter2/sse"),
    ] {
        assert!(
            ran.err.contains(name) && written.contains(name),
            "{written}"
        );
        let file = home.path().join("data/secrets").join(name);
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), url);
        assert_eq!(mode(&file), 0o600);
    }
    assert!(!home.path().join("data/secrets/d.url").exists());
    let checked = run(home.path(), &["check", "--print"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(!checked.out.contains(SECRET), "{}", checked.out);
    for shown in [
        "apiKey=***",
        "https://c.example/key/***/sse",
        "https://d.example/mcp?tenant=acme",
    ] {
        assert!(checked.out.contains(shown), "{shown}: {}", checked.out);
    }
}
