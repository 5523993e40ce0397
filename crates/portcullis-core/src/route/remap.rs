//! Numbers of ours in place of what callers chose, and back.

use crate::protocol::{Call, Envelope, Id, Method, field_range, replace, splice};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::ops::Range;

/// What a caller chose and must get back, as it stood in its message.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The request's id.
    pub id: Bytes,
    /// Its progress token, if it had one.
    pub token: Option<Bytes>,
}

/// A request under our number, and what has to be put back later.
pub fn inward(call: &Call, number: u64) -> (Bytes, Chosen) {
    let number = number.to_string();
    let places = call.places();
    let mut edits: Vec<(Range<usize>, &[u8])> = Vec::new();
    edits.extend(places.id.clone().map(|range| (range, number.as_bytes())));
    edits.extend(
        places
            .progress_token
            .clone()
            .map(|range| (range, number.as_bytes())),
    );
    edits.sort_by_key(|(range, _)| range.start);
    (splice(call.body(), &edits), chosen(call))
}

/// What a request chose.
pub fn chosen(call: &Call) -> Chosen {
    let places = call.places();
    let part = |range: &Range<usize>| call.body().slice(range.clone());
    Chosen {
        id: places.id.as_ref().map(part).unwrap_or_default(),
        token: places.progress_token.as_ref().map(part),
    }
}

/// What a line of the server's is, and for whom.
#[derive(Debug)]
pub enum Outward {
    /// The answer to the request of that number, with the `id` to be put back.
    Answer(u64, Range<usize>),
    /// Progress of the request of that number, with the token to be put back.
    Progress(u64, Range<usize>),
    /// A notification of the subscription of that number, with the id to be put back.
    Subscribed(u64, Range<usize>),
    /// For nobody in particular.
    Unasked,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: Option<&'a RawValue>,
}

/// Sorts a line; `None` if it is no message.
pub fn outward(line: &[u8]) -> Option<Outward> {
    let envelope = Envelope::parse(line).ok()?;
    let number = |raw: &RawValue| raw.get().trim_matches('"').parse::<u64>().ok();
    let Some(method) = &envelope.method else {
        let id = envelope.id?;
        return Some(Outward::Answer(number(id)?, field_range(line, id)));
    };
    if envelope.id.is_some() {
        return Some(Outward::Unasked);
    }
    let params: Option<Params<'_>> = envelope
        .params
        .and_then(|raw| serde_json::from_str(raw.get()).ok());
    let Some(params) = params else {
        return Some(Outward::Unasked);
    };
    if let Some(token) = params
        .token
        .filter(|_| Method::parse(method) == Method::Progress)
    {
        return Some(Outward::Progress(number(token)?, field_range(line, token)));
    }
    if let Some(id) = params.meta.and_then(|meta| meta.subscription) {
        return Some(Outward::Subscribed(number(id)?, field_range(line, id)));
    }
    Some(Outward::Unasked)
}

/// The line with what the caller chose put back.
pub fn put_back(line: &[u8], range: Range<usize>, chosen: &[u8]) -> Bytes {
    replace(line, range, chosen)
}

/// `notifications/cancelled` for the request of that number.
pub fn cancellation(number: u64) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{number}}}}}"#).into()
}

/// The id that a client's `notifications/cancelled` names, and where.
pub fn cancelled(call: &Call) -> Option<(Id, Range<usize>)> {
    let range = call.places().cancelled.clone()?;
    let text = std::str::from_utf8(call.body().get(range.clone())?).ok()?;
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    Some((Id::read(raw).ok()?, range))
}
