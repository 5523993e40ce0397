//! Can the servers that are programs be started?

use super::Findings;
use crate::config::{Checked, Stdio, Upstream};
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};

/// Where a name is looked for without `PATH`, as the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

pub(super) fn look(checked: &Checked, findings: &mut Findings) {
    for (name, server) in &checked.servers {
        let Upstream::Stdio(stdio) = &server.upstream else {
            continue;
        };
        findings.look("servers");
        if !stdio.cwd.is_dir() {
            let what = format!(
                "server {name}: there is no directory {}",
                stdio.cwd.display()
            );
            findings.error(
                "servers.cwd",
                what,
                format!("make it, or set `servers.{name}.cwd`"),
            );
        }
        let command = stdio.command.display();
        match found(stdio) {
            Found::Runs => {}
            Found::Nowhere => findings.error(
                "servers.command",
                format!("server {name}: {command} is not found"),
                format!(
                    "install it, write its whole path in `servers.{name}.command`, or inherit PATH"
                ),
            ),
            Found::NotExecutable(path) => findings.error(
                "servers.command",
                format!("server {name}: {} cannot be run", path.display()),
                format!("chmod +x {}", path.display()),
            ),
        }
    }
}

enum Found {
    Runs,
    Nowhere,
    NotExecutable(PathBuf),
}

/// Looks as the launcher will: in the `PATH` that the server gets.
fn found(stdio: &Stdio) -> Found {
    if stdio.command.is_absolute() || stdio.command.components().count() > 1 {
        return judge(stdio.cwd.join(&stdio.command));
    }
    let paths = stdio
        .env
        .get("PATH")
        .map_or(DEFAULT_PATH, |paths| paths.expose().as_str());
    let mut outcome = Found::Nowhere;
    for directory in paths.split(':') {
        match judge(stdio.cwd.join(directory).join(&stdio.command)) {
            Found::Runs => return Found::Runs,
            Found::NotExecutable(path) => outcome = Found::NotExecutable(path),
            Found::Nowhere => {}
        }
    }
    outcome
}

fn judge(path: PathBuf) -> Found {
    if !Path::is_file(&path) {
        Found::Nowhere
    } else if access(&path, Access::EXEC_OK).is_ok() {
        Found::Runs
    } else {
        Found::NotExecutable(path)
    }
}
