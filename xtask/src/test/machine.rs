//! What the machine brings: told at once, not after minutes.

use std::process::Stdio;

use anyhow::ensure;

use crate::shell;
use crate::workspace::Workspace;

/// A program that a step needs, a question that it answers with success, and where it comes from.
const PROGRAMS: &[(&str, &[&str], &str)] = &[
    ("bash", &["--version"], "bash"),
    ("flock", &["--version"], "flock (Debian: util-linux)"),
    ("cc", &["--version"], "a C compiler (Debian: gcc)"),
    (
        "c++",
        &["--version"],
        "a C++ compiler, for libFuzzer (Debian: g++)",
    ),
    (
        "apt-get",
        &["--version"],
        "apt-get, which fetches what Debian packs (Debian 12 or newer)",
    ),
    ("npm", &["--version"], "Node 20 or newer, with npm"),
    (
        "python3",
        &["-c", "import ensurepip, venv"],
        "Python 3.11 or newer, with venv (Debian: python3-venv)",
    ),
];

/// Every program is there.
pub(super) fn is_complete(_: &Workspace) -> anyhow::Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, args, _)| !answers(program, args))
        .map(|(_, _, from)| *from)
        .collect();
    ensure!(
        missing.is_empty(),
        "this machine lacks: {}",
        missing.join("; ")
    );
    Ok(())
}

fn answers(program: &str, args: &[&str]) -> bool {
    let mut command = shell::program(program);
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::answers;

    #[test]
    fn what_is_not_there_is_missed() {
        assert!(answers("true", &[]));
        assert!(!answers("false", &[]));
        assert!(!answers("no-such-program-anywhere", &[]));
    }
}
