//! Clients that have registered themselves, and the assertions of those that authenticate.

use super::families::JUMP;
use crate::durable::{Durable, Failed};
use crate::revocations::{Micros, begin};
use portcullis_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, named_params};

/// The most clients that have registered themselves.
pub const MAX_REGISTERED: u32 = 10_000;

/// A client that has registered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: String,
    /// A digest of what manages its registration.
    pub token: String,
    /// From where it came.
    pub network: String,
    /// What it has said of itself.
    pub metadata: String,
    /// When.
    pub made: Timestamp,
    /// Then it is forgotten.
    pub until: Timestamp,
}

impl Durable {
    /// Registers a client, unless its network has as many, or there are as many at all; says whether.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn register(&self, client: Registered, per_network: u32) -> Result<bool, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let over = "DELETE FROM registered_clients WHERE until <= :now";
            change.execute(over, named_params! { ":now": Micros(client.made) })?;
            let (all, own): (u32, u32) = change.query_row(
                "SELECT count(*), count(*) FILTER (WHERE network = :network) FROM registered_clients",
                named_params! { ":network": client.network },
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            if all >= MAX_REGISTERED || own >= per_network {
                return Ok(false);
            }
            change.execute(
                "INSERT INTO registered_clients (id, token, network, metadata, made, until)
                 VALUES (:id, :token, :network, :metadata, :made, :until)",
                named_params! {
                    ":id": client.id,
                    ":token": client.token,
                    ":network": client.network,
                    ":metadata": client.metadata,
                    ":made": Micros(client.made),
                    ":until": Micros(client.until),
                },
            )?;
            change.commit()?;
            Ok(true)
        })
        .await
    }

    /// The client of that id.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn registered(
        &self,
        id: String,
        now: Timestamp,
    ) -> Result<Option<Registered>, Failed> {
        self.run(move |connection| {
            let sql = "SELECT token, network, metadata, made, until FROM registered_clients
                 WHERE id = :id AND until > :now";
            let parameters = named_params! { ":id": id, ":now": Micros(now) };
            let found = connection.query_row(sql, parameters, |row| {
                Ok(Registered {
                    id: id.clone(),
                    token: row.get(0)?,
                    network: row.get(1)?,
                    metadata: row.get(2)?,
                    made: row.get::<_, Micros>(3)?.0,
                    until: row.get::<_, Micros>(4)?.0,
                })
            });
            Ok(found.optional()?)
        })
        .await
    }

    /// Replaces what a client has said of itself.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn restate(&self, id: String, metadata: String) -> Result<(), Failed> {
        self.run(move |connection| {
            let sql = "UPDATE registered_clients SET metadata = :metadata WHERE id = :id";
            connection.execute(sql, named_params! { ":id": id, ":metadata": metadata })?;
            Ok(())
        })
        .await
    }

    /// Forgets a client.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn unregister(&self, id: String) -> Result<(), Failed> {
        self.run(move |connection| {
            connection.execute("DELETE FROM registered_clients WHERE id = ?", [id])?;
            Ok(())
        })
        .await
    }

    /// Whether an assertion was not used before; it is now.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn use_assertion(
        &self,
        digest: String,
        (until, now): (Timestamp, Timestamp),
    ) -> Result<bool, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            forget_used(&change, now)?;
            let sql =
                "INSERT OR IGNORE INTO client_assertions (digest, until) VALUES (:digest, :until)";
            let parameters = named_params! { ":digest": digest, ":until": Micros(until) };
            let is_new = change.execute(sql, parameters)? == 1;
            change.commit()?;
            Ok(is_new)
        })
        .await
    }
}

/// Forgets assertions that are too old to be used again, even if the clock is set back once more.
pub(super) fn forget_used(change: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "DELETE FROM client_assertions WHERE until + :jump <= :now";
    let jump = i64::try_from(JUMP.as_micros()).unwrap_or(i64::MAX);
    let parameters = named_params! { ":jump": jump, ":now": Micros(now) };
    change.execute(sql, parameters).map(drop)
}
