//! One line of the log: a record between its number, its time and its link to the line before.

use crate::hash::{HASH_BYTES, HEX_BYTES, Hash, hex, unhex};
use crate::record::Record;
use crate::time::{self, TIME_BYTES};

/// The most bytes of a line without its line feed: more than the largest record needs.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// The `prev` of the first line.
pub(crate) const GENESIS: Hash = [0; HASH_BYTES];

/// How far the time of a line may lie before that of an earlier one, in microseconds.
///
/// Records of exchanges that end together may change places in the queue. A clock that goes further
/// back is written into the record beside the newest time (see [`Stamp::clock`]).
pub const MAX_BACKWARDS_MICROS: u64 = 5_000_000;

const OPENING: &[u8] = br#"{"v":1,"seq":"#;
const TIME: &[u8] = br#","time":""#;
const CLOCK: &[u8] = br#","clock":""#;
const PREV: &[u8] = br#","prev":""#;
const CLOSING: &[u8] = br#""}"#;

/// The bytes at the end of a line that hold `prev`.
pub(crate) const LINK_BYTES: usize = PREV.len() + HEX_BYTES + CLOSING.len();

/// When a record was made, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The time of the log, which goes back at most [`MAX_BACKWARDS_MICROS`].
    pub time: u64,
    /// What the clock said, if it had gone back further than that.
    pub clock: Option<u64>,
}

impl Stamp {
    /// The stamp of a record that the clock puts at `clock` in a log whose newest time is `newest`.
    pub(crate) fn new(clock: u64, newest: u64) -> Self {
        let clock = clock.min(time::MAX_MICROS);
        if clock.saturating_add(MAX_BACKWARDS_MICROS) >= newest {
            Self {
                time: clock,
                clock: None,
            }
        } else {
            Self {
                time: newest,
                clock: Some(clock),
            }
        }
    }
}

/// Appends a line without its line feed; `body` is a record as a JSON object.
pub(crate) fn write(seq: u64, stamp: Stamp, body: &[u8], prev: &Hash, to: &mut Vec<u8>) {
    to.extend_from_slice(OPENING);
    write_number(seq, to);
    to.extend_from_slice(TIME);
    to.extend_from_slice(&time::write(stamp.time));
    to.push(b'"');
    if let Some(clock) = stamp.clock {
        to.extend_from_slice(CLOCK);
        to.extend_from_slice(&time::write(clock));
        to.push(b'"');
    }
    to.push(b',');
    to.extend_from_slice(
        body.strip_prefix(b"{")
            .and_then(|body| body.strip_suffix(b"}"))
            .unwrap_or_default(),
    );
    to.extend_from_slice(PREV);
    to.extend_from_slice(&hex(prev));
    to.extend_from_slice(CLOSING);
}

fn write_number(number: u64, to: &mut Vec<u8>) {
    let start = to.len();
    let mut rest = number;
    loop {
        to.push(b'0' + u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = to.get_mut(start..) {
        digits.reverse();
    }
}

/// The parts of a line that is framed as [`write()`] frames it; its record is not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) seq: u64,
    pub(crate) stamp: Stamp,
    pub(crate) prev: Hash,
    body: &'a [u8],
}

/// `line` as it would be with this `prev`.
pub(crate) fn relinked(line: &[u8], prev: &Hash) -> Option<Vec<u8>> {
    let (rest, _) = line.split_at_checked(line.len().checked_sub(LINK_BYTES)?)?;
    Some([rest, PREV, &hex(prev), CLOSING].concat())
}

impl<'a> Line<'a> {
    /// The parts of a line; `None` if it is not framed as ours are.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (rest, end) = bytes.split_at_checked(bytes.len().checked_sub(LINK_BYTES)?)?;
        let prev = unhex(end.strip_prefix(PREV)?.strip_suffix(CLOSING)?)?;
        let (seq, rest) = read_number(rest.strip_prefix(OPENING)?)?;
        let (time, rest) = read_time(rest.strip_prefix(TIME)?)?;
        let (clock, rest) = match rest.strip_prefix(CLOCK) {
            Some(rest) => read_time(rest).map(|(clock, rest)| (Some(clock), rest))?,
            None => (None, rest),
        };
        Some(Self {
            seq,
            stamp: Stamp { time, clock },
            prev,
            body: rest.strip_prefix(b",")?,
        })
    }

    /// The record; `None` unless the line is, byte for byte, as it would be written.
    ///
    /// `scratch` is overwritten.
    pub(crate) fn record(&self, scratch: &mut Vec<u8>) -> Option<Record> {
        scratch.clear();
        scratch.push(b'{');
        scratch.extend_from_slice(self.body);
        scratch.push(b'}');
        let record: Record = serde_json::from_slice(scratch).ok()?;
        let length = scratch.len();
        serde_json::to_writer(&mut *scratch, &record).ok()?;
        let (read, written) = scratch.split_at_checked(length)?;
        (read == written).then_some(record)
    }
}

fn read_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    if number.len() > 1 && number.starts_with(b"0") {
        return None;
    }
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

fn read_time(text: &[u8]) -> Option<(u64, &[u8])> {
    let (time, rest) = text.split_at_checked(TIME_BYTES)?;
    Some((time::parse(time)?, rest.strip_prefix(b"\"")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::record::tests::full;
    use proptest::prelude::*;

    fn line(seq: u64, stamp: Stamp) -> Vec<u8> {
        let mut line = Vec::new();
        write(
            seq,
            stamp,
            &serde_json::to_vec(&full()).unwrap(),
            &sha256(b"x"),
            &mut line,
        );
        line
    }

    #[test]
    fn a_line_begins_and_ends_as_documented() {
        let line = String::from_utf8(line(7, Stamp::new(3, 10_000_000))).unwrap();
        assert!(line.starts_with(concat!(
            r#"{"v":1,"seq":7,"time":"1970-01-01T00:00:10.000000Z","#,
            r#""clock":"1970-01-01T00:00:00.000003Z","event":"call.completed","#
        )));
        assert!(line.ends_with(
            r#"},"prev":"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}"#
        ));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&line).unwrap()["v"],
            1
        );
    }

    #[test]
    fn for_01_a_clock_that_goes_back_is_shown() {
        let newest = 60_000_000;
        let rows = [
            (newest, None),
            (newest - MAX_BACKWARDS_MICROS, None),
            (newest + 1, None),
            (1, Some(1)),
        ];
        for (clock, shown) in rows {
            let stamp = Stamp::new(clock, newest);
            assert_eq!(stamp.clock, shown);
            assert_eq!(stamp.time, if shown.is_some() { newest } else { clock });
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_is_written(seq: u64, clock in 0..time::MAX_MICROS, newest in 0..time::MAX_MICROS) {
            let stamp = Stamp::new(clock, newest);
            let line = line(seq, stamp);
            let parsed = Line::parse(&line).unwrap();
            prop_assert_eq!((parsed.seq, parsed.stamp, parsed.prev), (seq, stamp, sha256(b"x")));
            prop_assert_eq!(parsed.record(&mut Vec::new()), Some(full()));
        }

        #[test]
        fn no_bytes_are_too_strange_to_read(bytes: Vec<u8>, at in 0_usize..900, byte: u8) {
            let mut line = line(0, Stamp::new(0, 0));
            if let Some(old) = line.get_mut(at) { *old = byte; }
            for line in [bytes, line] {
                if let Some(line) = Line::parse(&line) { line.record(&mut Vec::new()); }
            }
        }
    }
}
