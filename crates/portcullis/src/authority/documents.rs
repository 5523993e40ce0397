//! What clients publish of themselves (client id metadata documents): fetched under guard, kept as long as HTTP says.

use super::client_keys::ClientKeys;
use crate::egress::{Answer, Egress, NoAnswer, Site};
use crate::tls;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use portcullis_authority::client::{BadClient, Client, Kind, Metadata, fetched_keys, place};
use portcullis_authority::redirect::Policy;
use portcullis_core::authenticate::KeySet;
use portcullis_core::egress::{Denied, Host, Target};
use portcullis_core::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a document may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long one is kept that says nothing, and the longest.
const UNSAID: Duration = Duration::from_mins(5);
const MAX_AGE: Duration = Duration::from_hours(24);
/// The most that are kept.
const MAX: usize = 1024;

/// Whose documents are believed, and how they are fetched.
pub(crate) struct Documents {
    pub(crate) hosts: Option<BTreeSet<String>>,
    pub(crate) tls: Option<tls::Client>,
    pub(crate) egress: Arc<Egress>,
}

/// Why a client's document is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDocument {
    #[error(transparent)]
    Bad(#[from] BadClient),
    #[error("a host that is not trusted")]
    Host,
    #[error(transparent)]
    Answer(#[from] NoAnswer),
    #[error("not found")]
    Status,
    #[error("not JSON")]
    Media,
}

impl NoDocument {
    /// For the audit record.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Bad(why) => why.reason(),
            Self::Host => "host",
            Self::Status => "status",
            Self::Media => "media_type",
            Self::Answer(NoAnswer::Denied { why, .. }) => why.reason(),
            Self::Answer(NoAnswer::Unreachable) => "unreachable",
            Self::Answer(NoAnswer::Timeout) => "timeout",
            Self::Answer(NoAnswer::Broken) => "too_large",
            Self::Answer(NoAnswer::Tls) => "tls",
        }
    }

    /// Where a stranger has sent us, if none may.
    pub(crate) fn denied(&self) -> Option<(&str, Denied)> {
        match self {
            Self::Answer(NoAnswer::Denied { why, host }) => Some((host, *why)),
            Self::Bad(_) | Self::Host | Self::Status | Self::Media | Self::Answer(_) => None,
        }
    }
}

/// Those that were fetched.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<String, (Timestamp, Arc<Client>)>>);

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache(..)")
    }
}

impl Cache {
    /// The client of that id, if its document is fresh.
    fn find(&self, id: &str, now: Timestamp) -> Option<Arc<Client>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, client) = held.get(id)?;
        (*until > now).then(|| Arc::clone(client))
    }

    fn keep(&self, client: &Arc<Client>, (until, now): (Timestamp, Timestamp)) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX {
            held.retain(|_, (until, _)| *until > now);
        }
        // Whoever fills it with documents that last must not keep others out: any one makes room.
        if held.len() >= MAX
            && let Some(any) = held.keys().next().cloned()
        {
            held.remove(&any);
        }
        held.insert(client.id.clone(), (until, Arc::clone(client)));
    }
}

impl Documents {
    /// Whether the operator has named whose count.
    pub(crate) const fn are_named(&self) -> bool {
        self.hosts.is_some()
    }

    /// The client of that id, if its document is kept and still counts.
    pub(crate) fn kept(&self, id: &str, (cache, now): (&Cache, Timestamp)) -> Option<Arc<Client>> {
        let client = cache.find(id, now)?;
        let target = place(id).ok()?;
        self.expect_host(&target).ok().map(|()| client)
    }

    /// Fetches the document at this id, and keeps it.
    ///
    /// # Errors
    /// [`NoDocument`].
    pub(crate) async fn fetch(
        &self,
        id: &str,
        policy: &Policy,
        (cache, now): (&Cache, Timestamp),
    ) -> Result<Arc<Client>, NoDocument> {
        let target = place(id)?;
        self.expect_host(&target)?;
        let (headers, body) = self.json(target).await?;
        let metadata = Metadata::of_document(id, &body, policy)?;
        let client = Arc::new(metadata.client(id.to_owned(), Kind::Document)?);
        if let Some(age) = freshness(&headers) {
            cache.keep(&client, (now.plus(age), now));
        }
        Ok(client)
    }

