//! A message from a client, read once: what it asks for, and where in its bytes that stands.

use super::reading::read;
use super::{Headers, Id, Malformed, Method, Revision};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::ops::Range;

/// What kind of message it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Wants an answer under this id.
    Request(Id),
    /// Wants none.
    Notification,
    /// Answers a request of the server's.
    Response(Id),
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tool, by name.
    Tool(Box<str>),
    /// A resource, by URI.
    Resource(Box<str>),
    /// A prompt, by name.
    Prompt(Box<str>),
    /// A task, by id.
    Task(Box<str>),
    /// The server as a whole.
    Server,
}

impl Target {
    /// The name, URI or id; empty for the server.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool(name) | Self::Resource(name) | Self::Prompt(name) | Self::Task(name) => name,
            Self::Server => "",
        }
    }
}

/// Proof that a message has exactly one reading. Only this room makes one.
#[derive(Debug, Clone)]
pub struct Call {
    body: Bytes,
    kind: Kind,
    method: Method,
    revision: Revision,
    target: Target,
    places: Places,
}

/// Where things stand in the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The `id` value.
    pub id: Option<Range<usize>>,
    /// `params.arguments`.
    pub arguments: Option<Range<usize>>,
    /// `params._meta.progressToken`.
    pub progress_token: Option<Range<usize>>,
    /// The value that names the target: `params.name`, `params.uri`, `params.taskId` or in `params.ref`.
    pub target: Option<Range<usize>>,
    /// `params.requestId` of `notifications/cancelled`.
    pub cancelled: Option<Range<usize>>,
    /// The task that `params._meta` relates the message to.
    pub related_task: Option<Range<usize>>,
}

impl Call {
    /// Reads a message and compares it with the headers that mirror it.
    ///
    /// `settled` is the revision of the session, where there is one.
    ///
    /// # Errors
    /// [`Malformed`], with the request's id wherever it had a usable one.
    pub fn parse(
        body: Bytes,
        headers: &Headers<'_>,
        settled: Option<Revision>,
    ) -> Result<Self, Malformed> {
        let reading = read(&body, headers, settled)?;
        let (kind, method, revision, target, places) = reading;
        Ok(Self {
            body,
            kind,
            method,
            revision,
            target,
            places,
        })
    }

    /// The message as it came.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Request, notification or response.
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The request's id, if it is one.
    pub const fn id(&self) -> Option<&Id> {
        match &self.kind {
            Kind::Request(id) => Some(id),
            Kind::Notification | Kind::Response(_) => None,
        }
    }

    /// What is asked; empty for a response.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The revision that the message is written in.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// What it is about.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Where things stand in the body.
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// The arguments of a tool call or a prompt, as they came.
    pub fn arguments(&self) -> Option<&RawValue> {
        let text = std::str::from_utf8(self.body.get(self.places.arguments.clone()?)?).ok()?;
        serde_json::from_str(text).ok()
    }

    /// The task that the message says it belongs to.
    pub fn related_task(&self) -> Option<String> {
        serde_json::from_slice(self.body.get(self.places.related_task.clone()?)?).ok()
    }

    /// The arguments' bytes.
    pub fn argument_bytes(&self) -> Option<Bytes> {
        self.places
            .arguments
            .clone()
            .map(|range| self.body.slice(range))
    }
}
