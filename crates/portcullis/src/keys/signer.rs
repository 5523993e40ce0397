//! A key of ours as a process has it: it signs, and says what of it is published.

use super::hardware::PATIENCE;
use super::ring::{Change, Opened};
use super::{Hardware, Public, Purpose, Ring, Standing, Unready, private_directory};
use crate::clock;
use crate::config::Checked;
use crate::lifecycle::Home;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// All that this process signs with for others, and for itself.
#[derive(Debug)]
pub(crate) struct Signers {
    /// Tokens of the embedded issuer.
    pub(crate) issuer: Arc<Signer>,
    /// What servers are told of their callers.
    pub(crate) assertions: Arc<Signer>,
    /// By what authorization servers know us.
    pub(crate) client: Arc<Signer>,
    /// What is approved of what servers define.
    pub(crate) catalog: Arc<Signer>,
    /// What single servers are told of their callers, each by a key that says nothing to others.
    pub(crate) servers: Arc<OfServers>,
}

/// The keys of single servers, opened when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct OfServers {
    /// None if nobody keeps them.
    directory: Option<PathBuf>,
    held: Mutex<BTreeMap<Arc<str>, Arc<Signer>>>,
}

/// One key.
pub(crate) struct Signer {
    ring: Ring,
    /// What signs, if the key is no file.
    hardware: Option<Hardware>,
    held: ArcSwap<Held>,
}

/// What is needed of a key until it is replaced.
struct Held {
    standing: Standing,
    /// None if it is in a token.
    key: Option<EncodingKey>,
    /// What is published (RFC 7517 section 5).
    document: Bytes,
}

/// Nothing was signed.
#[derive(Debug, thiserror::Error)]
#[error("it could not be signed")]
pub(crate) struct Unsigned;

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.id())
    }
}

impl Signers {
    /// Opens the keys; those that are files are made on first use. What signs approvals lies beside them, in `shared`.
    pub(crate) fn open((shared, home): (&Home, &Home), checked: &Checked) -> anyhow::Result<Self> {
        private_directory(&shared.keys())?;
        let servers = OfServers {
            directory: Some(home.keys()),
            held: Mutex::default(),
        };
        let open = |purpose| {
            let home = if purpose == Purpose::Catalog {
                shared
            } else {
                home
            };
            Signer::open(home, purpose, checked)
        };
        Self::each(open, servers)
    }

    /// Keys that nobody keeps: to see whether the rest can be built.
    pub(crate) fn passing() -> anyhow::Result<Self> {
        Self::each(Signer::passing, OfServers::default())
    }

    fn each(
        make: impl Fn(Purpose) -> anyhow::Result<Signer>,
        servers: OfServers,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            issuer: make(Purpose::Issuer)?.into(),
            assertions: make(Purpose::Assertion)?.into(),
            client: make(Purpose::Client)?.into(),
            catalog: make(Purpose::Catalog)?.into(),
            servers: servers.into(),
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Signer>> {
        let shared = [&self.issuer, &self.assertions, &self.client, &self.catalog];
        let mut all: Vec<Arc<Signer>> = shared.into_iter().map(Arc::clone).collect();
        all.extend(self.servers.all());
        all
    }
}

impl OfServers {
    /// The key of this server; made on first use.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub(crate) fn of(&self, server: &Arc<str>) -> anyhow::Result<Arc<Signer>> {
        let Some(directory) = &self.directory else {
            return Signer::passing(Purpose::Assertion).map(Arc::new);
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = held.get(server) {
            return Ok(Arc::clone(signer));
        }
        let ring = Ring::of_server(server, directory);
        let signer = Arc::new(Signer::of_file(ring)?);
        held.insert(Arc::clone(server), Arc::clone(&signer));
        Ok(signer)
    }

    /// All that were opened.
    pub(super) fn all(&self) -> Vec<Arc<Signer>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().map(Arc::clone).collect()
    }
}