    /// The keys of a client that are kept for this place, if it still counts.
    pub(crate) fn kept_keys(
        &self,
        at: &Target,
        (cache, now): (&ClientKeys, Timestamp),
    ) -> Option<Arc<KeySet>> {
        let keys = cache.find(at, now)?;
        self.expect_host(at).ok().map(|()| keys)
    }

    /// Fetches the keys of a client from this place, and keeps them.
    ///
    /// # Errors
    /// [`NoDocument`].
    pub(crate) async fn fetch_keys(
        &self,
        at: &Target,
        (cache, now): (&ClientKeys, Timestamp),
    ) -> Result<Arc<KeySet>, NoDocument> {
        self.expect_host(at)?;
        let (headers, body) = self.json(at.clone()).await?;
        let keys = Arc::new(fetched_keys(&body)?);
        let age = freshness(&headers).unwrap_or_default();
        cache.keep(at, &keys, (age, now));
        Ok(keys)
    }

    /// What is there, if it is JSON.
    async fn json(&self, target: Target) -> Result<(HeaderMap, Bytes), NoDocument> {
        let request = Request::get("/").body(Full::default());
        let request = request.map_err(|_| NoAnswer::Broken)?;
        let site = Site::Named(target);
        let sent = self.egress.send(&site, self.tls.as_ref(), request, TIMEOUT);
        let Answer {
            status,
            headers,
            body,
        } = sent.await?;
        // Redirects too: what another place says is not about this one.
        if status.as_u16() != 200 {
            return Err(NoDocument::Status);
        }
        if !is_json(&headers) {
            return Err(NoDocument::Media);
        }
        Ok((headers, body))
    }

    fn expect_host(&self, target: &Target) -> Result<(), NoDocument> {
        let Some(hosts) = &self.hosts else {
            return Ok(());
        };
        match target.host() {
            Host::Name(name) if hosts.contains(name) => Ok(()),
            Host::Name(_) | Host::Address(_) => Err(NoDocument::Host),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE);
    let media = media.and_then(|value| value.to_str().ok());
    let media = media.and_then(|text| text.split(';').next());
    let media = media.unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

/// How long the document may be kept (RFC 9111 section 5.2.2); none if not at all.
fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all(CACHE_CONTROL).iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    let mut age = UNSAID;
    for directive in texts.flat_map(|text| text.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        if matches!(directive.as_str(), "no-store" | "no-cache") {
            return None;
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = Duration::from_secs(seconds.trim_matches('"').parse().unwrap_or_default());
        }
    }
    (!age.is_zero()).then_some(age.min(MAX_AGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn cd_12_a_flood_of_documents_keeps_no_other_out() {
        let (cache, now) = (Cache::default(), Timestamp::from_seconds(1_800_000_000));
        let policy = Policy {
            hosts: None,
            schemes: BTreeSet::new(),
            loopback: true,
        };
        for number in 0..=MAX {
            let id = format!("https://app.example/{number}");
            let text = format!(
                r#"{{"client_id":"{id}","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}}"#
            );
            let read = Metadata::of_document(&id, text.as_bytes(), &policy).unwrap();
            let client = Arc::new(read.client(id.clone(), Kind::Document).unwrap());
            cache.keep(&client, (now.plus(MAX_AGE), now));
            assert!(cache.find(&id, now).is_some(), "{id}");
        }
        assert_eq!(cache.0.lock().unwrap().len(), MAX);
    }

    #[test]
    fn cd_12_a_document_is_kept_as_long_as_http_says() {
        for (header, expected) in [
            (None, Some(UNSAID)),
            (Some("public, max-age=60"), Some(Duration::from_mins(1))),
            (Some("max-age=99999999"), Some(MAX_AGE)),
            (Some("max-age=0"), None),
            (Some("max-age=x"), None),
            (Some("no-store"), None),
            (Some("max-age=60, No-Cache"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(header));
            }
            assert_eq!(freshness(&headers), expected, "{header:?}");
        }
    }
}
