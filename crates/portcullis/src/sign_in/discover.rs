//! From what a server says to tokens: its metadata, that of its authorization server, a client there, its answers.

use super::flows::{Begun, Browser, Flow, Link, secret};
use super::keyring::Given;
use super::stored::Grant;
use super::{SignIn, TIMEOUT};
use crate::clock;
use crate::egress::{Answer, NoAnswer, Site};
use crate::upstream::Notice;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_core::authenticate::Principal;
use portcullis_core::sign_in::{
    Asked, Authority, Callback, Disbelieved, Fault, ProtectedResource, Request as Form, Tokens,
    authority_urls, authorization_url, fault, resource_urls,
};
use portcullis_state::NotSealed;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// The most authorization servers that are looked through for the one that is configured.
const MAX_AUTHORITIES: usize = 8;

/// What says that there is no document.
const NOT_FOUND: u16 = 404;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSignIn {
    #[error(transparent)]
    Unsent(#[from] NoAnswer),
    #[error(transparent)]
    Disbelieved(#[from] Disbelieved),
    #[error("answered with status {0}")]
    Status(u16),
    /// What was shown to the authorization server is worth nothing any more.
    #[error("the grant has ended")]
    Spent,
    /// The authorization server does not know us, or not by what we showed.
    #[error("the authorization server does not know the gateway as a client")]
    Disowned,
    #[error("cannot be kept: {0}")]
    NotKept(#[from] NotSealed),
    #[error("the link was used, opened elsewhere, or is too old")]
    Link,
    #[error("no entropy")]
    Entropy,
}

impl NoSignIn {
    /// For the audit record.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Unsent(why) => why.reason(),
            Self::Disbelieved(why) => why.reason(),
            Self::Status(_) => "status",
            Self::Spent => "spent",
            Self::Disowned => "client",
            Self::NotKept(_) => "not_kept",
            Self::Link => "link",
            Self::Entropy => "entropy",
        }
    }

    /// What happened, by the names of the catalogue.
    pub(crate) const fn event(&self) -> &'static str {
        match self {
            Self::Unsent(NoAnswer::Denied { .. }) => "egress.denied",
            Self::Disbelieved(Disbelieved::Mixed) => "oauth.iss_mismatch",
            Self::Disbelieved(Disbelieved::Refused | Disbelieved::Token)
            | Self::Unsent(_)
            | Self::Status(_)
            | Self::Spent
            | Self::Disowned
            | Self::NotKept(_)
            | Self::Link
            | Self::Entropy => "oauth.refused",
            Self::Disbelieved(_) => "oauth.metadata_rejected",
        }
    }
}

impl NoSignIn {
    /// What the record says besides.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let Self::Unsent(NoAnswer::Denied { why, host }) = self else {
            return Vec::new();
        };
        let class = why.class().map_or("", |class| class.name());
        vec![("host", host.clone()), ("class", class.to_owned())]
    }
}

impl SignIn {
    /// Where the answer of an authorization server goes.
    pub(crate) fn redirect(&self) -> String {
        self.public.below("/connect/callback")
    }

    /// Our name where a URL can be one; only `https` can (client id metadata documents, section 3).
    pub(crate) fn document_url(&self) -> Option<String> {
        self.public
            .is_https()
            .then(|| self.public.below("/connect/client.json"))
    }

    /// Asks the server and its authorization server; gives where the browser goes. The link is used up.
    pub(crate) async fn begin(&self, link: Link, browser: &Browser) -> Result<String, NoSignIn> {
        if !self.shared.flows.take(&link, browser) {
            return Err(NoSignIn::Link);
        }
        let resource = self.resource(&link).await?;
        let authority = self.authority(&resource).await?;
        let there = self.site(&authority.authorization.to_string())?;
        let may_go = self.egress.for_browsers(&there);
        may_go.map_err(Disbelieved::Url)?;
        let client = self.client(&authority).await?;
        let scope = self.scope(&link, &resource, &authority);
        let begun = Begun {
            verifier: secret().ok_or(NoSignIn::Entropy)?,
            resource: resource.resource,
            authority: authority.clone(),
            client: client.clone(),
            scope: scope.clone(),
        };
        let (verifier, resource) = (begun.verifier.clone(), begun.resource.clone());
        let state = self.shared.flows.begin(link, browser, begun);
        let state = state.ok_or(NoSignIn::Entropy)?;
        let asked = Asked {
            redirect: &self.redirect(),
            resource: &resource,
            scope: &scope,
            state: state.expose(),
            verifier: verifier.expose(),
        };
        Ok(authorization_url(&authority, &client, &asked))
    }

