//! The JSON-RPC 2.0 envelope, borrowed from the bytes, under a grammar with one reading.

use super::Malformed;
use super::strict::check_strict;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The longest accepted text id, in bytes.
const MAX_ID_BYTES: usize = 256;

/// A request id: a text or an integer, never `null` and never fractional.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// A text of at most 256 bytes.
    Text(Box<str>),
    /// An integer.
    Number(i64),
}

impl Id {
    /// Reads an id as it stands in a message.
    ///
    /// # Errors
    /// [`Malformed::Id`] for `null`, fractions, and what is too large or too long.
    pub fn read(raw: &RawValue) -> Result<Self, Malformed> {
        let text = raw.get();
        if text.starts_with('"') {
            let text: String = serde_json::from_str(text).map_err(|_| Malformed::Id)?;
            return if text.len() <= MAX_ID_BYTES {
                Ok(Self::Text(text.into()))
            } else {
                Err(Malformed::Id)
            };
        }
        if text == "-0" {
            return Err(Malformed::Id);
        }
        text.parse().map(Self::Number).map_err(|_| Malformed::Id)
    }

    /// The id as JSON.
    pub fn json(&self) -> String {
        match self {
            Self::Text(text) => serde_json::Value::from(&**text).to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// The members of one message, as they stand in its bytes.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// `id`.
    pub id: Option<&'a RawValue>,
    /// `method`.
    pub method: Option<Cow<'a, str>>,
    /// `params`.
    pub params: Option<&'a RawValue>,
    /// `result`.
    pub result: Option<&'a RawValue>,
    /// `error`.
    pub error: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads one message; every level of it is checked.
    ///
    /// # Errors
    /// [`Malformed`] for whatever could be read in more than one way, or is no JSON-RPC 2.0.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(body).map_err(|_| Malformed::Encoding)?;
        if text
            .trim_start_matches([' ', '\t', '\r', '\n'])
            .starts_with('[')
        {
            return Err(Malformed::Batch);
        }
        check_strict(text)?;
        let mut envelope = Self::default();
        let mut version = None;
        for (name, value) in members(text)? {
            match &*name {
                "jsonrpc" => version = Some(value.get()),
                "id" => envelope.id = Some(value),
                "method" => envelope.method = Some(text_of(value).ok_or(Malformed::Envelope)?),
                "params" => envelope.params = Some(value),
                "result" => envelope.result = Some(value),
                "error" => envelope.error = Some(value),
                other => refuse_case(
                    other,
                    &["jsonrpc", "id", "method", "params", "result", "error"],
                )?,
            }
        }
        if version != Some("\"2.0\"") {
            return Err(Malformed::Envelope);
        }
        Ok(envelope)
    }
}

/// The members of an object, in order, each value as it stands.
pub(super) fn members(text: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, Malformed> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let listed = deserializer
        .deserialize_map(Members)
        .map_err(|_| Malformed::Envelope)?;
    deserializer.end().map_err(|_| Malformed::Json)?;
    Ok(listed)
}

/// A JSON text without its quotes and escapes; `None` for any other value.
pub(super) fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = value.get();
    let plain = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', plain.as_bytes()).is_none() {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str::<String>(quoted).ok().map(Cow::Owned)
}

/// Refuses a name that a case-insensitive reader would take for a known one (CVE-2026-27896).
pub(super) fn refuse_case(name: &str, known: &[&str]) -> Result<(), Malformed> {
    let is_same = |known: &&str| {
        if name.is_ascii() {
            known.eq_ignore_ascii_case(name)
        } else {
            known.chars().map(fold).eq(name.chars().map(fold))
        }
    };
    let is_variant = known.iter().any(|known| *known != name && is_same(known));
    if is_variant {
        Err(Malformed::Case)
    } else {
        Ok(())
    }
}

/// Simple case folding, with the two other letters that fold to ASCII ones.
const fn fold(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(4);
        while let Some(name) = map.next_key_seed(Name)? {
            members.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

/// A member's name without escapes, borrowed where it has none.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Reads bytes of others as JSON that has one reading ([`check_strict`]).
///
/// # Errors
/// As [`check_strict`]; [`Malformed::Encoding`] for what is not UTF-8, [`Malformed::Json`] also for what is no `T`.
pub fn read_strict<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Encoding)?;
    check_strict(text)?;
    serde_json::from_str(text).map_err(|_| Malformed::Json)
}