impl Signer {
    /// The key for that: in the token where it is configured so, else a file, made on first use.
    ///
    /// # Errors
    /// As [`Ring::open`] and [`Hardware::open`].
    pub(crate) fn open(home: &Home, purpose: Purpose, checked: &Checked) -> anyhow::Result<Self> {
        let mut ring = Ring::new(purpose, &home.keys());
        let named = checked.pkcs11.as_ref();
        let named = named.and_then(|place| Some((place, purpose.label(place)?)));
        let hardware = named.map(|(place, label)| {
            let opened = Hardware::open(place, purpose, label);
            opened.with_context(|| format!("the key {label:?} in the token {:?}", place.token))
        });
        let hardware = hardware.transpose()?;
        if let Some(hardware) = &hardware {
            ring = ring.elsewhere(hardware.public().clone(), purpose.overlap(checked));
        }
        let opened = ring.open(clock::now())?;
        Ok(Self {
            held: ArcSwap::from_pointee(Held::new(&ring, opened, clock::now())),
            hardware,
            ring,
        })
    }

    /// The key for that in a file; made on first use.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub(crate) fn in_file(home: &Home, purpose: Purpose) -> anyhow::Result<Self> {
        Self::of_file(Ring::new(purpose, &home.keys()))
    }

    fn of_file(ring: Ring) -> anyhow::Result<Self> {
        let opened = ring.open(clock::now())?;
        Ok(Self {
            held: ArcSwap::from_pointee(Held::new(&ring, opened, clock::now())),
            hardware: None,
            ring,
        })
    }

    /// One that nobody keeps.
    pub(crate) fn passing(purpose: Purpose) -> anyhow::Result<Self> {
        let (ring, secret) = (Ring::new(purpose, Path::new("")), purpose.fresh()?);
        let standing = Standing::of(Public::of(purpose, &secret)?, 0);
        let secret = Some(secret);
        let held = Held::new(&ring, Opened { standing, secret }, Timestamp::default());
        Ok(Self {
            held: ArcSwap::from_pointee(held),
            hardware: None,
            ring,
        })
    }

    /// The id of the key that signs.
    pub(crate) fn id(&self) -> String {
        self.held.load().standing.signs.kid.clone()
    }

    /// The keys that others verify our word with.
    pub(crate) fn document(&self) -> Bytes {
        self.held.load().document.clone()
    }

    /// Signs claims as a JWT of that `typ`.
    pub(crate) async fn sign(
        &self,
        kind: &str,
        claims: &(impl Serialize + Sync),
    ) -> Result<Secret<String>, Unsigned> {
        let Some(hardware) = &self.hardware else {
            return self.held.load().sign(&self.header(kind), claims);
        };
        let message = message(&self.header(kind), claims)?;
        let signature = hardware.sign(message.clone().into_bytes()).await?;
        Ok(whole(&message, &signature))
    }

    /// Signs claims as a proof that shows its key (RFC 9449 section 4.2).
    pub(crate) fn prove(&self, claims: &impl Serialize) -> Result<Secret<String>, Unsigned> {
        let held = self.held.load();
        let key = serde_json::to_value(&held.standing.signs).map_err(|_| Unsigned)?;
        let mut header = Header::new(algorithm(self.ring.purpose));
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = serde_json::from_value(key).map_err(|_| Unsigned)?;
        held.sign(&header, claims)
    }

    /// The same for commands: it waits for the token.
    pub(crate) fn sign_here(
        &self,
        kind: &str,
        claims: &impl Serialize,
    ) -> Result<Secret<String>, Unsigned> {
        let Some(hardware) = &self.hardware else {
            return self.held.load().sign(&self.header(kind), claims);
        };
        let message = message(&self.header(kind), claims)?;
        let signature = hardware.sign_here(message.clone().into_bytes(), PATIENCE)?;
        Ok(whole(&message, &signature))
    }

    /// What a JWT of that `typ` says, if a key of this one signed it that counts now.
    pub(crate) fn verified<T: DeserializeOwned + Clone>(
        &self,
        kind: &str,
        token: &str,
        now: Timestamp,
    ) -> Option<T> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let own = algorithm(self.ring.purpose);
        if header.typ.as_deref() != Some(kind) || header.alg != own {
            return None;
        }
        let held = self.held.load();
        let mut counting = held.standing.counting(now);
        let key = counting.find(|key| header.kid.as_deref() == Some(&key.kid))?;
        let key: Jwk = serde_json::from_value(serde_json::to_value(key).ok()?).ok()?;
        let mut validation = Validation::new(own);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let key = DecodingKey::from_jwk(&key).ok()?;
        let read = jsonwebtoken::decode::<T>(token, &key, &validation).ok()?;
        Some(read.claims)
    }

    /// Why the token did not sign when it was last asked; none if it did, or there is none.
    pub(super) fn unready(&self) -> Option<Unready> {
        self.hardware.as_ref()?.unready()
    }

    fn header(&self, kind: &str) -> Header {
        let mut header = Header::new(algorithm(self.ring.purpose));
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.id());
        header
    }

    /// What it signs.
    pub(crate) const fn purpose(&self) -> Purpose {
        self.ring.purpose
    }

    /// Whom it tells, if that is one server alone.
    pub(crate) const fn server(&self) -> Option<&Arc<str>> {
        self.ring.server()
    }

    /// The files that it was taken from.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        self.ring.files()
    }

    /// When something changes by itself.
    pub(super) fn changes(&self) -> Option<u64> {
        self.held.load().standing.changes()
    }

    /// Takes up what is on the disk.
    ///
    /// # Errors
    /// As [`Ring::open`]; then the key signs on, and those of before count no longer than they would.
    pub(super) fn reread(&self, now: Timestamp) -> anyhow::Result<()> {
        let opened = self.ring.open(now);
        self.take(opened, now)
    }

    /// Tells what has become of the key, and forgets what is over.
    ///
    /// # Errors
    /// As [`Signer::reread`].
    pub(super) fn settle(&self, now: Timestamp, tell: impl FnMut(Change)) -> anyhow::Result<()> {
        let settled = self.ring.settle(now, tell);
        self.take(settled, now)
    }

    fn take(&self, opened: anyhow::Result<Opened>, now: Timestamp) -> anyhow::Result<()> {
        let taken = opened.map(|opened| Held::new(&self.ring, opened, now));
        let (held, done) = match taken {
            Ok(held) => (held, Ok(())),
            Err(error) => (self.held.load().at(now), Err(error)),
        };
        self.held.store(Arc::new(held));
        done
    }
}

