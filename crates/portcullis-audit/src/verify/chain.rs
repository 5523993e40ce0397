//! One pass over all lines: each must follow from the one before, and the tree must be the signed one.

use std::path::Path;

use super::anchors::{Anchors, Fit};
use super::{Broken, Sound, Stop, Unknown, Why};
use crate::files::{Index, LEAVES, Place, Step, Walk, segment_name, segments};
use crate::hash::{HASH_BYTES, Hash, sha256};
use crate::line::{GENESIS, LINK_BYTES, Line, MAX_BACKWARDS_MICROS, relinked};
use crate::merkle::{Frontier, Tree, leaf};
use crate::retention;

/// Where the pass is.
#[derive(Debug)]
struct Pass {
    frontier: Frontier,
    /// The last line's place and hash, and the hash of the one before it.
    last: Place,
    head: Hash,
    before: Hash,
    newest: u64,
    /// The last size that a signed tree confirmed, and where the record after it stands.
    confirmed: u64,
    doubtful: Option<Place>,
    scratch: Vec<u8>,
    /// The first record that is there, and the number of one that says that those before it were removed.
    first: u64,
    told: Option<u64>,
}

/// Verifies the log in `dir` against `anchors`.
pub(super) fn verify(dir: &Path, mut anchors: Anchors) -> Result<Sound, Stop> {
    let found = segments(dir)?;
    if let Some(file) = found.strange {
        return Err(strange(file));
    }
    let mut pass = Pass::new();
    pass.anchor(&mut anchors)?;
    let first = found.firsts.first().copied().unwrap_or(0);
    let stated = found
        .firsts
        .iter()
        .copied()
        .fold(anchors.stated(), u64::max);
    let cut = pass.broken(pass.last, Why::Cut { stated });
    pass.pass_over(dir, first, &mut anchors)?;
    let mut unvisited = found.firsts.into_iter().peekable();
    let mut walk = Walk::new(dir, first);
    let torn_bytes = loop {
        let (place, doubt) = match walk.step()? {
            Step::Line(place, line) => match pass.line(place, line) {
                Ok(()) => (place, None),
                Err(Doubt::Broken(broken)) => return Err(Stop::Broken(broken)),
                Err(Doubt::Link(doubt)) => (place, Some(doubt)),
            },
            Step::TooLong(place) => return Err(Stop::Broken(pass.broken(place, Why::NotARecord))),
            Step::Torn(place, line) => {
                break pass.end(place, line.len(), &anchors, &unvisited.collect::<Vec<_>>())?;
            }
            Step::End(place) => {
                break pass.end(place, 0, &anchors, &unvisited.collect::<Vec<_>>())?;
            }
        };
        if let Some(doubt) = doubt {
            return Err(Stop::Broken(pass.judge(place, &doubt, &walk.step()?)));
        }
        match unvisited.next_if(|first| *first <= place.segment) {
            Some(first) if first != place.segment => return Err(strange(segment_name(first))),
            Some(_) | None => {}
        }
        match pass.anchor(&mut anchors) {
            Err(Stop::Broken(broken)) if broken.why == Why::Rewritten => {
                return Err(Stop::Broken(pass.narrow(broken, &walk.step()?)));
            }
            anchored => anchored?,
        }
    };
    let (checkpoint, lineage) = anchors.last();
    // Whoever removes records and has no key can add a line that says so, and cannot have it signed.
    let is_told = pass.told.is_some_and(|told| told < checkpoint.tree().size);
    if first > 0 && !is_told {
        return Err(Stop::Broken(cut));
    }
    let tree = pass.tree();
    Ok(Sound {
        records: tree.size,
        removed: first,
        root: tree.root,
        unanchored: tree.size - checkpoint.tree().size,
        checkpoint,
        lineage,
        torn_bytes,
    })
}

/// What a line leaves open.
enum Doubt {
    Broken(Broken),
    /// Its `prev` is not the hash of the line before; the next line tells which of the two was edited.
    Link(Link),
}

/// The hashes that a line has as it is, and as it would be with the right `prev`.
struct Link {
    found: Hash,
    mended: Hash,
    bytes: u64,
}

