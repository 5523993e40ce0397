//! Changing a message at known places, and nowhere else.

use bytes::Bytes;
use serde_json::value::RawValue;
use std::ops::Range;

/// Where a borrowed value stands in the body that it was read from.
pub fn field_range(body: &[u8], value: &RawValue) -> Range<usize> {
    let start = (value.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
    start..start + value.get().len()
}

/// The body with each range replaced; ranges are in order and do not overlap.
pub fn splice(body: &[u8], edits: &[(Range<usize>, &[u8])]) -> Bytes {
    let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut from = 0;
    for (range, new) in edits {
        out.extend_from_slice(body.get(from..range.start).unwrap_or_default());
        out.extend_from_slice(new);
        from = range.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out.into()
}

/// The body with one range replaced.
pub fn replace(body: &[u8], range: Range<usize>, new: &[u8]) -> Bytes {
    splice(body, &[(range, new)])
}
