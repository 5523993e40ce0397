//! The signed trees that a log must fit, in the order of their sizes.

use std::io;
use std::path::{Path, PathBuf};

use super::{Broken, Stop, Why};
use crate::checkpoint::{BadNote, Checkpoint, MAX_NOTE_BYTES, VerifierKey};
use crate::files::{CHECKPOINTS, Note, Notes, read_bounded};
use crate::lineage::Lineage;
use crate::merkle::Tree;

/// The checkpoints of a log, read one by one, and those of its witnesses.
#[derive(Debug)]
pub(super) struct Anchors {
    lineage: Lineage,
    notes: Notes,
    next: Option<Checkpoint>,
    last: Checkpoint,
    witnesses: Vec<Tree>,
}

impl Anchors {
    /// Reads the first checkpoint and the witnesses.
    pub(super) fn open(dir: &Path, keys: &[VerifierKey], paths: &[PathBuf]) -> Result<Self, Stop> {
        let (all, mut witnesses) = (Lineage::read(dir, keys)?, Vec::new());
        for path in paths {
            witnesses.push(witness(path, &all)?);
        }
        dir.read_dir()?;
        let mut lineage = Lineage::new(keys);
        let none = || Stop::Broken(broken(CHECKPOINTS.into(), None, Why::NoCheckpoint));
        let mut notes = match Notes::open(&dir.join(CHECKPOINTS)) {
            Ok(notes) => notes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none()),
            Err(error) => return Err(error.into()),
        };
        let last = read(&mut notes, &mut lineage)?.ok_or_else(none)?;
        Ok(Self {
            lineage,
            notes,
            next: Some(last.clone()),
            last,
            witnesses,
        })
    }

    /// Whether every tree of this size is the one that `root` computes.
    pub(super) fn check(&mut self, tree: impl Fn() -> Tree, size: u64) -> Result<Fit, Stop> {
        let mut fit = Fit::Unstated;
        while let Some(next) = self.next.take_if(|next| next.tree().size == size) {
            if next.tree() != tree() {
                return Ok(Fit::Other);
            }
            fit = Fit::Same;
            self.last = next;
            self.next = read(&mut self.notes, &mut self.lineage)?;
            self.check_order(size)?;
        }
        let mut witnessed = self
            .witnesses
            .iter()
            .filter(|witness| witness.size == size)
            .peekable();
        if witnessed.peek().is_none() {
            return Ok(fit);
        }
        let is_ours = fit == Fit::Same || self.next.is_some();
        match witnessed.all(|stated| *stated == tree()) {
            true => Ok(Fit::Same),
            false if is_ours => Ok(Fit::Forked),
            false => Ok(Fit::Other),
        }
    }

    /// The largest size that is known to be stated.
    pub(super) fn stated(&self) -> u64 {
        let next = self.next.as_ref().map_or(0, |next| next.tree().size);
        self.witnesses
            .iter()
            .map(|tree| tree.size)
            .fold(next, u64::max)
    }

    /// The last checkpoint that was found to fit, and the keys up to it.
    pub(super) fn last(self) -> (Checkpoint, Lineage) {
        (self.last, self.lineage)
    }

    fn check_order(&self, size: u64) -> Result<(), Stop> {
        match &self.next {
            Some(next) if next.tree().size < size => {
                Err(Stop::Broken(broken(CHECKPOINTS.into(), None, Why::Order)).at(next.tree().size))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// How a tree fits what is stated of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Nothing is.
    Unstated,
    /// It is the one that was signed.
    Same,
    /// Another one was signed.
    Other,
    /// A witness has another one, though the log has checkpoints of its own from here on: it was signed twice.
    Forked,
}

impl Stop {
    fn at(self, seq: u64) -> Self {
        match self {
            Self::Broken(broken) => Self::Broken(Broken {
                seq,
                last_seq: seq,
                ..broken
            }),
            Self::Unknown(why) => Self::Unknown(why),
        }
    }
}

/// Every tree that can be believed; what cannot be read or believed is left out.
pub(super) fn trees(dir: &Path, keys: &[VerifierKey], paths: &[PathBuf]) -> Vec<Tree> {
    let Ok(lineage) = Lineage::read(dir, keys) else {
        return Vec::new();
    };
    let witnessed = paths.iter().map(|path| witness(path, &lineage));
    let mut trees: Vec<Tree> = witnessed.filter_map(Result::ok).collect();
    let Ok(mut notes) = Notes::open(&dir.join(CHECKPOINTS)) else {
        return trees;
    };
    while let Ok(Some(note)) = notes.read() {
        let opened = text(&note.bytes).and_then(|note| lineage.open(note));
        trees.extend(opened.ok().map(|checkpoint| checkpoint.tree()));
    }
    trees
}

fn read(notes: &mut Notes, lineage: &mut Lineage) -> Result<Option<Checkpoint>, Stop> {
    let Some(note) = notes.read()? else {
        return Ok(None);
    };
    match text(&note.bytes).and_then(|note| lineage.follow(note)) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        // An unfinished note says nothing: the records that it was for are not anchored.
        Err(_) if !note.is_whole && note.bytes.len() <= MAX_NOTE_BYTES => Ok(None),
        Err(bad) => Err(Stop::Broken(broken(
            CHECKPOINTS.into(),
            Some(&note),
            Why::Note(bad),
        ))),
    }
}

fn text(note: &[u8]) -> Result<&str, BadNote> {
    std::str::from_utf8(note).map_err(|_| BadNote::Malformed)
}

fn witness(path: &Path, lineage: &Lineage) -> Result<Tree, Stop> {
    let note =
        read_bounded(path, MAX_NOTE_BYTES)?.ok_or(io::Error::from(io::ErrorKind::NotFound))?;
    let opened = text(&note).and_then(|note| lineage.open(note));
    opened
        .map(|checkpoint| checkpoint.tree())
        .map_err(|bad| Stop::Broken(broken(path.display().to_string(), None, Why::Note(bad))))
}

fn broken(file: String, note: Option<&Note>, why: Why) -> Broken {
    let (line, offset) = note.map_or((1, 0), |note| (note.line, note.offset));
    let bytes = note.map_or(0, |note| {
        u64::try_from(note.bytes.len()).unwrap_or(u64::MAX)
    });
    Broken {
        file,
        line,
        offset,
        bytes,
        seq: 0,
        last_seq: 0,
        why,
    }
}
