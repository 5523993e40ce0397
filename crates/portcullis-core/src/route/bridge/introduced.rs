//! A client with a session, as a server without one is to hear of it in every request.

use super::{
    META_CAPABILITIES, META_CLIENT, META_LEVEL, META_VERSION, STATELESS, WITH_SESSIONS, message,
    raw,
};
use crate::protocol::{Call, Envelope, Members, Method, Revision, with_meta, with_params};
use crate::route::Dispatch;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a client with a session said of itself, for every request that it makes.
#[derive(Debug, Clone)]
pub struct Introduced {
    /// The revision that it asked for, or the newest with sessions.
    pub revision: Revision,
    capabilities: Box<RawValue>,
    client: Option<Box<RawValue>>,
    /// The least severe log message that it wants.
    pub level: Option<String>,
}

#[derive(Deserialize)]
struct Hello<'a> {
    #[serde(rename = "protocolVersion")]
    revision: String,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, rename = "clientInfo")]
    client: Option<&'a RawValue>,
}

impl Introduced {
    /// Ourselves, who can do nothing for a server.
    pub(super) fn us() -> Option<Self> {
        Some(Self {
            revision: WITH_SESSIONS,
            capabilities: raw(&json!({}))?,
            client: raw(&json!({"name": "portcullis", "version": env!("CARGO_PKG_VERSION")})),
            level: None,
        })
    }

    /// Reads `initialize`; `None` if it does not introduce anybody.
    pub fn by(call: &Call) -> Option<Self> {
        let envelope = Envelope::parse(call.body()).ok()?;
        let hello: Hello<'_> = serde_json::from_str(envelope.params?.get()).ok()?;
        Some(Self {
            revision: Revision::parse(&hello.revision)
                .filter(|revision| !revision.is_stateless())
                .unwrap_or(WITH_SESSIONS),
            capabilities: match hello.capabilities {
                Some(own) => own.to_owned(),
                None => raw(&json!({}))?,
            },
            client: hello.client.map(ToOwned::to_owned),
            level: None,
        })
    }

    fn meta(&self) -> Option<Members> {
        let mut meta = Members::from([
            (META_VERSION.to_owned(), raw(&json!(STATELESS.name()))?),
            (META_CAPABILITIES.to_owned(), self.capabilities.clone()),
        ]);
        meta.extend(
            self.client
                .clone()
                .map(|client| (META_CLIENT.to_owned(), client)),
        );
        if let Some(level) = &self.level {
            meta.insert(META_LEVEL.to_owned(), raw(&json!(level))?);
        }
        Some(meta)
    }

    /// The client's own request, complete in itself.
    pub fn stateless(&self, asked: &Dispatch) -> Option<Dispatch> {
        let own = self.meta()?;
        let body = with_params(asked.call().body(), |params| {
            with_meta(params, |meta| meta.extend(own))
        })?;
        asked.instead(body, None)
    }

    /// The same request once more, with what the client answered to what the server asked.
    pub fn again(
        &self,
        asked: &Dispatch,
        responses: &BTreeMap<String, Box<RawValue>>,
        state: Option<&RawValue>,
    ) -> Option<Dispatch> {
        let own = self.meta()?;
        let body = with_params(asked.call().body(), |params| {
            with_meta(params, |meta| meta.extend(own))?;
            params.insert("inputResponses".to_owned(), to_raw_value(responses).ok()?);
            params.extend(state.map(|state| ("requestState".to_owned(), state.to_owned())));
            Some(())
        })?;
        asked.instead(body, None)
    }

    /// A request of our own about the same exchange: `server/discover`, `tools/list`, `subscriptions/listen`.
    pub fn ask(&self, asked: &Dispatch, method: &Method, params: &Value) -> Option<Dispatch> {
        let own = self.meta()?;
        let body = message(method.name(), params, 0);
        let body = with_params(&body, |params| with_meta(params, |meta| meta.extend(own)))?;
        asked.instead(body, None)
    }
}
