//! What an authenticator says of itself and of a key: the authenticator data of WebAuthn Level 3, section 6.1.

use super::passkey::Unproved;
use super::public_key::PublicKey;
use aws_lc_rs::digest::{SHA256, digest};

/// The bits of its flags.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const MAY_BE_COPIED: u8 = 1 << 3;
const IS_COPIED: u8 = 1 << 4;
const HAS_KEY: u8 = 1 << 6;
const HAS_MORE: u8 = 1 << 7;
/// The longest id of a passkey (section 5.8.3).
pub(super) const MAX_ID_BYTES: usize = 1023;
/// What comes before the id: which kind of authenticator it is, of which nothing is believed.
const MODEL_BYTES: usize = 16;

/// What was read, after the rules of sections 7.1 and 7.2 for it.
pub(super) struct Said<'a> {
    pub(super) counter: u32,
    /// A new key, and what follows it.
    rest: &'a [u8],
    flags: u8,
}

impl<'a> Said<'a> {
    /// Reads what is meant for the site of this name.
    pub(super) fn read(bytes: &'a [u8], site: &str) -> Result<Self, Unproved> {
        let (hash, rest) = bytes.split_at_checked(32).ok_or(Unproved::Malformed)?;
        let (&flags, rest) = rest.split_first().ok_or(Unproved::Malformed)?;
        let (&counter, rest) = rest.split_first_chunk().ok_or(Unproved::Malformed)?;
        if digest(&SHA256, site.as_bytes()).as_ref() != hash {
            return Err(Unproved::OtherSite);
        }
        if flags & PRESENT == 0 || flags & VERIFIED == 0 {
            return Err(Unproved::Unverified);
        }
        if flags & MAY_BE_COPIED == 0 && flags & IS_COPIED != 0 {
            return Err(Unproved::Malformed);
        }
        Ok(Self {
            counter: u32::from_be_bytes(counter),
            rest,
            flags,
        })
    }

    /// The id and the key of a new passkey (section 6.5.2). Extensions may come behind it, which browsers ask for by
    /// themselves; none of them counts.
    pub(super) fn key(&self) -> Result<(&'a [u8], &'a [u8]), Unproved> {
        if self.flags & HAS_KEY == 0 {
            return Err(Unproved::Malformed);
        }
        let rest = self.rest.get(MODEL_BYTES..).ok_or(Unproved::Malformed)?;
        let (&length, rest) = rest.split_first_chunk().ok_or(Unproved::Malformed)?;
        let length = usize::from(u16::from_be_bytes(length));
        if !(1..=MAX_ID_BYTES).contains(&length) {
            return Err(Unproved::Malformed);
        }
        let (id, rest) = rest.split_at_checked(length).ok_or(Unproved::Malformed)?;
        let (key, more) = PublicKey::split(rest)?;
        if more.is_empty() == (self.flags & HAS_MORE != 0) {
            return Err(Unproved::Malformed);
        }
        Ok((id, key))
    }
}
