//! A secret that a program prints.

use super::Lost;
use crate::config::Secret;
use portcullis_sandbox::{Spec, launch_command};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, sink};
use tokio::process::Command;

/// The most that a program may print, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// How this very binary is started again as the program's launcher.
const SELF: &str = "/proc/self/exe";

/// Runs it: no shell, no environment, nothing on its stdin. What is left of it when this future is dropped is killed.
pub(super) async fn read(words: &[String]) -> Result<Secret<String>, Lost> {
    let (program, arguments) = words.split_first().ok_or(Lost::NotStarted)?;
    check(Path::new(program))?;
    let spec = Spec {
        command: program.into(),
        args: arguments.iter().map(Into::into).collect(),
        cwd: Some(PathBuf::from("/")),
        env: Vec::new(),
        confinement: None,
    };
    let command = launch_command(Path::new(SELF), &spec, Duration::ZERO);
    let command = command.map_err(|_| Lost::NotStarted)?;
    let mut child = Command::from(command)
        .spawn()
        .map_err(|_| Lost::NotStarted)?;
    // If stdin closes, its launcher ends it: it is held until the program has ended.
    let _stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(mut stderr)) = (stdout, stderr) else {
        return Err(Lost::NotStarted);
    };
    let mut unsaid = sink();
    let (printed, _) = tokio::join!(
        bounded(stdout),
        // It may say the secret there too, so nobody hears it.
        tokio::io::copy(&mut stderr, &mut unsaid)
    );
    let printed = printed?;
    let status = child.wait().await.map_err(|_| Lost::NotStarted)?;
    match status.code() {
        Some(0) => Ok(printed),
        code => Err(Lost::Failed(code.unwrap_or(-1))),
    }
}

/// Who can write the program could have the secret.
fn check(program: &Path) -> Result<(), Lost> {
    let found = std::fs::metadata(program).map_err(|_| Lost::NotStarted)?;
    if !found.is_file() || found.permissions().mode() & 0o022 != 0 {
        return Err(Lost::Unsafe);
    }
    Ok(())
}

async fn bounded(stdout: impl AsyncRead + Unpin) -> Result<Secret<String>, Lost> {
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let mut printed = Secret::new(Vec::with_capacity(MAX_BYTES + 1));
    let mut stdout = stdout.take(most);
    let read = stdout.read_to_end(printed.expose_mut()).await;
    read.map_err(|_| Lost::NotStarted)?;
    if printed.expose().len() > MAX_BYTES {
        return Err(Lost::TooLong);
    }
    let text = std::str::from_utf8(printed.expose()).map_err(|_| Lost::Unfit)?;
    Ok(Secret::new(text.to_owned()))
}
