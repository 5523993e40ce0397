//! Every dialect, and what never happens.

use super::{Format, Imported, NotImportable, import, wrap};
use crate::config::{Checked, Issuer, Problems, Transport, Upstream, read};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

fn imported(text: &str) -> Imported {
    import(text, Format::Json, Path::new("secrets")).unwrap()
}

/// Reads what was imported, in a world that has every variable and every file.
fn reread(imported: &Imported) -> Result<Checked, Problems> {
    read(
        &imported.toml,
        Path::new("/etc/portcullis/portcullis.toml"),
        &|_| Some("x".into()),
        &|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let secret = imported
                .secrets
                .get(name)
                .map(|secret| secret.expose().clone());
            secret.ok_or(std::io::ErrorKind::NotFound.into())
        },
    )
}

#[test]
fn claude_desktop_becomes_ours() {
    let imported = imported(
        r#"{"mcpServers": {
            "GitHub (work)": {
                "command": "npx",
                "args": ["-y", "@modelcontextprotocol/server-github"],
                "env": {"GITHUB_TOKEN": "ghp_0123456789abcdefghij", "LOG": "debug", "TOKEN_LIMIT": 100}
            },
            "github-work": {"command": "x", "cwd": "/srv"}
        }}"#,
    );
    assert!(!imported.toml.contains("ghp_"), "{}", imported.toml);
    let secret = imported.secrets.get("github-work.github-token").unwrap();
    assert_eq!(secret.expose(), "ghp_0123456789abcdefghij");
    assert!(!format!("{imported:?}").contains("ghp_"));

    let checked = reread(&imported).unwrap();
    let names: Vec<&str> = checked.servers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["github-work", "github-work-2"]);
    assert!(checked.grants.is_empty());
    assert!(matches!(checked.issuers["local"], Issuer::Embedded { .. }));
    let Upstream::Stdio(stdio) = &checked.servers.values().next().unwrap().upstream else {
        panic!()
    };
    assert_eq!(stdio.command, Path::new("npx"));
    assert_eq!(stdio.args, ["-y", "@modelcontextprotocol/server-github"]);
    assert_eq!(
        stdio.env["GITHUB_TOKEN"].expose(),
        "ghp_0123456789abcdefghij"
    );
    assert_eq!(stdio.env["TOKEN_LIMIT"].expose(), "100");
    assert_eq!(stdio.env["PATH"].expose(), "x");
    assert!(
        imported
            .notes
            .iter()
            .any(|note| note.contains("is called `github-work` here"))
    );
    assert!(
        imported
            .notes
            .iter()
            .any(|note| note.contains("is called `github-work-2` here"))
    );
}

#[test]
fn vs_code_becomes_ours() {
    let text = r#"{
        // the inputs
        "inputs": [{"id": "api-key", "type": "promptString", "password": true}],
        "servers": {
            "remote": {
                "type": "http",
                "url": "https://mcp.example/mcp", /* not // a comment "in" it */
                "headers": {"Authorization": "Bearer ${input:api-key}", "X-Env": "${env:TENANT}", "X-Team": "core//x",},
            },
            "old": {"type": "sse", "url": "https://old.example/sse"},
        },
    }"#;
    for text in [text.to_owned(), format!("{{\"mcp\": {text}}}")] {
        let imported = imported(&text);
        assert!(
            imported.toml.contains("Bearer ${API_KEY}"),
            "{}",
            imported.toml
        );
        assert!(imported.toml.contains("${TENANT}"));
        assert!(imported.toml.contains("\"core//x\""));
        assert!(imported.notes.iter().any(|note| note.contains("`API_KEY`")));
        let checked = reread(&imported).unwrap();
        let transports: Vec<Transport> = checked
            .servers
            .values()
            .filter_map(|server| match &server.upstream {
                Upstream::Http(http) => Some(http.transport),
                Upstream::Stdio(_) => None,
            })
            .collect();
        assert_eq!(transports, [Transport::Sse, Transport::StreamableHttp]);
    }
}

#[test]
fn windsurf_becomes_ours() {
    let imported = imported(
        r#"{"mcpServers": {"remote": {"serverUrl": "https://w.example/sse", "headers": {"X-Api-Key": "hunter2"}},
            "off": {"command": "x", "disabled": true}}}"#,
    );
    assert!(imported.toml.contains("transport = \"sse\""));
    assert!(!imported.toml.contains("hunter2") && !imported.toml.contains("off"));
    assert_eq!(reread(&imported).unwrap().servers.len(), 1);
}

