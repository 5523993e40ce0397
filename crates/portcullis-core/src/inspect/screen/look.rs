//! Rules applied to a text, and to everything that stands in it under what hides it.

use super::Finding;
use super::pack::{Pack, Rule};
use crate::unveil::{self, Hidden, OF_CONTENT, Said, View};
use regex_automata::Input;
use std::ops::Range;

/// How many hundredths are left of a finding that is quoted, or in a sentence that speaks of attacks.
const QUOTED: u16 = 60;
const SPOKEN_OF: u16 = 45;
/// How much of the doubt about a finding is left, in hundredths, if it was hidden.
const HIDDEN: u16 = 40;
/// How far before a finding it is looked for what says that it is spoken of, in bytes.
const BEFORE: usize = 200;
/// The most findings of one reading.
const MAX_FOUND: usize = 256;

/// Looks at a text.
pub(super) fn look(text: &str, pack: &Pack) -> Vec<Finding> {
    let mut found = Vec::new();
    let said = Said::of_content(text);
    let hidden = unveil::hidden(text);
    let views = unveil::views(text, OF_CONTENT).list;
    let turned = unveil::turned(text, &said);
    Reading::of(text, &said, None).look(pack, &hidden, &mut found);
    for view in views.iter().chain(&turned) {
        let said = Said::of_content(&view.text);
        Reading::of(text, &said, Some(view)).look(pack, &hidden, &mut found);
        for turned in unveil::turned(&view.text, &said) {
            let said = Said::of_content(&turned.text);
            let within = turned.within(view);
            Reading::of(text, &said, Some(&within)).look(pack, &hidden, &mut found);
        }
    }
    found
}

/// A text in one of the ways in which it can be read.
struct Reading<'a> {
    original: &'a str,
    folded: &'a str,
    said: &'a Said,
    view: Option<&'a View>,
}

/// What stands somewhere in a folded text.
type Hit = (Range<usize>, usize);

impl<'a> Reading<'a> {
    fn of(original: &'a str, said: &'a Said, view: Option<&'a View>) -> Self {
        Self {
            original,
            folded: &said.folded.text,
            said,
            view,
        }
    }

    fn look(&self, pack: &Pack, hidden: &[Hidden], found: &mut Vec<Finding>) {
        let hits = self.hits(pack);
        let spoken: Vec<&Range<usize>> = hits
            .iter()
            .filter(|(_, term)| Some(*term) == pack.discussed)
            .map(|(range, _)| range)
            .collect();
        let mut matches = Vec::new();
        for (at, (_, term)) in hits.iter().enumerate() {
            for index in pack.around.get(term).into_iter().flatten() {
                let rule = pack.rules.get(*index);
                let range = rule.and_then(|rule| matched(rule, &hits, at));
                matches.extend(range.map(|range| (range, *index)));
            }
            if matches.len() >= MAX_FOUND {
                break;
            }
        }
        matches.extend(self.patterns(pack));
        for (range, index) in matches {
            if let Some(rule) = pack.rules.get(index) {
                found.push(self.finding(rule, range, (&spoken, hidden)));
            }
        }
    }

    /// Ideas and words of the rules, in the order in which they stand.
    fn hits(&self, pack: &Pack) -> Vec<Hit> {
        let ideas = self.said.hits.iter();
        let mut hits: Vec<Hit> = ideas
            .map(|hit| (hit.start..hit.end, hit.concept.number()))
            .collect();
        hits.extend(pack.words.find(self.folded));
        hits.sort_by_key(|(range, _)| range.start);
        hits
    }

    fn patterns(&self, pack: &Pack) -> Vec<Hit> {
        let Some((all, rules)) = &pack.patterns else {
            return Vec::new();
        };
        let found = all.find_iter(Input::new(self.folded)).take(MAX_FOUND);
        let found = found.filter_map(|found| {
            let rule = rules.get(found.pattern().as_usize())?;
            Some((found.range(), *rule))
        });
        found.collect()
    }

    fn finding(
        &self,
        rule: &Rule,
        range: Range<usize>,
        (spoken, hidden): (&[&Range<usize>], &[Hidden]),
    ) -> Finding {
        let is_quoted = is_quoted(self.folded, &range);
        let is_spoken = is_spoken_of(spoken, &range);
        let part = self.said.folded.range(range);
        let part = match self.view {
            Some(view) => view.original(part),
            None => part,
        };
        let part = floor(self.original, part.start)..ceil(self.original, part.end);
        let way = hidden.iter().find(|hidden| {
            hidden.range.start <= part.start
                && part.start < hidden.range.end
                && hidden.way.is_unseen()
        });
        let encoded = self.view.filter(|view| view.is_encoded());
        let hidden_by = encoded
            .map(|view| view.how)
            .or(way.map(|hidden| hidden.way.name()));
        let mut weight = u16::from(rule.weight);
        if hidden_by.is_some() {
            weight = 100 - (100 - weight) * HIDDEN / 100;
        }
        if is_quoted {
            weight = weight * QUOTED / 100;
        }
        if is_spoken {
            weight = weight * SPOKEN_OF / 100;
        }
        Finding {
            rule: rule.id.clone(),
            technique: rule.technique.clone(),
            weight: u8::try_from(weight).unwrap_or(100),
            range: part,
            hidden_by,
        }
    }
}

/// Where a rule finds what it looks for around one hit.
fn matched(rule: &Rule, hits: &[Hit], at: usize) -> Option<Range<usize>> {
    let (own, _) = hits.get(at)?;
    let mut whole = own.clone();
    let before = hits.get(..at)?.iter().rev();
    let before = before.take_while(|(range, _)| own.start.saturating_sub(range.end) <= rule.within);
    let before: Vec<&Hit> = before.collect();
    let after = hits.get(at + 1..)?.iter();
    let after = after.take_while(|(range, _)| range.start.saturating_sub(own.end) <= rule.within);
    let after: Vec<&Hit> = after.collect();
    let mut widen = |hit: &Hit| {
        whole.start = whole.start.min(hit.0.start);
        whole.end = whole.end.max(hit.0.end);
    };
    for group in &rule.near {
        let mut all = after.iter().chain(&before);
        widen(all.find(|(_, term)| group.contains(term))?);
    }
    for group in &rule.after {
        widen(after.iter().find(|(_, term)| group.contains(term))?);
    }
    Some(whole)
}

/// Whether it stands between quotation marks, or in code, on its line.
fn is_quoted(folded: &str, range: &Range<usize>) -> bool {
    let before = folded.get(..range.start).unwrap_or_default();
    let before = before.get(floor(before, before.len().saturating_sub(BEFORE))..);
    let before = before.unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let is_open = |open: char, close: char| {
        let opened = line.matches(open).count();
        if open == close {
            opened % 2 == 1
        } else {
            opened > line.matches(close).count()
        }
    };
    let pairs = [
        ('"', '"'),
        ('“', '”'),
        ('«', '»'),
        ('„', '“'),
        ('`', '`'),
        ('「', '」'),
    ];
    pairs.iter().any(|(open, close)| is_open(*open, *close)) || line.trim_start().starts_with("> ")
}

/// Whether what stands shortly before it, or in it, says that attacks are spoken of.
fn is_spoken_of(spoken: &[&Range<usize>], range: &Range<usize>) -> bool {
    let next = spoken.partition_point(|one| one.start < range.end);
    let last = next.checked_sub(1).and_then(|last| spoken.get(last));
    last.is_some_and(|last| last.end + BEFORE >= range.start)
}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

fn ceil(text: &str, at: usize) -> usize {
    text.ceil_char_boundary(at.min(text.len()))
}
