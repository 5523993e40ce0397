//! Server-sent events on their way down: written by us, so that nothing but released messages is in them.

use bytes::{BufMut as _, Bytes, BytesMut};
use memchr::memmem;
use portcullis_core::protocol::Frame;

/// What some clients take for a line's end, though it is none (WHATWG HTML section 9.2.5): in JSON these stand in
/// texts only, and there their escapes mean the same.
const SEPARATORS: [(&[u8], &[u8]); 3] = [
    (b"\xe2\x80\xa8", br"\u2028"),
    (b"\xe2\x80\xa9", br"\u2029"),
    (b"\xc2\x85", br"\u0085"),
];

/// A sign of life, between events.
const KEEP_ALIVE: &[u8] = b":\n\n";

/// The upstream's event with our id and the released message; of what else was in it, only `retry` goes on.
pub(super) fn rewrite(frame: &Frame, id: Option<&str>, message: &[u8]) -> Bytes {
    if frame.data.is_none() && id.is_none() && frame.retry.is_none() {
        return Bytes::from_static(KEEP_ALIVE);
    }
    let mut out = BytesMut::with_capacity(message.len() + 256);
    out.put_slice(b"event: message\n");
    if let Some(id) = id {
        out.put_slice(b"id: ");
        out.put_slice(id.as_bytes());
        out.put_u8(b'\n');
    }
    if let Some(retry) = frame.retry {
        out.put_slice(format!("retry: {retry}\n").as_bytes());
    }
    if frame.data.is_some() {
        // A raw line break in JSON stands between tokens only; as several data lines it stays one.
        for line in message.split(|byte| *byte == b'\n' || *byte == b'\r') {
            out.put_slice(b"data: ");
            put_escaped(&mut out, line);
            out.put_u8(b'\n');
        }
    }
    out.put_u8(b'\n');
    out.freeze()
}

fn put_escaped(out: &mut BytesMut, line: &[u8]) {
    let found = SEPARATORS
        .iter()
        .find(|(separator, _)| memmem::find(line, separator).is_some());
    let Some((separator, escape)) = found else {
        return out.put_slice(line);
    };
    let mut from = 0;
    for at in memmem::find_iter(line, separator) {
        put_escaped(out, line.get(from..at).unwrap_or_default());
        out.put_slice(escape);
        from = at + separator.len();
    }
    put_escaped(out, line.get(from..).unwrap_or_default());
}

/// A message of our own as an event.
pub(super) fn event(message: &[u8]) -> Bytes {
    let frame = Frame {
        id: None,
        retry: None,
        data: Some(Bytes::new()),
    };
    rewrite(&frame, None, message)
}

#[cfg(test)]
mod tests {
    use super::{event, rewrite};
    use portcullis_core::protocol::Frame;

    #[test]
    fn no_client_finds_more_lines_than_there_are() {
        let sent = event("[\"a\u{2028}data: b\u{85}c\u{2029}\u{2028}d é\"]".as_bytes());
        let expected = "event: message\ndata: [\"a\\u2028data: b\\u0085c\\u2029\\u2028d é\"]\n\n";
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_comment_goes_on_without_its_text() {
        let comment = Frame {
            id: None,
            retry: None,
            data: None,
        };
        assert_eq!(rewrite(&comment, None, b""), ":\n\n");
        let waiting = Frame {
            retry: Some(5),
            ..comment
        };
        assert_eq!(
            rewrite(&waiting, Some("1"), b""),
            "event: message\nid: 1\nretry: 5\n\n"
        );
    }
}
