//! The one place that starts programs, reads the environment and the clock, and prints.
#![expect(
    clippy::disallowed_methods,
    reason = "the workshop is no part of the product: it starts cargo, node and what they have built"
)]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

/// Prints a line; a reader that is gone is no fault of ours.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .is_err()
    {
        // Nobody is left to be told.
    }
}

/// A variable of the environment, where it is set and readable.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The time, to measure with.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A program without standard input.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    command
}

/// Runs a program to its end and shows what it prints.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    say(&format!("$ {shown}"));
    let status = command
        .status()
        .with_context(|| format!("cannot start: {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Like [`run`]; gives each line of standard output to `see` too.
pub(crate) fn run_seen(command: &mut Command, mut see: impl FnMut(&str)) -> anyhow::Result<()> {
    let shown = show(command);
    say(&format!("$ {shown}"));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start: {shown}"))?;
    let stdout = child.stdout.take().context("no standard output")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        say(&line);
        see(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Runs a program to its end for its standard output, whatever its exit code; standard error is shown.
///
/// # Errors
/// If it cannot be started, or one of its signals ends it.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<(i32, String)> {
    let shown = show(command);
    let done = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start: {shown}"))?;
    let code = done
        .status
        .code()
        .with_context(|| format!("{shown}: {}", done.status))?;
    Ok((
        code,
        String::from_utf8(done.stdout).with_context(|| format!("{shown}: no text"))?,
    ))
}

fn show(command: &Command) -> String {
    let mut shown = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value
            && write!(shown, "{}={} ", name.display(), value.display()).is_err()
        {
            // Writing to a text cannot fail.
        }
    }
    shown += &command.get_program().to_string_lossy();
    for arg in command.get_args() {
        shown.push(' ');
        shown += &arg.to_string_lossy();
    }
    shown
}
