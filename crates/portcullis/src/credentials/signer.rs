//! The keys with which we sign what others verify; each has one purpose.

use crate::keys;
use crate::lifecycle::Home;
use anyhow::Context as _;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portcullis_core::credentials::NoCredential;
use portcullis_core::secret::Secret;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// All that this process signs with for others.
#[derive(Debug)]
pub(crate) struct Signers {
    /// What servers are told of their callers.
    pub(crate) assertions: Arc<Signer>,
    /// By what authorization servers know us.
    pub(crate) client: Arc<Signer>,
}

/// One key (ES256), and what is published of it.
pub(crate) struct Signer {
    id: String,
    key: EncodingKey,
    public: Value,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.id)
    }
}

impl Signers {
    /// Opens the keys; they are made on first use.
    pub(crate) fn open(home: &Home) -> anyhow::Result<Self> {
        let signer = |path| Signer::new(&keys::es256(path)?).map(Arc::new);
        Ok(Self {
            assertions: signer(&home.assertion_key())?,
            client: signer(&home.client_key())?,
        })
    }

    /// Keys that nobody keeps: to see whether the rest can be built.
    pub(crate) fn passing() -> anyhow::Result<Self> {
        let signer = || Signer::new(&keys::fresh_p256()?).map(Arc::new);
        Ok(Self {
            assertions: signer()?,
            client: signer()?,
        })
    }
}

impl Signer {
    /// From a P-256 key in PKCS #8.
    fn new(document: &Secret<Vec<u8>>) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.expose());
        let pair = pair.ok().context("not a P-256 key in PKCS #8")?;
        let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at_checked(32).context("no point of P-256")?;
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        // RFC 7638 section 3.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = digest::digest(&digest::SHA256, canonical.as_bytes());
        let id = URL_SAFE_NO_PAD.encode(thumbprint.as_ref());
        Ok(Self {
            public: json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": x, "y": y }),
            key: EncodingKey::from_ec_der(document.expose()),
            id,
        })
    }

    /// Signs claims as a JWT of that `typ`.
    pub(crate) fn sign(
        &self,
        kind: &str,
        claims: &impl Serialize,
    ) -> Result<Secret<String>, NoCredential> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.id.clone());
        let token = jsonwebtoken::encode(&header, claims, &self.key);
        token.map(Secret::new).map_err(|_| NoCredential::Unsigned)
    }
}

/// What is published of these keys (RFC 7517 section 5).
pub(crate) fn jwks<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> String {
    let keys: Vec<&Value> = signers.into_iter().map(|signer| &signer.public).collect();
    json!({ "keys": keys }).to_string()
}
