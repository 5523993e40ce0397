//! The one place that writes to the terminal.

use std::io::Write as _;

/// Prints text on stdout; a reader that is gone is no fault of ours.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .is_err()
    {
        tracing::debug!("stdout is closed");
    }
}

/// Prints an error on stderr.
pub(crate) fn error(text: &str) {
    let mut stderr = std::io::stderr().lock();
    if writeln!(stderr, "portcullis: {text}").is_err() {
        tracing::debug!("stderr is closed");
    }
}
