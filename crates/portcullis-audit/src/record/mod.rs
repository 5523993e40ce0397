//! What is recorded of one exchange or event.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

mod text;

pub use text::{Label, MAX_TEXT_BYTES, MAX_VIEW_BYTES, Text, View};

use crate::hash::{hex_string, sha256};

/// The most facts of a [`Detail`].
pub const MAX_FACTS: usize = 16;

/// One record, but for its version, number, time and chain, which the writer adds.
///
/// Its fields are written in this order. Every text is bounded, so a record costs bounded memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What happened, such as `authz.deny`.
    pub event: Label,
    /// Why, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Label>,
    /// Who called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// The OAuth client that they used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Text>,
    /// The identifier of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<Text>,
    /// The upstream server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Text>,
    /// The method of the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Text>,
    /// The tool, resource or prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Text>,
    /// What was passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Arguments>,
    /// What the policy said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What the client was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The hash of the session's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Text>,
    /// The address of the client's socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// How long the exchange took, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// How much of it was spent waiting for the upstream, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_us: Option<u64>,
    /// The bytes that the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// The bytes that the client was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// The W3C trace id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Text>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "Detail::is_empty")]
    pub detail: Detail,
}

impl Record {
    /// A record that says only what happened.
    pub fn new(event: &'static str) -> Self {
        Self {
            event: event.into(),
            reason: None,
            principal: None,
            client: None,
            jti: None,
            server: None,
            method: None,
            target: None,
            arguments: None,
            decision: None,
            outcome: None,
            session: None,
            peer: None,
            duration_us: None,
            upstream_us: None,
            bytes_in: None,
            bytes_out: None,
            trace: None,
            detail: Detail::default(),
        }
    }
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// Who says so.
    pub iss: Text,
    /// Their name there.
    pub sub: Text,
}

/// What was passed to a tool or prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The hash of the bytes that were passed.
    pub digest: Digest,
    /// The same after redaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
}

/// `sha256:` and the hash in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(Cow<'static, str>);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex_string(&sha256(bytes))).into())
    }

    /// The digest as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the policy said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether they may.
    pub effect: Effect,
    /// The rule that decided.
    pub rule: Text,
    /// The hash of the policy that held the rule.
    pub policy: Text,
}

/// Whether something was permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It was.
    Allow,
    /// It was not.
    Deny,
}

/// What the client was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// The JSON-RPC error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
}

/// At most [`MAX_FACTS`] further facts, each a text under a fixed name, in the order of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Detail(BTreeMap<Label, Text>);

impl Detail {
    /// Adds a fact, or replaces it; a new one beyond [`MAX_FACTS`] is left out.
    pub fn set(&mut self, name: &'static str, fact: impl Into<Text>) {
        let name = Label::from(name);
        if self.0.len() < MAX_FACTS || self.0.contains_key(&name) {
            self.0.insert(name, fact.into());
        }
    }

    /// The fact of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Text::as_str)
    }

    /// The facts in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, fact)| (name.as_str(), fact.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests;
