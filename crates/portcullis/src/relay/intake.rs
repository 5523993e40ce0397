//! The body of a request: bounded in size and time, one piece where it came as one.

use super::Live;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use portcullis_core::refusal::{Refusal, Unacceptable};
use std::time::Duration;
use tokio::time::timeout;

/// Reads a body, in time and within its bound.
pub(super) async fn read(body: Incoming, live: &Live) -> Result<Bytes, Refusal> {
    read_most(body, live.body_bytes, live.body_timeout).await
}

/// The same with a bound of its own.
pub(crate) async fn read_most(
    body: Incoming,
    most: usize,
    within: Duration,
) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(Unacceptable::TooLarge.into());
    }
    timeout(within, collect(body, most))
        .await
        .map_err(|_| Unacceptable::Slow)?
}

async fn collect(mut body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unacceptable::Broken)?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > most {
            return Err(Unacceptable::TooLarge.into());
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first.as_ref(), rest.as_ref()].concat().into())
}

/// A length as records count it.
pub(super) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
