//! One pass over all lines: each must follow from the one before, and the tree must be the signed one.

use std::path::Path;

use super::anchors::{Anchors, Fit};
use super::{Broken, Sound, Stop, Unknown, Why};
use crate::files::{Place, Step, Walk, segment_name, segments};
use crate::hash::{Hash, sha256};
use crate::line::{GENESIS, LINK_BYTES, Line, MAX_BACKWARDS_MICROS, relinked};
use crate::merkle::{Frontier, Tree, leaf};

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
}

/// Verifies the log in `dir` against `anchors`.
pub(super) fn verify(dir: &Path, mut anchors: Anchors<'_>) -> Result<Sound, Stop> {
    let found = segments(dir)?;
    if let Some(file) = found.strange {
        return Err(strange(file));
    }
    let mut pass = Pass::new();
    pass.anchor(&mut anchors)?;
    let mut unvisited = found.firsts.into_iter().peekable();
    let mut walk = Walk::new(dir, 0);
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
    let Tree { size, root } = pass.tree();
    let checkpoint = anchors.last();
    let unanchored = size - checkpoint.tree().size;
    Ok(Sound {
        records: size,
        root,
        checkpoint,
        unanchored,
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
        }
    }

    fn tree(&self) -> Tree {
        Tree {
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }

    fn anchor(&mut self, anchors: &mut Anchors<'_>) -> Result<(), Stop> {
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
        let broken = |why| Doubt::Broken(self.broken(place, why));
        let parsed = Line::parse(line).ok_or_else(|| broken(Why::NotARecord))?;
        let hash = sha256(line);
        if parsed.seq != seq {
            return Err(Doubt::Broken(self.displaced(place, &parsed, &hash)));
        }
        if parsed.prev != self.head {
            if seq == 0 {
                return Err(broken(Why::Edited));
            }
            let mended = relinked(line, &self.head).map_or(hash, |line| sha256(&line));
            let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
            return Err(Doubt::Link(Link {
                found: hash,
                mended,
                bytes,
            }));
        }
        if parsed.record(&mut self.scratch).is_none() {
            return Err(Doubt::Broken(self.broken(place, Why::NotARecord)));
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
        anchors: &Anchors<'_>,
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
