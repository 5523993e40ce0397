//! Nonces that need no memory: the span of time that they are for, under a key of this process.

use crate::time::Timestamp;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How long a nonce is the newest one; it is accepted for as long again.
const SPAN_SECONDS: u64 = 120;
/// What the key is used for.
const PURPOSE: &[u8] = b"portcullis dpop nonce\n";

/// Makes nonces and knows them again.
pub(super) struct Nonces(hmac::Key);

impl Nonces {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The newest one, of a clock that was set back so often.
    pub(super) fn newest(&self, setbacks: u64, now: Timestamp) -> String {
        self.of(setbacks, now.seconds() / SPAN_SECONDS)
    }

    /// Whether it is the newest or the one before.
    pub(super) fn knows(&self, nonce: &str, (setbacks, now): (u64, Timestamp)) -> bool {
        let span = now.seconds() / SPAN_SECONDS;
        [span, span.saturating_sub(1)]
            .into_iter()
            .map(|span| self.of(setbacks, span))
            .any(|own| verify_slices_are_equal(own.as_bytes(), nonce.as_bytes()).is_ok())
    }

    fn of(&self, setbacks: u64, span: u64) -> String {
        let said = [PURPOSE, &setbacks.to_be_bytes(), &span.to_be_bytes()].concat();
        let tag = hmac::sign(&self.0, &said);
        URL_SAFE_NO_PAD.encode(tag.as_ref())
    }
}
