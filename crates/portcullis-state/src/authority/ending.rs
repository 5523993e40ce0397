//! Families that end together.

use super::families::end;
use crate::durable::{Durable, Failed};
use crate::revocations::begin;
use portcullis_core::time::Timestamp;
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Whose families end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// All of a user: who vouches, and whom they mean.
    User(String, String),
    /// Those of a user with one client.
    UserOf((String, String), String),
    /// All of a client.
    Client(String),
    /// All of users for whom none of these vouches.
    Others(BTreeSet<String>),
}

/// A family that has ended now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its id.
    pub id: String,
    /// Who vouches for its user.
    pub issuer: String,
    /// The user, as they call them.
    pub subject: String,
}

/// What a family must have, each only if it is named: who vouches, the user, the client.
type Sought<'a> = [Option<&'a str>; 3];

impl Whose {
    fn sought(&self) -> Sought<'_> {
        match self {
            Self::User(issuer, subject) => [Some(issuer), Some(subject), None],
            Self::UserOf((issuer, subject), client) => [Some(issuer), Some(subject), Some(client)],
            Self::Client(client) => [None, None, Some(client)],
            Self::Others(_) => [None, None, None],
        }
    }

    fn means(&self, gone: &Gone) -> bool {
        match self {
            Self::User(..) | Self::UserOf(..) | Self::Client(_) => true,
            Self::Others(vouching) => !vouching.contains(&gone.issuer),
        }
    }
}

impl Durable {
    /// Ends all families of whom this means, and the access tokens of them; gives them.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn end_families(
        &self,
        whose: Whose,
        (issuer, reason): (String, &'static str),
        now: Timestamp,
    ) -> Result<Vec<Gone>, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let found = living(&change, &whose)?;
            for family in &found {
                end(&change, &family.id, (&issuer, reason), now)?;
            }
            change.commit()?;
            Ok(found)
        })
        .await
    }
}

fn living(change: &Connection, whose: &Whose) -> rusqlite::Result<Vec<Gone>> {
    let sql = "SELECT id, issuer, subject FROM families WHERE ended IS NULL
         AND (?1 IS NULL OR issuer = ?1) AND (?2 IS NULL OR subject = ?2)
         AND (?3 IS NULL OR client = ?3)";
    let mut statement = change.prepare(sql)?;
    let rows = statement.query_map(whose.sought(), |row| {
        Ok(Gone {
            id: row.get(0)?,
            issuer: row.get(1)?,
            subject: row.get(2)?,
        })
    })?;
    rows.filter(|row| !matches!(row, Ok(gone) if !whose.means(gone)))
        .collect()
}
