//! The commands as people run them: the real binary, its exit codes, its output.
#![expect(
    clippy::disallowed_methods,
    reason = "these tests start the binary itself"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod audit;
mod check;
mod doctor;
mod import;
mod log;
mod policy;
mod revoke;
mod wrap;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a command left behind.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary in `directory`, which is also the home of its user.
fn run(directory: &Path, arguments: &[&str]) -> Ran {
    let done = command(directory, arguments).output().unwrap();
    Ran {
        code: done.status.code().unwrap(),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", directory)
        .stdin(Stdio::null());
    command
}

#[test]
fn wrong_usage_ends_with_2_and_help_says_so() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["check", "--nonsense"][..],
        &["check", "a", "--config", "b"],
        &["audit"],
        &["audit", "proof"],
        &["audit", "proof", "--seq", "1", "--check", "x"],
        &["audit", "search", "--effect", "maybe"],
        &["audit", "search", "--log", ".", "--since", "yesterday"],
        &["doctor", "extra"],
        &["import"],
        &["import", "x", "--wrap"],
    ] {
        assert_eq!(run(home.path(), arguments).code, 2, "{arguments:?}");
    }
    for command in [
        &["check"][..],
        &["audit", "verify"],
        &["audit", "tail"],
        &["audit", "search"],
        &["audit", "proof"],
        &["doctor"],
        &["explain"],
        &["import"],
        &["revoke"],
        &["reinstate"],
        &["revocations"],
        &["policy", "test"],
        &["policy", "explain"],
        &["policy", "inventory"],
    ] {
        let help = run(home.path(), &[command, &["--help"]].concat());
        assert_eq!(help.code, 0);
        assert!(
            help.out.contains("Exit codes: 0 ") || help.out.contains("Exit codes:"),
            "{command:?}"
        );
    }
}
