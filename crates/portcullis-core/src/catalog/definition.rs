//! One definition: its canonical bytes (RFC 8785) and the digest by which it is approved.

use crate::protocol::read_strict;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest definition that is read, in bytes.
pub const MAX_DEFINITION_BYTES: usize = 1024 * 1024;
/// The longest name, URI or URI template, in bytes.
const MAX_NAME_BYTES: usize = 2048;
/// What stands before the digits of a printed digest.
const SCHEME: &str = "sha256:";

/// What a definition is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A tool, named by `name`.
    Tool,
    /// A prompt, named by `name`.
    Prompt,
    /// A resource, named by `uri`.
    Resource,
    /// A resource template, named by `uriTemplate`.
    Template,
    /// What the server says of itself, without a name: `instructions`, `serverInfo`, and what its capabilities tell.
    Server,
}

/// A word that is no [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of tool, prompt, resource, template, server")]
pub struct NoKind;

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Tool,
        Self::Prompt,
        Self::Resource,
        Self::Template,
        Self::Server,
    ];

    /// The word for it in records, files and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Template => "template",
            Self::Server => "server",
        }
    }

    /// The member by which a definition is named; none for what a server says of itself.
    const fn member(self) -> Option<&'static str> {
        match self {
            Self::Tool | Self::Prompt => Some("name"),
            Self::Resource => Some("uri"),
            Self::Template => Some("uriTemplate"),
            Self::Server => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = NoKind;

    fn from_str(word: &str) -> Result<Self, NoKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == word)
            .ok_or(NoKind)
    }
}

/// The SHA-256 of a definition's canonical bytes, printed as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is no printed [`Digest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sha256: and 64 lower-case hexadecimal digits")]
pub struct NoDigest;

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut own = [0; 32];
        for (to, from) in own.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
            *to = *from;
        }
        Self(own)
    }

    /// The digest that has these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.strip_prefix(SCHEME).ok_or(NoDigest)?.as_bytes();
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NoDigest),
        };
        let mut own = [0; 32];
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != own.len() || !rest.is_empty() {
            return Err(NoDigest);
        }
        for (to, [high, low]) in own.iter_mut().zip(pairs) {
            *to = value(*high)? << 4 | value(*low)?;
        }
        Ok(Self(own))
    }
}

/// Why bytes are no definition; what cannot be read cannot be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than [`MAX_DEFINITION_BYTES`].
    #[error("too long")]
    TooLong,
    /// Not one strict JSON object.
    #[error("not one json object with one reading")]
    Malformed,
    /// No name, an empty one, or too long a one.
    #[error("no name")]
    Name,
}

/// One definition as it was read. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    kind: Kind,
    name: Arc<str>,
    canonical: Arc<str>,
    digest: Digest,
}

impl Definition {
    /// Reads a definition as a server writes it, or as it was stored: canonical bytes read as themselves.
    ///
    /// Numbers are IEEE 754 doubles, as RFC 8785 has it; what is served is the canonical form, so that nobody reads
    /// a number that was not approved.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn read(kind: Kind, raw: &str) -> Result<Self, Unreadable> {
        if raw.len() > MAX_DEFINITION_BYTES {
            return Err(Unreadable::TooLong);
        }
        let mut value: Value = read_strict(raw.as_bytes()).map_err(|_| Unreadable::Malformed)?;
        read_doubles(&mut value, raw)?;
        let members = value.as_object().ok_or(Unreadable::Malformed)?;
        let name = match kind.member() {
            None => "",
            Some(member) => members
                .get(member)
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
                .ok_or(Unreadable::Name)?,
        };
        let canonical = serde_json_canonicalizer::to_string(&value);
        let canonical = canonical.map_err(|_| Unreadable::Malformed)?;
        Ok(Self {
            kind,
            name: name.into(),
            digest: Digest::of(canonical.as_bytes()),
            canonical: canonical.into(),
        })
    }

    /// What it defines.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The name under which it is called or read; empty for [`Kind::Server`].
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its canonical form, which is what is kept and served.
    pub const fn canonical(&self) -> &Arc<str> {
        &self.canonical
    }

    /// What an approval is bound to.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// Reads the fractions in a value anew, each as the double that is nearest: the JSON library may be one off.
///
/// INVARIANT: recursion ends at `MAX_DEPTH`, for the value was read by `read_strict`.
fn read_doubles(value: &mut Value, raw: &str) -> Result<(), Unreadable> {
    if !has_double(value) {
        return Ok(());
    }
    let malformed = |_| Unreadable::Malformed;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => {}
        Value::Number(number) => {
            let double: f64 = raw.trim().parse().map_err(|_| Unreadable::Malformed)?;
            *number = Number::from_f64(double).ok_or(Unreadable::Malformed)?;
        }
        Value::Array(items) => {
            let raws: Vec<&RawValue> = serde_json::from_str(raw).map_err(malformed)?;
            for (item, raw) in items.iter_mut().zip(raws) {
                read_doubles(item, raw.get())?;
            }
        }
        Value::Object(members) => {
            let raws: BTreeMap<Cow<'_, str>, &RawValue> =
                serde_json::from_str(raw).map_err(malformed)?;
            for (name, value) in members {
                let raw = raws.get(name.as_str()).ok_or(Unreadable::Malformed)?;
                read_doubles(value, raw.get())?;
            }
        }
    }
    Ok(())
}

