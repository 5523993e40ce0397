//! The reference servers behind the gateway, used with real clients.

use crate::harness::Gateway;
use crate::issuer::Issuer;
use crate::peer::{Round, Served, round};
use crate::speakers::client;
use crate::tap::{Tap, Wire, stdio};
use serde_json::{Value, json};

/// What is granted of the server with everything.
const EVERYTHING: &str = r#"allow = ["echo", "get-sum", "trigger-long-running-operation", "resource:demo://*", "prompt:simple-prompt"]
"#;

/// The records of this user's calls of a tool.
fn calls(gateway: &Gateway, event: &str, server: &str, user: &str, tool: &str) -> Vec<Value> {
    let mut records = gateway.records(event, None);
    records.retain(|record| {
        record["server"] == server
            && record["principal"]["sub"] == json!(user)
            && record["target"] == json!(tool)
    });
    records
}

/// A client calls a tool of a server as `user`.
struct Visit<'a> {
    gateway: &'a Gateway,
    issuer: &'a Issuer,
    user: &'a str,
    server: &'a str,
}

impl Visit<'_> {
    fn call(&self, speaker: &str, tool: &str, arguments: &Value) -> Round {
        let url = self.gateway.url(self.server);
        let token = self.issuer.token(self.user, &url);
        let arguments = arguments.to_string();
        let options = ["--era", "legacy", "--tool", tool, "--args", &arguments];
        round(
            client(speaker).file,
            &[&options[..], &[&url, &token]].concat(),
        )
    }

    fn records(&self, event: &str, tool: &str) -> Vec<Value> {
        calls(self.gateway, event, self.server, self.user, tool)
    }
}

#[test]
fn the_server_with_everything_is_used_over_stdio_and_http() {
    let issuer = Issuer::start(&["alice"]);
    let directory = tempfile::tempdir().unwrap();
    let heard = directory.path().join("heard");
    let served = Served::http("servers/everything.mjs");
    let wire = Wire::before(served.port());
    let gateway = Gateway::start(&format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.http]\nurl = \"http://127.0.0.1:{}/mcp\"\n{EVERYTHING}[servers.stdio]\n{}{EVERYTHING}",
        issuer.name(),
        wire.port,
        stdio("mcp-server-everything", &["stdio"], heard.to_str().unwrap()),
    ));
    for (server, tap) in [("http", Tap::Wire(wire)), ("stdio", Tap::File(heard))] {
        let visit = Visit {
            gateway: &gateway,
            issuer: &issuer,
            user: "alice",
            server,
        };
        let came = visit.call("sdk-v1", "get-sum", &json!({ "a": 2, "b": 3 }));
        assert_eq!(came.text(), Some("The sum of 2 and 3 is 5."), "{came:?}");
        assert_eq!(came.server.as_deref(), Some("mcp-servers/everything"));
        let granted = ["echo", "get-sum", "trigger-long-running-operation"];
        assert_eq!(came.tools, granted, "only what is granted is shown");
        assert_eq!(came.prompts, Some(vec!["simple-prompt".to_owned()]));
        let resources = came.resources.unwrap_or_default();
        assert!(!resources.is_empty(), "its resources are shown");
        assert_eq!(visit.records("call.completed", "get-sum").len(), 1);

        let steps = json!({ "duration": 0.2, "steps": 4 });
        let came = visit.call("rmcp", "trigger-long-running-operation", &steps);
        assert!(came.text().is_some(), "{came:?}");
        assert_eq!(came.progress, [1.0, 2.0, 3.0, 4.0]);

        // What it would have told anybody: its environment.
        let came = visit.call("sdk-v2", "get-env", &json!({}));
        assert!(came.call.is_none(), "{came:?}");
        assert_eq!(came.code, Some(403), "{came:?}");
        let denied = visit.records("authz.deny", "get-env");
        assert_eq!(denied.len(), 1);
        assert_eq!(denied[0]["reason"], "no_rule");
        assert!(!tap.heard().contains("get-env"), "the server was asked");
    }
}

#[test]
fn the_server_for_files_reads_and_does_not_write() {
    let issuer = Issuer::start(&["alice", "bob"]);
    let directory = tempfile::tempdir().unwrap();
    let (folder, heard) = (
        directory.path().join("folder"),
        directory.path().join("heard"),
    );
    std::fs::create_dir(&folder).unwrap();
    let note = folder.join("note.txt");
    std::fs::write(&note, "read me\n").unwrap();
    let gateway = Gateway::start(&format!(
        "[issuers.idp]\nissuer = \"{}\"\n[servers.files]\n{}allow = [\"read_text_file\", \"list_directory\"]\n[[grants]]\nwho = \"user:bob\"\nallow = [\"files__write_file\"]\n",
        issuer.name(),
        stdio(
            "mcp-server-filesystem",
            &[folder.to_str().unwrap()],
            heard.to_str().unwrap()
        ),
    ));
    let visit = |user| Visit {
        gateway: &gateway,
        issuer: &issuer,
        user,
        server: "files",
    };
    let came = visit("alice").call("sdk-v1", "read_text_file", &json!({ "path": note }));
    assert_eq!(came.text(), Some("read me\n"), "{came:?}");
    assert_eq!(came.tools, ["read_text_file", "list_directory"]);
    assert_eq!(
        visit("alice")
            .records("call.completed", "read_text_file")
            .len(),
        1
    );

    let written = json!({ "path": note, "content": "overwritten" });
    for speaker in ["sdk-v1", "sdk-v2", "rmcp"] {
        let came = visit("alice").call(speaker, "write_file", &written);
        assert!(came.failed.is_some(), "{came:?}");
    }
    let denied = visit("alice").records("authz.deny", "write_file");
    assert_eq!(denied.len(), 3);
    assert_eq!(denied[0]["reason"], "no_rule");
    assert_eq!(denied[0]["outcome"]["status"], 403);
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "read me\n");
    assert!(!Tap::File(heard).heard().contains("overwritten"));

    // What the server itself refuses stays its own refusal.
    let outside = json!({ "path": directory.path().join("heard") });
    let came = visit("alice").call("sdk-v1", "read_text_file", &outside);
    assert!(came.call.is_some_and(|call| call.error));

    let came = visit("bob").call("sdk-v1", "write_file", &written);
    assert!(came.text().is_some(), "{came:?}");
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "overwritten");
    assert_eq!(
        visit("bob").records("call.completed", "write_file").len(),
        1
    );
}
