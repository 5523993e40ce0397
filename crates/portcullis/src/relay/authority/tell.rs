//! Tokens that are given back (RFC 7009), and what is told of them (RFC 7662).

use super::{Asking, Ended, Gateway, Live, ended, error, form};
use crate::authority::{Authority, mark};
use crate::clock;
use crate::listener::{oauth, plain};
use crate::record::Exchange;
use portcullis_authority::Form;
use portcullis_authority::client::{Client, NotItself};
use portcullis_authority::grant::{Access, Granted};
use portcullis_core::authenticate::{KeySet, Trust};
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::time::Timestamp;
use portcullis_state::{Failed, Family, Kind, Revocation, Source, Whom};
use serde_json::{Value, json};
use std::sync::Arc;

impl Gateway {
    /// A client gives a token back. Whatever it is, the answer is the same.
    pub(super) async fn give_back(
        &self,
        live: &Live,
        authority: &Authority,
        asking: Asking<'_>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (client, token) = match self.shown(live, authority, asking, exchange).await? {
            Ok(shown) => shown,
            Err(told) => return Ok(told),
        };
        let (durable, now) = (self.revocations.durable(), clock::now());
        let gone = |error: Failed| {
            tracing::error!(%error, "a token was not revoked");
            Refusal::from(Unavailable::State)
        };
        if let Some((family, _)) = self.family(&client, &token, now).await? {
            let why = (authority.issuer.clone(), "given_back");
            let ending = durable.end_family(family.id.clone(), why, now).await;
            ending.map_err(gone)?;
            exchange.fact("family", &family.id);
            return Ok(ended("oauth.token_revoked", Some("refresh"), plain(200)));
        }
        let Some(access) = access(authority, &client, &token) else {
            return Ok(ended("oauth.token_revoked", Some("nothing"), plain(200)));
        };
        let whom = Whom {
            kind: Kind::Token,
            issuer: authority.issuer.clone(),
            name: access.id().to_owned(),
        };
        exchange.fact("jti", access.id());
        let revocation = Revocation {
            source: Source::Event,
            reason: Some("given_back".to_owned()),
            ..Revocation::new(whom, now, (now, "authority".to_owned()))
        };
        durable.revoke(revocation).await.map_err(gone)?;
        Ok(ended("oauth.token_revoked", Some("access"), plain(200)))
    }

    /// A client that authenticates asks about a token of its own.
    pub(super) async fn look_into(
        &self,
        live: &Live,
        authority: &Authority,
        asking: Asking<'_>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (client, token) = match self.shown(live, authority, asking, exchange).await? {
            Ok(shown) => shown,
            Err(told) => return Ok(told),
        };
        if !client.is_confidential() {
            let why = NotItself::Way;
            let told = error(401, "invalid_client", &why.to_string());
            return Ok(ended("oauth.client_rejected", Some(why.reason()), told));
        }
        self.revocations.known()?;
        let now = clock::now();
        let family = self.family(&client, &token, now).await?;
        let told = if let Some((family, until)) = family {
            refresh_told(authority, &family, (until, &self.issuers.trust()))
        } else {
            let access = access(authority, &client, &token);
            let told = access.map(|access| access.told(&self.issuers.trust(), now));
            told.unwrap_or_else(|| json!({ "active": false }))
        };
        let reason = if told.get("active") == Some(&Value::Bool(true)) {
            "active"
        } else {
            "inactive"
        };
        Ok(ended("oauth.introspected", Some(reason), oauth(200, &told)))
    }

    async fn shown(
        &self,
        live: &Live,
        authority: &Authority,
        asking: Asking<'_>,
        exchange: &mut Exchange,
    ) -> Result<Result<(Arc<Client>, String), Ended>, Refusal> {
        let Asking { parts, body, peer } = asking;
        let form: Form = match form(live, parts, body, exchange).await? {
            Ok(form) => form,
            Err(told) => return Ok(Err(told)),
        };
        let known = self.authenticated(authority, &form, (parts, peer), exchange);
        let client = match known.await? {
            Ok(client) => client,
            Err(told) => return Ok(Err(told)),
        };
        let Some(token) = form.value("token") else {
            let told = error(400, "invalid_request", "token is missing");
            return Ok(Err(ended("oauth.request_refused", Some("missing"), told)));
        };
        Ok(Ok((client, token.to_owned())))
    }

    /// The family of a refresh token of this client.
    async fn family(
        &self,
        client: &Client,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<(Family, Timestamp)>, Refusal> {
        let found = self.revocations.durable().family_of(mark(token), now).await;
        let found = found.map_err(|_| Unavailable::State)?;
        Ok(found.filter(|(family, _)| family.client == client.id))
    }
}

/// An access token of ours that this client has.
fn access(authority: &Authority, client: &Client, token: &str) -> Option<Access> {
    let keys = KeySet::parse(&authority.signer.document()).ok()?;
    Access::read(token, &keys, &authority.issuer).filter(|access| access.client() == client.id)
}

fn refresh_told(
    authority: &Authority,
    family: &Family,
    (until, trust): (Timestamp, &Trust),
) -> Value {
    let granted: Option<Granted> = serde_json::from_str(&family.granted).ok();
    let vouched = (trust, authority.signs_in_with());
    let is_over = |granted: Granted| granted.is_revoked(&authority.issuer, vouched, family.made);
    if granted.is_none_or(is_over) {
        return json!({ "active": false });
    }
    json!({
        "active": true,
        "client_id": family.client,
        "sub": family.subject,
        "iat": family.made.seconds(),
        "exp": until.min(family.until).seconds(),
    })
}
