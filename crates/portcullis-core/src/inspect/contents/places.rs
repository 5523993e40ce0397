//! Every text of a message, with its place: one pass over bytes that were read before.

use super::unescaped;
use std::borrow::Cow;
use std::ops::Range;

/// The longest member name that a record shows.
const MAX_NAME: usize = 32;

/// Where a text stands in a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Place<'a> {
    steps: Vec<Step<'a>>,
    is_name: bool,
}

#[derive(Debug, Clone)]
enum Step<'a> {
    Member(Cow<'a, str>),
    Item(usize),
}

impl Place<'_> {
    /// Whether it is the name of a member.
    pub(super) const fn is_name(&self) -> bool {
        self.is_name
    }

    /// Whether it is text for the model by itself: `text` of a content, a resource or a message, or what a notification
    /// says. Structured content never is.
    pub(super) fn is_content(&self) -> bool {
        let is = |step: Option<&Step<'_>>, names: &[&str]| matches!(step, Some(Step::Member(name)) if names.contains(&&**name));
        let is_structured = self
            .steps
            .iter()
            .any(|step| is(Some(step), &["structuredContent", "_meta"]));
        let is_told = self.steps.len() == 2 && is(self.steps.first(), &["params"]);
        !self.is_name
            && !is_structured
            && (is(self.steps.last(), &["text"])
                || (is_told && is(self.steps.last(), &["data", "message"])))
    }

    /// The place as a JSON pointer, with an asterisk for each name that could say something.
    pub(super) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.steps {
            pointer.push('/');
            match step {
                Step::Item(index) => pointer.push_str(&index.to_string()),
                Step::Member(name) if is_plain(name) => pointer.push_str(name),
                Step::Member(_) => pointer.push('*'),
            }
        }
        pointer
    }
}

fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    name.len() <= MAX_NAME && name.bytes().all(is_letter)
}

/// Gives every text in `result`, `error` and `params` of a message that is known to be JSON.
pub(super) fn each(message: &str, mut take: impl FnMut(&Place<'_>, Range<usize>, &str)) {
    let bytes = message.as_bytes();
    let mut place = Place::default();
    // For each object or array that is open, whether it is an object.
    let mut open: Vec<bool> = Vec::new();
    let mut expects_name = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                expects_name = *byte == b'{';
                open.push(expects_name);
                place.steps.push(if expects_name {
                    Step::Member(Cow::Borrowed(""))
                } else {
                    Step::Item(0)
                });
            }
            b'}' | b']' => {
                open.pop();
                place.steps.pop();
                expects_name = false;
            }
            b',' => {
                expects_name = open.last() == Some(&true);
                if let Some(Step::Item(index)) = place.steps.last_mut() {
                    *index += 1;
                }
            }
            b'"' => {
                let end = end_of_text(bytes, at);
                let text = unescaped(message.get(at..end).unwrap_or_default());
                if expects_name {
                    name(&mut place, (at..end, text), &mut take);
                    expects_name = false;
                } else if is_inside(&place) {
                    take(&place, at..end, &text);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Goes on to another member; what is too long for a name is looked at like a text.
fn name<'a>(
    place: &mut Place<'a>,
    (range, text): (Range<usize>, Cow<'a, str>),
    take: &mut impl FnMut(&Place<'_>, Range<usize>, &str),
) {
    place.steps.pop();
    place.steps.push(Step::Member(text));
    if let Some(Step::Member(text)) = place.steps.last().cloned()
        && text.len() > MAX_NAME
        && is_inside(place)
    {
        place.is_name = true;
        take(place, range, &text);
        place.is_name = false;
    }
}

/// Whether it is below what the message is about.
fn is_inside(place: &Place<'_>) -> bool {
    matches!(place.steps.first(), Some(Step::Member(name)) if ["result", "error", "params"].contains(&&**name))
}

/// Just behind the quotation mark that ends the text that begins here.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(next) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        if bytes.get(at + next) == Some(&b'"') {
            return at + next + 1;
        }
        at += next + 2;
    }
    bytes.len()
}
