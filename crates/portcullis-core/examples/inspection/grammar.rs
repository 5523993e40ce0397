//! Texts of a grammar: `symbol -> one | another`, drawn by a seed; some alternatives are kept for measuring.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// How deep symbols may stand in symbols.
const MAX_DEPTH: usize = 16;
/// Of how many alternatives one is kept for measuring.
const KEPT_OF: u64 = 8;
/// A symbol with fewer alternatives keeps none.
const FEWEST: usize = 7;

const FILES: [&str; 11] = [
    include_str!("grammar/common.grammar"),
    include_str!("grammar/carriers.grammar"),
    include_str!("grammar/english.grammar"),
    include_str!("grammar/norwegian.grammar"),
    include_str!("grammar/german.grammar"),
    include_str!("grammar/french.grammar"),
    include_str!("grammar/spanish.grammar"),
    include_str!("grammar/chinese.grammar"),
    include_str!("grammar/russian.grammar"),
    include_str!("grammar/arabic.grammar"),
    include_str!("grammar/others.grammar"),
];

/// Which alternatives texts are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those that the model is trained on.
    Taught,
    /// Half of the time those that no model was trained on.
    Kept,
}

#[derive(Debug)]
struct Rule {
    taught: Vec<String>,
    kept: Vec<String>,
}

/// The grammar, and the numbers by which its texts are drawn.
#[derive(Debug)]
pub(crate) struct Grammar {
    rules: BTreeMap<String, Rule>,
    part: Part,
    state: u64,
    /// How many kept alternatives went into the texts so far.
    pub(crate) unseen: usize,
}

impl Grammar {
    /// Reads the grammar.
    pub(crate) fn read(part: Part, seed: u64) -> Result<Self> {
        let mut rules = BTreeMap::new();
        let is_rule = |line: &&str| !line.starts_with('#') && !line.trim().is_empty();
        for line in FILES.iter().flat_map(|file| file.lines()).filter(is_rule) {
            let (symbol, all) = line.split_once(" -> ").context("a rule of a grammar")?;
            let all: Vec<String> = all
                .split(" | ")
                .map(|one| {
                    one.replace("\\\\n", "\u{1}")
                        .replace("\\n", "\n")
                        .replace('\u{1}', "\\n")
                })
                .collect();
            let keeps = symbol.starts_with(|char: char| char.is_ascii_lowercase())
                && symbol.contains('.')
                && !symbol.starts_with("c.")
                && all.len() >= FEWEST;
            let is_kept = |one: &String| {
                keeps && !one.starts_with('<') && hash(symbol, one).is_multiple_of(KEPT_OF)
            };
            let (kept, taught) = all.into_iter().partition(is_kept);
            let rule = Rule { taught, kept };
            rules.insert(symbol.to_owned(), rule);
        }
        Ok(Self {
            rules,
            part,
            state: seed,
            unseen: 0,
        })
    }

    /// A text of this symbol; `<L.` in it is read as `<` and the language.
    pub(crate) fn text(&mut self, symbol: &str, language: &str) -> String {
        self.expand(symbol, language, MAX_DEPTH)
    }

    /// A number below another (splitmix64).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^= number >> 31;
        usize::try_from(number % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// One of these.
    pub(crate) fn one<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(all.len());
        all.get(at)
    }

    fn choose(&mut self, symbol: &str) -> Option<String> {
        let wants_kept = self.part == Part::Kept && self.below(2) == 0;
        let (taught, kept) = self
            .rules
            .get(symbol)
            .map(|rule| (rule.taught.len(), rule.kept.len()))?;
        if wants_kept && kept > 0 {
            self.unseen += 1;
            let at = self.below(kept);
            return self.rules.get(symbol)?.kept.get(at).cloned();
        }
        let at = self.below(taught);
        self.rules.get(symbol)?.taught.get(at).cloned()
    }

    fn expand(&mut self, symbol: &str, language: &str, depth: usize) -> String {
        let symbol = symbol
            .strip_prefix("L.")
            .map_or_else(|| symbol.to_owned(), |rest| format!("{language}.{rest}"));
        let chosen = if depth > 0 {
            self.choose(&symbol)
        } else {
            None
        };
        // What is no symbol is a tag of the text.
        let Some(mut rest) = chosen else {
            return format!("<{symbol}>");
        };
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once('<') {
            text.push_str(before);
            let inner = after
                .split_once('>')
                .filter(|(inner, _)| !inner.contains('<'));
            let Some((inner, end)) = inner else {
                text.push('<');
                rest = after.to_owned();
                continue;
            };
            text.push_str(&self.expand(inner, language, depth - 1));
            rest = end.to_owned();
        }
        text.push_str(&rest);
        text
    }
}

/// FNV-1a of a rule and its alternative.
fn hash(symbol: &str, one: &str) -> u64 {
    let bytes = symbol.bytes().chain(one.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }) >> 7
}
