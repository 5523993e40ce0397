//! Microseconds since 1970 as RFC 3339 text in UTC, and back.

/// How long a written time is: `2026-07-28T09:00:00.000000Z`.
pub(crate) const TIME_BYTES: usize = 27;

/// The last microsecond of the year 9999: later times are written as this one.
pub(crate) const MAX_MICROS: u64 = 253_402_300_799_999_999;

const MICROS: u64 = 1_000_000;
const DAY_SECONDS: u64 = 86_400;
const SHAPE: &[u8; TIME_BYTES] = b"0000-00-00T00:00:00.000000Z";

/// A time in microseconds since 1970 as RFC 3339 text in UTC; later than the year 9999 is its last moment.
pub fn time_text(micros: u64) -> String {
    String::from_utf8_lossy(&write(micros)).into_owned()
}

/// The text of a time, at most [`MAX_MICROS`].
pub(crate) fn write(micros: u64) -> [u8; TIME_BYTES] {
    let micros = micros.min(MAX_MICROS);
    let seconds = micros / MICROS;
    let (year, month, day) = civil(seconds / DAY_SECONDS);
    let second = seconds % DAY_SECONDS;
    let mut text = *SHAPE;
    let fields = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, second / 3600),
        (14, 2, second / 60 % 60),
        (17, 2, second % 60),
        (20, 6, micros % MICROS),
    ];
    for (at, width, value) in fields {
        put(text.get_mut(at..at + width), value);
    }
    text
}

/// The time that `text` writes; `None` unless [`write()`] would give exactly this text.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let text: &[u8; TIME_BYTES] = text.try_into().ok()?;
    let number = |at: usize, width: usize| {
        text.get(at..at + width)?
            .iter()
            .try_fold(0_u64, |sum, byte| {
                byte.is_ascii_digit()
                    .then(|| sum * 10 + u64::from(byte - b'0'))
            })
    };
    let days = days(number(0, 4)?, number(5, 2)?, number(8, 2)?)?;
    let seconds = days * DAY_SECONDS + number(11, 2)? * 3600 + number(14, 2)? * 60 + number(17, 2)?;
    let micros = seconds * MICROS + number(20, 6)?;
    (&write(micros) == text).then_some(micros)
}

fn put(field: Option<&mut [u8]>, mut value: u64) {
    for byte in field.into_iter().flatten().rev() {
        *byte = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Year, month and day of a day since 1970; eras of 400 years that begin on 1 March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + late, month, date)
}

/// The inverse of [`civil`]; a date that does not exist gives the day of another.
fn days(year: u64, month: u64, date: u64) -> Option<u64> {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let (era, year) = (year / 400, year % 400);
    let day = (153 * month + 2) / 5 + date.checked_sub(1)? + 365 * year + year / 4 - year / 100;
    (era * 146_097 + day).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_are_written() {
        let rows = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (1_000_000_000_000_000, "2001-09-09T01:46:40.000000Z"),
            (MAX_MICROS, "9999-12-31T23:59:59.999999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999999Z"),
        ];
        for (micros, text) in rows {
            assert_eq!(std::str::from_utf8(&write(micros)).unwrap(), text);
            assert_eq!(parse(text.as_bytes()), Some(micros.min(MAX_MICROS)));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "1970-01-01T00:00:00.000000z",
            "1970-01-01 00:00:00.000000Z",
            "1970-02-30T00:00:00.000000Z",
            "1970-13-01T00:00:00.000000Z",
            "1970-00-01T00:00:00.000000Z",
            "1970-01-01T24:00:00.000000Z",
            "0000-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_read_as_it_is_written(micros in 0..=MAX_MICROS) {
            prop_assert_eq!(parse(&write(micros)), Some(micros));
        }
    }
}
