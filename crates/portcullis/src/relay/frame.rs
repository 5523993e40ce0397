//! Server-sent events on their way down: the upstream's frame, with our id and the released message.

use bytes::{BufMut as _, Bytes, BytesMut};
use portcullis_core::protocol::Frame;

/// The frame with its `id` and its message replaced; everything else stays as it came.
pub(super) fn rewrite(frame: &Frame, id: Option<&str>, message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(frame.raw.len() + message.len() + 64);
    let text = std::str::from_utf8(&frame.raw).unwrap_or_default();
    if text.is_empty() {
        out.put_slice(b"event: message\n");
    }
    for line in text.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        if name != "data" && name != "id" {
            out.put_slice(line.as_bytes());
            out.put_u8(b'\n');
        }
    }
    if let Some(id) = id {
        out.put_slice(b"id: ");
        out.put_slice(id.as_bytes());
        out.put_u8(b'\n');
    }
    if frame.data.is_some() {
        // A raw line break in JSON stands between tokens only; as several data lines it stays one.
        for line in message.split(|byte| *byte == b'\n' || *byte == b'\r') {
            out.put_slice(b"data: ");
            out.put_slice(line);
            out.put_u8(b'\n');
        }
    }
    out.put_u8(b'\n');
    out.freeze()
}

/// A message of our own as an event.
pub(super) fn event(message: &[u8]) -> Bytes {
    let frame = Frame {
        raw: Bytes::new(),
        id: None,
        data: Some(Bytes::new()),
    };
    rewrite(&frame, None, message)
}
