//! Labelled texts of our own: payloads alone and in carriers, their harmless twins, requests, quotations and prose.

use crate::grammar::{Grammar, Part};
use anyhow::Result;

/// How often each language is drawn, of a hundred.
const LANGUAGES: [(&str, usize); 10] = [
    ("en", 44),
    ("no", 9),
    ("nn", 4),
    ("de", 8),
    ("fr", 7),
    ("es", 7),
    ("zh", 6),
    ("ru", 5),
    ("ar", 5),
    ("xx", 5),
];
/// What is drawn, and how often, of a hundred.
const KINDS: [(&str, usize); 10] = [
    ("attack", 17),
    ("attack in data", 25),
    ("request in data", 4),
    ("harmless", 9),
    ("harmless in data", 15),
    ("quotation", 7),
    ("quotation in data", 5),
    ("request", 10),
    ("prose", 3),
    ("prose in data", 5),
];

/// A labelled text.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) text: String,
    /// Where the payload, the twin or the request stands.
    pub(crate) span: (usize, usize),
    pub(crate) is_attack: bool,
    pub(crate) kind: &'static str,
    pub(crate) language: &'static str,
}

/// Draws texts, the same for the same seed.
#[derive(Debug)]
pub(crate) struct Maker {
    grammar: Grammar,
    part: Part,
}

impl Maker {
    /// Draws from a part of the grammar.
    pub(crate) fn new(part: Part, seed: u64) -> Result<Self> {
        Ok(Self {
            grammar: Grammar::read(part, seed)?,
            part,
        })
    }

    /// So many texts. `carriers` are harmless texts of others in which some payloads and twins are put.
    pub(crate) fn texts(&mut self, count: usize, carriers: &[&str]) -> Vec<(Made, Option<usize>)> {
        let mut made = Vec::with_capacity(count);
        while made.len() < count {
            let before = self.grammar.unseen;
            let one = self.one(carriers);
            if self.part == Part::Taught || self.grammar.unseen > before + 1 {
                made.push(one);
            }
        }
        made
    }

    fn one(&mut self, carriers: &[&str]) -> (Made, Option<usize>) {
        let language = self.of(&LANGUAGES);
        let kind = self.of(&KINDS);
        let (name, is_data) = kind
            .strip_suffix(" in data")
            .map_or((kind, false), |name| (name, true));
        let symbol = match name {
            "attack" => "attack",
            "harmless" => "twin",
            "quotation" => "quote",
            "request" if is_data => "offtask",
            "request" => "ask",
            _ => "talk",
        };
        let said = self.grammar.text(&format!("{language}.{symbol}"), language);
        let said = self.varied(said);
        let is_attack = name == "attack" || (name == "request" && is_data);
        let made = |text, span| Made {
            text,
            span,
            is_attack,
            kind,
            language,
        };
        if !is_data {
            let span = (0, said.len());
            return (made(said, span), None);
        }
        if !carriers.is_empty() && self.grammar.below(3) == 0 {
            let at = self.grammar.below(carriers.len());
            let carrier = carriers.get(at).copied().unwrap_or_default();
            let (text, span) = self.put(carrier, &said);
            return (made(text, span), Some(at));
        }
        let carrier = self.grammar.text("carrier", language);
        let start = carrier.find("<HERE>").unwrap_or(0);
        let text = carrier.replacen("<HERE>", &said, 1);
        let end = (start + said.len()).min(text.len());
        (made(text, (start, end)), None)
    }

    /// Puts a text into another, between two lines or words, now and then as a comment or a hidden element.
    fn put(&mut self, carrier: &str, said: &str) -> (String, (usize, usize)) {
        let shortened = carrier
            .get(..carrier.floor_char_boundary(2_000))
            .unwrap_or_default();
        let gaps: Vec<usize> = shortened
            .match_indices(['\n', ' '])
            .map(|(at, _)| at)
            .collect();
        let at = match self.grammar.below(6) {
            0 => 0,
            1 | 2 => shortened.len(),
            _ => self.grammar.one(&gaps).copied().unwrap_or(0),
        };
        let (open, close) = match self.grammar.below(12) {
            0 => ("<!-- ", " -->"),
            1 => ("\n\n", "\n\n"),
            2 => ("<p style=\"display:none\">", "</p>"),
            3 => ("\"note\": \"", "\","),
            4 => ("// ", "\n"),
            5 => ("\n> ", "\n"),
            _ => (" ", " "),
        };
        let (before, after) = shortened.split_at(at);
        let start = before.len() + open.len();
        (
            format!("{before}{open}{said}{close}{after}"),
            (start, start + said.len()),
        )
    }

    /// Now and then in capitals, without capitals, without its last sign or with a slip of the pen.
    fn varied(&mut self, said: String) -> String {
        match self.grammar.below(24) {
            0 => said.to_uppercase(),
            1 | 2 => said.to_lowercase(),
            3 | 4 => said.trim_end_matches(['.', '。', '!', '?']).to_owned(),
            5 => {
                let mut chars: Vec<char> = said.chars().collect();
                let at = self.grammar.below(chars.len().saturating_sub(1));
                if at + 1 < chars.len() {
                    chars.swap(at, at + 1);
                }
                chars.into_iter().collect()
            }
            6 => said.replace('\n', " "),
            _ => said,
        }
    }

    fn of(&mut self, all: &[(&'static str, usize)]) -> &'static str {
        let total = all.iter().map(|(_, share)| share).sum();
        let mut at = self.grammar.below(total);
        for (name, share) in all {
            if at < *share {
                return name;
            }
            at -= share;
        }
        all.first().map_or("", |(name, _)| name)
    }
}
