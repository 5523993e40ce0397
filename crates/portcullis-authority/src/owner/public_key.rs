//! The public key of a passkey, in the one spelling that it has.
//!
//! A key is written in the canonical form of CTAP2, with these members and no others (WebAuthn Level 3, section 6.5.1.1),
//! so each kind of key has fixed bytes around its numbers, and whatever has others is refused.

use super::passkey::Unproved;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

/// `{1: 2, 3: -7, -1: 1, -2: h'...', -3: h'...'}`: ES256 on P-256.
const P256: &[u8] = &[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
const P256_BETWEEN: &[u8] = &[0x22, 0x58, 32];
/// `{1: 1, 3: -8, -1: 6, -2: h'...'}`: Ed25519.
const ED: &[u8] = &[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32];
/// `{1: 3, 3: -257, -1: h'...', -2: h'010001'}`: RS256 with 2,048 bits, of older computers with Windows.
const RSA: &[u8] = &[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0];
const RSA_EXPONENT: &[u8] = &[0x21, 0x43, 1, 0, 1];
const RSA_BYTES: usize = 256;

/// The algorithms, as a browser is asked for them: the one that we like best first.
pub(super) const ALGORITHMS: [i32; 3] = [-8, -7, -257];

/// A key that can verify.
pub(super) enum PublicKey<'a> {
    P256 { x: &'a [u8; 32], y: &'a [u8; 32] },
    Ed25519(&'a [u8; 32]),
    Rsa(&'a [u8; RSA_BYTES]),
}

impl<'a> PublicKey<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Unproved> {
        Self::p256(bytes)
            .or_else(|| Self::ed25519(bytes))
            .or_else(|| Self::rsa(bytes))
            .ok_or(Unproved::Key)
    }

    /// The bytes of the key that stands first, and the rest.
    pub(super) fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unproved> {
        let kinds = [
            (P256, P256.len() + 32 + P256_BETWEEN.len() + 32),
            (ED, ED.len() + 32),
            (RSA, RSA.len() + RSA_BYTES + RSA_EXPONENT.len()),
        ];
        let kind = kinds.iter().find(|(start, _)| bytes.starts_with(start));
        let (_, length) = kind.ok_or(Unproved::Key)?;
        bytes.split_at_checked(*length).ok_or(Unproved::Malformed)
    }

    fn p256(bytes: &'a [u8]) -> Option<Self> {
        let (x, rest) = bytes.strip_prefix(P256)?.split_first_chunk()?;
        let y = rest.strip_prefix(P256_BETWEEN)?.try_into().ok()?;
        Some(Self::P256 { x, y })
    }

    fn ed25519(bytes: &'a [u8]) -> Option<Self> {
        let key = bytes.strip_prefix(ED)?.try_into().ok()?;
        Some(Self::Ed25519(key))
    }

    fn rsa(bytes: &'a [u8]) -> Option<Self> {
        let (modulus, rest) = bytes.strip_prefix(RSA)?.split_first_chunk()?;
        (rest == RSA_EXPONENT).then_some(Self::Rsa(modulus))
    }

    pub(super) fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), Unproved> {
        let verified = match self {
            Self::P256 { x, y } => {
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(signed, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
            Self::Rsa(modulus) => RsaPublicKeyComponents {
                n: modulus.as_slice(),
                e: [1, 0, 1].as_slice(),
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature),
        };
        verified.map_err(|_| Unproved::Signature)
    }
}
