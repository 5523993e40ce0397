//! May this be approved, rejected or rolled back to, by this person? And which version of it?

use super::{Deed, Digest, Standing};

/// How many persons have to say yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Needed {
    /// One.
    #[default]
    One,
    /// Two, and not the same one twice.
    Two,
}

/// Why nothing was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The server defines another version than the one that was looked at.
    #[error("the server defines {0} now, which is another version: look at it first")]
    Other(Digest),
    /// The server does not define it.
    #[error("the server does not define it now")]
    Gone,
    /// It is approved already.
    #[error("this version is approved already")]
    Already,
    /// It is rejected already.
    #[error("this version is rejected already")]
    Rejected,
    /// Whoever was the first of two cannot be the second.
    #[error("the same person has said yes already: a second one has to")]
    SamePerson,
    /// It was never approved, or somebody said no since.
    #[error("no such version was approved before")]
    Never,
    /// Nobody knows the thing.
    #[error("no such definition was ever seen")]
    Unknown,
}

impl Undecided {
    /// The word for it in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Other(_) => "other_digest",
            Self::Gone => "gone",
            Self::Already => "already",
            Self::Rejected => "rejected",
            Self::SamePerson => "same_person",
            Self::Never => "never_approved",
            Self::Unknown => "unknown",
        }
    }
}

impl Standing {
    /// What becomes of it when this person says yes to that version.
    ///
    /// # Errors
    /// [`Undecided`]
    pub fn approve(&self, digest: Digest, (by, needed): (&str, Needed)) -> Result<Deed, Undecided> {
        let listed = self.listed.ok_or(Undecided::Gone)?;
        if listed != digest {
            return Err(Undecided::Other(listed));
        }
        if self.approved == Some(digest) {
            return Err(Undecided::Already);
        }
        let first = self.endorsed.as_ref();
        let first = first.filter(|(endorsed, _)| *endorsed == digest);
        match (needed, first) {
            (Needed::Two, None) => Ok(Deed::Endorsed),
            (Needed::Two, Some((_, first))) if first == by => Err(Undecided::SamePerson),
            (Needed::One, _) | (Needed::Two, Some(_)) => Ok(Deed::Approved),
        }
    }

    /// What becomes of a version that was seen first, where that is enough.
    ///
    /// # Errors
    /// [`Undecided`]: what somebody has decided before is not decided by that.
    pub fn learn(&self, digest: Digest) -> Result<Deed, Undecided> {
        let deed = self.approve(digest, ("", Needed::One))?;
        if !self.once.is_empty() || self.has_rejected() {
            return Err(Undecided::Rejected);
        }
        Ok(deed)
    }

    /// What becomes of it when somebody says no to that version: one that waits, or the one that is served.
    ///
    /// # Errors
    /// [`Undecided`]
    pub fn reject(&self, digest: Digest) -> Result<Deed, Undecided> {
        if self.is_rejected(digest) {
            return Err(Undecided::Rejected);
        }
        if self.listed == Some(digest) || self.approved == Some(digest) {
            return Ok(Deed::Rejected);
        }
        Err(self.listed.map_or(Undecided::Gone, Undecided::Other))
    }

    /// The version that is served again: the one that is named, or the last that was before the present one.
    ///
    /// # Errors
    /// [`Undecided`]
    pub fn rollback(&self, to: Option<Digest>) -> Result<Digest, Undecided> {
        if to.is_some() && to == self.approved {
            return Err(Undecided::Already);
        }
        let is_meant = |digest: &&Digest| {
            self.approved != Some(**digest)
                && !self.is_rejected(**digest)
                && to.is_none_or(|to| to == **digest)
        };
        let mut newest_first = self.once.iter().rev();
        newest_first.find(is_meant).copied().ok_or(Undecided::Never)
    }
}
