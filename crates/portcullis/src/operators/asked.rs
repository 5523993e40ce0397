//! What a handler is given: who asks for what, over what, and what is around.

use super::{Answer, Endpoint, Gateway, Live, Office, Trouble};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use portcullis_core::authenticate::Principal;
use portcullis_core::operate::Mandate;
use portcullis_core::secret::Secret;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest query.
const MAX_QUERY_BYTES: usize = 4096;
/// Entries of a page.
const USUAL: usize = 100;
const MOST: usize = 1000;

/// A request that was permitted.
pub(super) struct Asked {
    pub(super) gateway: Arc<Gateway>,
    pub(super) live: Arc<Live>,
    pub(super) office: Arc<Office>,
    pub(super) mandate: Mandate,
    pub(super) principal: Principal,
    /// What stands in the path where the endpoint has braces.
    pub(super) names: Vec<String>,
    pub(super) query: Query,
    pub(super) body: bytes::Bytes,
    pub(super) token: Secret<String>,
    /// What it is about, for the record, where the body says it.
    pub(super) about: Mutex<Option<String>>,
}

/// The parameters of a query, each once, and none that the endpoint has not.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn read(raw: Option<&str>, endpoint: Endpoint) -> Result<Self, Trouble> {
        let raw = raw.unwrap_or_default();
        let unreadable = |why: String| Err(Trouble::Unreadable(why));
        if raw.len() > MAX_QUERY_BYTES {
            return unreadable("the query is too long".to_owned());
        }
        let mut query = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            if !endpoint.query().contains(&&*name) {
                let known = endpoint.query().join(", ");
                return unreadable(format!("an unknown parameter; there are: {known}"));
            }
            if query
                .insert(name.into_owned(), value.into_owned())
                .is_some()
            {
                return unreadable("a parameter stands twice".to_owned());
            }
        }
        Ok(Self(query))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// How many entries are wanted.
    pub(super) fn limit(&self) -> Result<usize, Trouble> {
        let Some(text) = self.text("limit") else {
            return Ok(USUAL);
        };
        let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
        limit.ok_or_else(|| Trouble::Unreadable(format!("limit is a number from 1 to {MOST}")))
    }
}

impl Asked {
    /// A body is JSON, and there is one exactly where something is told.
    pub(super) fn expect_json(&self, parts: &Parts) -> Result<(), Trouble> {
        if self.body.is_empty() {
            return Ok(());
        }
        let kind = parts.headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        Err(portcullis_core::refusal::Unacceptable::MediaType.into())
    }

    /// The body, read strictly.
    pub(super) fn told<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Trouble::Unreadable(format!("line {}, column {}", error.line(), error.column()))
        })
    }

    /// The first name of the path.
    pub(super) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Who asks, as what is kept and recorded calls them.
    pub(super) fn by(&self) -> String {
        format!(
            "{} of {}",
            self.principal.subject,
            self.principal.vouched_by()
        )
    }

    /// Takes down what it is about.
    pub(super) fn is_about(&self, what: String) {
        let mut about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        *about = Some(what);
    }

    pub(super) fn target(&self) -> Option<String> {
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        about.clone()
    }

    /// One page of entries that each have a key, in its order.
    pub(super) fn page(
        &self,
        name: &str,
        mut all: Vec<(String, Value)>,
    ) -> Result<Answer, Trouble> {
        let limit = self.query.limit()?;
        all.sort_by(|one, other| one.0.cmp(&other.0));
        if let Some(after) = self.query.text("after") {
            all.retain(|(key, _)| key.as_str() > after);
        }
        let is_more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| is_more).map(|(key, _)| json!(key));
        let mut page = Map::new();
        page.insert(
            name.to_owned(),
            all.into_iter().map(|(_, value)| value).collect(),
        );
        page.insert("next".to_owned(), next.unwrap_or_default());
        Ok(Answer::ok(Value::Object(page)))
    }
}

/// Does what may take long beside the threads that serve.
pub(super) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Trouble::Unavailable)?
}
