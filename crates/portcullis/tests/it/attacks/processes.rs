//! Servers that are processes: whose they are, how many there may be, and that none is left behind.

use crate::harness::{
    Gateway, Idp, Request, Response, WITH_SESSIONS, call, initialize, post, wait_for,
};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server that keeps one text, and dies or hangs when it is told to.
const SERVER: &str = r#"
kept=nothing
while IFS= read -r line; do
  case "$line" in *'"id":'*) ;; *) continue ;; esac
  case "$line" in *'"method":'*) ;; *) continue ;; esac
  id=${line#*'"id":'}
  id=${id%%[,\}]*}
  text=${line#*'"text":"'}
  text=${text%%\"*}
  case "$line" in
  *'"server/discover"'*)
    result='"error":{"code":-32601,"message":"method not found"}'
    [ "$1" = stateless ] && result='"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"resultType":"complete"}' ;;
  *'"refused"'*) result='"error":{"code":-32000,"message":"no"}' ;;
  *'"silent"'*) continue ;;
  *'"initialize"'*) result='"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}' ;;
  *'"die"'*) exit 1 ;;
  *'"spew"'* | *'"tell"'*)
    printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id"
    count=1 much=told-at-last
    case "$line" in *'"spew"'*) count=30 much=$(head -c 1000000 /dev/zero | tr '\0' a) ;; esac
    while [ $count -gt 0 ]; do
      count=$((count - 1))
      printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}\n' "$much"
    done
    continue ;;
  *'"hang"'*) echo hung >> "$2" && continue ;;
  *)
    case "$line" in *'"keep"'*) kept=$text ;; esac
    result='"result":{"content":[{"type":"text","text":"'"$kept of $$"'"}],"resultType":"complete"}' ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$result"
done
[ "$1" = stubborn ] && trap '' TERM && sleep 60
"#;

const CONFIG: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
command = "/bin/sh"
args = ["{script}", "usual", "{marks}"]
cwd = "{cwd}"
env = { TAG = "a" }
allow = ["*"]
"#;

struct Scene {
    gateway: Gateway,
    idp: Idp,
    directory: TempDir,
}

impl Scene {
    /// The usual configuration and more keys of the server.
    fn and(more: &str) -> Self {
        Self::with(&format!("{CONFIG}{more}"))
    }

    fn with(config: &str) -> Self {
        let (idp, directory) = (Idp::start(), tempfile::tempdir().unwrap());
        let script = directory.path().join("server.sh");
        std::fs::write(&script, SERVER).unwrap();
        let cwd = directory.path().join("cwd");
        std::fs::create_dir(&cwd).unwrap();
        let config = config
            .replace("{idp}", &idp.issuer())
            .replace("{marks}", directory.path().join("marks").to_str().unwrap())
            .replace("{cwd}", cwd.to_str().unwrap())
            .replace("{script}", script.to_str().unwrap());
        Self {
            gateway: Gateway::start(&config),
            idp,
            directory,
        }
    }

    fn token(&self, subject: &str) -> String {
        self.idp.draft(subject, &self.gateway.url("notes")).sign()
    }

    fn send(&self, request: &Request) -> Response {
        request.send(self.gateway.address)
    }

    fn session(&self, token: &str) -> String {
        let response = self.send(&initialize(token));
        assert_eq!(response.status, 200, "{response:?}");
        let id = response.header("mcp-session-id").expect("a session id");
        id.to_owned()
    }

    /// What the server of that session says to a tool call.
    fn asks(&self, session: &str, token: &str, tool: &str, text: &str) -> Response {
        self.send(&tool_call(session, token, tool, text))
    }

