//! What is named by its own content: a SHA-256 in 64 hexadecimal digits.

use aws_lc_rs::digest::{SHA256, digest};

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let nibbles = digest
        .as_ref()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}