impl Pass {
    fn new() -> Self {
        Self {
            frontier: Frontier::default(),
            last: Place {
                segment: 0,
                line: 1,
                offset: 0,
                bytes: 0,
            },
            head: GENESIS,
            before: GENESIS,
            newest: 0,
            confirmed: 0,
            doubtful: None,
            scratch: Vec::new(),
            first: 0,
            told: None,
        }
    }

    /// Takes the leaves of the records before `first` from the index, where the signed trees confirm it.
    fn pass_over(&mut self, dir: &Path, first: u64, anchors: &mut Anchors) -> Result<(), Stop> {
        if first == 0 {
            return Ok(());
        }
        let mut index = Index::open(dir)?;
        while self.frontier.size() < first {
            let leaf = index.read()?;
            let leaf = leaf.ok_or_else(|| Stop::Broken(self.unindexed()))?;
            self.frontier.push(leaf);
            let size = self.frontier.size();
            match anchors.check(|| self.tree(), size)? {
                Fit::Unstated => {}
                Fit::Same => self.confirmed = size,
                Fit::Other => return Err(Stop::Broken(self.unindexed())),
                Fit::Forked => return Err(Stop::Broken(self.forked(size))),
            }
        }
        self.first = first;
        self.last.segment = first;
        Ok(())
    }

    /// The leaf of a removed record is missing or another one: which, the next signed tree bounds.
    fn unindexed(&self) -> Broken {
        let last_seq = self.frontier.size().saturating_sub(1).max(self.confirmed);
        let width = u64::try_from(HASH_BYTES).unwrap_or(0);
        Broken {
            file: LEAVES.to_owned(),
            line: 1,
            offset: self.confirmed.saturating_mul(width),
            bytes: (last_seq + 1 - self.confirmed).saturating_mul(width),
            seq: self.confirmed,
            last_seq,
            why: Why::Rewritten,
        }
    }