#[test]
fn zed_becomes_ours() {
    let imported = imported(
        r#"{"theme": "x", "context_servers": {
            "new": {"source": "custom", "command": "uvx", "args": ["a"], "env": {"A": "b"}},
            "old": {"command": {"path": "uvx", "args": ["a"], "env": {"A": "b"}}, "settings": {}},
            "remote": {"url": "https://z.example/mcp"}, // no headers
        }}"#,
    );
    let checked = reread(&imported).unwrap();
    let commands = checked.servers.values().filter_map(|server| {
        let Upstream::Stdio(stdio) = &server.upstream else {
            return None;
        };
        Some((stdio.command.display().to_string(), stdio.args.clone()))
    });
    let expected = ("uvx".to_owned(), vec!["a".to_owned()]);
    assert_eq!(commands.collect::<Vec<_>>(), vec![expected; 2]);
    assert_eq!(checked.servers.len(), 3);
}

#[test]
fn codex_becomes_ours() {
    let text = "model = \"x\"\n[mcp_servers.local]\ncommand = \"npx\"\nargs = [\"-y\", \"p@1\"]\n\
        env = { A = \"b\" }\n[mcp_servers.remote]\nurl = \"https://c.example/mcp\"\n\
        bearer_token_env_var = \"TOKEN\"\nhttp_headers = { X-Team = \"core\" }\nenv_http_headers = { X-Key = \"KEY\" }\n";
    let imported = import(text, Format::Toml, Path::new("secrets")).unwrap();
    assert!(imported.toml.contains("\"Bearer ${TOKEN}\""));
    assert!(imported.toml.contains("\"X-Key\" = \"${KEY}\""));
    assert!(imported.toml.contains("\"X-Team\" = \"core\""));
    assert_eq!(reread(&imported).unwrap().servers.len(), 2);
    assert_eq!(
        import("a = 1\nb =\n", Format::Toml, Path::new("")).unwrap_err(),
        NotImportable::Toml { line: 2 }
    );
}

#[test]
fn claude_code_has_servers_for_single_folders_too() {
    let text =
        r#"{"projects": {"/srv/a": {"mcpServers": {"notes": {"command": "x"}}}, "/srv/b": {}}}"#;
    let found = super::all_entries(text, Format::Json).unwrap();
    let [entry] = found.as_slice() else { panic!() };
    assert_eq!(
        (entry.name.as_str(), entry.project.as_deref()),
        ("notes", Some("/srv/a"))
    );
}