fn has_double(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => false,
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_double),
        Value::Object(members) => members.values().any(has_double),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tool(raw: &str) -> Definition {
        Definition::read(Kind::Tool, raw).unwrap()
    }

    #[test]
    fn poi_05_writes_what_others_write_of_the_same_definition() {
        // RFC 8785, section 3.2.2 and 3.2.3, as an own definition; the digests are of `sha256sum`.
        let raw = "{ \"name\": \"x\", \"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],\n
            \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\", \"literals\": [null, true, false]}";
        let read = tool(raw);
        assert_eq!(
            &**read.canonical(),
            "{\"literals\":[null,true,false],\"name\":\"x\",\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let order = "{\"\u{20ac}\":1,\"\\r\":2,\"\u{fb33}\":3,\"1\":4,\"\u{1f600}\":5,\"\u{80}\":6,\"\u{f6}\":7,\"name\":\"x\"}";
        assert_eq!(
            &**tool(order).canonical(),
            "{\"\\r\":2,\"1\":4,\"name\":\"x\",\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
        assert_eq!(
            tool("{\"name\":\"add\"}").digest().to_string(),
            "sha256:240000bda55a139aa9efe6866274f7c1a2c3095160ecd6683719298f62507916"
        );
    }

    #[test]
    fn poi_05_digests_do_not_see_how_a_definition_is_written() {
        let plain = tool(r#"{"name":"add","inputSchema":{"type":"object","minimum":10}}"#);
        let others = [
            r#"{ "inputSchema" : {"minimum":10,"type":"object"}, "name":"add" }"#,
            r#"{"name":"\u0061dd","inputSchema":{"type":"object","minimum":10.0}}"#,
            r#"{"n\u0061me":"add","inputSchema":{"type":"object","minimum":1e1}}"#,
        ];
        for other in others {
            assert_eq!(tool(other).digest(), plain.digest(), "{other}");
        }
    }

    #[test]
    fn poi_05_what_has_two_readings_is_no_definition() {
        let long = format!(
            "{{\"name\":\"a\",\"x\":\"{}\"}}",
            "x".repeat(MAX_DEFINITION_BYTES)
        );
        let deep = format!(
            "{{\"name\":\"a\",\"x\":{}{}}}",
            "[".repeat(200),
            "]".repeat(200)
        );
        let named = format!("{{\"name\":\"{}\"}}", "n".repeat(MAX_NAME_BYTES + 1));
        let cases = [
            (r#"{"name":"a","name":"b"}"#, Unreadable::Malformed),
            (r#"{"name":"a","\u006eame":"a"}"#, Unreadable::Malformed),
            (r#"{"name":"a","x":1e400}"#, Unreadable::Malformed),
            (r#"{"name":"\ud800"}"#, Unreadable::Malformed),
            (r#"["name"]"#, Unreadable::Malformed),
            (r#"{"name":""}"#, Unreadable::Name),
            (r#"{"name":1}"#, Unreadable::Name),
            (r#"{"uri":"a"}"#, Unreadable::Name),
            (&long, Unreadable::TooLong),
            (&deep, Unreadable::Malformed),
            (&named, Unreadable::Name),
        ];
        for (raw, expected) in cases {
            let shown = raw.get(..60).unwrap_or(raw);
            assert_eq!(Definition::read(Kind::Tool, raw), Err(expected), "{shown}");
        }
    }

    #[test]
    fn poi_05_digests_are_read_as_they_are_printed_and_no_other_way() {
        let digest = Digest::of(b"x");
        let printed = digest.to_string();
        assert_eq!(printed.parse(), Ok(digest));
        let cases = [
            printed.to_uppercase(),
            printed.replace("sha256", "sha1"),
            format!("{printed}0"),
            printed.replacen('2', "+", 2),
            String::new(),
            "sha256:".to_owned(),
        ];
        for case in cases {
            assert_eq!(case.parse::<Digest>(), Err(NoDigest), "{case}");
        }
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same value, written as differently as JSON allows.
    fn written_otherwise(value: &Value) -> String {
        match value {
            Value::Null | Value::Bool(_) => format!(" {value}\n"),
            Value::Number(number) => match number.as_f64() {
                Some(double) => format!("{double:e}"),
                None => number.to_string(),
            },
            Value::String(text) => {
                let units: Vec<_> = text
                    .encode_utf16()
                    .map(|unit| format!("\\u{unit:04X}"))
                    .collect();
                format!("\"{}\"", units.concat())
            }
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(written_otherwise).collect();
                format!("[ {} ]", items.join("\t,"))
            }
            Value::Object(members) => {
                let members: Vec<_> = members
                    .iter()
                    .rev()
                    .map(|(name, value)| {
                        let name = written_otherwise(&Value::from(name.as_str()));
                        format!("{name} : {}", written_otherwise(value))
                    })
                    .collect();
                format!("{{{}}}", members.join(" , "))
            }
        }
    }

    /// Two values that mean the same: numbers by their double.
    fn is_same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(name, a)| other.get(name).is_some_and(|b| is_same(a, b)))
            }
            (one, other) => one == other,
        }
    }

    proptest! {
        #[test]
        fn poi_05_only_what_a_definition_says_is_in_its_digest(inside in value(), other in value()) {
            let raw = |inside: &str| format!("{{\"name\":\"t\",\"x\":{inside}}}");
            let plain = tool(&raw(&inside.to_string()));
            prop_assert_eq!(&plain, &tool(&raw(&written_otherwise(&inside))));
            prop_assert_eq!(&plain, &tool(plain.canonical()));
            let changed = tool(&raw(&other.to_string()));
            prop_assert_eq!(is_same(&inside, &other), plain.digest() == changed.digest());
        }

        #[test]
        fn poi_05_any_text_is_read_or_refused(raw in any::<String>()) {
            for kind in Kind::ALL {
                if let Ok(read) = Definition::read(kind, &raw) {
                    prop_assert_eq!(Definition::read(kind, read.canonical()), Ok(read.clone()));
                }
            }
        }
    }
}
