//! What is named by its own content: a SHA-256, also in 64 hexadecimal digits.

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    digits(digest(&SHA256, bytes).as_ref())
}

/// Bytes in hexadecimal digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}

/// By what a text that cannot be guessed is looked up: comparing it tells nobody how much of a guess is right.
pub(crate) fn mark(text: &str) -> [u8; 32] {
    let mut mark = [0; 32];
    mark.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    mark
}
