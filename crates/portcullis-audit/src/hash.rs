//! SHA-256 and its written form.

use aws_lc_rs::digest;

/// A SHA-256 hash.
pub type Hash = [u8; HASH_BYTES];

/// How long a hash is.
pub const HASH_BYTES: usize = 32;

/// How long a hash is in hexadecimal.
pub(crate) const HEX_BYTES: usize = HASH_BYTES * 2;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut hash = [0; HASH_BYTES];
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

/// Lower-case hexadecimal of `hash`, as ASCII bytes.
pub(crate) fn hex(hash: &Hash) -> [u8; HEX_BYTES] {
    let mut text = [b'0'; HEX_BYTES];
    let (pairs, _) = text.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(hash) {
        *pair = [digit(byte >> 4), digit(byte & 0x0f)];
    }
    text
}

/// Lower-case hexadecimal of `bytes`.
pub(crate) fn hex_string(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)])
        .map(char::from)
        .collect()
}

/// The hash that `text` writes; `None` unless it is 64 lower-case digits.
pub(crate) fn unhex(text: &[u8]) -> Option<Hash> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != HASH_BYTES {
        return None;
    }
    let mut hash = [0; HASH_BYTES];
    for (to, [high, low]) in hash.iter_mut().zip(pairs) {
        *to = (value(*high)? << 4) | value(*low)?;
    }
    Some(hash)
}

fn digit(nibble: u8) -> u8 {
    DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_as_it_is_written() {
        let hash = sha256(b"");
        let text = hex(&hash);
        assert_eq!(
            &text,
            b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(hex_string(&hash).as_bytes(), text);
        assert_eq!(unhex(&text), Some(hash));
        for wrong in [&b"E3"[..], b"", &text[1..], &[b'g'; 64]] {
            assert_eq!(unhex(wrong), None);
        }
    }
}