impl Held {
    fn new(ring: &Ring, opened: Opened, now: Timestamp) -> Self {
        let key = opened.secret.map(|secret| match ring.purpose {
            Purpose::Issuer | Purpose::Audit | Purpose::Catalog => {
                EncodingKey::from_ed_der(secret.expose())
            }
            Purpose::Assertion | Purpose::Client => EncodingKey::from_ec_der(secret.expose()),
        });
        Self {
            document: document(&opened.standing, now),
            standing: opened.standing,
            key,
        }
    }

    fn sign(&self, header: &Header, claims: &impl Serialize) -> Result<Secret<String>, Unsigned> {
        let key = self.key.as_ref().ok_or(Unsigned)?;
        let token = jsonwebtoken::encode(header, claims, key);
        token.map(Secret::new).map_err(|_| Unsigned)
    }

    /// The same key, with those of before that count at that time.
    fn at(&self, now: Timestamp) -> Self {
        let mut standing = self.standing.clone();
        standing.next = None;
        standing.retired.retain(|one| one.until > now.seconds());
        Self {
            document: document(&standing, now),
            standing,
            key: self.key.clone(),
        }
    }
}

/// What is signed of a JWT (RFC 7515 section 5.1), where the library cannot sign as it has no key.
fn message(header: &Header, claims: &impl Serialize) -> Result<String, Unsigned> {
    let header = serde_json::to_vec(header).map_err(|_| Unsigned)?;
    let claims = serde_json::to_vec(claims).map_err(|_| Unsigned)?;
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    Ok(format!("{header}.{claims}"))
}

fn whole(message: &str, signature: &[u8]) -> Secret<String> {
    Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

const fn algorithm(purpose: Purpose) -> Algorithm {
    match purpose {
        Purpose::Issuer | Purpose::Audit | Purpose::Catalog => Algorithm::EdDSA,
        Purpose::Assertion | Purpose::Client => Algorithm::ES256,
    }
}

fn document(standing: &Standing, now: Timestamp) -> Bytes {
    let keys: Vec<&Public> = standing.counting(now).collect();
    json!({ "keys": keys }).to_string().into()
}
