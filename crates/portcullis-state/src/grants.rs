//! What users have granted the gateway at servers: sealed by whoever keeps it, and opened nowhere here.

use crate::durable::{Durable, Failed};
use crate::sealed::MAX_SLOT_BYTES;
use rusqlite::{OptionalExtension as _, TransactionBehavior};

/// The most grants that are kept; one more is refused.
pub const MAX_GRANTS: u32 = 65_536;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The server's name.
    pub server: String,
    /// The key of the principal.
    pub principal: String,
    /// What is sealed for this place.
    pub sealed: Vec<u8>,
}

impl Durable {
    /// All grants.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn grants(&self) -> Result<Vec<Grant>, Failed> {
        self.run(|connection| {
            let mut asked = connection
                .prepare("SELECT server, principal, sealed FROM upstream_grants LIMIT ?1")?;
            let rows = asked.query_map([MAX_GRANTS], |row| {
                Ok(Grant {
                    server: row.get(0)?,
                    principal: row.get(1)?,
                    sealed: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await
    }

    /// Keeps a grant in place of the one that there was. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`Failed::TooMany`] for one more than may be, [`Failed::Unfit`] for a name that is empty or too long.
    pub async fn keep_grant(&self, grant: Grant) -> Result<(), Failed> {
        let fits = |text: &String| (1..=MAX_SLOT_BYTES).contains(&text.len());
        if !fits(&grant.server) || !fits(&grant.principal) {
            return Err(Failed::Unfit);
        }
        self.run(move |connection| {
            let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let place = (&grant.server, &grant.principal);
            let known = step
                .query_row(
                    "SELECT 1 FROM upstream_grants WHERE server = ?1 AND principal = ?2",
                    place,
                    |_| Ok(()),
                )
                .optional()?;
            let count: u32 =
                step.query_row("SELECT count(*) FROM upstream_grants", [], |row| row.get(0))?;
            if known.is_none() && count >= MAX_GRANTS {
                return Err(Failed::TooMany);
            }
            step.execute(
                "INSERT OR REPLACE INTO upstream_grants (server, principal, sealed) VALUES (?1, ?2, ?3)",
                (&grant.server, &grant.principal, &grant.sealed),
            )?;
            Ok(step.commit()?)
        })
        .await
    }

    /// Forgets a grant, if there is one.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn forget_grant(&self, server: &str, principal: &str) -> Result<(), Failed> {
        let (server, principal) = (server.to_owned(), principal.to_owned());
        self.run(move |connection| {
            connection.execute(
                "DELETE FROM upstream_grants WHERE server = ?1 AND principal = ?2",
                (server, principal),
            )?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(principal: &str, sealed: &[u8]) -> Grant {
        Grant {
            server: "notes".to_owned(),
            principal: principal.to_owned(),
            sealed: sealed.to_vec(),
        }
    }

    #[tokio::test]
    async fn tok_15_a_grant_replaces_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let durable = Durable::open(&folder.path().join("state.db"))
            .await
            .unwrap();
        durable.keep_grant(grant("a", b"1")).await.unwrap();
        durable.keep_grant(grant("a", b"2")).await.unwrap();
        durable.keep_grant(grant("b", b"3")).await.unwrap();
        let all = durable.grants().await.unwrap();
        assert_eq!(all, [grant("a", b"2"), grant("b", b"3")]);
        durable.forget_grant("notes", "a").await.unwrap();
        durable.forget_grant("notes", "nobody").await.unwrap();
        assert_eq!(durable.grants().await.unwrap(), [grant("b", b"3")]);
        for name in [String::new(), "x".repeat(MAX_SLOT_BYTES + 1)] {
            let refused = durable.keep_grant(grant(&name, b"4")).await;
            assert!(matches!(refused, Err(Failed::Unfit)), "{refused:?}");
        }
    }
}
