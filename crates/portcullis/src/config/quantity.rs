//! Durations, sizes and counts: how they are written, and within which bounds.

use std::fmt;
use std::time::Duration;

/// A length of time, written `250ms`, `10s`, `5m`, `24h` or `7d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes, written `4MiB`, `64KiB`, `1GiB`, `512B` or as a plain integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct Size(pub(super) u64);

/// A number of things.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct Count(pub(super) u32);

/// The value that stands if none is written, and the bounds of one that is.
pub(super) struct Range<T> {
    pub(super) default: T,
    pub(super) least: T,
    pub(super) most: T,
}

impl<T: Copy + PartialOrd + fmt::Display> Range<T> {
    pub(super) fn holds(&self, value: T) -> bool {
        self.least <= value && value <= self.most
    }

    /// `1s to 10m`, for messages and the reference.
    pub(super) fn words(&self) -> String {
        format!("{} to {}", self.least, self.most)
    }

    /// The default as one would write it.
    pub(super) fn default_text(&self) -> String {
        self.default.to_string()
    }
}

const SPANS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Span {
    pub(super) const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub(super) const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Reads a whole number with a unit; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        measure(text, SPANS).map(Self::millis)
    }
}

impl Size {
    pub(super) const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    pub(super) const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// Reads a whole number with a binary unit; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        measure(text, SIZES).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return out.write_str("0s");
        }
        // Saturates above 500 million years, which no bound reaches.
        show(
            out,
            u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX),
            SPANS,
        )
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(out, self.0, SIZES)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes with the largest unit that leaves a whole number.
fn show(out: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let unit = units
        .iter()
        .rev()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))
        .or(units.first());
    match unit {
        Some((name, factor)) => write!(out, "{}{name}", value / factor),
        None => write!(out, "{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, millis) in [
            ("50ms", 50),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
        ] {
            let span = Span::parse(text);
            assert!(span == Some(Span::millis(millis)), "{text}");
            assert!(span.is_some_and(|span| Span::parse(&span.to_string()) == Some(span)));
        }
        for text in [
            "",
            "s",
            "10",
            "10 s",
            "-1s",
            "1.5s",
            "10S",
            "1w",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert!(Span::parse(text).is_none(), "{text}");
        }
        assert_eq!(Span::millis(0).to_string(), "0s");
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("4MiB", 4_194_304),
            ("1GiB", 1 << 30),
        ] {
            let size = Size::parse(text);
            assert!(size == Some(Size(bytes)), "{text}");
            assert_eq!(size.map(|size| size.to_string()).as_deref(), Some(text));
        }
        for text in ["", "4", "4MB", "4mib", "4 MiB", "18446744073709551615GiB"] {
            assert!(Size::parse(text).is_none(), "{text}");
        }
    }
}
