//! Times as people write them.

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400;
const UNITS: [char; 4] = ['s', 'm', 'h', 'd'];

/// Microseconds since 1970: of RFC 3339, of a day in UTC, or of a span before `now`.
pub(crate) fn parse(text: &str, now: u64) -> Option<u64> {
    if text.ends_with(UNITS) {
        return Some(now.saturating_sub(span(text)?));
    }
    written(text)
}

/// The same, but a span is one after `now`.
pub(crate) fn parse_ahead(text: &str, now: u64) -> Option<u64> {
    if text.ends_with(UNITS) {
        return now.checked_add(span(text)?);
    }
    written(text)
}

/// Microseconds of `90s`, `15m`, `2h` or `7d`.
fn span(text: &str) -> Option<u64> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY,
        _ => return None,
    };
    number(count)?.checked_mul(seconds)?.checked_mul(SECOND)
}

/// Microseconds since 1970 of RFC 3339, or of a day in UTC, which means its beginning.
pub(crate) fn written(text: &str) -> Option<u64> {
    let (day, time) = match text.split_once(['T', 't', ' ']) {
        None => (text, "00:00:00Z"),
        Some(parts) => parts,
    };
    let seconds = day_of(day)?.checked_mul(DAY)?;
    let (clock, offset) = zone(time)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hours, minutes, second] = fields(clock, ':', [2, 2, 2])?;
    if hours > 23 || minutes > 59 || second > 60 || fraction.len() > 9 {
        return None;
    }
    let micros = number(format!("{fraction:0<9}").as_str())? / 1000;
    let local = i64::try_from(seconds + hours * 3600 + minutes * 60 + second).ok()?;
    u64::try_from(local - offset)
        .ok()?
        .checked_mul(SECOND)?
        .checked_add(micros)
}

/// The time of day, and the seconds by which its zone is ahead of UTC.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (clock, zone) = time.split_at_checked(at)?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let [hours, minutes] = fields(zone.get(1..)?, ':', [2, 2])?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    Some((
        clock,
        sign * i64::try_from(hours * 3600 + minutes * 60).ok()?,
    ))
}

/// Days since 1970 of `YYYY-MM-DD` in the Gregorian calendar.
fn day_of(text: &str) -> Option<u64> {
    let [year, month, day] = fields(text, '-', [4, 2, 2])?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || day == 0 || day > *months.get(index)? {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some(years + months.iter().take(index).sum::<u64>() + day - 1)
}

fn fields<const N: usize>(text: &str, between: char, widths: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(between);
    let mut fields = [0; N];
    for (field, width) in fields.iter_mut().zip(widths) {
        *field = number(parts.next().filter(|part| part.len() == width)?)?;
    }
    parts.next().is_none().then_some(fields)
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_ahead};

    #[test]
    fn times_are_read() {
        let now = 1_000_000_000_000_000;
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00.000001Z", Some(951_782_400_000_001)),
            ("2001-09-09T01:46:40Z", Some(now)),
            ("2001-09-09t03:46:40.5+02:00", Some(now + 500_000)),
            ("2001-09-08T23:46:40-02:00", Some(now)),
            ("2001-09-09", Some(999_993_600_000_000)),
            ("15m", Some(now - 900_000_000)),
            ("1d", Some(now - 86_400_000_000)),
            ("99999999999999999999d", None),
            ("", None),
            ("m", None),
            ("-1m", None),
            ("2001-02-29", None),
            ("2001-13-01", None),
            ("1969-12-31", None),
            ("2001-09-09T01:46:40", None),
            ("2001-09-09T24:00:00Z", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("äd", None),
        ] {
            assert_eq!(parse(text, now), expected, "{text}");
        }
        assert_eq!(parse_ahead("15m", now), Some(now + 900_000_000));
        assert_eq!(parse_ahead("2001-09-09T01:46:40Z", 5), Some(now));
        assert_eq!(parse_ahead("9999999999999d", now), None);
        assert_eq!(parse_ahead("tomorrow", now), None);
    }
}
