//! Passkeys: what a browser is asked for, and whether what it answers is proof (WebAuthn Level 3, sections 7.1 and 7.2).

use super::authenticator::{MAX_ID_BYTES, Said};
use super::public_key::{ALGORITHMS, PublicKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::protocol::read_strict;
use portcullis_core::time::{Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

/// The most passkeys of one owner.
pub const MAX_PASSKEYS: u32 = 16;
/// How long a browser may take.
const LIFETIME: Duration = Duration::from_mins(5);
/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Where passkeys count: at our own origin and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    origin: String,
    /// The host of it.
    site: String,
}

/// What a passkey is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be a new one.
    Register,
    /// To sign in.
    SignIn,
}

/// What a browser was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    purpose: Purpose,
    challenge: String,
    span: Span,
}

/// A passkey of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Its name among authenticators.
    pub id: Vec<u8>,
    /// Its public key, as the authenticator wrote it.
    pub key: Vec<u8>,
    /// How often it was used, if the authenticator counts.
    pub counter: u32,
}

/// Why an answer is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// Nothing was asked, for this, or it was too long ago.
    #[error("nothing was asked for that this answers")]
    Unasked,
    /// Not the form that answers have.
    #[error("an answer that cannot be read")]
    Malformed,
    /// Made at another site, or inside a page of another site.
    #[error("an answer that was given to another site")]
    OtherSite,
    /// Nobody was there, or the authenticator has not made sure who it is.
    #[error("the authenticator has not verified its user")]
    Unverified,
    /// A kind of key that we do not know.
    #[error("a kind of key that is not accepted")]
    Key,
    /// A passkey that is not known here.
    #[error("an unknown passkey")]
    Unknown,
    /// Its signature does not hold.
    #[error("a signature that does not hold")]
    Signature,
    /// It counts less than it did: there may be two of it.
    #[error("a passkey that may have been copied")]
    Copied,
}

impl Unproved {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unasked => "unasked",
            Self::Malformed => "malformed",
            Self::OtherSite => "other_site",
            Self::Unverified => "unverified",
            Self::Key => "key",
            Self::Unknown => "unknown",
            Self::Signature => "signature",
            Self::Copied => "copied",
        }
    }
}

impl Place {
    /// The place of our own origin; none where no passkey can be: at an address, or at a name over plain `http`
    /// other than `localhost` (section 5.1.2 and Secure Contexts, section 3.1).
    pub fn at(origin: &str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let site = authority.split(':').next().unwrap_or(authority);
        let is_name =
            !site.is_empty() && !authority.starts_with('[') && site.parse::<IpAddr>().is_err();
        let is_secure = scheme == "https" || site == "localhost";
        (is_name && is_secure).then(|| Self {
            origin: origin.to_owned(),
            site: site.to_owned(),
        })
    }

    /// The name to which passkeys are bound.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// What authenticators call the owner: nothing personal, and the same each time.
    pub(super) fn owner(&self) -> Vec<u8> {
        let text = format!("portcullis owner at {}", self.origin);
        digest(&SHA256, text.as_bytes()).as_ref().to_vec()
    }
}

impl Asked {
    /// What is asked now; `challenge` is random.
    pub fn now(purpose: Purpose, challenge: [u8; 32], now: Timestamp) -> Self {
        Self {
            purpose,
            challenge: URL_SAFE_NO_PAD.encode(challenge),
            span: Span::new(now, LIFETIME),
        }
    }

    /// What our script gives the browser; bytes are base64url. An authenticator that has one of the known passkeys makes
    /// no second one.
    pub fn options(&self, place: &Place, known: &[Passkey]) -> Value {
        let known: Vec<Value> = known.iter().map(named).collect();
        let milliseconds = LIFETIME.as_millis();
        match self.purpose {
            Purpose::Register => json!({
                "challenge": self.challenge,
                "timeout": milliseconds,
                "attestation": "none",
                "rp": { "id": place.site, "name": "Portcullis" },
                "user": {
                    "id": URL_SAFE_NO_PAD.encode(place.owner()),
                    "name": "owner",
                    "displayName": format!("Owner of {}", place.origin),
                },
                "pubKeyCredParams": ALGORITHMS.map(|number| json!({ "type": "public-key", "alg": number })),
                "authenticatorSelection": { "residentKey": "preferred", "userVerification": "required" },
                "excludeCredentials": known,
            }),
            Purpose::SignIn => json!({
                "challenge": self.challenge,
                "timeout": milliseconds,
                "rpId": place.site,
                "userVerification": "required",
                "allowCredentials": known,
            }),
        }
    }

