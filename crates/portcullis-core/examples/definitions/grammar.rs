//! Texts of a grammar: `symbol -> one | another`, drawn by a seed.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// How deep symbols may stand in symbols.
const MAX_DEPTH: usize = 16;

/// A grammar, and the numbers by which its texts are drawn.
#[derive(Debug)]
pub(crate) struct Grammar {
    rules: BTreeMap<String, Vec<String>>,
    state: u64,
}

impl Grammar {
    /// Reads a grammar.
    pub(crate) fn read(text: &str, seed: u64) -> Result<Self> {
        let mut rules = BTreeMap::new();
        let is_rule = |line: &&str| !line.starts_with('#') && !line.trim().is_empty();
        for line in text.lines().filter(is_rule) {
            let (symbol, all) = line.split_once(" -> ").context("a rule of a grammar")?;
            let all = all
                .split(" | ")
                .map(|one| one.replace("\\n", "\n"))
                .collect();
            rules.insert(symbol.to_owned(), all);
        }
        Ok(Self { rules, state: seed })
    }

    /// A text of this symbol.
    pub(crate) fn text(&mut self, symbol: &str) -> String {
        self.expand(symbol, MAX_DEPTH)
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

    fn expand(&mut self, symbol: &str, depth: usize) -> String {
        let all = self.rules.get(symbol).cloned().filter(|_| depth > 0);
        let chosen = all.and_then(|all| self.one(&all).cloned());
        // What is no symbol is a tag of the text.
        let Some(mut rest) = chosen else {
            return format!("<{symbol}>");
        };
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once('<') {
            text.push_str(before);
            let Some((inner, end)) = after.split_once('>') else {
                text.push('<');
                rest = after.to_owned();
                continue;
            };
            text.push_str(&self.expand(inner, depth - 1));
            rest = end.to_owned();
        }
        text.push_str(&rest);
        text
    }
}
