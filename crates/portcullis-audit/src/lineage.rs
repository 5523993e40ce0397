//! Which key signs a log when: each hands over to the next in a checkpoint that both sign.

use std::io::{self, Write};
use std::path::Path;

use crate::checkpoint::{BadNote, Checkpoint, VerifierKey};
use crate::files::{CHECKPOINTS, HANDOVERS, Notes, Sync, append, replace};

/// The keys of a log, from one that is known, as far as its handovers were followed.
///
/// A key signs from the handover to it up to the one from it, and at no other size: whoever steals it alone can neither
/// rewrite what was signed before nor go on with what is signed since.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// Those that are believed to have begun the log; one, once that is known.
    first: Vec<VerifierKey>,
    handovers: Vec<Checkpoint>,
}

impl Lineage {
    /// That of a log that one of these keys began.
    pub fn new(keys: &[VerifierKey]) -> Self {
        Self {
            first: keys.to_vec(),
            handovers: Vec::new(),
        }
    }

    /// The same with the handovers of the log in `dir`, as far as they can be believed. Reads all checkpoints.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(dir: &Path, keys: &[VerifierKey]) -> io::Result<Self> {
        let mut own = Self::new(keys);
        own.follow_all(&dir.join(CHECKPOINTS))?;
        Ok(own)
    }

    /// The same from the file of handovers alone, which may lack some.
    pub(crate) fn recall(dir: &Path, keys: &[VerifierKey]) -> io::Result<Self> {
        let mut own = Self::new(keys);
        own.follow_all(&dir.join(HANDOVERS))?;
        Ok(own)
    }

    fn follow_all(&mut self, path: &Path) -> io::Result<()> {
        let mut notes = match Notes::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            notes => notes?,
        };
        while let Some(note) = notes.read()? {
            let note = std::str::from_utf8(&note.bytes).ok();
            let handover = note.filter(|note| Checkpoint::is_handover(note.as_bytes()));
            // One that is not believed changes nothing; whoever verifies comes upon it.
            drop(handover.map(|note| self.follow(note)));
        }
        Ok(())
    }

    /// Opens the checkpoint that stands after those that were followed: the key whose turn it is must have signed it.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn follow(&mut self, note: &str) -> Result<Checkpoint, BadNote> {
        let checkpoint = match self.handovers.last().and_then(Checkpoint::successor) {
            Some(now) => Checkpoint::open(note, std::slice::from_ref(now))
                .map_err(|bad| self.judged(note, bad))?,
            None => Checkpoint::open(note, &self.first)?,
        };
        let size = checkpoint.tree().size;
        let is_late = |last: &Checkpoint| last.tree().size <= size;
        if !self.handovers.last().is_none_or(is_late) {
            return Err(BadNote::OutOfTurn);
        }
        if self.handovers.is_empty() {
            self.first.retain(|key| key == checkpoint.signer());
        }
        if let Some(successor) = checkpoint.successor() {
            if self.all().any(|key| key == successor) {
                return Err(BadNote::OutOfTurn);
            }
            self.handovers.push(checkpoint.clone());
        }
        Ok(checkpoint)
    }

    /// Opens any checkpoint of this log: one of its keys must have signed it while it was that key's turn.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn open(&self, note: &str) -> Result<Checkpoint, BadNote> {
        let keys: Vec<VerifierKey> = self.all().cloned().collect();
        let checkpoint = Checkpoint::open(note, &keys)?;
        let (size, signer) = (checkpoint.tree().size, Some(checkpoint.signer()));
        let mut handovers = self.handovers.iter();
        let is_early = handovers.any(|one| one.successor() == signer && one.tree().size > size);
        let mut handovers = self.handovers.iter();
        let is_late = handovers.any(|one| Some(one.signer()) == signer && one.tree().size < size);
        if is_early || is_late {
            return Err(BadNote::OutOfTurn);
        }
        Ok(checkpoint)
    }

    /// The key whose turn it is; none if it is not known which of several began the log.
    pub fn now(&self) -> Option<&VerifierKey> {
        match (self.handovers.last(), &self.first[..]) {
            (Some(last), _) => last.successor(),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// The checkpoints that hand over, in their order: with the first key, they prove the others.
    pub fn handovers(&self) -> &[Checkpoint] {
        &self.handovers
    }

    fn all(&self) -> impl Iterator<Item = &VerifierKey> {
        let later = self.handovers.iter().filter_map(Checkpoint::successor);
        self.first.iter().chain(later)
    }

    /// A key of before is told from one that is none of ours.
    fn judged(&self, note: &str, bad: BadNote) -> BadNote {
        let keys: Vec<VerifierKey> = self.all().cloned().collect();
        match Checkpoint::open(note, &keys) {
            Ok(_) => BadNote::OutOfTurn,
            Err(_) => bad,
        }
    }
}

/// Notes a handover where the next start finds it at once.
pub(crate) fn note(dir: &Path, handover: &str) -> io::Result<()> {
    let mut file = append(&dir.join(HANDOVERS))?;
    file.write_all([handover, "\n"].concat().as_bytes())?;
    file.sync_data()
}

/// The keys of the log in `dir` up to `last`, its last note: from the file of handovers or, where that lacks one, from all
/// checkpoints, after which it is made anew.
pub(crate) fn up_to(dir: &Path, keys: &[VerifierKey], last: &str) -> io::Result<Lineage> {
    let recalled = Lineage::recall(dir, keys)?;
    let is_followed = |lineage: &Lineage| {
        let is_last = |one: &Checkpoint| one.note() == last;
        lineage.handovers.last().is_some_and(is_last)
            || lineage
                .clone()
                .follow(last)
                .is_ok_and(|one| one.successor().is_none())
    };
    if is_followed(&recalled) {
        return Ok(recalled);
    }
    let read = Lineage::read(dir, keys)?;
    if !read.handovers.is_empty() {
        let notes = read.handovers.iter().map(Checkpoint::note);
        let text: String = notes.flat_map(|note| [note, "\n"]).collect();
        replace(&dir.join(HANDOVERS), text.as_bytes(), Sync::Durable)?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tests::key;
    use crate::checkpoint::{MAX_NOTE_BYTES, SigningKey};
    use crate::fixture::{PATIENCE, check, clock, record, settings, start, write};
    use crate::merkle::Tree;
    use crate::verify::{Broken, Verdict, Why, verify};
    use crate::writer::{NotOpened, Opened, Settings, open, signer};
    use std::path::PathBuf;

    /// A log of nine records that three keys signed, three each, and its witness.
    fn log() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (log, witness) = (dir.path().join("log"), dir.path().join("witness"));
        let settings = Settings {
            witnesses: vec![witness.clone()],
            ..settings()
        };
        let (recorder, writer) = start(&log, &settings);
        for seed in [1, 2, 3] {
            if seed > 1 {
                recorder.hand_over(key(seed), PATIENCE).unwrap();
            }
            assert_eq!(recorder.signer(), *key(seed).verifier());
            for _ in 0..3 {
                record(&recorder);
            }
        }
        writer.finish(PATIENCE).unwrap();
        (dir, log, witness)
    }

    fn continued(log: &Path, seed: u8) -> Result<Opened, NotOpened> {
        let first_keys = vec![key(1).verifier().clone()];
        let settings = Settings {
            first_keys,
            ..settings()
        };
        open(log, key(seed), clock, &settings)
    }

    fn notes(log: &Path) -> Vec<String> {
        let mut notes = Notes::open(&log.join(CHECKPOINTS)).unwrap();
        let read = std::iter::from_fn(|| notes.read().unwrap());
        read.map(|note| String::from_utf8(note.bytes).unwrap())
            .collect()
    }

    fn lay_down(log: &Path, notes: &[String]) {
        let text: String = notes
            .iter()
            .flat_map(|note| [note.as_str(), "\n"])
            .collect();
        std::fs::write(log.join(CHECKPOINTS), text).unwrap();
    }

    fn tree(note: &str, seed: u8) -> Tree {
        let key = key(seed).verifier().clone();
        Checkpoint::open(note, &[key]).unwrap().tree()
    }

    fn broken(log: &Path, witnesses: &[PathBuf]) -> Broken {
        match check(log, witnesses) {
            Verdict::Broken(broken) => broken,
            other @ (Verdict::Sound(_) | Verdict::Unknown(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn tok_15_a_log_of_several_keys_verifies_whole_with_the_first() {
        let (_dir, log, witness) = log();
        let Verdict::Sound(sound) = check(&log, &[witness]) else {
            panic!("not sound");
        };
        let handovers = sound.lineage.handovers();
        assert_eq!((sound.records, handovers.len()), (9, 2));
        assert_eq!(sound.lineage.now(), Some(key(3).verifier()));
        // The handovers alone prove the last key to whoever has the first.
        let mut own = Lineage::new(&[key(1).verifier().clone()]);
        for handover in handovers {
            own.follow(handover.note()).unwrap();
        }
        assert_eq!(own.open(sound.checkpoint.note()), Ok(sound.checkpoint));
        assert!(
            handovers
                .iter()
                .all(|one| one.note().len() < MAX_NOTE_BYTES / 8)
        );
    }

    #[test]
    fn tok_15_the_next_start_needs_the_key_whose_turn_it_is() {
        for lost in ["", "emptied", "removed", "forged"] {
            let (_dir, log, _) = log();
            let file = log.join(HANDOVERS);
            match lost {
                "emptied" => std::fs::write(&file, "").unwrap(),
                "removed" => std::fs::remove_file(&file).unwrap(),
                "forged" => {
                    let forged = key(1)
                        .hand_over(&tree(&notes(&log)[0], 1), &key(9))
                        .unwrap();
                    std::fs::write(&file, format!("{forged}\n")).unwrap();
                }
                _ => {}
            }
            for seed in [1, 2, 9] {
                assert!(
                    matches!(continued(&log, seed), Err(NotOpened::OtherKey { .. })),
                    "{lost}"
                );
            }
            let due = signer(&log, &[key(1).verifier().clone()]).unwrap();
            assert_eq!(due.as_ref(), Some(key(3).verifier()));
            let opened = continued(&log, 3).unwrap();
            record(&opened.recorder);
            opened.writer.finish(PATIENCE).unwrap();
            let sound = check(&log, &[]);
            assert!(
                matches!(sound, Verdict::Sound(sound) if sound.records == 10),
                "{lost}"
            );
        }
    }

    /// Every attack of whoever has one of the keys or none, what becomes of the notes, and why they are not believed.
    fn attacks(all: &[String]) -> Vec<(&'static str, Vec<String>, BadNote)> {
        let last = all.len() - 1;
        let first = all
            .iter()
            .position(|note| Checkpoint::is_handover(note.as_bytes()))
            .unwrap();
        let (beginning, end) = (tree(&all[0], 1), forged(all));
        let with = |at: usize, note: String| {
            let mut all = all.to_vec();
            all[at] = note;
            all
        };
        let after = |note: String| [all, &[note]].concat();
        let sign = |seed, tree: &Tree| key(seed).sign(tree).unwrap();
        let over = |from, at: &Tree, to| key(from).hand_over(at, &key(to)).unwrap();
        let [own, strange] = [2, 9].map(|seed| key(seed).verifier().to_string());
        let out = [&all[..first], &all[last..]].concat();
        let at = tree(&all[first], 1);
        vec![
            (
                "it begins",
                with(0, sign(3, &beginning)),
                BadNote::UnknownKey,
            ),
            ("no handover", out, BadNote::UnknownKey),
            (
                "to itself",
                with(first, over(3, &at, 3)),
                BadNote::UnknownKey,
            ),
            ("a replaced one", after(sign(1, &end)), BadNote::OutOfTurn),
            ("it comes back", after(over(3, &end, 1)), BadNote::OutOfTurn),
            (
                "another name",
                with(first, all[first].replace(&own, &strange)),
                BadNote::Signature,
            ),
            ("a stranger", with(last, sign(9, &end)), BadNote::UnknownKey),
        ]
    }

    /// Another tree than the one that was signed last.
    fn forged(all: &[String]) -> Tree {
        let last = tree(all.last().unwrap(), 3);
        Tree {
            root: [7; 32],
            ..last
        }
    }

    #[test]
    fn tok_15_no_key_alone_rewrites_what_another_has_signed() {
        let (_dir, log, _) = log();
        let all = notes(&log);
        for (attack, notes, why) in attacks(&all) {
            lay_down(&log, &notes);
            let broken = broken(&log, &[]);
            assert_eq!(
                (broken.why, &*broken.file),
                (Why::Note(why), CHECKPOINTS),
                "{attack}"
            );
            assert!(broken.line > 0 && broken.bytes > 0, "{attack}");
        }
        lay_down(&log, &all);
        assert!(matches!(check(&log, &[]), Verdict::Sound(_)));
        // Whoever knows but a later key cannot tell what was before it.
        let later = verify(&log, &[key(2).verifier().clone()], &[]);
        assert!(matches!(later, Verdict::Broken(_)));
    }

    #[test]
    fn tok_15_a_key_is_a_witness_of_its_own_turn_only() {
        let (_dir, log, witness) = log();
        let (all, witnesses) = (notes(&log), std::slice::from_ref(&witness));
        let early = |seed| key(seed).sign(&tree(&all[0], 1)).unwrap();
        for note in [key(1).sign(&forged(&all)).unwrap(), early(3)] {
            std::fs::write(&witness, note).unwrap();
            let broken = broken(&log, witnesses);
            assert_eq!(broken.why, Why::Note(BadNote::OutOfTurn));
        }
        std::fs::write(&witness, early(1)).unwrap();
        assert!(matches!(check(&log, witnesses), Verdict::Sound(_)));
    }

    #[test]
    fn tok_15_a_key_that_does_not_sign_takes_nobodys_place() {
        let dir = tempfile::tempdir().unwrap();
        let (recorder, writer) = start(dir.path(), &settings());
        let mute = SigningKey::elsewhere(key(2).verifier().clone(), Box::new(|_| None));
        assert!(recorder.hand_over(mute, PATIENCE).is_err());
        assert!(recorder.hand_over(key(1), PATIENCE).is_err(), "itself");
        assert_eq!(recorder.signer(), *key(1).verifier());
        record(&recorder);
        writer.finish(PATIENCE).unwrap();
        write(dir.path(), &settings(), 1);
        assert!(matches!(check(dir.path(), &[]), Verdict::Sound(sound) if sound.records == 2));
    }
}
