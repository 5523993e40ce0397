//! What users have agreed to: kept until it ends or is taken back.

use crate::durable::{Durable, Failed};
use crate::revocations::{Micros, begin};
use portcullis_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

/// The most consents that are kept, and of one user. One more of all is refused; of a user, the oldest goes.
pub const MAX_CONSENTS: u32 = 65_536;
/// The most of one user.
const MAX_OF_ONE: u32 = 256;
/// The longest text of a row, in bytes.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Something that a user has agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// By what it is taken back; nobody else's has the same.
    pub id: String,
    /// Who: the provider's `iss`, and what it calls the user.
    pub issuer: String,
    /// The same.
    pub subject: String,
    /// To which client.
    pub client: String,
    /// Where its answers go.
    pub redirect: String,
    /// For which server.
    pub server: String,
    /// What for, in order.
    pub scopes: Vec<String>,
    /// What the client said of itself, as a digest.
    pub metadata: String,
    /// What it calls itself.
    pub name: String,
    /// When.
    pub given: Timestamp,
    /// Up to when.
    pub until: Timestamp,
}

impl Durable {
    /// Keeps a consent in place of the one that there was. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`Failed::TooMany`] for one more than may be, [`Failed::Unfit`] for a text that is too long.
    pub async fn keep_consent(&self, consent: Consent) -> Result<(), Failed> {
        let scopes = consent.scopes.join(" ");
        let texts = [
            &consent.issuer,
            &consent.subject,
            &consent.client,
            &consent.redirect,
            &scopes,
            &consent.name,
        ];
        if texts.iter().any(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(Failed::Unfit);
        }
        self.run(move |connection| {
            let step = begin(connection)?;
            make_room(&step, &consent)?;
            step.execute(
                "INSERT OR REPLACE INTO consents \
                 (id, issuer, subject, client, redirect, server, scopes, metadata, name, given, until) VALUES \
                 (:id, :issuer, :subject, :client, :redirect, :server, :scopes, :metadata, :name, :given, :until)",
                named_params! {
                    ":id": consent.id, ":issuer": consent.issuer, ":subject": consent.subject,
                    ":client": consent.client, ":redirect": consent.redirect, ":server": consent.server,
                    ":scopes": scopes, ":metadata": consent.metadata, ":name": consent.name,
                    ":given": Micros(consent.given), ":until": Micros(consent.until),
                },
            )?;
            Ok(step.commit()?)
        })
        .await
    }

    /// What a user has agreed to, the newest first; some of it may be over.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn consents_of(&self, issuer: &str, subject: &str) -> Result<Vec<Consent>, Failed> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.run(move |connection| {
            let mut asked = connection.prepare(
                "SELECT id, issuer, subject, client, redirect, server, scopes, metadata, name, given, until \
                 FROM consents WHERE issuer = ?1 AND subject = ?2 ORDER BY given DESC, id LIMIT ?3",
            )?;
            let rows = asked.query_map((issuer, subject, MAX_OF_ONE), row)?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await
    }

    /// Takes back what this user has agreed to; gives what it was.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn take_consent_back(
        &self,
        id: &str,
        (issuer, subject): (&str, &str),
    ) -> Result<Option<Consent>, Failed> {
        let (id, issuer, subject) = (id.to_owned(), issuer.to_owned(), subject.to_owned());
        self.run(move |connection| {
            let taken = connection.query_row(
                "DELETE FROM consents WHERE id = ?1 AND issuer = ?2 AND subject = ?3 RETURNING \
                 id, issuer, subject, client, redirect, server, scopes, metadata, name, given, until",
                (id, issuer, subject),
                row,
            );
            Ok(taken.optional()?)
        })
        .await
    }
}

