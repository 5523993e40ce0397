//! HTML and Markdown: a text without its markup, and what of it a page does not show.

use super::escapes::entity;
use super::traced::Traced;
use memchr::{memchr, memmem};
use std::ops::Range;

/// A part that people are not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hidden {
    pub(crate) range: Range<usize>,
    pub(crate) way: Way,
}

/// Why they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A comment of HTML or Markdown.
    Comment,
    /// An element that a style or an attribute hides.
    Style,
    /// A tag with its attributes.
    Tag,
    /// The title or the address of a link or an image of Markdown.
    Link,
    /// A terminal was told not to show it.
    Concealed,
}

impl Way {
    /// Whether nobody sees it, as opposed to those who point at it.
    pub(crate) const fn is_unseen(self) -> bool {
        match self {
            Self::Comment | Self::Style | Self::Concealed => true,
            Self::Tag | Self::Link => false,
        }
    }

    /// The words for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Style => "hidden element",
            Self::Tag => "attribute",
            Self::Link => "link",
            Self::Concealed => "terminal",
        }
    }
}

/// Styles, without spaces and in lower case, by which an element is not seen.
const STYLES: [&str; 9] = [
    "display:none",
    "visibility:hidden",
    "font-size:0",
    "opacity:0",
    "color:white",
    "color:#fff",
    "color:transparent",
    "left:-9999",
    "aria-hidden=\"true\"",
];
/// Comments of Markdown: definitions of links that nothing leads to.
const DEFINITIONS: [&str; 5] = [
    "[//]: #",
    "[comment]: <>",
    "[comment]: #",
    "[]: #",
    "[_]: #",
];
/// Elements that never show their text.
const UNSEEN: [&str; 4] = ["script", "style", "template", "noscript"];
/// Elements between whose texts no space is shown.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "code", "em", "font", "i", "ins", "mark", "s", "small",
    "span", "strong", "sub", "sup", "u", "wbr",
];
/// The longest tag, in bytes, of which the attributes are read.
const MAX_TAG: usize = 16 * 1024;

/// A text without tags and comments, with entities read.
pub(super) fn read(text: &str) -> Option<Traced> {
    memchr::memchr2(b'<', b'&', text.as_bytes())?;
    let mut shown = Traced::with_capacity(text.len());
    let mut count = 0_usize;
    each(text, |range, piece| match piece {
        Piece::Text => copy_text(text, range, &mut shown, &mut count),
        Piece::Comment => count += 1,
        Piece::Tag(tag) => {
            count += 1;
            if !INLINE.contains(&tag.name.as_str()) {
                shown.put(range, "\n");
            }
        }
    });
    (count > 0).then_some(shown)
}

fn copy_text(text: &str, range: Range<usize>, shown: &mut Traced, count: &mut usize) {
    let mut at = range.start;
    while let Some(rest) = text.get(at..range.end).filter(|rest| !rest.is_empty()) {
        if let Some((char, length)) = entity(rest).filter(|_| rest.starts_with('&')) {
            shown.put_char(at..at + length, char);
            *count += 1;
            at += length;
            continue;
        }
        let after = rest.as_bytes().get(1..).unwrap_or_default();
        let length = memchr(b'&', after).map_or(rest.len(), |next| next + 1);
        shown.copy(at, rest.get(..length).unwrap_or_default());
        at += length;
    }
}

/// A text in which emphasis does not stand within words: `ig**no**re`.
pub(super) fn without_emphasis(text: &str) -> Option<Traced> {
    let is_mark = |char: char| matches!(char, '*' | '`' | '~');
    if !text.contains(is_mark) {
        return None;
    }
    let mut plain = Traced::with_capacity(text.len());
    let (mut at, mut count, mut before) = (0, 0_usize, ' ');
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.find(is_mark).unwrap_or(rest.len());
        let part = rest.get(..length).unwrap_or_default();
        plain.copy(at, part);
        before = part.chars().next_back().unwrap_or(before);
        let marks = rest.get(length..).unwrap_or_default();
        let after = marks.trim_start_matches(is_mark);
        let run = marks.len() - after.len();
        let next = after.chars().next().unwrap_or(' ');
        if before.is_alphabetic() && next.is_alphabetic() {
            count += 1;
        } else {
            plain.copy(at + length, marks.get(..run).unwrap_or_default());
        }
        at += length + run;
    }
    (count >= 2).then_some(plain)
}

/// What a page does not show.
pub(super) fn hidden(text: &str) -> Vec<Hidden> {
    let mut found = Vec::new();
    if memchr(b'<', text.as_bytes()).is_some() {
        of_html(text, &mut found);
    }
    if memchr(b']', text.as_bytes()).is_some() {
        of_markdown(text, &mut found);
    }
    found
}

