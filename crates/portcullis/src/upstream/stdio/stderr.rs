//! What a server says on stderr: for the operator's log, bounded, and without power over a terminal.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::time::Instant;

/// A longer line is heard in pieces.
const PIECE_BYTES: u32 = 4096;

/// Something that was heard on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// A line, or a piece of one, with everything escaped that does not simply print.
    Line(&'a str),
    /// So many bytes were dropped because they came too fast.
    Dropped(u64),
}

/// Writes what is heard to the log, under the target `upstream.stderr`.
pub(crate) fn log(server: String) -> impl FnMut(Heard<'_>) + Send + 'static {
    move |heard| match heard {
        Heard::Line(line) => tracing::info!(target: "upstream.stderr", server, "{line}"),
        Heard::Dropped(bytes) => {
            tracing::warn!(target: "upstream.stderr", server, bytes, "said too much, dropped");
        }
    }
}

/// Listens until the stream ends, and passes on at most `rate` bytes a second.
pub(super) async fn listen(
    stream: impl AsyncRead + Unpin,
    rate: u32,
    mut hear: impl FnMut(Heard<'_>),
) {
    let mut reader = BufReader::new(stream);
    let (mut bucket, mut dropped) = (Bucket::full(rate), 0);
    let mut piece = Vec::new();
    let began = Instant::now();
    while let Ok(size @ 1..) = (&mut reader)
        .take(PIECE_BYTES.into())
        .read_until(b'\n', &mut piece)
        .await
    {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        if bucket.take(size, began.elapsed()) {
            tell_dropped(&mut dropped, &mut hear);
            hear(Heard::Line(&escape(&piece)));
        } else {
            dropped += size;
        }
        piece.clear();
    }
    tell_dropped(&mut dropped, &mut hear);
}

fn tell_dropped(dropped: &mut u64, hear: &mut impl FnMut(Heard<'_>)) {
    match std::mem::take(dropped) {
        0 => {}
        bytes => hear(Heard::Dropped(bytes)),
    }
}

/// Control characters could steer a terminal, and bidirectional or invisible ones could forge a line.
fn escape(piece: &[u8]) -> String {
    let mut text = String::with_capacity(piece.len());
    for character in String::from_utf8_lossy(piece)
        .trim_end_matches(['\r', '\n'])
        .chars()
    {
        match character {
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {
                text.extend(character.escape_unicode());
            }
            control if control.is_control() => text.extend(control.escape_default()),
            plain => text.push(plain),
        }
    }
    text
}

/// So many bytes a second, and as many at once; a whole piece is always possible.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    /// In thousandths of a byte, so that a millisecond at any rate counts.
    level: u64,
    filled: Duration,
}

impl Bucket {
    fn full(rate: u32) -> Self {
        let bucket = Self {
            rate: rate.into(),
            level: 0,
            filled: Duration::ZERO,
        };
        Self {
            level: bucket.capacity(),
            ..bucket
        }
    }

    fn capacity(&self) -> u64 {
        self.rate.max(PIECE_BYTES.into()) * 1000
    }

    /// Takes all of `bytes` or nothing; `now` is the time since the bucket was new.
    fn take(&mut self, bytes: u64, now: Duration) -> bool {
        let passed = now.as_millis().saturating_sub(self.filled.as_millis());
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.filled = now;
        self.level = self
            .level
            .saturating_add(self.rate.saturating_mul(passed))
            .min(self.capacity());
        let Some(left) = self.level.checked_sub(bytes.saturating_mul(1000)) else {
            return false;
        };
        self.level = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        for (piece, expected) in [
            (&b"plain \xc3\xa9\r\n"[..], "plain é"),
            (b"\x1b[2J\x07\t\x7f", r"\u{1b}[2J\u{7}\t\u{7f}"),
            (b"a\rb\xc2\x9b\n", r"a\rb\u{9b}"),
            (b"\xff\n", "\u{fffd}"),
            (
                "\u{202e}x\u{200b}\u{2028}\u{e0041}".as_bytes(),
                r"\u{202e}x\u{200b}\u{2028}\u{e0041}",
            ),
        ] {
            assert_eq!(escape(piece), expected);
        }
    }

    #[test]
    fn the_bucket_holds_a_second_and_fills_with_time() {
        let mut bucket = Bucket::full(10_000);
        let at = Duration::from_millis;
        assert!(bucket.take(10_000, at(0)));
        assert!(!bucket.take(1, at(0)));
        assert!(bucket.take(10, at(1)));
        assert!(!bucket.take(1, at(1)));
        assert!(
            bucket.take(10_000, at(60_000)) && !bucket.take(1, at(60_000)),
            "no more than a second is saved"
        );
        assert!(!bucket.take(1, at(59_000)), "time does not run backwards");
        let mut slow = Bucket::full(0);
        assert!(slow.take(PIECE_BYTES.into(), at(0)) && !slow.take(1, at(60_000)));
    }

    #[tokio::test]
    async fn a_flood_is_counted_and_a_long_line_is_cut() {
        let mut flood = vec![b'a'; 4096];
        flood.extend(b"bb\n");
        let mut heard = Vec::new();
        listen(flood.as_slice(), 1, |what| {
            heard.push(match what {
                Heard::Line(line) => (line.len(), 0),
                Heard::Dropped(bytes) => (0, bytes),
            });
        })
        .await;
        assert_eq!(heard, [(4096, 0), (0, 3)]);
    }
}
