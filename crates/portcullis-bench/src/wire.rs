//! What a call and its answer look like on the wire, in both eras.

use std::fmt::{self, Write as _};
use std::ops::Range;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use memchr::memmem;
use serde::{Deserialize, Serialize};

/// Which half of the protocol's history a call is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Era {
    /// 2025-11-25: a handshake, then a session.
    #[serde(rename = "2025")]
    Handshake,
    /// 2026-07-28: every request stands alone.
    #[serde(rename = "2026")]
    Stateless,
}

impl Era {
    /// The revision as the protocol names it.
    pub const fn revision(self) -> &'static str {
        match self {
            Self::Handshake => "2025-11-25",
            Self::Stateless => "2026-07-28",
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Handshake => "2025",
            Self::Stateless => "2026",
        })
    }
}

/// How the upstream wraps its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// One `application/json` body with its length.
    Json,
    /// One event of a `text/event-stream`, chunked.
    Sse,
}

impl Shape {
    /// The upstream's tool that answers in this shape.
    pub const fn tool(self) -> &'static str {
        match self {
            Self::Json => "echo",
            Self::Sse => "echo_sse",
        }
    }

    /// The media type of such an answer.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Sse => "text/event-stream",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Json => "json",
            Self::Sse => "sse",
        })
    }
}

/// The longest text a call may carry.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

const WORDS: &[&str] = &[
    "river", "lantern", "orchard", "copper", "meadow", "window", "harbour", "pencil", "granite",
    "violin", "thunder", "basket", "marble", "candle", "forest", "ribbon",
];

/// Writes calls, no two alike.
#[derive(Debug)]
pub struct Writer {
    words: Vec<u8>,
    era: Era,
    tool: String,
    text_bytes: usize,
    next: u64,
}

impl Writer {
    /// A writer of calls to `tool`, each with a text of exactly `text_bytes`.
    ///
    /// # Errors
    /// If the text would be longer than [`MAX_TEXT_BYTES`].
    pub fn new(era: Era, tool: String, text_bytes: usize, first: u64) -> anyhow::Result<Self> {
        if text_bytes > MAX_TEXT_BYTES {
            bail!("a text of {text_bytes} bytes is too long");
        }
        Ok(Self {
            words: words(text_bytes + SPREAD),
            era,
            tool,
            text_bytes,
            next: first,
        })
    }

    /// The next call. Its id and its text are not those of any other call of this writer.
    ///
    /// # Errors
    /// If the writer's own text is too short, which a test excludes.
    pub fn call(&mut self) -> anyhow::Result<Call> {
        let id = self.next;
        self.next += 1;
        let mut body = String::with_capacity(self.text_bytes + 400);
        write!(
            body,
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{}","arguments":{{"text":""#,
            self.tool,
        )?;
        let start = body.len();
        write!(body, "{id:>16} ")?;
        body.truncate(start + self.text_bytes);
        let mut body = body.into_bytes();
        let offset = usize::try_from(id.wrapping_mul(7919) % SPREAD as u64)?;
        let rest = self.text_bytes.saturating_sub(body.len() - start);
        let filler = self.words.get(offset..offset + rest);
        body.extend_from_slice(filler.context("the pool of words is too short")?);
        let text = start..body.len();
        body.extend_from_slice(match self.era {
            Era::Handshake => br#""}}}"#,
            Era::Stateless => STATELESS_TAIL,
        });
        Ok(Call {
            id,
            body: body.into(),
            text,
        })
    }
}

const SPREAD: usize = 64 << 10;
const STATELESS_TAIL: &[u8] = br#""},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"portcullis-bench","version":"1"}}}}"#;

fn words(bytes: usize) -> Vec<u8> {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut pool = Vec::with_capacity(bytes + 16);
    while pool.len() < bytes {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let word = WORDS.iter().cycle().nth((seed >> 60) as usize & 15);
        pool.extend_from_slice(word.map_or(b"word", |word| word.as_bytes()));
        pool.push(b' ');
    }
    pool
}

/// One call, as sent, and what its answer must repeat.
#[derive(Debug)]
pub struct Call {
    id: u64,
    body: Bytes,
    text: Range<usize>,
}

impl Call {
    /// The request's body; cheap to take.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// Whether `answer` repeats this call's id and every byte of its text.
    ///
    /// # Errors
    /// Says which of the two differs, with the beginning of what came.
    pub fn check(&self, answer: &[u8]) -> anyhow::Result<()> {
        let mut digits = [0_u8; 20];
        let id = decimal(self.id, &mut digits);
        let after = value_of(answer, br#""id":"#).and_then(|value| value.strip_prefix(id));
        if after.is_none_or(|rest| rest.first().is_some_and(u8::is_ascii_digit)) {
            bail!("the id is not {}: {}", self.id, excerpt(answer));
        }
        let text = self.body.get(self.text.clone()).unwrap_or_default();
        let after = value_of(answer, br#""text":"#)
            .and_then(|value| value.strip_prefix(b"\""))
            .and_then(|value| value.strip_prefix(text));
        if !after.is_some_and(|rest| rest.starts_with(b"\"")) {
            bail!("the text of {} differs: {}", self.id, excerpt(answer));
        }
        Ok(())
    }
}

fn value_of<'a>(answer: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(answer, key)?;
    Some(answer.get(at + key.len()..)?.trim_ascii_start())
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    digits.get(20 - used..).unwrap_or_default()
}

/// The beginning of a body, for a message.
pub(crate) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..300).unwrap_or(body)).into_owned()
}

/// The body of `initialize`.
pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"portcullis-bench","version":"1"}}}"#;
/// The body of `notifications/initialized`.
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// The body of `tools/list` with a session.
pub const LIST: &str = r#"{"jsonrpc":"2.0","id":0,"method":"tools/list"}"#;
/// The body of `tools/list` without one.
pub const LIST_STATELESS: &str = r#"{"jsonrpc":"2.0","id":0,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"portcullis-bench","version":"1"}}}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_json_of_the_size_asked_for_and_unlike_the_last() {
        for era in [Era::Handshake, Era::Stateless] {
            for bytes in [0, 5, 64, 1024, 16 << 10, 100 << 10] {
                let mut writer = Writer::new(era, "echo".into(), bytes, 1_000_000).unwrap();
                let (one, two) = (writer.call().unwrap(), writer.call().unwrap());
                let parsed: serde_json::Value = serde_json::from_slice(&one.body()).unwrap();
                let text = parsed["params"]["arguments"]["text"].as_str().unwrap();
                assert_eq!(text.len(), bytes);
                assert_ne!(one.body(), two.body());
            }
        }
    }

    #[test]
    fn an_answer_must_repeat_id_and_text_exactly() {
        let call = Writer::new(Era::Stateless, "echo".into(), 64, 41)
            .unwrap()
            .call()
            .unwrap();
        let text = String::from_utf8(call.body[call.text.clone()].to_vec()).unwrap();
        let answer = |id: &str, text: &str| {
            format!(r#"{{"id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
        };
        let shorter = text.strip_suffix(|_| true).unwrap();
        let other = text.replace("41", "42");
        for (answer, right) in [
            (answer("41", &text), true),
            (answer(" 41", &text), true),
            (answer("410", &text), false),
            (answer("4", &text), false),
            (answer("\"41\"", &text), false),
            (answer("41", shorter), false),
            (answer("41", &format!("{text}.")), false),
            (answer("41", &other), false),
            (String::new(), false),
        ] {
            assert_eq!(call.check(answer.as_bytes()).is_ok(), right, "{answer}");
        }
    }

    #[test]
    fn a_number_is_written_as_everyone_writes_it() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
