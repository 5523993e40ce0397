//! Signing in at the identity provider: the gateway is its confidential client, and drops what it issues.

use super::browser::{Mark, secret};
use crate::clock;
use crate::config::HttpUrl;
use crate::credentials::Identification;
use crate::egress::{Egress, NoAnswer, Site};
use crate::issuers::Issuers;
use crate::random;
use crate::secrets::Lease;
use crate::tls::Client as Tls;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_core::authenticate::{Unauthenticated, encode};
use portcullis_core::openid::{
    self, Answer, Asking, Expected, LogoutToken, NotSignedIn, Provider, SignedIn,
    authorization_url, metadata_urls,
};
use portcullis_core::secret::Secret;
use portcullis_core::sign_in::{Callback, Disbelieved};
use portcullis_core::time::Timestamp;
use serde_json::json;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long one request to the provider may take: somebody waits.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long its metadata is believed.
const METADATA: Duration = Duration::from_mins(10);
/// How long what we say of ourselves there is good.
const OWN_LIFETIME: Duration = Duration::from_mins(1);
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const CLIENT_ASSERTION: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// Why nobody has signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoUser {
    #[error(transparent)]
    Unsent(#[from] NoAnswer),
    #[error(transparent)]
    NotSignedIn(#[from] NotSignedIn),
    #[error("answered with status {0}")]
    Status(u16),
    #[error("a secret that it needs could not be read in time")]
    Secret,
    #[error("what we say of ourselves could not be signed")]
    Unsigned,
    #[error("too many sign-ins are under way, or there is no entropy")]
    Full,
}

impl From<Disbelieved> for NoUser {
    fn from(why: Disbelieved) -> Self {
        Self::NotSignedIn(why.into())
    }
}

impl NoUser {
    /// For the audit record.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Unsent(why) => why.reason(),
            Self::NotSignedIn(why) => why.reason(),
            Self::Status(_) => "status",
            Self::Secret => "secret",
            Self::Unsigned => "unsigned",
            Self::Full => "full",
        }
    }

    /// What happened, by the names of the catalogue.
    pub(crate) const fn event(&self) -> &'static str {
        match self {
            Self::NotSignedIn(NotSignedIn::Disbelieved(Disbelieved::Mixed)) => "oauth.iss_mismatch",
            Self::Unsent(_)
            | Self::NotSignedIn(_)
            | Self::Status(_)
            | Self::Secret
            | Self::Unsigned
            | Self::Full => "login.refused",
        }
    }
}

/// The provider, and what we are there.
pub(crate) struct Relying {
    /// Its issuer identifier, byte for byte.
    pub(crate) issuer: String,
    /// The same, as what the operator wrote.
    pub(crate) written: HttpUrl,
    /// Our name there.
    pub(crate) client: String,
    /// What shows that it is us.
    pub(crate) identification: Identification,
    /// Scopes with a space between them, `openid` among them.
    pub(crate) scope: String,
    /// The claim of ID tokens that names the user.
    pub(crate) subject: String,
    /// The organizations of which users must be, if any are named.
    pub(crate) domains: Vec<String>,
    /// The claims of ID tokens that are kept of a user.
    pub(crate) claims: Vec<String>,
    /// Where it sends browsers back to.
    pub(crate) redirect: String,
    pub(crate) tls: Option<Tls>,
    pub(crate) egress: Arc<Egress>,
    /// What holds while the secret is believed.
    pub(crate) lease: Lease,
    /// Its metadata, and since when.
    pub(crate) known: Mutex<Option<(Timestamp, Arc<Provider>)>>,
}

/// What was asked of the provider in one browser, to be held against the answer.
#[derive(Clone)]
pub(crate) struct Transaction {
    /// The browser that has agreed.
    pub(crate) browser: Mark,
    pub(crate) provider: Arc<Provider>,
    pub(crate) nonce: Secret<String>,
    pub(crate) verifier: Secret<String>,
}

impl fmt::Debug for Relying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Relying({})", self.issuer)
    }
}

impl Relying {
    /// What one sign-in of this browser is held against.
    ///
    /// # Errors
    /// [`NoUser`].
    pub(crate) async fn begin(&self, browser: Mark) -> Result<Transaction, NoUser> {
        let provider = self.provider().await?;
        let there = Site::named(&provider.authorization.to_string(), &self.written)?;
        let may_go = self.egress.for_browsers(&there);
        may_go.map_err(Disbelieved::Url)?;
        Ok(Transaction {
            browser,
            provider,
            nonce: secret().ok_or(NoUser::Full)?,
            verifier: secret().ok_or(NoUser::Full)?,
        })
    }

    /// Where the browser goes with it: to sign in in one of these classes if there are any, and anew if it must.
    pub(crate) fn url(
        &self,
        transaction: &Transaction,
        state: &Secret<String>,
        (classes, is_anew): (&str, bool),
    ) -> String {
        let asking = Asking {
            client: &self.client,
            redirect: &self.redirect,
            scope: &self.scope,
            state: state.expose(),
            nonce: transaction.nonce.expose(),
            verifier: transaction.verifier.expose(),
            classes,
            is_anew,
        };
        authorization_url(&transaction.provider, &asking)
    }

