//! How the owner of the machine signs in: passkeys, and the link that was printed last.

use crate::durable::{Durable, Failed};
use portcullis_core::time::Timestamp;
use rusqlite::{OptionalExtension as _, Row, TransactionBehavior};

/// A passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerPasskey {
    /// Its name among authenticators.
    pub id: Vec<u8>,
    /// Its public key.
    pub key: Vec<u8>,
    /// How often it was used, if it counts.
    pub counter: u32,
    /// Since when it is known.
    pub made: Timestamp,
    /// When it was used last.
    pub used: Option<Timestamp>,
}

/// A link that was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerLink {
    /// Until when it may be used.
    pub until: Timestamp,
    /// The browser that opened it first, if one has.
    pub browser: Option<[u8; 32]>,
}

impl Durable {
    /// Keeps a link by its digest, in place of any before it.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn keep_owner_link(&self, digest: [u8; 32], until: Timestamp) -> Result<(), Failed> {
        self.run(move |connection| {
            let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step.execute("DELETE FROM owner_links", [])?;
            step.execute(
                "INSERT INTO owner_links (digest, until) VALUES (?1, ?2)",
                (digest, micros(until)),
            )?;
            Ok(step.commit()?)
        })
        .await
    }

    /// The link of this digest; from now on it belongs to this browser, if it belonged to none.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn open_owner_link(
        &self,
        digest: [u8; 32],
        browser: [u8; 32],
    ) -> Result<Option<OwnerLink>, Failed> {
        self.run(move |connection| {
            Ok(connection
                .query_row(
                    "UPDATE owner_links SET browser = coalesce(browser, ?2) WHERE digest = ?1 RETURNING until, browser",
                    (digest, browser),
                    link,
                )
                .optional()?)
        })
        .await
    }

    /// The link of this digest, which is gone from now on.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn take_owner_link(&self, digest: [u8; 32]) -> Result<Option<OwnerLink>, Failed> {
        self.run(move |connection| {
            Ok(connection
                .query_row(
                    "DELETE FROM owner_links WHERE digest = ?1 RETURNING until, browser",
                    [digest],
                    link,
                )
                .optional()?)
        })
        .await
    }

    /// All passkeys, the oldest first.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn owner_passkeys(&self) -> Result<Vec<OwnerPasskey>, Failed> {
        self.run(|connection| {
            let mut asked = connection.prepare(
                "SELECT id, key, counter, made, used FROM owner_passkeys ORDER BY made, id",
            )?;
            let rows = asked.query_map([], |row| {
                Ok(OwnerPasskey {
                    id: row.get(0)?,
                    key: row.get(1)?,
                    counter: row.get(2)?,
                    made: moment(row.get(3)?),
                    used: row.get::<_, Option<i64>>(4)?.map(moment),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await
    }

    /// Keeps a new passkey. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`Failed::TooMany`] if there are `most` already, [`Failed::Unfit`] if this one is known.
    pub async fn keep_owner_passkey(&self, new: OwnerPasskey, most: u32) -> Result<(), Failed> {
        self.run(move |connection| {
            let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let count: u32 =
                step.query_row("SELECT count(*) FROM owner_passkeys", [], |row| row.get(0))?;
            if count >= most {
                return Err(Failed::TooMany);
            }
            let kept = step.execute(
                "INSERT OR IGNORE INTO owner_passkeys (id, key, counter, made) VALUES (?1, ?2, ?3, ?4)",
                (&new.id, &new.key, new.counter, micros(new.made)),
            )?;
            if kept != 1 {
                return Err(Failed::Unfit);
            }
            Ok(step.commit()?)
        })
        .await
    }

    /// Notes that a passkey was used; gives whether it was still there, and had counted so far and no further.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn use_owner_passkey(
        &self,
        id: Vec<u8>,
        (before, after): (u32, u32),
        now: Timestamp,
    ) -> Result<bool, Failed> {
        self.run(move |connection| {
            let used = connection.execute(
                "UPDATE owner_passkeys SET counter = ?3, used = ?4 WHERE id = ?1 AND counter = ?2",
                (id, before, after, micros(now)),
            )?;
            Ok(used == 1)
        })
        .await
    }

    /// Forgets a passkey; gives whether there was one.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn forget_owner_passkey(&self, id: Vec<u8>) -> Result<bool, Failed> {
        self.run(move |connection| {
            let gone = connection.execute("DELETE FROM owner_passkeys WHERE id = ?1", [id])?;
            Ok(gone == 1)
        })
        .await
    }
}

fn link(row: &Row<'_>) -> rusqlite::Result<OwnerLink> {
    Ok(OwnerLink {
        until: moment(row.get(0)?),
        browser: row.get(1)?,
    })
}

fn micros(moment: Timestamp) -> i64 {
    i64::try_from(moment.micros()).unwrap_or(i64::MAX)
}

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(u64::try_from(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    async fn durable() -> (tempfile::TempDir, Durable) {
        let folder = tempfile::tempdir().unwrap();
        let durable = Durable::open(&folder.path().join("state.db"))
            .await
            .unwrap();
        (folder, durable)
    }

    #[tokio::test]
    async fn cd_03_a_link_belongs_to_one_browser_and_is_used_once() {
        let (_folder, durable) = durable().await;
        let opened = async |link: u8, browser: u8| {
            let link = durable.open_owner_link([link; 32], [browser; 32]).await;
            link.unwrap().map(|link| link.browser.unwrap()[0])
        };
        assert_eq!(opened(1, 1).await, None);
        durable.keep_owner_link([1; 32], NOW).await.unwrap();
        assert_eq!(opened(1, 7).await, Some(7));
        assert_eq!(opened(1, 8).await, Some(7));
        let taken = durable.take_owner_link([1; 32]).await.unwrap().unwrap();
        assert_eq!((taken.until, taken.browser), (NOW, Some([7; 32])));
        assert_eq!(durable.take_owner_link([1; 32]).await.unwrap(), None);
        // A new link makes the one before it worthless.
        durable.keep_owner_link([2; 32], NOW).await.unwrap();
        durable.keep_owner_link([3; 32], NOW).await.unwrap();
        assert_eq!(opened(2, 7).await, None);
        assert_eq!(opened(3, 9).await, Some(9));
    }

    #[tokio::test]
    async fn cd_03_passkeys_are_few_and_count_upwards() {
        let (_folder, durable) = durable().await;
        let passkey = |id: u8| OwnerPasskey {
            id: vec![id],
            key: vec![id, id],
            counter: 0,
            made: NOW,
            used: None,
        };
        durable.keep_owner_passkey(passkey(1), 2).await.unwrap();
        let again = durable.keep_owner_passkey(passkey(1), 2).await;
        assert!(matches!(again, Err(Failed::Unfit)), "{again:?}");
        durable.keep_owner_passkey(passkey(2), 2).await.unwrap();
        let third = durable.keep_owner_passkey(passkey(3), 2).await;
        assert!(matches!(third, Err(Failed::TooMany)), "{third:?}");
        let used = async |counters| {
            let used = durable.use_owner_passkey(vec![1], counters, NOW).await;
            used.unwrap()
        };
        assert!(used((0, 5)).await);
        assert!(!used((0, 6)).await);
        let kept = durable.owner_passkeys().await.unwrap();
        let first = OwnerPasskey {
            counter: 5,
            used: Some(NOW),
            ..passkey(1)
        };
        assert_eq!(kept, [first, passkey(2)]);
        assert!(durable.forget_owner_passkey(vec![1]).await.unwrap());
        assert!(!durable.forget_owner_passkey(vec![1]).await.unwrap());
        assert_eq!(durable.owner_passkeys().await.unwrap(), [passkey(2)]);
    }
}
