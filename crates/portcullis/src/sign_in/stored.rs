//! Grants and clients as they are kept: one text each, sealed as a whole.

use portcullis_core::secret::Secret;
use portcullis_core::sign_in::{Client, Way};
use portcullis_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a principal has granted at a server, and with whom that was agreed. What one authorization server gave goes
/// back to no other: everything that is needed for that stands here, and nothing is looked up again.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// The server's URL as it was then; a token for it is good for no other.
    pub(super) url: String,
    pub(super) resource: String,
    /// Where tokens are renewed and given back.
    pub(super) token: String,
    pub(super) revocation: Option<String>,
    pub(super) client: Client,
    pub(super) access: Secret<String>,
    pub(super) expires: Timestamp,
    pub(super) refresh: Option<Secret<String>>,
    pub(super) scopes: Vec<String>,
}

/// A client that was registered by ourselves.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) client: Client,
    /// When it is used no longer.
    pub(super) until: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredClient<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    secret: Option<Cow<'a, str>>,
    way: u8,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    resource: Cow<'a, str>,
    token: Cow<'a, str>,
    revocation: Option<Cow<'a, str>>,
    client_id: Cow<'a, str>,
    client_secret: Option<Cow<'a, str>>,
    way: u8,
    access: Cow<'a, str>,
    expires: u64,
    refresh: Option<Cow<'a, str>>,
    scopes: Vec<Cow<'a, str>>,
}

impl Grant {
    pub(super) fn write(&self) -> Option<Secret<Vec<u8>>> {
        let stored = Stored {
            url: self.url.as_str().into(),
            resource: self.resource.as_str().into(),
            token: self.token.as_str().into(),
            revocation: self.revocation.as_deref().map(Into::into),
            client_id: self.client.id.as_str().into(),
            client_secret: self
                .client
                .secret
                .as_ref()
                .map(|text| text.expose().as_str().into()),
            way: number(self.client.way),
            access: self.access.expose().as_str().into(),
            expires: self.expires.micros(),
            refresh: self
                .refresh
                .as_ref()
                .map(|text| text.expose().as_str().into()),
            scopes: self
                .scopes
                .iter()
                .map(|scope| scope.as_str().into())
                .collect(),
        };
        serde_json::to_vec(&stored).ok().map(Secret::new)
    }

    pub(super) fn read(written: &Secret<Vec<u8>>) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_slice(written.expose()).ok()?;
        let own = |text: Cow<'_, str>| Secret::new(text.into_owned());
        Some(Self {
            url: stored.url.into_owned(),
            resource: stored.resource.into_owned(),
            token: stored.token.into_owned(),
            revocation: stored.revocation.map(Cow::into_owned),
            client: Client {
                id: stored.client_id.into_owned(),
                secret: stored.client_secret.map(own),
                way: way(stored.way)?,
            },
            access: own(stored.access),
            expires: Timestamp::from_micros(stored.expires),
            refresh: stored.refresh.map(own),
            scopes: stored.scopes.into_iter().map(Cow::into_owned).collect(),
        })
    }
}

impl Known {
    pub(super) fn write(&self) -> Option<Secret<Vec<u8>>> {
        let secret = self.client.secret.as_ref();
        let stored = StoredClient {
            id: self.client.id.as_str().into(),
            secret: secret.map(|text| text.expose().as_str().into()),
            way: number(self.client.way),
            until: self.until.seconds(),
        };
        serde_json::to_vec(&stored).ok().map(Secret::new)
    }

    pub(super) fn read(written: &Secret<Vec<u8>>) -> Option<Self> {
        let stored: StoredClient<'_> = serde_json::from_slice(written.expose()).ok()?;
        Some(Self {
            client: Client {
                id: stored.id.into_owned(),
                secret: stored.secret.map(|text| Secret::new(text.into_owned())),
                way: way(stored.way)?,
            },
            until: Timestamp::from_seconds(stored.until),
        })
    }
}

const fn number(way: Way) -> u8 {
    match way {
        Way::Open => 0,
        Way::Basic => 1,
        Way::Post => 2,
    }
}

const fn way(number: u8) -> Option<Way> {
    match number {
        0 => Some(Way::Open),
        1 => Some(Way::Basic),
        2 => Some(Way::Post),
        _ => None,
    }
}
