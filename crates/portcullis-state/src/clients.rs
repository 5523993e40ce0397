//! Clients that the gateway has registered at authorization servers: sealed by whoever keeps them, and opened nowhere here.

use crate::durable::{Durable, Failed};
use crate::sealed::MAX_SLOT_BYTES;
use rusqlite::TransactionBehavior;

/// The most clients that are kept; for one more, the one that ends first is given up.
pub const MAX_CLIENTS: u32 = 1024;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredClient {
    /// The authorization server that gave it, byte for byte.
    pub issuer: String,
    /// For which redirect URL.
    pub redirect: String,
    /// When it is used no longer, in seconds since the epoch.
    pub until: u64,
    /// What is sealed for this place.
    pub sealed: Vec<u8>,
}

impl Durable {
    /// All clients.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn registered_clients(&self) -> Result<Vec<RegisteredClient>, Failed> {
        self.run(|connection| {
            let mut asked = connection
                .prepare("SELECT issuer, redirect, until, sealed FROM upstream_clients LIMIT ?1")?;
            let rows = asked.query_map([MAX_CLIENTS], |row| {
                Ok(RegisteredClient {
                    issuer: row.get(0)?,
                    redirect: row.get(1)?,
                    until: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
                    sealed: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await
    }

    /// Keeps a client in place of the one that there was. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`Failed::Unfit`] for a name that is empty or too long.
    pub async fn keep_registered_client(&self, client: RegisteredClient) -> Result<(), Failed> {
        let fits = |text: &String| (1..=MAX_SLOT_BYTES).contains(&text.len());
        if !fits(&client.issuer) || !fits(&client.redirect) {
            return Err(Failed::Unfit);
        }
        let until = i64::try_from(client.until).unwrap_or(i64::MAX);
        self.run(move |connection| {
            let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step.execute(
                "INSERT OR REPLACE INTO upstream_clients (issuer, redirect, until, sealed) VALUES (?1, ?2, ?3, ?4)",
                (&client.issuer, &client.redirect, until, &client.sealed),
            )?;
            step.execute(
                "DELETE FROM upstream_clients WHERE (issuer, redirect) IN
                 (SELECT issuer, redirect FROM upstream_clients ORDER BY until DESC LIMIT -1 OFFSET ?1)",
                [MAX_CLIENTS],
            )?;
            Ok(step.commit()?)
        })
        .await
    }

    /// Forgets a client, if there is one.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn forget_registered_client(
        &self,
        issuer: &str,
        redirect: &str,
    ) -> Result<(), Failed> {
        let (issuer, redirect) = (issuer.to_owned(), redirect.to_owned());
        self.run(move |connection| {
            connection.execute(
                "DELETE FROM upstream_clients WHERE issuer = ?1 AND redirect = ?2",
                (issuer, redirect),
            )?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(issuer: &str, until: u64) -> RegisteredClient {
        RegisteredClient {
            issuer: issuer.to_owned(),
            redirect: "http://localhost/callback".to_owned(),
            until,
            sealed: until.to_be_bytes().to_vec(),
        }
    }

    #[tokio::test]
    async fn tok_15_keeps_one_client_for_each_issuer_and_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let durable = Durable::open(&folder.path().join("state.db"))
            .await
            .unwrap();
        for (issuer, until) in [("a", 1), ("a", 2), ("b", 3)] {
            let kept = durable.keep_registered_client(client(issuer, until)).await;
            kept.unwrap();
        }
        let all = durable.registered_clients().await.unwrap();
        assert_eq!(all, [client("a", 2), client("b", 3)]);
        let redirect = &all.first().unwrap().redirect;
        durable
            .forget_registered_client("b", redirect)
            .await
            .unwrap();
        for number in 0..MAX_CLIENTS {
            let name = format!("https://{number}.example");
            let kept = durable.keep_registered_client(client(&name, 9)).await;
            kept.unwrap();
        }
        let all = durable.registered_clients().await.unwrap();
        assert_eq!(all.len(), usize::try_from(MAX_CLIENTS).unwrap());
        assert!(all.iter().all(|one| one.issuer != "a"), "it ended first");
        for name in [String::new(), "x".repeat(MAX_SLOT_BYTES + 1)] {
            let refused = durable.keep_registered_client(client(&name, 9)).await;
            assert!(matches!(refused, Err(Failed::Unfit)), "{refused:?}");
        }
    }
}
