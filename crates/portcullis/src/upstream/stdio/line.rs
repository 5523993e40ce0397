//! Messages are lines (stdio transport, "newline-delimited"): made on the way out, found on the way in.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    BufWriter,
};
use tokio::sync::mpsc;

/// How much is taken from a pipe at once: what a pipe of Linux holds.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why no more lines are read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// The stream ended, or nobody takes the lines.
    Closed,
    /// The next line is longer than allowed; it was not read to its end.
    Overlong,
}

/// The same JSON on one line: line breaks become spaces.
///
/// Inside of a string JSON has no raw line break (RFC 8259 section 7), so each one is insignificant whitespace.
pub(crate) fn single_line(json: &[u8]) -> Cow<'_, [u8]> {
    if !has_break(json) {
        return Cow::Borrowed(json);
    }
    Cow::Owned(
        json.iter()
            .map(|byte| if is_break(*byte) { b' ' } else { *byte })
            .collect(),
    )
}

pub(super) fn has_break(line: &[u8]) -> bool {
    line.iter().copied().any(is_break)
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Gives each good line of at most `limit` bytes to `lines`, and calls `noise` for each that is none: empty, not
/// UTF-8, or without an end. `\r\n` ends a line too.
pub(super) async fn read(
    stream: impl AsyncRead + Unpin,
    limit: u32,
    lines: mpsc::Sender<Bytes>,
    noise: impl Fn(),
) -> Finished {
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, stream);
    loop {
        let mut line = Vec::new();
        let with_end = u64::from(limit) + 1;
        if !matches!(
            (&mut reader)
                .take(with_end)
                .read_until(b'\n', &mut line)
                .await,
            Ok(1..)
        ) {
            return Finished::Closed;
        }
        if line.last() != Some(&b'\n') {
            if u64::try_from(line.len()).is_ok_and(|length| length < with_end) {
                noise();
                return Finished::Closed;
            }
            return Finished::Overlong;
        }
        match trim_end(line) {
            Some(line) => {
                if lines.send(line).await.is_err() {
                    return Finished::Closed;
                }
            }
            None => noise(),
        }
    }
}

fn trim_end(mut line: Vec<u8>) -> Option<Bytes> {
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    (!line.is_empty() && std::str::from_utf8(&line).is_ok()).then(|| Bytes::from(line))
}

/// Writes each of `lines` with its end, until they end or the stream does.
pub(super) async fn write<Line: AsRef<[u8]>>(
    stream: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<Line>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(CHUNK_BYTES, stream);
    while let Some(line) = lines.recv().await {
        writer.write_all(line.as_ref()).await?;
        writer.write_all(b"\n").await?;
        writer.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn check(input: &[u8], lines: &[&str], noise: u64, finished: Finished) {
        let (sender, mut receiver) = mpsc::channel(16);
        let count = Cell::new(0);
        assert_eq!(
            read(input, 4, sender, || count.set(count.get() + 1)).await,
            finished
        );
        assert_eq!(count.get(), noise);
        for line in lines {
            assert_eq!(receiver.recv().await.as_deref(), Some(line.as_bytes()));
        }
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn reads_lines_up_to_the_bound() {
        check(b"", &[], 0, Finished::Closed).await;
        check(b"a\nb\r\n", &["a", "b"], 0, Finished::Closed).await;
        check(b"\n\r\na\n", &["a"], 2, Finished::Closed).await;
        check(b"a\xff\nb\n", &["b"], 1, Finished::Closed).await;
        check(b"a\nb", &["a"], 1, Finished::Closed).await;
        check(b"abcd\n", &["abcd"], 0, Finished::Closed).await;
        check(b"abcd", &[], 1, Finished::Closed).await;
        check(b"a\nabcde\nb\n", &["a"], 0, Finished::Overlong).await;
        check(b"abcde", &[], 0, Finished::Overlong).await;
    }

    #[test]
    fn a_message_becomes_a_single_line() {
        for (json, expected) in [
            ("{}", "{}"),
            ("{\r\n \"a\\n\":\n1}", "{   \"a\\n\": 1}"),
            ("\n", " "),
        ] {
            let line = single_line(json.as_bytes());
            assert_eq!(line, expected.as_bytes());
            assert_eq!(matches!(line, Cow::Borrowed(_)), json == expected);
        }
    }
}
