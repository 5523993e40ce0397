//! A text that was made of another, and where its parts stood there.

use std::ops::Range;

/// A text under construction, with the place of each part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Traced {
    text: String,
    map: Map,
}

/// Where the parts of a text stood in what it was made of. Empty: everything stands where it stood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    own: u32,
    from: u32,
    to: u32,
    kind: Kind,
}

/// How the bytes of a part follow those of the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Byte by byte.
    Same,
    /// All of them stand for all of these.
    Coded,
    /// Byte by byte from the end.
    Mirrored,
}

impl Traced {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            map: Map::default(),
        }
    }

    /// A text every byte of which stands where it stood.
    pub(super) const fn same(text: String) -> Self {
        Self {
            text,
            map: Map(Vec::new()),
        }
    }

    /// A text whose first byte is the last of the original.
    pub(super) fn mirrored(text: String) -> Self {
        let part = Part {
            own: 0,
            from: 0,
            to: short(text.len()),
            kind: Kind::Mirrored,
        };
        let map = Map(vec![part]);
        Self { text, map }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a part as it stands in the original from this byte on.
    pub(super) fn copy(&mut self, from: usize, part: &str) {
        if part.is_empty() {
            return;
        }
        let own = self.text.len();
        let follows = self.map.0.last().is_some_and(|last| {
            last.kind == Kind::Same && own - long(last.own) + long(last.from) == from
        });
        if !follows {
            self.map.0.push(Part {
                own: short(own),
                from: short(from),
                to: 0,
                kind: Kind::Same,
            });
        }
        self.text.push_str(part);
    }

    /// Adds what a range of the original stands for.
    pub(super) fn put(&mut self, range: Range<usize>, decoded: &str) {
        if decoded.is_empty() {
            return;
        }
        self.map.0.push(Part {
            own: short(self.text.len()),
            from: short(range.start),
            to: short(range.end),
            kind: Kind::Coded,
        });
        self.text.push_str(decoded);
    }

    /// The same for one character.
    pub(super) fn put_char(&mut self, range: Range<usize>, decoded: char) {
        self.put(range, decoded.encode_utf8(&mut [0; 4]));
    }

    pub(super) fn into_parts(self) -> (String, Map) {
        (self.text, self.map)
    }
}

impl Map {
    /// Where a range stands in the original.
    pub(super) fn range(&self, range: Range<usize>) -> Range<usize> {
        let first = self.byte(range.start);
        let last = self.byte(range.end.saturating_sub(1).max(range.start));
        first.start.min(last.start)..first.end.max(last.end)
    }

    /// What one byte stands for.
    fn byte(&self, at: usize) -> Range<usize> {
        let after = self.0.partition_point(|part| long(part.own) <= at);
        let Some(part) = after.checked_sub(1).and_then(|last| self.0.get(last)) else {
            return at..at + 1;
        };
        let offset = at - long(part.own);
        match part.kind {
            Kind::Same => long(part.from) + offset..long(part.from) + offset + 1,
            Kind::Coded => long(part.from)..long(part.to),
            Kind::Mirrored => {
                let end = long(part.to).saturating_sub(offset);
                end.saturating_sub(1)..end
            }
        }
    }
}

fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn long(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
