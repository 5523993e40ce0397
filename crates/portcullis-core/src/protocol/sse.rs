//! Server-sent events (WHATWG HTML section 9.2), frame by frame, as far as MCP uses them.

use bytes::{Buf, Bytes, BytesMut};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event, or a comment between events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The `id` field, if there is one.
    pub id: Option<String>,
    /// The `retry` field, if there is one, in milliseconds.
    pub retry: Option<u32>,
    /// The `data` fields, joined by newlines; `None` if there is none.
    pub data: Option<Bytes>,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStream {
    /// One event is larger than the limit.
    #[error("event too large")]
    TooLarge,
    /// A field that is no UTF-8, or an id with a NUL.
    #[error("event is not utf-8")]
    Encoding,
}

/// Cuts a stream of bytes into frames; holds at most one unfinished frame.
#[derive(Debug)]
pub struct Frames {
    held: BytesMut,
    seen: usize,
    most: usize,
    is_begun: bool,
}

impl Frames {
    /// A reader of events of at most `most` bytes each.
    pub fn new(most: usize) -> Self {
        Self {
            held: BytesMut::new(),
            seen: 0,
            most,
            is_begun: false,
        }
    }

    /// Takes in what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until more comes.
    ///
    /// # Errors
    /// [`BadStream`]; the stream then ends.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, BadStream> {
        self.begin();
        let Some(end) = self.end_of_frame() else {
            self.seen = self.held.len().saturating_sub(3);
            return if self.held.len() > self.most {
                Err(BadStream::TooLarge)
            } else {
                Ok(None)
            };
        };
        self.seen = 0;
        if end > self.most {
            return Err(BadStream::TooLarge);
        }
        frame(&self.held.split_to(end).freeze()).map(Some)
    }

    /// Takes off the byte order mark that a stream, and only a stream, may begin with.
    fn begin(&mut self) {
        if self.is_begun || (self.held.len() < BOM.len() && BOM.starts_with(&self.held)) {
            return;
        }
        self.is_begun = true;
        if self.held.starts_with(BOM) {
            self.held.advance(BOM.len());
        }
    }

    /// Just behind the first blank line: two line ends in a row, each LF, CR LF or CR.
    fn end_of_frame(&self) -> Option<usize> {
        let bytes = &self.held;
        let mut from = self.seen;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', bytes.get(from..)?).map(|at| from + at) {
            let first = line_end(bytes, at)?;
            if matches!(bytes.get(first), Some(b'\n' | b'\r')) {
                return line_end(bytes, first);
            }
            from = first;
        }
        None
    }
}

/// Just behind the line end that starts at `at`; `None` if a lone CR may yet turn out to be CR LF.
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    match (bytes.get(at)?, bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', None) => None,
        _ => Some(at + 1),
    }
}

fn frame(raw: &Bytes) -> Result<Frame, BadStream> {
    let text = std::str::from_utf8(raw).map_err(|_| BadStream::Encoding)?;
    let (mut id, mut retry) = (None, None);
    let mut lines: Vec<&str> = Vec::new();
    for line in text.split(['\n', '\r']) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" if value.contains('\0') => return Err(BadStream::Encoding),
            "id" => id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                retry = value.parse().ok();
            }
            "data" => lines.push(value),
            _ => {}
        }
    }
    let data = match lines.as_slice() {
        [] => None,
        [one] => Some(raw.slice_ref(one.as_bytes())),
        many => Some(Bytes::from(many.join("\n"))),
    };
    Ok(Frame { id, retry, data })
}
