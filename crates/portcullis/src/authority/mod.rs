//! The authorization server that MCP clients see: what it keeps, fetches and signs. `portcullis-authority` decides.

pub(crate) mod browser;
pub(crate) mod front;
mod documents;
mod client_keys;
mod once;
pub(crate) mod provider;
mod pushed;
pub(crate) mod shown;

use crate::config::{HttpUrl, Registration};
use crate::keys::Signer;
use crate::random;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use client_keys::ClientKeys;
use documents::Cache;
pub(crate) use documents::{Documents, NoDocument};
use portcullis_authority::client::{Client, GrantType};
use portcullis_authority::redirect::Policy;
use portcullis_core::authenticate::Proofs;
use portcullis_core::quota::Networks;
use portcullis_core::refusal::Unavailable;
use portcullis_core::secret::Secret;
pub(crate) use pushed::LIFETIME;
use pushed::Pushed;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use front::Front;
pub(crate) use provider::Relying;

/// The authorization server as it is configured.
pub(crate) struct Authority {
    /// Its name: the `iss` of its tokens.
    pub(crate) issuer: String,
    /// What it says of itself (RFC 8414).
    pub(crate) document: Bytes,
    /// What signs its tokens.
    pub(crate) signer: Arc<Signer>,
    /// Where browsers find us.
    pub(crate) public: HttpUrl,
    /// The identity provider at which users sign in, if there is one.
    pub(crate) relying: Option<Arc<Relying>>,
    /// How long it counts that a user has agreed.
    pub(crate) remembered: Duration,
    /// What scopes mean, in words for users.
    pub(crate) words: BTreeMap<String, String>,
    /// The longest life of an access token.
    pub(crate) access_tokens: Duration,
    /// How long a refresh token may lie unused.
    pub(crate) refresh_tokens: Duration,
    /// How long a sign-in counts.
    pub(crate) sign_ins: Duration,
    /// The same of users who have groups or roles, which nobody asks for again before.
    pub(crate) grouped_sign_ins: Duration,
    /// Where answers may go.
    pub(crate) redirects: Policy,
    /// Clients of the file, by id.
    pub(crate) clients: HashMap<String, Arc<Client>>,
    /// Whose documents are believed.
    pub(crate) documents: Option<Documents>,
    /// How clients register themselves, if they may.
    pub(crate) registration: Option<Registration>,
    /// Providers whose assertions count, by `iss`.
    pub(crate) enterprises: BTreeMap<String, AtEnterprise>,
}

/// A provider whose assertions give tokens, as its enterprise has consented for its users.
pub(crate) struct AtEnterprise {
    /// The clients to which it may assert something.
    pub(crate) clients: BTreeSet<String>,
    /// The claim that names the user.
    pub(crate) subject: String,
    /// The claims that are kept of a user.
    pub(crate) claims: Vec<String>,
}

/// What outlives a reload.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Documents of clients.
    pub(crate) documents: Cache,
    /// Keys of clients.
    pub(crate) keys: ClientKeys,
    /// Requests that clients have pushed.
    pub(crate) pushed: Pushed,
    /// Proofs that were used where tokens are asked for.
    pub(crate) proofs: Proofs,
    /// What networks have asked for.
    pub(crate) asked: Networks,
    /// What networks have pushed.
    pub(crate) pushing: Networks,
    /// What devices of networks have asked for.
    pub(crate) devices: Networks,
    /// What codes of devices networks have typed, and all together.
    pub(crate) typed: [Networks; 2],
    /// What networks have had us fetch.
    pub(crate) fetched: Networks,
    /// What networks have registered.
    pub(crate) registered: Networks,
}

impl Authority {
    /// Where users sign in, as they are told.
    pub(crate) fn signs_in_at(&self) -> &str {
        let relying = self.relying.as_ref();
        relying.map_or("this computer", |relying| relying.written.host())
    }

    /// Whether some client may be a device.
    pub(crate) fn has_devices(&self) -> bool {
        let may = |client: &Arc<Client>| client.grants.contains(&GrantType::Device);
        self.documents.is_some() || self.clients.values().any(may)
    }

    /// Who vouches for users that sign in now.
    pub(crate) fn signs_in_with(&self) -> &str {
        let relying = self.relying.as_ref();
        relying.map_or(&self.issuer, |relying| &relying.issuer)
    }

    /// Whether users sign in there now.
    pub(crate) fn vouches(&self, issuer: &str) -> bool {
        self.signs_in_with() == issuer
    }

    /// An endpoint's URL.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.trim_end_matches('/'))
    }

    /// Where answers to clients may go that have registered themselves.
    pub(crate) fn redirects_of_strangers(&self) -> Policy {
        Policy {
            hosts: Some(self.redirects.hosts.clone().unwrap_or_default()),
            schemes: BTreeSet::new(),
            loopback: self.redirects.loopback,
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.issuer)
    }
}

/// 256 random bits as text.
pub(crate) fn voucher() -> Result<Secret<String>, Unavailable> {
    let bytes: [u8; 32] = random::bytes()?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is no secret, but has to be unlike all others.
pub(crate) fn fresh_id() -> Result<String, Unavailable> {
    let bytes: [u8; 16] = random::bytes()?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// By what a secret is found, and from which it cannot be made.
pub(crate) fn mark(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret.as_bytes()).as_ref())
}
