//! Should they still? What is looked over of access, by whom, and what its reviewers may not decide.

use crate::authorize::policy::Grant;
use aws_lc_rs::digest::{SHA256, digest};

/// Digits of a grant's id.
const ID_DIGITS: usize = 16;

/// What a review calls a grant: 16 hexadecimal digits that follow from whom it is for, what it permits and when it
/// ends. A grant that is changed is another one.
pub fn grant_id(grant: &Grant) -> String {
    let until = grant.until.map(|until| until.to_string());
    let parts = [
        "grant 1",
        &grant.id,
        until.as_deref().unwrap_or("without end"),
    ];
    let mut text = String::new();
    for part in parts {
        text.push_str(&part.len().to_string());
        text.push(':');
        text.push_str(part);
    }
    let digest = digest(&SHA256, text.as_bytes());
    let nibbles = digest
        .as_ref()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .take(ID_DIGITS)
        .collect()
}
