//! Event ids that resume a stream: sealed, so that they fit their own principal, session and server only.

use crate::random;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::refusal::Unavailable;
use std::fmt;

const NONCE_BYTES: usize = 12;
/// The longest event id of an upstream's, in bytes.
const MAX_ID_BYTES: usize = 1024;

/// Seals the upstream's event ids (AES-256-GCM); the key lives as long as the sessions do, which is this process.
pub(crate) struct Seal(LessSafeKey);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl Seal {
    /// A fresh key.
    ///
    /// # Errors
    /// [`Unavailable::Entropy`].
    pub(crate) fn new() -> Result<Self, Unavailable> {
        let key: [u8; 32] = random::bytes()?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| Unavailable::Entropy)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// The event id for the client, bound to `owner`: the principal's key, session and server.
    pub(crate) fn seal(&self, owner: &str, id: &str) -> Result<String, Unavailable> {
        let nonce: [u8; NONCE_BYTES] = random::bytes()?;
        let mut sealed = id.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let sealing = self
            .0
            .seal_in_place_append_tag(unique, Aad::from(owner), &mut sealed);
        sealing.map_err(|_| Unavailable::Entropy)?;
        let mut whole = nonce.to_vec();
        whole.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(whole))
    }

    /// The upstream's event id, if the client's was sealed for the same `owner`.
    pub(crate) fn open(&self, owner: &str, id: &str) -> Option<String> {
        if id.len() > 2 * MAX_ID_BYTES {
            return None;
        }
        let mut whole = URL_SAFE_NO_PAD.decode(id).ok()?;
        let (nonce, sealed) = whole.split_at_mut_checked(NONCE_BYTES)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.0.open_in_place(nonce, Aad::from(owner), sealed).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Seal;

    #[test]
    fn ses_03_opens_for_its_owner_only() {
        let seal = Seal::new().unwrap();
        let id = seal.seal("alice", "s-1").unwrap();
        assert_eq!(seal.open("alice", &id).as_deref(), Some("s-1"));
        assert_eq!(seal.open("bob", &id), None);
        let mut flipped = id.into_bytes();
        flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
        assert_eq!(
            seal.open("alice", std::str::from_utf8(&flipped).unwrap()),
            None
        );
    }
}
