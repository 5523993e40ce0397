//! JSON with comments and trailing commas, as editors write it.

use super::{MAX_IMPORT_BYTES, NotImportable};
use std::ops::Range;

/// Where in the text the reader is.
enum At {
    Code,
    Text,
    Line,
    Block,
}

/// JSON of JSON with comments and trailing commas: they become spaces, so that every place stays.
pub(super) fn plain(text: &str) -> Result<String, NotImportable> {
    if text.len() > MAX_IMPORT_BYTES {
        return Err(NotImportable::TooLarge);
    }
    let mut bytes = text.as_bytes().to_vec();
    let mut at = At::Code;
    let mut comma = None;
    let mut index = if text.starts_with('\u{feff}') { 3 } else { 0 };
    blank(&mut bytes, 0..index);
    while let Some(byte) = text.as_bytes().get(index).copied() {
        let next = text.as_bytes().get(index + 1).copied();
        let mut width = 1;
        match (&at, byte, next) {
            (At::Code, b'/', Some(b'/')) => at = At::Line,
            (At::Code, b'/', Some(b'*')) => (at, width) = (At::Block, 2),
            (At::Code, b'"', _) => (at, comma) = (At::Text, None),
            (At::Code, b',', _) => comma = Some(index),
            (At::Code, b'}' | b']', _) => {
                blank(&mut bytes, comma.take().map_or(0..0, |at| at..at + 1));
            }
            (At::Code, byte, _) if !byte.is_ascii_whitespace() => comma = None,
            (At::Text, b'\\', _) => width = 2,
            (At::Text, b'"', _) | (At::Line, b'\n', _) => at = At::Code,
            (At::Block, b'*', Some(b'/')) => {
                blank(&mut bytes, index..index + 2);
                (at, width) = (At::Code, 2);
                index += width;
                continue;
            }
            (At::Code | At::Text | At::Line | At::Block, _, _) => {}
        }
        if matches!(at, At::Line | At::Block) && byte != b'\n' {
            blank(&mut bytes, index..index + width);
        }
        index += width;
    }
    // Only whole comments and ASCII were replaced.
    String::from_utf8(bytes).map_err(|_| NotImportable::NoServers)
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes.get_mut(range).into_iter().flatten() {
        *byte = b' ';
    }
}
