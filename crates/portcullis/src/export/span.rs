//! A span, and the attributes of spans and series.

use super::protobuf::Message;
use portcullis_core::time::Timestamp;
use std::borrow::Cow;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Text(Cow<'static, str>),
    Number(i64),
    Flag(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// An attribute.
pub(super) type Attribute = (&'static str, Value);

/// What a span stands for (`SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Internal,
    Server,
    Client,
}

impl Kind {
    const fn number(self) -> u64 {
        match self {
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
        }
    }
}

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    /// Whether the parent is another process's.
    pub(super) is_remote: bool,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) time: (Timestamp, Timestamp),
    pub(super) attributes: Vec<Attribute>,
    /// Why it failed, if it did.
    pub(super) error: Option<&'static str>,
}

/// `ExportTraceServiceRequest` (opentelemetry-proto 1.x, `trace/v1/trace.proto`).
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut whole = Message::default();
    whole.message(1, |of| {
        describe(of, resource);
        of.message(2, |scope| {
            scope.message(1, name_scope);
            for span in spans {
                scope.message(2, |message| span.write(message));
            }
        });
    });
    whole.into_bytes()
}

/// `Resource`, which is field 1 of the spans and the metrics of one.
pub(super) fn describe(message: &mut Message, resource: &[(String, String)]) {
    message.message(1, |message| {
        for (key, value) in resource {
            message.message(1, |pair| {
                pair.text(1, key);
                pair.message(2, |any| any.text(1, value));
            });
        }
    });
}

/// `InstrumentationScope`.
pub(super) fn name_scope(message: &mut Message) {
    message.text(1, "portcullis");
    message.text(2, env!("CARGO_PKG_VERSION"));
}

/// `KeyValue`, once for each attribute.
pub(super) fn attribute(message: &mut Message, field: u32, attributes: &[Attribute]) {
    for (key, value) in attributes {
        message.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| match value {
                Value::Text(text) => any.text(1, text),
                Value::Flag(flag) => any.number(2, u64::from(*flag)),
                Value::Number(number) => any.number(3, number.cast_unsigned()),
            });
        });
    }
}

/// A time in nanoseconds since the epoch.
pub(super) fn nanoseconds(time: Timestamp) -> u64 {
    time.micros().saturating_mul(1000)
}

impl Span {
    fn write(&self, message: &mut Message) {
        const IS_SAMPLED: u32 = 1;
        const HAS_IS_REMOTE: u32 = 0x100;
        const IS_REMOTE: u32 = 0x200;
        const ERROR: u64 = 2;
        message.bytes(1, &self.trace.to_be_bytes());
        message.bytes(2, &self.id.to_be_bytes());
        if let Some(parent) = self.parent {
            message.bytes(4, &parent.to_be_bytes());
        }
        message.text(5, &self.name);
        message.number(6, self.kind.number());
        message.fixed64(7, nanoseconds(self.time.0));
        message.fixed64(8, nanoseconds(self.time.1));
        attribute(message, 9, &self.attributes);
        if let Some(why) = self.error {
            message.message(15, |status| {
                status.text(2, why);
                status.number(3, ERROR);
            });
        }
        let remote = if self.is_remote { IS_REMOTE } else { 0 };
        message.fixed32(16, IS_SAMPLED | HAS_IS_REMOTE | remote);
    }
}
