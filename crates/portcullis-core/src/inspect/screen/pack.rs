//! Files of rules: TOML with lists of words, and rules that have their own tests with them.

use super::{ATTACK, Screened, Verdict, look};
use crate::unveil::{Concept, Phrases};
use regex_automata::meta::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Our own rules.
const EMBEDDED: &str = include_str!("rules.toml");
/// How many ideas the lexicon may have; lists of words come after them.
const IDEAS: usize = 64;
/// The most memory of a compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// The most rules of all files together.
const MAX_RULES: usize = 2_000;

/// Rules that are ready to be used.
#[derive(Debug)]
pub struct Pack {
    pub(super) words: Phrases,
    pub(super) rules: Vec<Rule>,
    /// For each term the rules that look around it.
    pub(super) around: BTreeMap<usize, Vec<usize>>,
    /// All patterns, and the rule of each.
    pub(super) patterns: Option<(Regex, Vec<usize>)>,
    pub(super) discussed: Option<usize>,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: Arc<str>,
    pub(super) technique: Arc<str>,
    pub(super) weight: u8,
    pub(super) near: Vec<Vec<usize>>,
    pub(super) after: Vec<Vec<usize>>,
    pub(super) within: usize,
}

/// Why a file of rules is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadPack {
    /// It is no TOML, or has something that no file of rules has.
    #[error("no file of rules: {0}")]
    Shape(String),
    /// A rule names a list that is nowhere.
    #[error("rule {rule}: there are no words called {name}")]
    Word {
        /// The rule.
        rule: String,
        /// The name.
        name: String,
    },
    /// A rule has the id of another.
    #[error("rule {0} is there twice")]
    Twice(String),
    /// A rule has neither words to look around nor a pattern, or both, or a weight or a distance out of bounds.
    #[error(
        "rule {0}: needs either `around` or `pattern`, a weight of 1 to 99 and `within` of 1 to 400"
    )]
    Rule(String),
    /// A pattern is no regular expression, or too large a one.
    #[error("rule {0}: no usable pattern")]
    Pattern(String),
    /// There are too many.
    #[error("more than {MAX_RULES} rules")]
    Many,
    /// A rule does not find one of its own attacks.
    #[error("rule {rule}: does not find {text:?}")]
    Misses {
        /// The rule.
        rule: String,
        /// The attack.
        text: String,
    },
    /// A rule makes an attack of one of its own honest texts.
    #[error("rule {rule}: takes {text:?} for an attack")]
    Accuses {
        /// The rule.
        rule: String,
        /// The honest text.
        text: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    words: BTreeMap<String, Vec<String>>,
    #[serde(default, rename = "rule")]
    rules: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    technique: String,
    /// For whoever reads the file.
    #[serde(rename = "reason")]
    _reason: String,
    weight: u8,
    #[serde(default)]
    around: Vec<String>,
    #[serde(default)]
    near: Vec<Vec<String>>,
    #[serde(default)]
    after: Vec<Vec<String>>,
    within: Option<usize>,
    pattern: Option<String>,
    attacks: Vec<String>,
    benign: Vec<String>,
}

static OWN: LazyLock<Arc<Pack>> = LazyLock::new(|| {
    let own = Pack::compile(&[EMBEDDED]).map(|(pack, _)| pack);
    // A test reads the file; without rules nothing would be found, so everything is.
    Arc::new(own.unwrap_or_else(|_| Pack::accusing()))
});

impl Pack {
    /// Our own rules.
    pub fn own() -> Arc<Self> {
        Arc::clone(&OWN)
    }

    /// Our own rules and those of more files, each of which passes its own tests.
    ///
    /// # Errors
    /// [`BadPack`]
    pub fn with(files: &[&str]) -> Result<Self, BadPack> {
        let all: Vec<&str> = std::iter::once(EMBEDDED)
            .chain(files.iter().copied())
            .collect();
        let (pack, written) = Self::compile(&all)?;
        written.iter().try_for_each(|rule| pack.prove(rule))?;
        Ok(pack)
    }