    /// Sends all but the end of a request, does something, and sends the rest.
    fn sends_around(&self, request: &Request, between: impl FnOnce()) -> (u16, String) {
        let bytes = request.bytes(
            self.gateway.address,
            &"ab".repeat(16),
            "connection: close\r\n",
        );
        let (first, rest) = bytes.split_at(bytes.len() - 9);
        let mut stream = TcpStream::connect(self.gateway.address).unwrap();
        stream.write_all(first).unwrap();
        // Whoever is known by now was so by the old rules: what is refused before the body is read has an answer.
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        assert!(
            stream.read(&mut [0; 1]).is_err(),
            "an answer before the end"
        );
        between();
        stream.write_all(rest).unwrap();
        stream.set_read_timeout(None).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    fn says(&self, session: &str, token: &str) -> String {
        let response = self.asks(session, token, "echo", "");
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    }

    /// Waits until so many calls hang.
    fn hang(&self, count: usize) {
        wait_for(&format!("{count} calls that hang"), || {
            let marks = std::fs::read_to_string(self.directory.path().join("marks")).ok()?;
            (marks.lines().count() == count).then_some(())
        });
    }

    fn has_children(&self, count: usize) {
        wait_for(&format!("{count} processes"), || {
            (self.gateway.children() == count).then_some(())
        });
    }
}

/// A tool call in a session.
fn tool_call(session: &str, token: &str, tool: &str, text: &str) -> Request {
    let params = json!({ "name": tool, "arguments": { "text": text } });
    let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
    let request = post(&body.to_string()).token(token);
    request
        .set("mcp-session-id", session)
        .set("mcp-protocol-version", WITH_SESSIONS)
}

/// An `initialize` in which the client calls itself so.
fn initialize_as(name: &str, token: &str) -> Request {
    let params = json!({
        "protocolVersion": WITH_SESSIONS,
        "capabilities": {},
        "clientInfo": { "name": name, "version": "1" },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    post(&body.to_string()).token(token)
}

#[test]
fn ses_08_gives_nobody_the_process_of_another_after_a_reload() {
    let scene = Scene::and("");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let old = scene.session(&alice);
    assert!(scene.says(&old, &alice).contains("nothing of"));
    scene.gateway.reload(r#"TAG = "a""#, r#"TAG = "b""#);
    let ended = scene.gateway.expect("session.terminated", Some("reloaded"));
    assert_eq!(ended["server"], "notes", "{ended}");
    scene.has_children(0);
    let new = scene.session(&bob);
    scene.asks(&new, &bob, "keep", "bobs-own");
    // The session that was before the reload is over, and never another's.
    let refused = scene.asks(&old, &alice, "echo", "");
    assert_eq!((refused.status, refused.code()), (404, 404), "{refused:?}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(
        (&record["event"], &record["reason"]),
        (&json!("session.reject"), &json!("unknown")),
        "{record}"
    );
    let delete = Request::in_session("DELETE", &old).token(&alice);
    assert_eq!(scene.send(&delete).status, 404);
    assert!(scene.says(&new, &bob).contains("bobs-own of"));
    // A reload that does not touch the server leaves its sessions alone.
    scene.gateway.reload("drain = \"2s\"", "drain = \"3s\"");
    wait_for("the second reload", || {
        (scene.gateway.records("config.reloaded", None).len() == 2).then_some(())
    });
    assert!(scene.says(&new, &bob).contains("bobs-own of"));
    let again = scene.session(&alice);
    assert!(scene.says(&again, &alice).contains("nothing of"));
}

#[test]
fn tok_01_leaves_no_process_of_an_initialize_that_opened_nothing() {
    let scene =
        Scene::and("[servers.notes.limits]\nmax_processes = 4\nupstream_timeout = \"1s\"\n");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let open = scene.session(&bob);
    scene.has_children(1);
    for _ in 0..3 {
        let refused = scene.send(&initialize_as("refused", &alice));
        assert_eq!(
            (refused.code(), refused.header("mcp-session-id")),
            (-32000, None)
        );
        assert_eq!(scene.gateway.record_of(&refused)["event"], "call.failed");
        scene.has_children(1);
        let late = scene.send(&initialize_as("silent", &alice));
        assert_eq!((late.status, late.code()), (504, -32603), "{late:?}");
        assert_eq!(scene.gateway.record_of(&late)["reason"], "timeout");
        scene.has_children(1);
        initialize_as("silent", &alice).send_and_leave(scene.gateway.address);
        scene.has_children(1);
    }
    wait_for("the record of each client that left", || {
        let left = scene.gateway.records("exchange.abandoned", None);
        (left.len() == 3).then_some(())
    });
    // What was opened lives on, and there is room for more.
    assert!(scene.says(&open, &bob).contains("nothing of"));
    let more = scene.session(&alice);
    scene.has_children(2);
    assert!(scene.says(&more, &alice).contains("nothing of"));
}

#[test]
fn tok_01_leaves_half_of_the_processes_to_others() {
    let scene =
        Scene::and("[servers.notes.limits]\nmax_processes = 4\nupstream_timeout = \"5s\"\n");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let [first, second, third] = [(); 3].map(|()| scene.session(&alice));
    let [one, two] = [(); 2].map(|()| scene.session(&bob));
    scene.has_children(4);
    let gone = scene.asks(&first, &alice, "echo", "");
    assert_eq!((gone.status, gone.code()), (404, 404), "{gone:?}");
    let ended = scene.gateway.expect("session.terminated", Some("upstream"));
    assert!(
        ended["detail"]["owner"]
            .as_str()
            .unwrap()
            .ends_with("|alice"),
        "{ended}"
    );
    // Whoever keeps its share busy gets no more, and takes nothing from anybody.
    std::thread::scope(|scope| {
        for session in [&second, &third] {
            scope.spawn(|| scene.asks(session, &alice, "hang", ""));
        }
        scene.hang(2);
        let refused = scene.send(&initialize(&alice));
        assert_eq!(
            (refused.status, refused.code()),
            (502, -32603),
            "{refused:?}"
        );
        assert_eq!(scene.gateway.record_of(&refused)["reason"], "not_running");
        for session in [&one, &two] {
            assert!(scene.says(session, &bob).contains("nothing of"));
        }
    });
}

#[test]
fn tok_01_lets_nobody_wait_for_what_another_one_s_server_did() {
    let scene = Scene::and("");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    for round in 1..=2 {
        let session = wait_for("a start for alice", || {
            let opened = scene.send(&initialize(&alice));
            opened.header("mcp-session-id").map(str::to_owned)
        });
        let died = scene.asks(&session, &alice, "die", "");
        assert_eq!((died.status, died.code()), (502, -32603), "{died:?}");
        assert_eq!(scene.gateway.record_of(&died)["reason"], "ended");
        wait_for("the end of the server", || {
            let told = scene.gateway.stderr();
            (told.matches("server ended").count() == round).then_some(())
        });
    }
    // Now alice waits between half a second and one, and bob does not.
    let refused = scene.send(&initialize(&alice));
    assert_eq!(
        (refused.status, refused.code()),
        (502, -32603),
        "{refused:?}"
    );
    assert_eq!(scene.gateway.record_of(&refused)["reason"], "not_running");
    let session = scene.session(&bob);
    assert!(scene.says(&session, &bob).contains("nothing of"));
}

#[test]
fn tok_01_ends_no_process_for_one_that_does_not_start() {
    let scene = Scene::and("[servers.notes.limits]\nmax_processes = 1\n");
    let alice = scene.token("alice");
    let session = scene.session(&alice);
    let (cwd, away) = (
        scene.directory.path().join("cwd"),
        scene.directory.path().join("away"),
    );
    std::fs::rename(&cwd, &away).unwrap();
    let refused = scene.send(&initialize(&alice));
    assert_eq!(
        (refused.status, refused.code()),
        (502, -32603),
        "{refused:?}"
    );
    assert_eq!(scene.gateway.record_of(&refused)["reason"], "not_running");
    assert!(scene.says(&session, &alice).contains("nothing of"));
    std::fs::rename(&away, &cwd).unwrap();
    let next = scene.session(&alice);
    scene.has_children(1);
    assert!(scene.says(&next, &alice).contains("nothing of"));
    assert_eq!(scene.asks(&session, &alice, "echo", "").status, 404);
}

#[test]
fn authz_02_decides_by_the_rules_of_when_the_body_was_there() {
    let scene = Scene::and("");
    let alice = scene.token("alice");
    // A server that was replaced meanwhile is not started again.
    let (status, answer) = scene.sends_around(&initialize(&alice), || {
        scene.gateway.reload(r#"TAG = "a""#, r#"TAG = "b""#);
    });
    assert_eq!(status, 200, "{answer}");
    let (_, id) = answer.split_once("mcp-session-id: ").unwrap();
    let session = id.lines().next().unwrap();
    assert!(scene.says(session, &alice).contains("nothing of"));
    scene.has_children(1);
    // What is not permitted any more is refused.
    let call = tool_call(session, &alice, "echo", "");
    let (status, answer) = scene.sends_around(&call, || {
        scene
            .gateway
            .reload("allow = [\"*\"]", "allow = [\"keep\"]");
        wait_for("the second reload", || {
            (scene.gateway.records("config.reloaded", None).len() == 2).then_some(())
        });
    });
    assert_eq!(status, 403, "{answer}");
    scene.gateway.expect("authz.deny", Some("no_rule"));
    assert_eq!(scene.asks(session, &alice, "keep", "").status, 200);
}

#[test]
fn siem_03_stops_servers_that_do_not_want_to_all_at_once() {
    let mut scene = Scene::with(&CONFIG.replace("usual", "stubborn"));
    // Time enough for one after the other, which must not be taken.
    let gateway = &mut scene.gateway;
    gateway.reload("drain = \"2s\"", "drain = \"40s\"");
    gateway.restart();
    let tokens = ["alice", "bob", "carol", "dave"].map(|name| scene.token(name));
    for token in &tokens {
        scene.session(token);
    }
    scene.has_children(4);
    let began = Instant::now();
    let ended = scene.gateway.stop();
    // Each takes two seconds to be asked and two to be told.
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(12),
        "one after the other: {took:?}"
    );
    assert!(ended.success(), "{ended}");
    assert_eq!(
        scene
            .gateway
            .records("session.terminated", Some("stopped"))
            .len(),
        4
    );
    assert_eq!(
        scene
            .gateway
            .records("gateway.stopped", Some("drained"))
            .len(),
        2
    );
}

#[test]
fn tok_01_keeps_a_bounded_number_of_bytes_that_nobody_reads() {
    let scene = Scene::and("");
    let alice = scene.token("alice");
    let session = scene.session(&alice);
    assert_eq!(scene.asks(&session, &alice, "spew", "").status, 200);
    let dropped = scene.gateway.expect("upstream.refused", Some("unread"));
    assert_eq!(dropped["server"], "notes", "{dropped}");
    assert!(scene.says(&session, &alice).contains("nothing of"));
    assert_eq!(
        scene
            .gateway
            .records("upstream.refused", Some("unread"))
            .len(),
        1
    );
    // Of thirty megabytes no more was kept than fits, and what comes now is heard.
    let listen = Request::in_session("GET", &session).token(&alice);
    let mut stream = listen.open(scene.gateway.address);
    let mut before = String::new();
    assert_eq!(scene.asks(&session, &alice, "tell", "").status, 200);
    stream
        .until_collecting("told-at-last", &mut before)
        .unwrap();
    let kept = before.matches("notifications/message").count();
    assert!((1..=16).contains(&kept), "{kept} of 30 were kept");
}

#[test]
fn siem_08_ends_a_server_that_hangs() {
    let stateless = CONFIG.replace("usual", "stateless");
    let scene = Scene::with(&format!(
        "{stateless}[servers.notes.limits]\nupstream_timeout = \"500ms\"\n"
    ));
    let alice = scene.token("alice");
    let echo = || {
        let response = scene.send(&call("echo").token(&alice));
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    };
    let hangs = |times: usize| {
        for _ in 0..times {
            let late = scene.send(&call("hang").token(&alice));
            assert_eq!((late.status, late.code()), (504, -32603), "{late:?}");
            assert_eq!(scene.gateway.record_of(&late)["reason"], "timeout");
        }
    };
    let first = echo();
    // Slow now and then is not hung.
    hangs(2);
    assert_eq!(echo(), first);
    hangs(2);
    assert_eq!(echo(), first);
    hangs(3);
    scene.has_children(0);
    assert_ne!(echo(), first);
}

#[test]
fn auth_03_ends_the_processes_of_a_revoked_subject_and_nobody_elses() {
    let scene = Scene::and("");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let revoke = || {
        let issuer = scene.idp.issuer();
        let arguments = ["--issuer", &issuer, "--subject", "alice"];
        scene.gateway.runs("revoke", &arguments);
        scene.gateway.expect("access.revoked", Some("subject"));
    };
    let his = scene.session(&bob);
    scene.asks(&his, &bob, "keep", "bobs-own");
    assert_eq!(scene.send(&call("echo").token(&bob)).status, 200);
    let his_own = scene.gateway.children();
    let hers = scene.session(&alice);
    assert_eq!(scene.send(&call("echo").token(&alice)).status, 200);
    assert!(scene.gateway.children() > his_own);
    let hanging = tool_call(&hers, &alice, "hang", "");
    let answers = std::thread::scope(|scope| {
        let asked = scope.spawn(|| scene.send(&hanging));
        scene.hang(1);
        let begun = Instant::now();
        // A body that ends after the revocation is one of nobody.
        let late = call("echo").token(&alice);
        let (status, _) = scene.sends_around(&late, revoke);
        let answer = asked.join().unwrap();
        scene.has_children(his_own);
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        [status, answer.status]
    });
    assert_eq!(answers, [401, 401]);
    assert_eq!(
        scene.gateway.records("authn.reject", Some("revoked")).len(),
        2
    );
    assert!(scene.says(&his, &bob).contains("bobs-own of"));
    assert_eq!(scene.send(&call("echo").token(&bob)).status, 200);
    scene.has_children(his_own);
}
