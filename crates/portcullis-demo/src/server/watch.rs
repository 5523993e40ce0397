//! Who is told of changes? The session's subscriptions, and the streams of `subscriptions/listen`.

use serde_json::{Value, json};

use crate::answer::{Refusal, Reply, notification};
use crate::caller::Revision;
use crate::wire::{Object, RequestId};

/// The number of open streams.
const MAX_STREAMS: usize = 16;
/// The number of URIs of a stream or a session.
const MAX_URIS: usize = 64;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// All that is to be told.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    session: Option<Filter>,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    id: RequestId,
    filter: Filter,
}

/// What a watcher is told of.
#[derive(Debug, Default)]
struct Filter {
    has_tools: bool,
    has_resources: bool,
    uris: Vec<String>,
}

impl Watchers {
    /// Starts over for a client after its handshake.
    pub(super) fn open_session(&mut self) {
        self.session = Some(Filter {
            has_tools: true,
            has_resources: true,
            uris: Vec::new(),
        });
    }

    pub(super) fn subscribe(&mut self, uri: &str) -> Result<Reply, Refusal> {
        let session = self.session.get_or_insert_default();
        if !session.uris.iter().any(|known| known == uri) {
            if session.uris.len() >= MAX_URIS {
                return Err(Refusal::Busy);
            }
            session.uris.push(uri.to_owned());
        }
        Ok(Reply::empty())
    }

    pub(super) fn unsubscribe(&mut self, uri: &str) -> Reply {
        if let Some(session) = &mut self.session {
            session.uris.retain(|known| known != uri);
        }
        Reply::empty()
    }

    /// Opens a stream and returns its acknowledgement.
    pub(super) fn listen(&mut self, id: &RequestId, params: &Object) -> Result<Value, Refusal> {
        let wanted = params.get("notifications").and_then(Value::as_object);
        let wanted = wanted.ok_or(Refusal::Params("`notifications` must be an object"))?;
        let filter = Filter::parse(wanted)?;
        if self.streams.len() >= MAX_STREAMS {
            return Err(Refusal::Busy);
        }
        let params =
            json!({"_meta": {SUBSCRIPTION: id.to_value()}, "notifications": filter.to_value()});
        self.streams.push(Stream {
            id: id.clone(),
            filter,
        });
        Ok(notification(
            "notifications/subscriptions/acknowledged",
            params,
        ))
    }

    pub(super) fn is_listening(&self, id: &RequestId) -> bool {
        self.streams.iter().any(|stream| stream.id == *id)
    }

    /// Ends a stream as its client wants; tells whether there was one.
    pub(super) fn cancel(&mut self, id: &RequestId) -> bool {
        let before = self.streams.len();
        self.streams.retain(|stream| stream.id != *id);
        self.streams.len() < before
    }

    /// What to send when these resources have come, gone or changed.
    pub(super) fn changed(&self, uris: &[String]) -> Vec<Value> {
        let session = self
            .session
            .iter()
            .flat_map(|filter| filter.changed(uris, &Object::new()));
        let streams = self.streams.iter().flat_map(|stream| {
            let mut meta = Object::new();
            meta.insert(SUBSCRIPTION.to_owned(), stream.id.to_value());
            stream.filter.changed(uris, &meta)
        });
        session.chain(streams).collect()
    }

    /// The results that end all streams.
    pub(super) fn close(self) -> Vec<Value> {
        let end = |stream: Stream| {
            let meta = json!({"_meta": {SUBSCRIPTION: stream.id.to_value()}});
            Reply::new(meta, crate::answer::Cache::Never)
                .into_message(&stream.id, Revision::V2026_07_28)
        };
        self.streams.into_iter().map(end).collect()
    }
}

impl Filter {
    fn parse(wanted: &Object) -> Result<Self, Refusal> {
        let is_wanted = |name| match wanted.get(name) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or(Refusal::Params("a wanted list must be true or false")),
        };
        let uris = match wanted.get("resourceSubscriptions") {
            None => Vec::new(),
            Some(uris) => uris
                .as_array()
                .filter(|uris| uris.len() <= MAX_URIS)
                .and_then(|uris| {
                    uris.iter()
                        .map(|uri| uri.as_str().map(str::to_owned))
                        .collect()
                })
                .ok_or(Refusal::Params(
                    "`resourceSubscriptions` must be at most 64 URIs",
                ))?,
        };
        Ok(Self {
            has_tools: is_wanted("toolsListChanged")?,
            has_resources: is_wanted("resourcesListChanged")?,
            uris,
        })
    }

    /// What the server agrees to tell of.
    fn to_value(&self) -> Value {
        let mut agreed = Object::new();
        if self.has_tools {
            agreed.insert("toolsListChanged".to_owned(), json!(true));
        }
        if self.has_resources {
            agreed.insert("resourcesListChanged".to_owned(), json!(true));
        }
        if !self.uris.is_empty() {
            agreed.insert("resourceSubscriptions".to_owned(), json!(self.uris));
        }
        Value::Object(agreed)
    }

    fn changed(&self, uris: &[String], meta: &Object) -> Vec<Value> {
        let tell = |method, mut params: Object| {
            if !meta.is_empty() {
                params.insert("_meta".to_owned(), Value::Object(meta.clone()));
            }
            notification(method, params)
        };
        let list = self
            .has_resources
            .then(|| tell("notifications/resources/list_changed", Object::new()));
        let updated = uris
            .iter()
            .filter(|uri| self.uris.contains(uri))
            .map(|uri| {
                let mut params = Object::new();
                params.insert("uri".to_owned(), json!(uri));
                tell("notifications/resources/updated", params)
            });
        list.into_iter().chain(updated).collect()
    }
}