    fn compile(files: &[&str]) -> Result<(Self, Vec<Written>), BadPack> {
        let mut words = BTreeMap::new();
        let mut written = Vec::new();
        for file in files {
            let file: File =
                toml::from_str(file).map_err(|why| BadPack::Shape(why.message().to_owned()))?;
            words.extend(file.words);
            written.extend(file.rules);
        }
        if written.len() > MAX_RULES {
            return Err(BadPack::Many);
        }
        let names: Vec<&str> = words.keys().map(String::as_str).collect();
        let number = |name: &str| {
            let own = names.binary_search(&name).ok().map(|at| IDEAS + at);
            own.or_else(|| Concept::of(name).map(Concept::number))
        };
        let mut pack =
            Self {
                words: Phrases::read((words.values().enumerate()).flat_map(|(at, list)| {
                    list.iter().map(move |word| (IDEAS + at, word.as_str()))
                })),
                rules: Vec::new(),
                around: BTreeMap::new(),
                patterns: None,
                discussed: number("Discussed"),
            };
        let mut patterns = Vec::new();
        for rule in &written {
            pack.add(rule, &number, &mut patterns)?;
        }
        pack.patterns = compiled(&patterns)?;
        Ok((pack, written))
    }

    fn add<'a>(
        &mut self,
        written: &'a Written,
        number: &dyn Fn(&str) -> Option<usize>,
        patterns: &mut Vec<(&'a Written, usize)>,
    ) -> Result<(), BadPack> {
        let bad = || BadPack::Rule(written.id.clone());
        let at = self.rules.len();
        let within = written.within.unwrap_or(80);
        let is_sound = (1..=99).contains(&written.weight)
            && (1..=400).contains(&within)
            && written.around.is_empty() == written.pattern.is_some();
        if !is_sound {
            return Err(bad());
        }
        if self.rules.iter().any(|rule| *rule.id == *written.id) {
            return Err(BadPack::Twice(written.id.clone()));
        }
        let terms = |names: &Vec<String>| -> Result<Vec<usize>, BadPack> {
            let found = names.iter().map(|name| {
                number(name).ok_or_else(|| BadPack::Word {
                    rule: written.id.clone(),
                    name: name.clone(),
                })
            });
            found.collect()
        };
        for term in terms(&written.around)? {
            self.around.entry(term).or_default().push(at);
        }
        patterns.extend(written.pattern.is_some().then_some((written, at)));
        self.rules.push(Rule {
            id: written.id.as_str().into(),
            technique: written.technique.as_str().into(),
            weight: written.weight,
            near: written.near.iter().map(terms).collect::<Result<_, _>>()?,
            after: written.after.iter().map(terms).collect::<Result<_, _>>()?,
            within,
        });
        Ok(())
    }

    /// Runs a rule's own tests.
    fn prove(&self, written: &Written) -> Result<(), BadPack> {
        let rule = || written.id.clone();
        for text in &written.attacks {
            let found = look::look(text, self);
            if !found.iter().any(|finding| *finding.rule == *written.id) {
                let (rule, text) = (rule(), text.clone());
                return Err(BadPack::Misses { rule, text });
            }
        }
        for text in &written.benign {
            let found = look::look(text, self);
            if Screened::of(found).verdict() == Verdict::Attack {
                let (rule, text) = (rule(), text.clone());
                return Err(BadPack::Accuses { rule, text });
            }
        }
        Ok(())
    }

    /// What takes every text for an attack.
    pub(super) fn accusing() -> Self {
        let rule = Rule {
            id: "no-rules".into(),
            technique: "AML.T0015".into(),
            weight: u8::try_from(ATTACK / 10).unwrap_or(99),
            near: Vec::new(),
            after: Vec::new(),
            within: 1,
        };
        Self {
            words: Phrases::read(std::iter::empty()),
            rules: vec![rule],
            around: BTreeMap::new(),
            patterns: Regex::new("").ok().map(|all| (all, vec![0])),
            discussed: None,
        }
    }
}

type Compiled = Option<(Regex, Vec<usize>)>;

fn compiled(patterns: &[(&Written, usize)]) -> Result<Compiled, BadPack> {
    let Some((last, _)) = patterns.last() else {
        return Ok(None);
    };
    let config = Regex::config().nfa_size_limit(Some(MAX_PATTERN_BYTES));
    let texts = patterns
        .iter()
        .filter_map(|(rule, _)| rule.pattern.as_deref());
    let texts: Vec<&str> = texts.collect();
    // A pattern is told of that fails by itself, else the last one, with which there are too many.
    let is_usable = |text: &str| {
        let built = Regex::builder().configure(config.clone()).build(text);
        built.is_ok()
    };
    let failing = patterns.iter().find(|(rule, _)| {
        let text = rule.pattern.as_deref().unwrap_or_default();
        !is_usable(text)
    });
    let bad = failing.map_or(last, |(rule, _)| rule);
    let all = Regex::builder()
        .configure(config.clone())
        .build_many(&texts);
    let all = all.map_err(|_| BadPack::Pattern(bad.id.clone()))?;
    let rules = patterns.iter().map(|(_, at)| *at).collect();
    Ok(Some((all, rules)))
}
