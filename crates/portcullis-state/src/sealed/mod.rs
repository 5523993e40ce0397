//! What is secret at rest: sealed under a key of its tenant, which is wrapped by a key that is not in the database.
//!
//! Whoever has the database alone has nothing. AES-256-GCM-SIV (RFC 8452) with random nonces; a sealed value opens for
//! the tenant, the purpose and the row that it was sealed for, and nowhere else.

mod wrapping;
mod store;

use crate::durable::{Durable, Failed};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use portcullis_core::secret::Secret;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use wrapping::{Ask, MAX_LABEL_BYTES, Token, WrappingKeys};

/// The most tenants with something sealed; one more is refused.
pub const MAX_TENANTS: usize = 4096;
/// The longest secret that is sealed, in bytes.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;
/// The longest name of a tenant or a row, in bytes.
pub const MAX_SLOT_BYTES: usize = 2048;

/// Bytes of every key here: AES-256.
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// The first byte of what is sealed.
const VERSION: u8 = 1;

/// Where a secret lies. What is sealed for one place does not open at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot<'a> {
    /// Whose it is; each has a key of its own.
    pub tenant: &'a str,
    /// What it is for, such as `upstream.refresh_token`.
    pub purpose: &'static str,
    /// The key of its row.
    pub row: &'a str,
}

/// Why something was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum NotSealed {
    /// The database did not do its part.
    #[error(transparent)]
    State(#[from] Failed),
    /// The wrapping key cannot be read or written.
    #[error("the wrapping key {} cannot be used: {what}", file.display())]
    Wrapping {
        /// Which file.
        file: PathBuf,
        /// Why.
        what: String,
    },
    /// It was sealed for another place or under another key, or was changed.
    #[error(
        "what is sealed here does not open: it was changed, moved, or sealed under a key that is lost"
    )]
    Broken,
    /// A secret, tenant or row is empty or too long, or there are too many tenants.
    #[error("a secret, a tenant or a row is empty or too long, or there are too many tenants")]
    Unfit,
    /// The system gives no random bytes.
    #[error("no entropy")]
    Entropy,
}

