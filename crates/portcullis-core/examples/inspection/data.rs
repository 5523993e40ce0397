//! Labelled texts of a folder, and to which family each belongs.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::Path;

/// In how many parts the families are divided; one is left out at a time.
pub(crate) const FOLDS: usize = 6;

/// One labelled text.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) label: u8,
    pub(crate) kind: String,
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) license: String,
    #[serde(default)]
    pub(crate) noise: String,
    /// Where the attack stands, in characters.
    #[serde(default)]
    span: Option<(usize, usize)>,
}

impl Row {
    /// Where the attack stands, in bytes.
    pub(crate) fn span(&self) -> Option<(usize, usize)> {
        let (from, to) = self.span?;
        let byte = |at| {
            self.text
                .char_indices()
                .nth(at)
                .map_or(self.text.len(), |(byte, _)| byte)
        };
        Some((byte(from), byte(to)))
    }

    /// Where the text comes from, in one or two words.
    pub(crate) fn origin(&self) -> String {
        let source = self.source.as_str();
        if source.starts_with("crate:") {
            return "crates".to_owned();
        }
        let inner = source.split("<- ").nth(1);
        let first = source.split([' ', '@', '=']).next().unwrap_or_default();
        inner.unwrap_or(first).replace("pypi:", "")
    }

    /// What is left out together: the kind and the origin.
    pub(crate) fn family(&self) -> String {
        format!("{} {}", self.kind, self.origin())
    }

    /// Whether the text was made of others of the folder, so that its payload stands in several families.
    pub(crate) fn is_composed(&self) -> bool {
        self.source.starts_with("synthetic-dev")
    }

    /// In which part the text is; texts of one origin and of origins that are alike are in one.
    pub(crate) fn fold(&self) -> usize {
        const ALIKE: [&[&str]; FOLDS] = [
            &["llmail"],
            &["satml", "gandalf", "sysprompt"],
            &["InjecAgent", "ASB"],
            &["PurpleLlama"],
            &["jailbreak", "data/dan", "PIGuard"],
            &[
                "bastion",
                "deepset",
                "andwritten",
                "latentinj",
                "prompt-armor",
            ],
        ];
        let whole = format!("{} {}", self.kind, self.source);
        let is_of = |words: &&[&str]| words.iter().any(|word| whole.contains(word));
        if let Some(fold) = ALIKE.iter().position(is_of) {
            return fold;
        }
        let package = self
            .source
            .strip_prefix("crate:")
            .and_then(|rest| rest.split(' ').next());
        let key = match package {
            Some(package) => package,
            None if self.source.contains("bfcl") => &self.source,
            None => &self.id,
        };
        key.bytes().fold(7_usize, |hash, byte| {
            (hash * 31 + usize::from(byte)) % 1_000_003
        }) % FOLDS
    }

    /// How much the text counts: what is labelled by origin only, or crowds out the rest, counts less.
    pub(crate) fn weight(&self) -> f32 {
        let noise = if self.noise == "high" { 0.3 } else { 1.0 };
        if self.source.contains("llmail") {
            noise * 0.3
        } else {
            noise
        }
    }

    /// Whether thresholds are set by it: what real tools answer and what people ask for.
    pub(crate) fn is_ordinary(&self) -> bool {
        matches!(self.kind.as_str(), "benign_output" | "benign_request")
    }
}

/// Reads `text.jsonl` of a folder.
pub(crate) fn read(folder: &Path) -> Result<Vec<Row>> {
    let path = folder.join("text.jsonl");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.lines()
        .map(|line| serde_json::from_str(line).context("a line of text.jsonl"))
        .collect()
}
