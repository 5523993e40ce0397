//! What does a text say, whatever hides it? Texts of others as a model understands them, and where in the original
//! each part of that stands.
//!
//! [`Said`] is a text folded (`fold`) into the ideas that stand in it (`lexicon`), [`views`] gives what stands in it
//! under encodings and behind markup, and [`hidden`] says which parts of it people are not shown. All work is linear in
//! the text: a view is never longer than what it was read from, and all views together are at most [`BUDGET`] times
//! as long as the text.

mod traced;
mod fold;
mod invisible;
mod runs;
mod escapes;
mod letters;
mod markup;
mod terminal;
mod lexicon;
mod ideas;
mod sentences;

use std::ops::Range;
use traced::Traced;

pub(crate) use fold::{Folded, twin};
pub(crate) use ideas::{Ideas, Own, Said};
pub(crate) use invisible::is_invisible;
pub(crate) use lexicon::{Concept, Hit, Phrases, hits};
pub(crate) use markup::{Hidden, Way};

/// How many encodings around each other are taken off.
const MAX_DEPTH: usize = 3;
/// How many times the length of a text its views have together.
const BUDGET: usize = 4;
/// The budget of a short text, in bytes.
const LEAST_BUDGET: usize = 4096;
/// The most views of one text.
const MAX_VIEWS: usize = 48;
/// The fewest bytes that can hide something.
const MIN_BYTES: usize = 8;

/// A way of hiding a text, and how to read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    how: &'static str,
    read: fn(&str) -> Option<Traced>,
}

const fn decoder(how: &'static str, read: fn(&str) -> Option<Traced>) -> Decoder {
    Decoder { how, read }
}

const INVISIBLE: Decoder = decoder("invisible characters", invisible::read);
const BASE64: Decoder = decoder("base64", runs::base64);
const HEXADECIMAL: Decoder = decoder("hexadecimal", runs::hexadecimal);
const ESCAPES: Decoder = decoder("escapes", escapes::read);
const APART: Decoder = decoder("letters apart", letters::apart);
const LEET: Decoder = decoder("digits for letters", letters::leet);

/// What hides text in definitions, which are short and have no markup of their own.
pub(crate) const OF_DEFINITIONS: &[Decoder] =
    &[INVISIBLE, BASE64, HEXADECIMAL, ESCAPES, APART, LEET];

/// What hides text in what servers answer.
pub(crate) const OF_CONTENT: &[Decoder] = &[
    INVISIBLE,
    decoder("terminal escapes", terminal::read),
    decoder("markup", markup::read),
    decoder("emphasis", markup::without_emphasis),
    BASE64,
    HEXADECIMAL,
    ESCAPES,
    decoder("quoted-printable", escapes::quoted_printable),
    APART,
    LEET,
];

/// A text behind another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// How it was hidden; of several ways the last that was taken off.
    pub(crate) how: &'static str,
    pub(crate) text: String,
    /// What it was read from and how its places are found there, from the nearest to the original.
    maps: Vec<std::sync::Arc<traced::Map>>,
}

impl View {
    fn new(how: &'static str, traced: Traced) -> Self {
        let (text, map) = traced.into_parts();
        let maps = vec![std::sync::Arc::new(map)];
        Self { how, text, maps }
    }

    /// From which byte of the original on it stands.
    pub(crate) fn at(&self) -> usize {
        self.original(0..1).start
    }

    /// The same view of a text that is a view itself.
    pub(crate) fn within(mut self, outer: &Self) -> Self {
        self.maps.extend(outer.maps.iter().cloned());
        self
    }

    /// Whether it was out of sight, and not only interrupted.
    pub(crate) fn is_encoded(&self) -> bool {
        !matches!(
            self.how,
            "markup" | "emphasis" | "terminal escapes" | "escapes"
        )
    }

    /// Where a part of it stands in the original.
    pub(crate) fn original(&self, part: Range<usize>) -> Range<usize> {
        self.maps.iter().fold(part, |part, map| map.range(part))
    }
}

/// Every text that stands in a text under one of these encodings, also under several around each other.
#[derive(Debug, Default)]
pub(crate) struct Views {
    pub(crate) list: Vec<View>,
    /// Whether there would have been more.
    pub(crate) is_cut: bool,
}

/// Reads what stands under encodings.
pub(crate) fn views(text: &str, decoders: &[Decoder]) -> Views {
    let mut views = Views::default();
    let mut budget = (text.len() * BUDGET).max(LEAST_BUDGET);
    let mut from = 0;
    views.level(text, None, decoders, &mut budget);
    for _ in 1..MAX_DEPTH {
        let to = views.list.len();
        for index in from..to {
            let Some(outer) = views.list.get(index).cloned() else {
                continue;
            };
            views.level(&outer.text, Some(&outer), decoders, &mut budget);
        }
        from = to;
    }
    views
}

impl Views {
    fn level(&mut self, text: &str, outer: Option<&View>, decoders: &[Decoder], left: &mut usize) {
        if text.len() < MIN_BYTES {
            return;
        }
        for decoder in decoders {
            // What was taken off once is not there any more.
            if outer.is_some_and(|outer| outer.how == decoder.how && !repeats(decoder.how)) {
                continue;
            }
            let Some(traced) = (decoder.read)(text) else {
                continue;
            };
            let mut view = View::new(decoder.how, traced);
            if view.text.len() > *left || self.list.len() >= MAX_VIEWS {
                self.is_cut = true;
                return;
            }
            *left -= view.text.len();
            if let Some(outer) = outer {
                view = view.within(outer);
            }
            if outer.is_none_or(|outer| outer.text != view.text) {
                self.list.push(view);
            }
        }
    }
}

/// Whether an encoding may stand within itself.
fn repeats(how: &str) -> bool {
    [
        BASE64.how,
        HEXADECIMAL.how,
        ESCAPES.how,
        "quoted-printable",
        "markup",
    ]
    .contains(&how)
}

/// A text read with each letter moved by 13 places, or from its end, where it has words that only make sense so.
pub(crate) fn turned(text: &str, said: &Said) -> Vec<View> {
    let mut views = Vec::new();
    if said.count(Concept::Rot13) >= 2 {
        views.push(View::new("rot13", letters::rot13(text)));
    }
    if said.count(Concept::Backwards) >= 2 {
        views.push(View::new("text from its end", letters::backwards(text)));
    }
    views
}

/// The parts of a text that whoever reads it on a page or in a terminal is not shown, in order.
pub(crate) fn hidden(text: &str) -> Vec<Hidden> {
    let mut found = markup::hidden(text);
    found.extend(terminal::concealed(text));
    found.sort_by_key(|hidden| hidden.range.start);
    found
}

#[cfg(test)]
mod tests;
