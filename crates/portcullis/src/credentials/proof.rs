//! Proofs that a token is shown by whom it was given to (RFC 9449): by a key of this process alone, which no token outlives.

use crate::keys::{Purpose, Signer};
use crate::{clock, random};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use portcullis_core::credentials::NoCredential;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Mutex, PoisonError};

const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// How a bound token is shown (RFC 9449 section 7.1).
pub(super) const SCHEME: &str = "DPoP ";
/// The word for a nonce that is missing or old (sections 8 and 9).
const USE_NONCE: &str = "use_dpop_nonce";
/// The longest nonce that is taken.
const MAX_NONCE_BYTES: usize = 1024;

/// The key of one server's tokens, and the nonces that were heard last.
pub(crate) struct Prover {
    key: Signer,
    nonces: [Mutex<Option<String>>; 2],
}

/// To whom something is proved: each has nonces of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// Who gives tokens.
    Authority,
    /// Who is shown them.
    Server,
}

/// What a proof says (section 4.2).
#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prover(..)")
    }
}

impl Prover {
    /// With a key of its own.
    ///
    /// # Errors
    /// If there is no randomness.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            key: Signer::passing(Purpose::Client)?,
            nonces: Default::default(),
        })
    }

    /// What tokens have to be bound to (`cnf.jkt`).
    pub(crate) fn thumbprint(&self) -> String {
        self.key.id()
    }

    /// Adds the proof for this request, which goes to `url`; for the token in it, if there is one (section 4.2).
    ///
    /// # Errors
    /// [`NoCredential::Unsigned`].
    pub(crate) fn prove(
        &self,
        to: To,
        url: &str,
        request: &mut Request<Full<Bytes>>,
    ) -> Result<(), NoCredential> {
        let id = random::bytes::<16>().map_err(|_| NoCredential::Unsigned)?;
        let shown = request.headers().get(AUTHORIZATION);
        let token = shown.and_then(|shown| shown.as_bytes().strip_prefix(SCHEME.as_bytes()));
        let hash = token.map(|token| digest::digest(&digest::SHA256, token));
        let claims = Claims {
            jti: URL_SAFE_NO_PAD.encode(id),
            htm: request.method().as_str(),
            htu: url,
            iat: clock::now().seconds(),
            ath: hash.map(|hash| URL_SAFE_NO_PAD.encode(hash)),
            nonce: self.nonce(to).clone(),
        };
        let proof = self.key.prove(&claims)?;
        let mut proof =
            HeaderValue::from_str(proof.expose()).map_err(|_| NoCredential::Unsigned)?;
        proof.set_sensitive(true);
        request.headers_mut().insert(PROOF, proof);
        Ok(())
    }

    /// Remembers the nonce of an answer; whether the request is to be made again with it.
    pub(crate) fn heard(
        &self,
        to: To,
        (status, headers): (StatusCode, &HeaderMap),
        body: &[u8],
    ) -> bool {
        let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
        let nonce = nonce.filter(|nonce| !nonce.is_empty() && nonce.len() <= MAX_NONCE_BYTES);
        let Some(nonce) = nonce else { return false };
        *self.nonce(to) = Some(nonce.to_owned());
        match to {
            To::Authority => status == StatusCode::BAD_REQUEST && is_error(body),
            To::Server => status == StatusCode::UNAUTHORIZED && is_challenge(headers),
        }
    }

    fn nonce(&self, to: To) -> std::sync::MutexGuard<'_, Option<String>> {
        let [authority, server] = &self.nonces;
        let nonce = match to {
            To::Authority => authority,
            To::Server => server,
        };
        nonce.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error response of a token endpoint (section 8).
fn is_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    serde_json::from_slice::<Refused>(body).is_ok_and(|refused| refused.error == USE_NONCE)
}

/// A challenge of a server (section 9).
fn is_challenge(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(WWW_AUTHENTICATE).into_iter();
    let mut challenges = challenges.filter_map(|value| value.to_str().ok());
    let wanted = format!("error=\"{USE_NONCE}\"");
    challenges.any(|challenge| challenge.contains(&wanted))
}
