//! Which users: the filters that provisioning services send (RFC 7644 section 3.4.2).

use super::{Attribute, MAX_LISTED, MAX_TEXT_BYTES, Problem, Search};
use form_urlencoded::parse;

/// The longest query that is read, in bytes.
const MAX_QUERY_BYTES: usize = 4096;

/// Reads the query of a `GET` for users. What only shapes the answer is left unread.
pub(super) fn search(query: Option<&str>) -> Result<Search, Problem> {
    let query = query.unwrap_or_default();
    if query.len() > MAX_QUERY_BYTES {
        return Err(Problem::TooLarge);
    }
    let (mut wanted, mut start, mut count) = (None, None, None);
    for (name, value) in parse(query.as_bytes()) {
        let place = match &*name {
            "filter" => &mut wanted,
            "startIndex" => &mut start,
            "count" => &mut count,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(Problem::Filter);
        }
    }
    if let Some(text) = wanted {
        let (attribute, value) = filter(&text).ok_or(Problem::Filter)?;
        return Ok(Search::Where(attribute, value));
    }
    // RFC 7644 section 3.4.2.4: what is less than 1, or 0, is taken for that.
    let number = |text: Option<String>, default: i64| match text {
        None => Ok(default),
        Some(text) => text.parse::<i64>().map_err(|_| Problem::Value),
    };
    let most = i64::try_from(MAX_LISTED).unwrap_or(i64::MAX);
    let skipped = number(start, 1)?.max(1) - 1;
    let count = number(count, most)?.clamp(0, most);
    let size = |number: i64| usize::try_from(number).map_err(|_| Problem::Value);
    Ok(Search::All(size(skipped)?, size(count)?))
}

/// `ATTRIBUTE eq "VALUE"`, and nothing else: what is not understood must not find everybody.
fn filter(text: &str) -> Option<(Attribute, String)> {
    let mut words = text.trim().splitn(3, ' ');
    let (name, operator, value) = (words.next()?, words.next()?, words.next()?);
    if !operator.eq_ignore_ascii_case("eq") {
        return None;
    }
    let attribute = super::body::attribute(name)?;
    let value: String = serde_json::from_str(value).ok()?;
    (!value.is_empty() && value.len() <= MAX_TEXT_BYTES).then_some((attribute, value))
}