/// Seals and opens. Clones share their keys in memory.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    durable: Durable,
    wrapping: WrappingKeys,
    /// At most [`MAX_TENANTS`], for the database has no more.
    keys: Mutex<HashMap<String, Arc<RandomizedNonceKey>>>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl Sealer {
    /// For this database, with those wrapping keys. The first is made if there is none; what a rotation that broke off
    /// has left is cleared away.
    ///
    /// # Errors
    /// [`NotSealed`]: the database or the wrapping key in use cannot be read.
    pub async fn open(durable: &Durable, wrapping: WrappingKeys) -> Result<Self, NotSealed> {
        let sealer = Self(Arc::new(Inner {
            durable: durable.clone(),
            wrapping,
            keys: Mutex::default(),
        }));
        sealer.with_wrapping(store::prepare).await?;
        Ok(sealer)
    }

    /// Seals a secret for its place. What comes out may be stored anywhere.
    ///
    /// # Errors
    /// [`NotSealed::Unfit`] beyond the bounds of this module; else the key of the tenant cannot be had.
    pub async fn seal(
        &self,
        slot: Slot<'_>,
        secret: &Secret<Vec<u8>>,
    ) -> Result<Vec<u8>, NotSealed> {
        if !slot.is_fit() || secret.expose().is_empty() || secret.expose().len() > MAX_SECRET_BYTES
        {
            return Err(NotSealed::Unfit);
        }
        let key = self.key(slot.tenant, store::find_or_make).await?;
        seal(&key, &slot.binding(), secret.expose())
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`NotSealed::Broken`] if it was not, or not so; else the key of the tenant cannot be had.
    pub async fn reveal(
        &self,
        slot: Slot<'_>,
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, NotSealed> {
        if !slot.is_fit() || sealed.len() > MAX_SECRET_BYTES + 1 + NONCE_BYTES + TAG_BYTES {
            return Err(NotSealed::Unfit);
        }
        let key = self.key(slot.tenant, store::find).await?;
        open(&key, &slot.binding(), sealed)
    }

    /// Makes a new wrapping key, wraps every data key anew under it, and destroys the old one. Whatever is sealed stays
    /// as it is. Other processes go on meanwhile; one that is killed in the middle has either done it or not.
    ///
    /// # Errors
    /// [`NotSealed`]; then the old key is still in use.
    pub async fn rewrap(&self) -> Result<Rewrapped, NotSealed> {
        self.with_wrapping(store::rewrap).await
    }

    /// Keeps no key of a tenant in memory: the next use of each needs the wrapping key again.
    pub fn forget(&self) {
        let mut keys = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.clear();
    }

    async fn key<F>(&self, tenant: &str, find: F) -> Result<Arc<RandomizedNonceKey>, NotSealed>
    where
        F: FnOnce(
                &mut rusqlite::Connection,
                &WrappingKeys,
                &str,
            ) -> Result<Secret<Vec<u8>>, NotSealed>
            + Send
            + 'static,
    {
        let known = {
            let keys = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.get(tenant).map(Arc::clone)
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let name = tenant.to_owned();
        let found = self
            .with_wrapping(move |connection, wrapping| find(connection, wrapping, &name))
            .await?;
        let key = Arc::new(aead(found.expose())?);
        let mut keys = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(tenant.to_owned(), Arc::clone(&key));
        Ok(key)
    }

    async fn with_wrapping<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection, &WrappingKeys) -> Result<T, NotSealed>
        + Send
        + 'static,
    ) -> Result<T, NotSealed> {
        let wrapping = self.0.wrapping.clone();
        let done = self
            .0
            .durable
            .run(move |connection| Ok(work(connection, &wrapping)));
        done.await?
    }
}

/// What a change of the wrapping key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// The name of the new key.
    pub name: String,
    /// How many data keys it wraps.
    pub keys: usize,
}

impl Slot<'_> {
    fn is_fit(&self) -> bool {
        [self.tenant, self.row]
            .iter()
            .all(|text| (1..=MAX_SLOT_BYTES).contains(&text.len()))
    }

    /// The place as bytes that no other place has.
    fn binding(&self) -> Vec<u8> {
        binding("secret", &[self.tenant, self.purpose, self.row])
    }
}

/// Texts with their lengths, so that no two lists of texts are the same bytes.
fn binding(kind: &'static str, parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [&["portcullis", kind], parts].concat() {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn aead(key: &[u8]) -> Result<RandomizedNonceKey, NotSealed> {
    RandomizedNonceKey::new(&AES_256_GCM_SIV, key).map_err(|_| NotSealed::Broken)
}

/// Version, nonce, ciphertext and tag.
fn seal(key: &RandomizedNonceKey, bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>, NotSealed> {
    let mut text = Vec::with_capacity(plain.len() + TAG_BYTES); // never moved, so no copy stays behind
    text.extend_from_slice(plain);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(bound_to), &mut text)
        .map_err(|_| NotSealed::Entropy)?;
    let mut sealed = vec![VERSION];
    sealed.extend_from_slice(nonce.as_ref());
    sealed.extend_from_slice(&text);
    Ok(sealed)
}

fn open(
    key: &RandomizedNonceKey,
    bound_to: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, NotSealed> {
    let rest = sealed.strip_prefix(&[VERSION]).ok_or(NotSealed::Broken)?;
    let (nonce, text) = rest
        .split_at_checked(NONCE_BYTES)
        .ok_or(NotSealed::Broken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotSealed::Broken)?;
    let mut text = Secret::new(text.to_vec());
    let plain = key.open_in_place(nonce, Aad::from(bound_to), text.expose_mut());
    let length = plain.map_err(|_| NotSealed::Broken)?.len();
    text.expose_mut().truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests;