    /// Who has signed in, by what the browser brought back. The provider's tokens end here.
    ///
    /// # Errors
    /// [`NoUser`].
    pub(crate) async fn finish(
        &self,
        transaction: &Transaction,
        callback: Callback,
        issuers: &Issuers,
    ) -> Result<SignedIn, NoUser> {
        let provider = &transaction.provider;
        let code = callback.code(&provider.issuer, provider.names_itself)?;
        let form = openid::redeem(&code, &self.redirect, &transaction.verifier);
        let answer = Answer::parse(&self.post(provider, form).await?)?;
        let expected = Expected {
            issuer: &self.issuer,
            client: &self.client,
            nonce: &transaction.nonce,
            subject: &self.subject,
            domains: &self.domains,
        };
        let judged = self.judged(issuers, |now| {
            openid::read_id_token(&answer, &code, &expected, &issuers.trust(), now)
        });
        Ok(judged.await?)
    }

    /// What the provider says has ended there.
    ///
    /// # Errors
    /// [`NotSignedIn`].
    pub(crate) async fn ended(
        &self,
        token: &str,
        issuers: &Issuers,
    ) -> Result<LogoutToken, NotSignedIn> {
        self.judged(issuers, |now| {
            let us = (self.issuer.as_str(), self.client.as_str());
            openid::read_logout(token, us, &issuers.trust(), now)
        })
        .await
    }

    /// An unknown key may only mean that ours are old: then they are fetched, and it is asked once more.
    async fn judged<T>(
        &self,
        issuers: &Issuers,
        judge: impl Fn(Timestamp) -> Result<T, NotSignedIn>,
    ) -> Result<T, NotSignedIn> {
        let generation = issuers.trust().generation;
        let first = judge(clock::now());
        let Err(NotSignedIn::Token(Unauthenticated::UnknownKey { issuer })) = &first else {
            return first;
        };
        if !issuers.refresh(issuer, generation).await {
            return first;
        }
        judge(clock::now())
    }

    /// The provider's metadata, not older than it may be.
    async fn provider(&self) -> Result<Arc<Provider>, NoUser> {
        let now = clock::now();
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((since, known)) = known
            && now.since(since) < METADATA
        {
            return Ok(known);
        }
        let mut last = NoUser::from(Disbelieved::NoAuthority);
        for url in metadata_urls(&self.issuer) {
            let site = Site::named(&url, &self.written)?;
            let request = Request::new(Full::default());
            let answer = self
                .egress
                .send(&site, self.tls.as_ref(), request, TIMEOUT)
                .await?;
            if answer.status != StatusCode::OK {
                last = NoUser::Status(answer.status.as_u16());
                continue;
            }
            let provider = Arc::new(Provider::parse(&answer.body, &self.issuer)?);
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some((now, Arc::clone(&provider)));
            return Ok(provider);
        }
        Err(last)
    }

    async fn post(&self, provider: &Provider, form: Secret<String>) -> Result<Bytes, NoUser> {
        if !self.lease.holds() {
            return Err(NoUser::Secret);
        }
        let (more, header) = self.shown(provider).await?;
        let body = Bytes::from([form.expose().as_str(), more.expose()].concat());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        if let Some(header) = header {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let site = Site::named(&provider.token, &self.written)?;
        let answer = self
            .egress
            .send(&site, self.tls.as_ref(), request, TIMEOUT)
            .await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            StatusCode::BAD_REQUEST => Err(Disbelieved::Refused.into()),
            status => Err(NoUser::Status(status.as_u16())),
        }
    }

    /// What shows that it is us: further fields of the form, and a header.
    async fn shown(
        &self,
        provider: &Provider,
    ) -> Result<(Secret<String>, Option<HeaderValue>), NoUser> {
        match &self.identification {
            Identification::Basic(header) => Ok((Secret::new(String::new()), Some(header.clone()))),
            Identification::Post(fields) => {
                Ok((Secret::new(["&", fields.expose()].concat()), None))
            }
            Identification::Key(id, signer) => {
                let now = clock::now();
                let unique = random::bytes::<16>().map_err(|_| NoUser::Full)?;
                let claims = json!({
                    "iss": id, "sub": id, "aud": provider.token,
                    "iat": now.seconds(), "exp": now.plus(OWN_LIFETIME).seconds(),
                    "jti": URL_SAFE_NO_PAD.encode(unique),
                });
                let word = signer.sign("JWT", &claims).await;
                let word = word.map_err(|_| NoUser::Unsigned)?;
                let fields = format!(
                    "&client_id={}&client_assertion_type={CLIENT_ASSERTION}&client_assertion={}",
                    encode(id),
                    word.expose()
                );
                Ok((Secret::new(fields), None))
            }
        }
    }
}
