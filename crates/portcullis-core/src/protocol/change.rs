//! Changing the `params` of a message, and nothing else of it.

use super::{Envelope, field_range, splice};
use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// The members of an object, each value as it stood.
pub(crate) type Members = BTreeMap<String, Box<RawValue>>;

/// The message with its `params` changed, and the rest as it stood.
pub(crate) fn with_params(
    body: &[u8],
    change: impl FnOnce(&mut Members) -> Option<()>,
) -> Option<Bytes> {
    let envelope = Envelope::parse(body).ok()?;
    let mut params: Members = match envelope.params {
        Some(params) => serde_json::from_str(params.get()).ok()?,
        None => Members::new(),
    };
    change(&mut params)?;
    let params = to_raw_value(&params).ok()?;
    if let Some(old) = envelope.params {
        let place = field_range(body, old);
        return Some(splice(body, &[(place, params.get().as_bytes())]));
    }
    let end = body.iter().rposition(|byte| *byte == b'}')?;
    let added = format!(r#","params":{}"#, params.get());
    Some(splice(body, &[(end..end, added.as_bytes())]))
}

/// `params` with their `_meta` changed.
pub(crate) fn with_meta(params: &mut Members, change: impl FnOnce(&mut Members)) -> Option<()> {
    let mut meta: Members = match params.get("_meta") {
        Some(meta) => serde_json::from_str(meta.get()).ok()?,
        None => Members::new(),
    };
    change(&mut meta);
    params.insert("_meta".to_owned(), to_raw_value(&meta).ok()?);
    Some(())
}
