//! Who is the client, and is it itself?

use super::{Ended, Gateway, ended, error};
use crate::authority::{Authority, NoDocument, mark};
use crate::clock;
use crate::egress::note_denied;
use crate::record::Exchange;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use portcullis_authority::Form;
use portcullis_authority::client::{
    ASSERTION_TYPE, Authentication, Client, Kind, MAX_ID_BYTES, Metadata, NotItself, Once, is_url,
};
use portcullis_core::quota::Rate;
use portcullis_core::refusal::{Refusal, Unavailable};
use std::net::SocketAddr;
use std::sync::Arc;

/// How many documents one network may have us fetch.
const FETCHES: Rate = Rate {
    per_minute: 60,
    burst: 30,
};

/// Why there is no such client.
pub(super) enum NoClient {
    Unknown,
    Document(NoDocument),
}

impl NoClient {
    pub(super) const fn event(&self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => ("oauth.client_rejected", "unknown"),
            Self::Document(why) => ("oauth.cimd_rejected", why.reason()),
        }
    }
}

impl Gateway {
    /// The client of that id.
    pub(super) async fn client(
        &self,
        authority: &Authority,
        (id, peer): (&str, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Result<Arc<Client>, NoClient>, Refusal> {
        if id.len() > MAX_ID_BYTES {
            return Ok(Err(NoClient::Unknown));
        }
        exchange.fact("client", id);
        let found = match authority.clients.get(id) {
            Some(client) => Ok(Arc::clone(client)),
            None if is_url(id) => self.by_document(authority, id, peer).await?,
            None => self.by_registration(authority, id).await?,
        };
        if let Ok(client) = &found {
            exchange.fact("client_kind", client.kind.word());
        }
        Ok(found)
    }

    async fn by_document(
        &self,
        authority: &Authority,
        id: &str,
        peer: SocketAddr,
    ) -> Result<Result<Arc<Client>, NoClient>, Refusal> {
        let (held, now) = (&self.authority, clock::now());
        let Some(documents) = &authority.documents else {
            return Ok(Err(NoClient::Unknown));
        };
        if let Some(client) = documents.kept(id, (&held.documents, now)) {
            return Ok(Ok(client));
        }
        let rated = held.fetched.take(peer.ip(), FETCHES, now);
        rated.map_err(Refusal::from)?;
        let policy = &authority.redirects;
        let fetched = documents.fetch(id, policy, (&held.documents, now)).await;
        Ok(fetched.map_err(|why| {
            if let Some((host, denied)) = why.denied() {
                note_denied(&self.recorder, "client document", host, denied);
            }
            tracing::debug!(error = %why, "a client's document is not believed");
            NoClient::Document(why)
        }))
    }

    async fn by_registration(
        &self,
        authority: &Authority,
        id: &str,
    ) -> Result<Result<Arc<Client>, NoClient>, Refusal> {
        if authority.registration.is_none() {
            return Ok(Err(NoClient::Unknown));
        }
        let durable = self.revocations.durable();
        let found = durable.registered(id.to_owned(), clock::now()).await;
        let found = found.map_err(|_| Unavailable::State)?;
        let client = found.and_then(|found| {
            let metadata: Metadata = serde_json::from_str(&found.metadata).ok()?;
            metadata.client(found.id, Kind::Dynamic).ok()
        });
        Ok(client.map(Arc::new).ok_or(NoClient::Unknown))
    }

    /// The client that sends this form, which has authenticated if it does.
    pub(super) async fn authenticated(
        &self,
        authority: &Authority,
        form: &Form,
        (parts, peer): (&Parts, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Result<Arc<Client>, Ended>, Refusal> {
        let Some(id) = form.value("client_id") else {
            return Ok(Err(not_itself(NotItself::Unknown)));
        };
        let client = match self.client(authority, (id, peer), exchange).await? {
            Ok(client) => client,
            Err(why) => {
                let (event, reason) = why.event();
                let told = error(401, "invalid_client", "no such client");
                return Ok(Err(ended(event, Some(reason), told)));
            }
        };
        // There are no shared secrets, neither in the header nor in the form.
        if parts.headers.contains_key(AUTHORIZATION) || form.value("client_secret").is_some() {
            return Ok(Err(not_itself(NotItself::Way)));
        }
        let assertion = form.value("client_assertion");
        let kind = form.value("client_assertion_type");
        if assertion.is_some() != (kind == Some(ASSERTION_TYPE)) {
            return Ok(Err(not_itself(NotItself::Way)));
        }
        let (token, own) = (authority.at("/token"), authority.at(parts.uri.path()));
        let names = [&*authority.issuer, &token, &own];
        let itself = self.itself(authority, &client, (assertion, &names), peer);
        let once = match itself.await? {
            Ok(once) => once,
            Err(why) => return Ok(Err(not_itself(why))),
        };
        if let Some(once) = once {
            let until = (once.until, clock::now());
            let durable = self.revocations.durable();
            let used = durable.use_assertion(mark(&once.digest), until).await;
            if !used.map_err(|_| Unavailable::State)? {
                return Ok(Err(not_itself(NotItself::Replayed)));
            }
            exchange.vouch();
        }
        Ok(Ok(client))
    }

    /// Whether it is itself, by its keys. Those at a `jwks_uri` are fetched where there are none, or the one is not known.
    async fn itself(
        &self,
        authority: &Authority,
        client: &Client,
        (assertion, names): (Option<&str>, &[&str]),
        peer: SocketAddr,
    ) -> Result<Result<Option<Once>, NotItself>, Refusal> {
        let (held, now) = (&self.authority, clock::now());
        let judge = |client: &Client| client.known_by(assertion, names, now);
        let (Authentication::KeysAt(at), Some(_), Some(documents)) =
            (&client.authentication, assertion, &authority.documents)
        else {
            return Ok(judge(client));
        };
        let kept = documents.kept_keys(at, (&held.keys, now));
        let judged = kept.map_or_else(|| judge(client), |keys| judge(&client.with_keys(keys)));
        let is_open = matches!(judged, Err(NotItself::Key | NotItself::Keys));
        if !is_open || !held.keys.take(at, now) {
            return Ok(judged);
        }
        let rated = held.fetched.take(peer.ip(), FETCHES, now);
        rated.map_err(Refusal::from)?;
        match documents.fetch_keys(at, (&held.keys, now)).await {
            Ok(keys) => Ok(judge(&client.with_keys(keys))),
            Err(why) => {
                if let Some((host, denied)) = why.denied() {
                    note_denied(&self.recorder, "client keys", host, denied);
                }
                tracing::debug!(error = %why, "the keys of a client are not believed");
                Ok(judged)
            }
        }
    }
}

fn not_itself(why: NotItself) -> Ended {
    let told = error(401, "invalid_client", &why.to_string());
    ended("oauth.client_rejected", Some(why.reason()), told)
}