/// INVARIANT: there is room for one more, of this user too.
fn make_room(step: &Connection, consent: &Consent) -> Result<(), Failed> {
    step.execute(
        "DELETE FROM consents WHERE until <= :now",
        named_params! { ":now": Micros(consent.given) },
    )?;
    let all: u32 = step.query_row("SELECT count(*) FROM consents", [], |row| row.get(0))?;
    if all >= MAX_CONSENTS {
        return Err(Failed::TooMany);
    }
    step.execute(
        "DELETE FROM consents WHERE id IN (SELECT id FROM consents WHERE issuer = ?1 AND subject = ?2 \
         ORDER BY given DESC, id LIMIT -1 OFFSET ?3)",
        (&consent.issuer, &consent.subject, MAX_OF_ONE - 1),
    )?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<Consent> {
    let scopes: String = row.get(6)?;
    Ok(Consent {
        id: row.get(0)?,
        issuer: row.get(1)?,
        subject: row.get(2)?,
        client: row.get(3)?,
        redirect: row.get(4)?,
        server: row.get(5)?,
        scopes: scopes.split_terminator(' ').map(str::to_owned).collect(),
        metadata: row.get(7)?,
        name: row.get(8)?,
        given: row.get::<_, Micros>(9)?.0,
        until: row.get::<_, Micros>(10)?.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn consent(id: &str, subject: &str, redirect: &str) -> Consent {
        Consent {
            id: id.to_owned(),
            issuer: "https://idp.example".to_owned(),
            subject: subject.to_owned(),
            client: "https://client.example/meta.json".to_owned(),
            redirect: redirect.to_owned(),
            server: "notes".to_owned(),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            metadata: "d".to_owned(),
            name: "Notes".to_owned(),
            given: NOW,
            until: NOW.plus(Duration::from_hours(1)),
        }
    }

    #[tokio::test]
    async fn cd_09_a_consent_is_one_users_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let durable = Durable::open(&folder.path().join("state.db"))
            .await
            .unwrap();
        let alices = consent("1", "alice", "https://client.example/cb");
        durable.keep_consent(alices.clone()).await.unwrap();
        durable
            .keep_consent(consent("2", "bob", "https://client.example/cb"))
            .await
            .unwrap();
        let alice = ("https://idp.example", "alice");
        let listed = || durable.consents_of(alice.0, alice.1);
        assert_eq!(listed().await.unwrap(), [alices]);
        // Nobody takes back what is another's.
        assert_eq!(durable.take_consent_back("2", alice).await.unwrap(), None);
        // The same place has one row.
        let wider = Consent {
            scopes: vec!["all".to_owned()],
            ..consent("3", "alice", "https://client.example/cb")
        };
        durable.keep_consent(wider.clone()).await.unwrap();
        assert_eq!(listed().await.unwrap(), [wider]);
        assert!(
            durable
                .take_consent_back("3", alice)
                .await
                .unwrap()
                .is_some()
        );
        assert_eq!(durable.take_consent_back("3", alice).await.unwrap(), None);
        assert!(listed().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn cd_09_a_user_has_so_many_and_what_is_over_goes() {
        let folder = tempfile::tempdir().unwrap();
        let durable = Durable::open(&folder.path().join("state.db"))
            .await
            .unwrap();
        for number in 0..=MAX_OF_ONE {
            let one = Consent {
                given: NOW.plus(Duration::from_secs(number.into())),
                ..consent(&number.to_string(), "alice", &number.to_string())
            };
            durable.keep_consent(one).await.unwrap();
        }
        let kept = durable
            .consents_of("https://idp.example", "alice")
            .await
            .unwrap();
        assert_eq!(u32::try_from(kept.len()).unwrap(), MAX_OF_ONE);
        assert!(!kept.iter().any(|one| one.id == "0"));
        let later = Consent {
            given: NOW.plus(Duration::from_hours(2)),
            until: NOW.plus(Duration::from_hours(3)),
            ..consent("later", "alice", "later")
        };
        durable.keep_consent(later.clone()).await.unwrap();
        let kept = durable
            .consents_of("https://idp.example", "alice")
            .await
            .unwrap();
        assert_eq!(kept, [later]);
    }
}
