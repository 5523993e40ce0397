//! All texts that the model is trained and measured on.

use crate::data::{self, FOLDS, Row};
use crate::grammar::Part;
use crate::make::Maker;
use crate::table::Measured;
use crate::train::{Document, Model};
use anyhow::Result;
use std::path::Path;

/// How many texts of our own are made, and by which seed.
pub(crate) const MADE: (usize, u64) = (15_000, 1);
/// How long harmless documents are that are joined of several, in bytes.
const JOINED: [usize; 4] = [6_000, 12_000, 24_000, 48_000];

/// The texts of a folder and those that the grammar makes.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) rows: Vec<Row>,
    documents: Vec<Document>,
    /// Texts of our own, each with the part of the folder in whose texts it was put.
    made: Vec<(Document, Option<usize>)>,
}

impl Known {
    /// Reads a folder, and makes the rest.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let rows = data::read(folder)?;
        let documents = rows.iter().map(Document::of_row).collect();
        let carriers: Vec<&Row> = rows
            .iter()
            .filter(|row| row.kind == "benign_output")
            .collect();
        let texts: Vec<&str> = carriers.iter().map(|row| row.text.as_str()).collect();
        let made = Maker::new(Part::Taught, MADE.1)?.texts(MADE.0, &texts);
        let fold = |at: Option<usize>| at.and_then(|at| carriers.get(at)).map(|row| row.fold());
        let made = made
            .iter()
            .map(|(made, at)| (Document::of_made(made), fold(*at)))
            .collect();
        Ok(Self {
            rows,
            documents,
            made,
        })
    }

    /// What the shipped model is trained on.
    pub(crate) fn all(&self) -> Vec<&Document> {
        let made = self.made.iter().map(|(document, _)| document);
        self.documents.iter().chain(made).collect()
    }

    /// What a model is trained on that knows nothing of one part. Texts that were composed of several families are left
    /// out of all.
    fn without(&self, fold: usize) -> Vec<&Document> {
        let own = self.rows.iter().zip(&self.documents);
        let own = own.filter(|(row, _)| row.fold() != fold && !row.is_composed());
        let made = self.made.iter().filter(|(_, of)| *of != Some(fold));
        own.map(|(_, document)| document)
            .chain(made.map(|(document, _)| document))
            .collect()
    }

    fn models(&self) -> impl Iterator<Item = (usize, Model)> {
        (0..FOLDS).map(|fold| (fold, Model::train(&self.without(fold))))
    }

    /// The scores of all texts, each by a model that never saw its family. Joined documents are among them, as ordinary
    /// texts of the family `joined`.
    pub(crate) fn left_out(&self) -> Vec<Measured> {
        let mut measured = Vec::new();
        for (fold, model) in self.models() {
            let rows = self.rows.iter().zip(&self.documents);
            let rows = rows.filter(|(row, _)| row.fold() == fold && !row.is_composed());
            measured.extend(rows.map(|(row, document)| Measured {
                family: row.family(),
                is_attack: document.is_attack,
                is_ordinary: row.is_ordinary(),
                bytes: document.bytes,
                score: model.score(document),
            }));
            measured.extend(self.joined(fold).iter().map(|document| Measured {
                family: "benign_output joined to long documents".to_owned(),
                is_attack: false,
                is_ordinary: false,
                bytes: document.bytes,
                score: model.score(document),
            }));
        }
        measured
    }

    /// Long harmless documents, each of several tool outputs of one part.
    fn joined(&self, fold: usize) -> Vec<Document> {
        let rows = || {
            let outputs = self.rows.iter().filter(|row| row.kind == "benign_output");
            outputs.filter(|row| row.fold() == fold)
        };
        JOINED
            .into_iter()
            .flat_map(|bytes| joined_of(rows(), bytes))
            .collect()
    }
}

/// The same texts, where joined documents set the thresholds for long ones.
pub(crate) fn with_joined(measured: &[Measured]) -> Vec<Measured> {
    let is_ordinary = |one: &Measured| one.is_ordinary || one.family.contains("joined");
    let all = measured.iter().map(|one| Measured {
        is_ordinary: is_ordinary(one),
        ..one.clone()
    });
    all.collect()
}

/// Documents of so many bytes or a little more.
fn joined_of<'a>(rows: impl Iterator<Item = &'a Row>, bytes: usize) -> Vec<Document> {
    let mut joined = Vec::new();
    let mut text = String::new();
    for row in rows {
        text.push_str(&row.text);
        text.push_str("\n\n");
        if text.len() >= bytes {
            joined.push(Document::new(&text, false, 1.0, None));
            text.clear();
        }
    }
    joined
}