    /// The new passkey, if the answer proves one.
    ///
    /// # Errors
    /// [`Unproved`].
    pub fn registered(
        self,
        place: &Place,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Passkey, Unproved> {
        let answer = Answer::read(body)?;
        self.check_client(place, &answer.client, (Purpose::Register, now))?;
        let said = Said::read(&answer.authenticator, &place.site)?;
        let (id, key) = said.key()?;
        if id != answer.id {
            return Err(Unproved::Malformed);
        }
        PublicKey::read(key)?;
        Ok(Passkey {
            id: id.to_vec(),
            key: key.to_vec(),
            counter: said.counter,
        })
    }

    /// The passkey with which somebody has signed in, as it is to be kept from now on.
    ///
    /// # Errors
    /// [`Unproved`].
    pub fn signed_in(
        self,
        place: &Place,
        body: &[u8],
        known: &[Passkey],
        now: Timestamp,
    ) -> Result<Passkey, Unproved> {
        let answer = Answer::read(body)?;
        self.check_client(place, &answer.client, (Purpose::SignIn, now))?;
        let passkey = known.iter().find(|known| known.id == answer.id);
        let passkey = passkey.ok_or(Unproved::Unknown)?;
        if answer.owner.is_some_and(|owner| owner != place.owner()) {
            return Err(Unproved::Unknown);
        }
        let said = Said::read(&answer.authenticator, &place.site)?;
        let client = digest(&SHA256, &answer.client);
        let signed = [&answer.authenticator, client.as_ref()].concat();
        let signature = answer.signature.ok_or(Unproved::Malformed)?;
        PublicKey::read(&passkey.key)?.verify(&signed, &signature)?;
        let counts = said.counter != 0 || passkey.counter != 0;
        if counts && said.counter <= passkey.counter {
            return Err(Unproved::Copied);
        }
        Ok(Passkey {
            counter: said.counter,
            ..passkey.clone()
        })
    }

    /// Whether the browser says that it was asked this, by us, and just now (section 5.8.1).
    fn check_client(
        &self,
        place: &Place,
        client: &[u8],
        (purpose, now): (Purpose, Timestamp),
    ) -> Result<(), Unproved> {
        let client: Client = read_strict(client).map_err(|_| Unproved::Malformed)?;
        let kind = match purpose {
            Purpose::Register => "webauthn.create",
            Purpose::SignIn => "webauthn.get",
        };
        if self.purpose != purpose
            || !self.span.has(now)
            || client.kind != kind
            || client.challenge != self.challenge
        {
            return Err(Unproved::Unasked);
        }
        if client.origin != place.origin || client.is_framed || client.top.is_some() {
            return Err(Unproved::OtherSite);
        }
        Ok(())
    }
}

fn named(passkey: &Passkey) -> Value {
    json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&passkey.id) })
}

/// What our script sends.
struct Answer {
    id: Vec<u8>,
    client: Vec<u8>,
    authenticator: Vec<u8>,
    signature: Option<Vec<u8>>,
    owner: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent<'a> {
    id: &'a str,
    client: &'a str,
    authenticator: &'a str,
    signature: Option<&'a str>,
    owner: Option<&'a str>,
}

/// The client data; later versions may have members that nobody knows yet.
#[derive(Deserialize)]
struct Client {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    is_framed: bool,
    #[serde(rename = "topOrigin")]
    top: Option<String>,
}

impl Answer {
    fn read(body: &[u8]) -> Result<Self, Unproved> {
        if body.len() > MAX_ANSWER_BYTES {
            return Err(Unproved::Malformed);
        }
        let sent: Sent<'_> = read_strict(body).map_err(|_| Unproved::Malformed)?;
        let bytes = |text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| Unproved::Malformed)
        };
        let answer = Self {
            id: bytes(sent.id)?,
            client: bytes(sent.client)?,
            authenticator: bytes(sent.authenticator)?,
            signature: sent.signature.map(bytes).transpose()?,
            owner: sent.owner.map(bytes).transpose()?,
        };
        if !(1..=MAX_ID_BYTES).contains(&answer.id.len()) {
            return Err(Unproved::Malformed);
        }
        Ok(answer)
    }
}