    /// Takes what the browser brought back.
    pub(crate) async fn finish(&self, flow: Flow, callback: Callback) -> Result<(), NoSignIn> {
        let code = callback.code(&flow.authority.issuer, flow.authority.names_itself)?;
        let asked = Asked {
            redirect: &self.redirect(),
            resource: &flow.resource,
            scope: &flow.scope,
            state: "",
            verifier: flow.verifier.expose(),
        };
        let form = flow.client.redeem(code.expose(), &asked);
        let answer = self.post(&flow.authority.token, form).await;
        if matches!(answer, Err(NoSignIn::Disowned)) {
            self.disowned(&flow.authority.issuer).await;
        }
        let tokens = Tokens::parse(&answer?)?;
        let principal = &flow.link.principal;
        let asked = || {
            flow.scope
                .split_terminator(' ')
                .map(str::to_owned)
                .collect()
        };
        let grant = Grant {
            url: self.url.to_string(),
            resource: flow.resource.clone(),
            token: flow.authority.token,
            revocation: flow.authority.revocation,
            client: flow.client,
            access: tokens.access,
            expires: clock::now().plus(tokens.lifetime),
            refresh: tokens.refresh,
            scopes: tokens.scopes.unwrap_or_else(asked),
        };
        let keyring = &self.shared.keyring;
        Ok(keyring.keep(&self.server, &principal.key, grant).await?)
    }

    /// The next token of a grant.
    pub(super) async fn refreshed(&self, grant: &Grant) -> Result<Tokens, NoSignIn> {
        let refresh = grant.refresh.as_ref().ok_or(NoSignIn::Spent)?;
        let form = grant.client.refresh(refresh, &grant.resource);
        match self.post(&grant.token, form).await {
            // A client of our own that is gone has no grants any more; that of the operator may be mended.
            Err(NoSignIn::Disowned) if self.client.is_none() => Err(NoSignIn::Spent),
            answer => Ok(Tokens::parse(&answer?)?),
        }
    }

    /// Gives tokens back (RFC 7009); nobody waits for it.
    pub(super) async fn give_back(&self, given: &Given) {
        let grant = given.grant().await;
        let Some(url) = &grant.revocation else { return };
        let tokens = [
            (grant.refresh.as_ref(), "refresh_token"),
            (Some(&grant.access), "access_token"),
        ];
        for (token, hint) in tokens {
            let Some(token) = token else { continue };
            if let Err(error) = self.post(url, grant.client.revoke(token, hint)).await {
                tracing::warn!(server = &*self.server, %error, "a token was not given back");
            }
        }
    }

