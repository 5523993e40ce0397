//! The session id: 256 random bits, base64url without padding (RFC 4648 section 5).

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// How many random bytes an id is made of (SES-05 asks for 16 at least).
pub(super) const ENTROPY_BYTES: usize = 32;
const _: () = assert!(ENTROPY_BYTES >= 16, "SES-05: at least 128 bits");

/// A session id; `Debug` shows its digest only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; ENTROPY_BYTES]);

impl SessionId {
    /// Makes an id from bytes of the operating system's random source.
    pub const fn from_entropy(entropy: [u8; ENTROPY_BYTES]) -> Self {
        Self(entropy)
    }

    /// Reads an id from the wire; `None` for anything that we would not have written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; ENTROPY_BYTES];
        let written = URL_SAFE_NO_PAD.decode_slice(text, &mut id).ok()?;
        (written == ENTROPY_BYTES).then_some(Self(id))
    }

    /// The form on the wire: 43 characters of `[A-Za-z0-9_-]`.
    pub fn wire(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What logs and records may show: 16 hex digits of its SHA-256.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.0);
        let first = digest.as_ref().iter().take(8);
        let number = first.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        format!("{number:016x}")
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.fingerprint())
    }
}
