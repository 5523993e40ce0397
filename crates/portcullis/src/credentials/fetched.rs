//! Tokens from an authorization server: one question at a time for each, asked again before one is over, never shown after.

use super::kept::{Held, Kept, Known};
use crate::config::HttpUrl;
use crate::egress::{Egress, NoAnswer, Site};
use crate::keys::Signer;
use crate::tls::Client;
use crate::upstream::{Notice, Report};
use crate::{clock, random};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_core::authenticate::encode;
use portcullis_core::credentials::{Exchange, NoCredential, Place, Want};
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How long an authorization server may take: somebody waits.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long what we say of ourselves there is good.
const OWN_LIFETIME: Duration = Duration::from_mins(1);
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLIENT_ASSERTION: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// What comes of asking.
pub(super) type Outcome = Result<Arc<Held>, NoCredential>;
/// A question under way, for whoever wants to know.
pub(super) type Flight = Shared<BoxFuture<'static, Outcome>>;

/// Where the tokens for one server come from.
pub(crate) struct Fetching {
    /// What the server is called.
    pub(crate) server: Arc<str>,
    pub(crate) report: Report,
    pub(crate) exchange: Exchange,
    /// The token endpoint.
    pub(crate) endpoint: HttpUrl,
    pub(crate) tls: Option<Client>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) client: Identification,
    /// Who asks for the caller, where the authorization server is told: our name and our key.
    pub(crate) actor: Option<(Actor, Arc<Signer>)>,
    /// Where questions are asked that nobody waits for.
    pub(crate) tasks: TaskTracker,
    pub(crate) kept: Kept,
}

/// How the authorization server knows that it is us.
pub(crate) enum Identification {
    /// By a signature (RFC 7523 section 2.2): our name there, and our key.
    Key(String, Arc<Signer>),
    /// By a secret in a header (RFC 6749 section 2.3.1).
    Basic(HeaderValue),
    /// By a secret in the form: its fields.
    Post(Secret<String>),
}

/// Who we are to an authorization server.
pub(crate) struct Actor {
    pub(crate) issuer: String,
    pub(crate) name: String,
}

impl Fetching {
    /// A token that may be shown now; whether it was waited for.
    pub(super) async fn token(
        self: &Arc<Self>,
        want: &Want,
    ) -> Result<(Arc<Held>, bool), NoCredential> {
        let (place, now) = (self.exchange.place(want), clock::now());
        match self.kept.find(&place, now) {
            Known::Fresh(held) => Ok((held, false)),
            Known::Ageing(held) => {
                // The old one is good until the new one is there.
                if let Ok((flight, _)) = self.kept.fly(place, want, now, |number| {
                    self.flight((place, number), want)
                }) {
                    self.tasks.spawn(flight);
                }
                Ok((held, false))
            }
            Known::Nothing => {
                let (flight, is_first) = self.kept.fly(place, want, now, |number| {
                    self.flight((place, number), want)
                })?;
                if is_first {
                    // It ends even if all who wait for it leave.
                    self.tasks.spawn(flight.clone());
                }
                let held = flight.await?;
                if held.until <= clock::now() {
                    return Err(NoCredential::Lifetime);
                }
                Ok((held, true))
            }
        }
    }

    fn flight(self: &Arc<Self>, (place, number): (Place, u64), want: &Want) -> Flight {
        let (own, want) = (Arc::clone(self), want.clone());
        let asking = async move {
            let outcome = own.ask(&want).await;
            if let Ok(held) = &outcome {
                own.tell(&want, held);
            }
            // So that not all tokens are fetched again at the same moment.
            let jitter = random::bytes::<1>().map_or(0, |[byte]| byte);
            let now = (clock::now(), jitter);
            own.kept.landed((&place, number), &outcome, now);
            outcome
        };
        asking.boxed().shared()
    }

    /// Records that a token was issued.
    fn tell(&self, want: &Want, held: &Held) {
        let owner = &want.principal().key;
        self.report.tell(&Notice {
            event: "token.issued",
            reason: "fetched",
            server: Some(&self.server),
            owner: self.exchange.grant.takes_token().then_some(owner),
            detail: &[
                ("issued_jti", held.id.as_str()),
                ("issued_aud", &held.audience),
                ("issued_scope", want.scope()),
                ("parent_jti", want.parent()),
            ],
        });
    }

    pub(super) fn forget(&self, want: &Want) {
        self.kept.forget(&self.exchange.place(want));
    }

    async fn ask(&self, want: &Want) -> Outcome {
        let now = clock::now();
        let actor = match &self.actor {
            None => None,
            Some((actor, signer)) => {
                Some(self.sign((&actor.issuer, &actor.name), signer, now).await?)
            }
        };
        let form = self.exchange.form(want, actor.as_ref(), now)?;
        let request = self.request(&form, now).await?;
        let site = Site::Written(self.endpoint.clone());
        let answer = self
            .egress
            .send(&site, self.tls.as_ref(), request, TIMEOUT)
            .await;
        let answer = answer.map_err(|why| match why {
            NoAnswer::Timeout => NoCredential::Timeout,
            NoAnswer::Broken => NoCredential::Broken,
            NoAnswer::Denied { .. } | NoAnswer::Unreachable | NoAnswer::Tls => {
                NoCredential::Unreachable
            }
        })?;
        match answer.status {
            StatusCode::OK => {}
            status if status.is_server_error() => return Err(NoCredential::Unreachable),
            _ => return Err(NoCredential::Refused),
        }
        let token = self.exchange.believe(want, &answer.body, clock::now())?;
        Held::new(token, Arc::clone(&self.exchange.audience)).map(Arc::new)
    }

    async fn request(
        &self,
        form: &Secret<String>,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, NoCredential> {
        let more = match &self.client {
            Identification::Basic(_) => Secret::new(String::new()),
            Identification::Post(fields) => Secret::new(["&", fields.expose()].concat()),
            Identification::Key(id, signer) => {
                let word = self.sign((id, id), signer, now).await?;
                let id = encode(id);
                Secret::new(format!(
                    "&client_id={id}&client_assertion_type={CLIENT_ASSERTION}&client_assertion={}",
                    word.expose()
                ))
            }
        };
        let body = Bytes::from([form.expose().as_str(), more.expose()].concat());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, FORM);
        headers.insert(ACCEPT, JSON);
        if let Identification::Basic(value) = &self.client {
            headers.insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    /// What we say of ourselves to this authorization server, once (RFC 7523 section 3).
    async fn sign(
        &self,
        (issuer, subject): (&str, &str),
        signer: &Signer,
        now: Timestamp,
    ) -> Result<Secret<String>, NoCredential> {
        let id = random::bytes::<16>().map_err(|_| NoCredential::Unsigned)?;
        let claims = json!({
            "iss": issuer, "sub": subject, "aud": self.endpoint.to_string(),
            "iat": now.seconds(), "exp": now.plus(OWN_LIFETIME).seconds(),
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        Ok(signer.sign("JWT", &claims).await?)
    }
}
