//! `portcullis wrap`.

use super::command;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// A server that answers `initialize` and ends when it is asked for anything else.
const SERVER: &str = r#"
while IFS= read -r line; do
  id=${line#*'"id":'}
  id=${id%%,*}
  case "$line" in
  *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"x","version":"%s"}}}\n' "$id" "$TAG" ;;
  *'"tools/list"'*) exit 3 ;;
  esac
done
"#;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;

struct Wrapped {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Wrapped {
    /// Wraps the server and shakes hands; gives its answer too.
    fn start(home: &Path, change: impl FnOnce(&mut std::process::Command)) -> (Self, String) {
        std::fs::write(home.join("server.sh"), SERVER).unwrap();
        let arguments = [
            "wrap",
            "--data",
            "data",
            "--name",
            "w",
            "--",
            "/bin/sh",
            "server.sh",
        ];
        let mut command = command(home, &arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut wrapped = Self {
            child,
            stdin,
            stdout,
        };
        let answer = wrapped.ask(INITIALIZE);
        (wrapped, answer)
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.stdin, "{line}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        answer
    }
}

/// The exit code of a process that ends in time.
fn code(mut child: Child) -> Option<i32> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("it does not end");
}

#[test]
fn ends_with_its_server_even_if_the_client_stays() {
    let home = tempfile::tempdir().unwrap();
    let (mut wrapped, answer) = Wrapped::start(home.path(), |_| {});
    assert!(answer.contains("protocolVersion"), "{answer}");
    let lost = wrapped.ask(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert!(lost.contains("-32603"), "{lost}");
    let Wrapped { child, stdin, .. } = wrapped;
    assert_eq!(code(child), Some(1));
    drop(stdin);
}

#[test]
fn ends_well_when_the_client_leaves() {
    let home = tempfile::tempdir().unwrap();
    let (wrapped, answer) = Wrapped::start(home.path(), |_| {});
    assert!(answer.contains("protocolVersion"), "{answer}");
    let Wrapped { child, stdin, .. } = wrapped;
    drop(stdin);
    assert_eq!(code(child), Some(0));
}

#[test]
fn leaves_out_a_variable_that_is_not_utf_8() {
    let home = tempfile::tempdir().unwrap();
    let (wrapped, answer) = Wrapped::start(home.path(), |command| {
        command
            .env("BAD", OsStr::from_bytes(b"\xff"))
            .env("TAG", "passed-on");
    });
    assert!(answer.contains("passed-on"), "{answer}");
    let Wrapped { child, stdin, .. } = wrapped;
    drop(stdin);
    assert_eq!(code(child), Some(0));
}
