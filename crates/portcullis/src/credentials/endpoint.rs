//! A token endpoint, and how it knows that it is us who ask.

use super::proof::{Prover, To};
use crate::config::HttpUrl;
use crate::egress::{Answer, Egress, NoAnswer, Site};
use crate::keys::Signer;
use crate::random;
use crate::tls::Client;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_core::authenticate::encode;
use portcullis_core::credentials::NoCredential;
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How long an authorization server may take: somebody waits.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long what we say of ourselves there is good.
const OWN_LIFETIME: Duration = Duration::from_mins(1);
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CLIENT_ASSERTION: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// Where tokens are given.
pub(crate) struct Endpoint {
    pub(crate) url: HttpUrl,
    /// Whom our signatures are for: the issuer, or else this endpoint (RFC 7523 section 3).
    pub(crate) audience: String,
    pub(crate) tls: Option<Client>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) client: Identification,
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

impl Endpoint {
    /// Sends a form; gives the body of a yes.
    pub(super) async fn ask(
        &self,
        form: &Secret<String>,
        now: Timestamp,
    ) -> Result<Bytes, NoCredential> {
        let request = self.request(form, now).await?;
        accepted(self.send(request).await?)
    }

    /// The same for a token that is bound to a key: with its proof, and once more with the nonce that is wanted in it.
    pub(super) async fn ask_bound(
        &self,
        form: &Secret<String>,
        prover: &Prover,
        now: Timestamp,
    ) -> Result<Bytes, NoCredential> {
        let url = self.url.to_string();
        let place = url.split('?').next().unwrap_or_default();
        let mut request = self.request(form, now).await?;
        prover.prove(To::Authority, place, &mut request)?;
        let answer = self.send(request).await?;
        let told = (answer.status, &answer.headers);
        if !prover.heard(To::Authority, told, &answer.body) {
            return accepted(answer);
        }
        let mut request = self.request(form, now).await?;
        prover.prove(To::Authority, place, &mut request)?;
        let answer = self.send(request).await?;
        prover.heard(
            To::Authority,
            (answer.status, &answer.headers),
            &answer.body,
        );
        accepted(answer)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, NoCredential> {
        let site = Site::Written(self.url.clone());
        let answer = self
            .egress
            .send(&site, self.tls.as_ref(), request, TIMEOUT)
            .await;
        answer.map_err(|why| match why {
            NoAnswer::Timeout => NoCredential::Timeout,
            NoAnswer::Broken => NoCredential::Broken,
            NoAnswer::Denied { .. } | NoAnswer::Unreachable | NoAnswer::Tls => {
                NoCredential::Unreachable
            }
        })
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
    pub(super) async fn sign(
        &self,
        (issuer, subject): (&str, &str),
        signer: &Signer,
        now: Timestamp,
    ) -> Result<Secret<String>, NoCredential> {
        let id = random::bytes::<16>().map_err(|_| NoCredential::Unsigned)?;
        let claims = json!({
            "iss": issuer, "sub": subject, "aud": self.audience,
            "iat": now.seconds(), "exp": now.plus(OWN_LIFETIME).seconds(),
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        Ok(signer.sign("JWT", &claims).await?)
    }
}

fn accepted(answer: Answer) -> Result<Bytes, NoCredential> {
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        status if status.is_server_error() => Err(NoCredential::Unreachable),
        _ => Err(NoCredential::Refused),
    }
}