    fn tree(&self) -> Tree {
        Tree {
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }

    fn anchor(&mut self, anchors: &mut Anchors) -> Result<(), Stop> {
        let size = self.frontier.size();
        match anchors.check(|| self.tree(), size)? {
            Fit::Unstated => Ok(()),
            Fit::Same => {
                (self.confirmed, self.doubtful) = (size, None);
                Ok(())
            }
            Fit::Other => {
                let place = self.doubtful.unwrap_or(self.last);
                let last_seq = size.saturating_sub(1);
                let seq = self.confirmed.min(last_seq);
                Err(Stop::Broken(Broken {
                    seq,
                    last_seq,
                    ..self.broken(place, Why::Rewritten)
                }))
            }
            Fit::Forked => Err(Stop::Broken(self.forked(size))),
        }
    }

    fn line(&mut self, place: Place, line: &[u8]) -> Result<(), Doubt> {
        let seq = self.frontier.size();
        let parsed = Line::parse(line);
        let parsed = parsed.ok_or_else(|| Doubt::Broken(self.broken(place, Why::NotARecord)))?;
        if self.first > 0 && seq == self.first {
            // What it links to is gone; its own leaf holds the link, and is in a signed tree.
            self.head = parsed.prev;
        }
        let hash = sha256(line);
        if parsed.seq != seq {
            return Err(Doubt::Broken(self.displaced(place, &parsed, &hash)));
        }
        if parsed.prev != self.head {
            if seq == 0 {
                return Err(Doubt::Broken(self.broken(place, Why::Edited)));
            }
            let mended = relinked(line, &self.head).map_or(hash, |line| sha256(&line));
            let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
            return Err(Doubt::Link(Link {
                found: hash,
                mended,
                bytes,
            }));
        }
        let Some(record) = parsed.record(&mut self.scratch) else {
            return Err(Doubt::Broken(self.broken(place, Why::NotARecord)));
        };
        let tells = |next: u64| next >= self.first;
        if self.told.is_none() && retention::next_after(&record).is_some_and(tells) {
            self.told = Some(seq);
        }
        if parsed.stamp.time.saturating_add(MAX_BACKWARDS_MICROS) < self.newest {
            return Err(Doubt::Broken(self.broken(place, Why::DatedBack)));
        }
        self.newest = self.newest.max(parsed.stamp.time);
        self.frontier.push(leaf(line));
        (self.before, self.head, self.last) = (self.head, hash, place);
        self.doubtful.get_or_insert(place);
        Ok(())
    }

    /// A line whose number is not the next one.
    fn displaced(&self, place: Place, parsed: &Line<'_>, hash: &Hash) -> Broken {
        let seq = self.frontier.size();
        if parsed.prev == self.head {
            return self.broken(place, Why::Edited);
        }
        if parsed.seq.checked_add(1) == Some(seq)
            && parsed.prev == self.before
            && *hash != self.head
        {
            return Broken {
                seq: seq - 1,
                last_seq: seq - 1,
                ..self.broken(self.last, Why::Inserted)
            };
        }
        let why = if *hash == self.head {
            Why::Inserted
        } else {
            Why::Displaced { found: parsed.seq }
        };
        self.broken(place, why)
    }

    /// Which of two lines was edited, of which the second should hold the hash of the first.
    fn judge(&self, place: Place, doubt: &Link, next: &Step<'_>) -> Broken {
        let seq = self.frontier.size();
        let told = match next {
            Step::Line(_, line) => Line::parse(line).map(|next| next.prev),
            Step::Torn(..) | Step::TooLong(_) | Step::End(_) => None,
        };
        let previous = Broken {
            seq: seq - 1,
            last_seq: seq - 1,
            ..self.broken(self.last, Why::Edited)
        };
        if told == Some(doubt.found) {
            return previous;
        }
        if told == Some(doubt.mended) {
            let length = u64::try_from(LINK_BYTES).unwrap_or(0);
            let offset = place.offset + doubt.bytes.saturating_sub(length);
            return Broken {
                offset,
                bytes: length,
                ..self.broken(place, Why::Edited)
            };
        }
        Broken {
            last_seq: seq,
            ..previous
        }
    }

    /// A signed tree is another: if the next line knew another last line, then only that was edited.
    fn narrow(&self, broken: Broken, next: &Step<'_>) -> Broken {
        let parsed = match next {
            Step::Line(_, line) => Line::parse(line).filter(|next| next.prev != self.head),
            Step::Torn(..) | Step::TooLong(_) | Step::End(_) => None,
        };
        let seq = broken.last_seq;
        let why = match parsed {
            None if broken.seq < seq => return broken,
            Some(next) if next.seq == seq && next.prev == self.before => Why::Inserted,
            Some(_) | None => Why::Edited,
        };
        let last_seq = seq;
        Broken {
            seq,
            last_seq,
            ..self.broken(self.last, why)
        }
    }

    /// Which record was the first of another history cannot be known.
    fn forked(&self, size: u64) -> Broken {
        let place = Place {
            segment: 0,
            line: 1,
            offset: 0,
            bytes: 0,
        };
        let last_seq = size.saturating_sub(1);
        Broken {
            seq: 0,
            last_seq,
            ..self.broken(place, Why::Forked)
        }
    }

    /// The end of the last segment, at which `torn` bytes of an unfinished line may stand.
    fn end(
        &self,
        place: Place,
        torn: usize,
        anchors: &Anchors,
        unvisited: &[u64],
    ) -> Result<u64, Stop> {
        let size = self.frontier.size();
        let stated = unvisited.iter().copied().fold(anchors.stated(), u64::max);
        if stated > size {
            let why = if torn == 0 {
                Why::Cut { stated }
            } else {
                Why::NotARecord
            };
            return Err(Stop::Broken(self.broken(place, why)));
        }
        if let Some(first) = unvisited
            .iter()
            .find(|first| **first < size && **first != place.segment)
        {
            return Err(strange(segment_name(*first)));
        }
        if size == 0 && torn == 0 {
            return Err(Stop::Unknown(Unknown::Empty));
        }
        Ok(u64::try_from(torn).unwrap_or(u64::MAX))
    }

    fn broken(&self, place: Place, why: Why) -> Broken {
        let Place {
            segment,
            line,
            offset,
            bytes,
        } = place;
        let seq = self.frontier.size();
        Broken {
            file: segment_name(segment),
            line,
            offset,
            bytes,
            seq,
            last_seq: seq,
            why,
        }
    }
}

fn strange(file: String) -> Stop {
    Stop::Broken(Broken {
        file,
        line: 1,
        offset: 0,
        bytes: 0,
        seq: 0,
        last_seq: 0,
        why: Why::Strange,
    })
}