    /// Records why there is no token.
    pub(super) fn refused(&self, error: &NoSignIn, principal: &Principal) {
        tracing::warn!(server = &*self.server, %error, "no token");
        let facts = error.facts();
        let facts: Vec<(&'static str, &str)> = facts
            .iter()
            .map(|(name, fact)| (*name, fact.as_str()))
            .collect();
        self.shared.report.tell(&Notice {
            event: "oauth.refresh_failed",
            reason: error.reason(),
            server: Some(&self.server),
            owner: Some(&principal.key),
            detail: &facts,
        });
    }

    /// What the server says about itself: where its challenge says, else at the well-known places.
    async fn resource(&self, link: &Link) -> Result<ProtectedResource, NoSignIn> {
        let urls = match &link.wanted.challenge.metadata {
            Some(url) => vec![url.clone()],
            None => resource_urls(&self.target),
        };
        let mut last = NoSignIn::Disbelieved(Disbelieved::NoAuthority);
        for url in urls {
            match self.get(&url).await {
                Ok(document) => return Ok(ProtectedResource::parse(&document, &self.target)?),
                Err(error @ NoSignIn::Unsent(_)) => return Err(error),
                Err(error) => last = weightier(last, error),
            }
        }
        let is_silent = matches!(last, NoSignIn::Status(NOT_FOUND));
        if self.may_assume && is_silent && link.wanted.challenge.metadata.is_none() {
            return Ok(ProtectedResource::assumed(&self.target));
        }
        Err(last)
    }

    /// The authorization server: the one where we are registered, else the first.
    async fn authority(&self, resource: &ProtectedResource) -> Result<Authority, NoSignIn> {
        let mut named = resource.authorities.iter().take(MAX_AUTHORITIES);
        let issuer = match &self.client {
            Some(own) => named
                .find(|issuer| **issuer == own.name)
                .ok_or(Disbelieved::OtherAuthority)?,
            None => named.next().ok_or(Disbelieved::NoAuthority)?,
        };
        let mut last = NoSignIn::Disbelieved(Disbelieved::NoAuthority);
        for url in authority_urls(issuer)? {
            match self.get(&url).await {
                Ok(document) => return Ok(Authority::parse(&document, issuer)?),
                Err(error @ NoSignIn::Unsent(_)) => return Err(error),
                Err(error) => last = weightier(last, error),
            }
        }
        if resource.is_assumed && matches!(last, NoSignIn::Status(NOT_FOUND)) {
            return Ok(Authority::assumed(issuer)?);
        }
        Err(last)
    }

    /// What the server wants counts; else what it knows; and what the operator asks for, always.
    fn scope(&self, link: &Link, resource: &ProtectedResource, authority: &Authority) -> String {
        let wanted = &link.wanted;
        let mut scopes = self.scopes.clone();
        if wanted.challenge.scopes.is_empty() && wanted.scopes.is_empty() && scopes.is_empty() {
            scopes.extend(resource.scopes.iter().cloned());
        }
        scopes.extend(wanted.scopes.iter().cloned());
        if authority.offers_offline {
            scopes.push("offline_access".to_owned());
        }
        scopes.sort_unstable();
        scopes.dedup();
        scopes.join(" ")
    }

    async fn get(&self, url: &str) -> Result<Bytes, NoSignIn> {
        let answer = self.send(url, Request::new(Full::default())).await?;
        if answer.status != StatusCode::OK {
            return Err(NoSignIn::Status(answer.status.as_u16()));
        }
        Ok(answer.body)
    }

    async fn post(&self, url: &str, form: Form) -> Result<Bytes, NoSignIn> {
        let body = Bytes::from(form.form.expose().clone());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        if let Some(header) = &form.authorization {
            let header = HeaderValue::from_str(header.expose());
            let mut header = header.map_err(|_| Disbelieved::Token)?;
            header.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let answer = self.send(url, request).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => match fault(&answer.body) {
                Some(Fault::Spent) => Err(NoSignIn::Spent),
                Some(Fault::Client) => Err(NoSignIn::Disowned),
                None => Err(NoSignIn::Status(answer.status.as_u16())),
            },
            status => Err(NoSignIn::Status(status.as_u16())),
        }
    }

    /// INVARIANT: whatever another party names is reached this way.
    pub(super) async fn send(
        &self,
        url: &str,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, NoSignIn> {
        let site = self.site(url)?;
        let tls = self.tls.as_ref();
        Ok(self.egress.send(&site, tls, request, TIMEOUT).await?)
    }

    /// At the origins that the operator wrote, the operator's word counts.
    fn site(&self, url: &str) -> Result<Site, NoAnswer> {
        let site = Site::named(url, &self.url)?;
        match (&site, &self.client) {
            (Site::Named(_), Some(own)) => Site::named(url, &own.issuer),
            (Site::Named(_), None) | (Site::Written(_), _) => Ok(site),
        }
    }
}

/// Why there is no document at any of several places: that it was not found counts only if it was so at each.
fn weightier(last: NoSignIn, error: NoSignIn) -> NoSignIn {
    let is_other = matches!(last, NoSignIn::Status(status) if status != NOT_FOUND);
    if is_other { last } else { error }
}