#[rustfmt::skip]
const LEFT_OUT: &[(&str, &str)] = &[
    (r#"{"url": "http://plain.example/mcp"}"#, "its URL is refused"),
    (r#"{"url": "https://${input:host}/mcp"}"#, "has a variable in it"),
    (r#"{"type": "websocket", "url": "https://x.example"}"#, "`type` is not known"),
    ("{}", "neither one `command` nor one `url`"),
    ("7", "not an object"),
    (r#"{"command": "x", "args": [[]]}"#, "`args` is not a list"),
    (r#"{"command": "x", "envFile": "a"}"#, "\"envFile\" has no counterpart"),
    (r#"{"command": "x", "args": ["--token", "hunter2"]}"#, "argument 2 seems to be a secret"),
    (r#"{"command": "x", "args": ["--api-key=hunter2"]}"#, "argument 1 seems to be a secret"),
    (r#"{"command": "x", "args": ["${input:a}"]}"#, "argument 1: a variable"),
    (r#"{"command": "x", "cwd": "${workspaceFolder}"}"#, "`cwd` is not a plain path"),
    (r#"{"command": "x", "env": {"A B": "c"}}"#, "the variable \"A B\" cannot be set"),
    (r#"{"command": "x", "env": {"A": "$${B}"}}"#, "a reference is not known"),
    (r#"{"command": "x", "env": {"A": "${B:-c}"}}"#, "the default of `B` is left out"),
    (r#"{"url": "https://x.example", "headers": {"Host": "y"}}"#, "\"Host\" cannot be sent"),
    (r#"{"url": "https://x.example", "headers": {"A": "y", "a": "z"}}"#, "stands twice"),
    (r#"{"url": "https://x.example?apiKey=abc"}"#, "a secret was moved out of the file, to `a.url`"),
    (r#"{"command": "npx", "args": ["mcp-remote", "https://x.example?apiKey=hunter2"]}"#, "argument 2 seems to be a secret"),
];

#[test]
fn what_is_left_out_is_said() {
    for (entry, expected) in LEFT_OUT {
        let imported = imported(&format!(r#"{{"mcpServers": {{"a": {entry}}}}}"#));
        assert!(
            imported.notes.iter().any(|note| note.contains(expected)),
            "{expected}: {:?}",
            imported.notes
        );
        assert!(!imported.notes.iter().any(|note| note.contains("hunter2")));
    }
}

#[test]
fn refuses_what_is_no_list_of_servers() {
    assert_eq!(
        import("{", Format::Json, Path::new("")).unwrap_err(),
        NotImportable::Json { line: 1, column: 1 }
    );
    assert_eq!(
        import("{}", Format::Json, Path::new("")).unwrap_err(),
        NotImportable::NoServers
    );
    assert_eq!(
        import("[]", Format::Json, Path::new("")).unwrap_err(),
        NotImportable::NoServers
    );
    assert_eq!(
        wrap("{}", "portcullis").unwrap_err(),
        NotImportable::NoServers
    );
    let large = " ".repeat(super::MAX_IMPORT_BYTES + 1);
    assert_eq!(
        import(&large, Format::Json, Path::new("")).unwrap_err(),
        NotImportable::TooLarge
    );
}

#[test]
fn wrap_changes_commands_only() {
    let before = r#"{
  // mine
  "theme": "dark",
  "mcpServers": {
    "Z": {"args": ["-y", /* pinned */ "pkg@1"], "command": "npx", "env": {"B": "1", "A": "2"}},
    "bare": {"command": "server"},
    "empty": {"command": "server", "args": []},
    "remote": {"url": "https://x.example/mcp"},
    "odd": {"command": "x", "args": "y"},
  }
}"#;
    let wrapped = wrap(before, "/opt/portcullis").unwrap();
    assert_eq!(
        wrapped.json,
        r#"{
  // mine
  "theme": "dark",
  "mcpServers": {
    "Z": {"args": ["wrap", "--name", "z", "--", "npx", "-y", /* pinned */ "pkg@1"], "command": "/opt/portcullis", "env": {"B": "1", "A": "2"}},
    "bare": {"command": "/opt/portcullis", "args": ["wrap", "--name", "bare", "--", "server"]},
    "empty": {"command": "/opt/portcullis", "args": ["wrap", "--name", "empty", "--", "server"]},
    "remote": {"url": "https://x.example/mcp"},
    "odd": {"command": "x", "args": "y"},
  }
}"#
    );
    assert_eq!(
        wrapped.notes,
        ["\"odd\": `args` is not a list of strings; left as it is"]
    );
    assert_eq!(
        wrap(&wrapped.json, "/opt/portcullis").unwrap().json,
        wrapped.json
    );
    assert_eq!(
        wrap(&wrapped.json, "portcullis").unwrap().json,
        wrapped.json
    );
    // A wrapped file imports as the one before.
    assert_eq!(imported(&wrapped.json).toml, imported(before).toml);
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = || {
        prop_oneof![
            "\\PC{0,12}",
            Just("ghp_0123456789abcdefghij".to_owned()),
            "[$]{0,2}\\{(env:|input:)?[A-Za-z_ ]{0,4}\\}?[$a]{0,2}",
            Just("https://x.example/mcp".to_owned()),
        ]
    };
    let key = || {
        prop_oneof![
            Just("command"),
            Just("args"),
            Just("env"),
            Just("url"),
            Just("headers"),
            Just("type"),
            Just("cwd"),
        ]
    };
    let name = || {
        prop_oneof![
            "[A-Za-z_-]{1,8}",
            Just("API_TOKEN".to_owned()),
            Just("AuTh".to_owned()),
            text()
        ]
    };
    let map = prop::collection::btree_map(name(), text(), 0..4).prop_map(|map| json!(map));
    let list = prop::collection::vec(text(), 0..3).prop_map(|list| json!(list));
    let value = prop_oneof![3 => text().prop_map(Value::from), 3 => map, 1 => list, 1 => any::<bool>().prop_map(Value::from)];
    let entry = prop::collection::btree_map(key().prop_map(str::to_owned), value, 0..6)
        .prop_map(|map| json!(map));
    prop::collection::btree_map(text(), entry, 1..5).prop_map(|map| json!({"mcpServers": map}))
}

proptest! {
    #[test]
    fn import_never_panics(text in "[{}\\[\\]\",:/*\\\\ a\n]{0,40}|\\PC{0,60}") {
        let is_list = import(&text, Format::Json, Path::new("s")).is_ok();
        // What translates can be wrapped.
        prop_assert!(!is_list || wrap(&text, "p").is_ok());
    }

    #[test]
    fn what_is_imported_can_be_read(json in any_json()) {
        let imported = imported(&json.to_string());
        match reread(&imported) {
            Ok(checked) => prop_assert!(!checked.servers.is_empty()),
            // Nothing but the absence of servers is wrong with it.
            Err(problems) => prop_assert!(!imported.toml.contains("[servers"), "{}\n{}", problems, imported.toml),
        }
        let wrapped = wrap(&json.to_string(), "portcullis").unwrap();
        prop_assert!(serde_json::from_str::<Value>(&wrapped.json).is_ok());
        prop_assert_eq!(&wrap(&wrapped.json, "portcullis").unwrap().json, &wrapped.json);
    }
}