fn of_html(text: &str, found: &mut Vec<Hidden>) {
    let mut open: Option<(String, usize, usize)> = None;
    each(text, |range, piece| {
        let tag = match piece {
            Piece::Text => return,
            Piece::Comment => {
                let way = Way::Comment;
                return found.push(Hidden { range, way });
            }
            Piece::Tag(tag) => tag,
        };
        match &mut open {
            Some((name, depth, from)) if *name == tag.name => {
                *depth = if tag.is_end { *depth - 1 } else { *depth + 1 };
                if *depth == 0 {
                    let (range, way) = (*from..range.start, Way::Style);
                    found.push(Hidden { range, way });
                    open = None;
                }
            }
            None if !tag.is_end && tag.hides() => open = Some((tag.name, 1, range.end)),
            Some(_) | None => {
                let way = Way::Tag;
                found.extend(tag.has_attributes.then_some(Hidden { range, way }));
            }
        }
    });
    if let Some((_, _, from)) = open {
        let (range, way) = (from..text.len(), Way::Style);
        found.push(Hidden { range, way });
    }
}

fn of_markdown(text: &str, found: &mut Vec<Hidden>) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_comment = DEFINITIONS
            .iter()
            .any(|start| line.trim_start().starts_with(start));
        if is_comment {
            let (range, way) = (at..at + line.len(), Way::Comment);
            found.push(Hidden { range, way });
        } else {
            links(line, at, found);
        }
        at += line.len();
    }
}

/// What stands between the brackets of `](…)`.
fn links(line: &str, at: usize, found: &mut Vec<Hidden>) {
    let mut from = 0;
    let find = |from: usize, what: &[u8]| {
        let rest = line.as_bytes().get(from..)?;
        memmem::find(rest, what).map(|at| from + at)
    };
    while let Some(start) = find(from, b"](") {
        let Some(end) = find(start, b")") else { return };
        let (range, way) = (at + start + 2..at + end, Way::Link);
        found.push(Hidden { range, way });
        from = end;
    }
}

enum Piece {
    Text,
    Comment,
    Tag(Tag),
}

/// A tag, as far as it matters.
struct Tag {
    name: String,
    is_end: bool,
    has_attributes: bool,
    /// Without spaces, in lower case.
    squeezed: String,
}

impl Tag {
    fn of(inner: &str) -> Self {
        let is_end = inner.starts_with('/');
        let inner = inner.trim_start_matches('/');
        let name: String = inner
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .take(16)
            .collect();
        let rest = inner.get(name.len()..).unwrap_or_default();
        let has_attributes = rest.contains('=');
        let squeezed = match rest.trim_matches(['/', ' ']) {
            "" => String::new(),
            attributes => attributes
                .chars()
                .filter(|char| !char.is_whitespace())
                .map(|char| char.to_ascii_lowercase())
                .collect(),
        };
        Self {
            name: name.to_ascii_lowercase(),
            is_end,
            has_attributes,
            squeezed,
        }
    }

    /// Whether what stands in it is not shown.
    fn hides(&self) -> bool {
        UNSEEN.contains(&self.name.as_str())
            || self.squeezed.starts_with("hidden")
            || self.squeezed.ends_with("\"hidden")
            || STYLES.iter().any(|style| self.squeezed.contains(style))
    }
}

/// Every piece of HTML with its place. What has no end is text.
fn each(text: &str, mut take: impl FnMut(Range<usize>, Piece)) {
    let find = |from: usize, what: &[u8]| {
        let rest = text.as_bytes().get(from..)?;
        memmem::find(rest, what).map(|at| from + at + what.len())
    };
    // The next end of a tag is looked for once, so that the work stays linear.
    let mut tag_end = find(0, b">");
    let (mut at, mut plain) = (0, 0);
    while let Some(start) = find(at, b"<").map(|end| end - 1) {
        let rest = text.get(start..).unwrap_or_default();
        let is_comment = rest.starts_with("<!--");
        let is_tag = rest
            .as_bytes()
            .get(1)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || b"/!?".contains(byte));
        if tag_end.is_some_and(|end| end <= start) {
            tag_end = find(start, b">");
        }
        let end = if is_comment {
            find(start + 4, b"-->").or(Some(text.len()))
        } else {
            tag_end.filter(|end| is_tag && end - start <= MAX_TAG)
        };
        let Some(end) = end else {
            at = start + 1;
            continue;
        };
        if plain < start {
            take(plain..start, Piece::Text);
        }
        let inner = text
            .get(start + 1..end.max(start + 2) - 1)
            .unwrap_or_default();
        let piece = if is_comment {
            Piece::Comment
        } else {
            Piece::Tag(Tag::of(inner))
        };
        take(start..end, piece);
        (at, plain) = (end, end);
    }
    if plain < text.len() {
        take(plain..text.len(), Piece::Text);
    }
}
