//! A small, real MCP server over stdio, to try the gateway on.
//!
//! It speaks the handshake revisions 2025-03-26, 2025-06-18 and 2025-11-25 and the stateless revision
//! 2026-07-28, keeps notes, reads files of one folder, waits on request and, if asked to, returns texts
//! that attack their reader. It writes only below the folder that it is given and opens no connection.
//!
//! Requests are answered in the order of their lines, but for `slow` calls, which have a thread each, and
//! questions to the user, which wait for the client.
#![forbid(unsafe_code)]

mod wire;
mod caller;
mod answer;
mod notes;
mod files;
mod tools;
mod slow;
mod server;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use server::Server;
use wire::{Line, Lines, Output};

/// What the server works on.
#[derive(Debug, Clone)]
pub struct Options {
    /// The one folder that is written to: `notes.json` and `files/` are made in it.
    pub folder: PathBuf,
    /// The time, in milliseconds since 1970-01-01T00:00:00Z.
    pub clock: fn() -> u64,
}

/// Why the server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or what is in it cannot be made or read.
    #[error("cannot use the folder")]
    Folder(#[source] io::Error),
    /// `notes.json` is not what this server wrote; it is left as it is.
    #[error("notes.json is damaged")]
    Damaged,
    /// The input failed before its end.
    #[error("cannot read the input")]
    Input(#[source] io::Error),
    /// The client no longer reads.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

/// Serves one client: JSON-RPC 2.0 messages, one a line of at most 1 MiB, until the input ends.
///
/// Nothing else is written to `output`. A line that is no message is answered with an error, and the
/// next one is read. At the end of the input, calls that still run are cancelled and waited for.
///
/// # Errors
/// [`Error`] if the folder cannot be used or the input or output fails; never for what a client sent.
pub fn serve(
    input: impl BufRead,
    output: impl Write + Send + 'static,
    options: Options,
) -> Result<(), Error> {
    let mut server = Server::open(options, Output::new(output))?;
    let mut lines = Lines::new(input);
    loop {
        match lines.next().map_err(Error::Input)? {
            Line::Text(text) => server.receive(text),
            Line::TooLong => server.receive_too_long(),
            Line::End => return server.close().map_err(Error::Output),
        }
        .map_err(Error::Output)?;
    }
}
