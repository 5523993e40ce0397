//! The body of an upstream's answer over HTTP: one message, or a stream of them.

use super::pool::Lease;
use super::take_frame;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap};
use portcullis_core::protocol::{Frame, Frames};
use portcullis_core::refusal::Unanswered;
use std::fmt;

pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim())
}

pub(super) async fn collect(
    mut body: Incoming,
    most: usize,
    mut lease: Lease,
) -> Result<Bytes, Unanswered> {
    let mut first = Bytes::new();
    let mut all: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unanswered::Ended)?.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > most {
            return Err(Unanswered::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
            if body.is_end_stream() {
                break;
            }
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    lease.give_back();
    Ok(if all.is_empty() { first } else { all.into() })
}

/// An answer that comes as server-sent events; dropped, it closes the connection.
pub(crate) struct EventStream {
    body: Incoming,
    frames: Frames,
    lease: Lease,
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream(..)")
    }
}

impl EventStream {
    /// No event of it is longer than `most` bytes.
    pub(super) fn new(body: Incoming, most: usize, lease: Lease) -> Self {
        Self {
            body,
            frames: Frames::new(most),
            lease,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Frame>, Unanswered> {
        loop {
            if let Some(frame) = take_frame(&mut self.frames)? {
                return Ok(Some(frame));
            }
            let Some(frame) = self.body.frame().await else {
                self.lease.give_back();
                return Ok(None);
            };
            if let Ok(data) = frame.map_err(|_| Unanswered::Ended)?.into_data() {
                self.frames.push(&data);
            }
        }
    }
}
