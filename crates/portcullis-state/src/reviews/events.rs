//! What has happened in reviews, until a running gateway has written it to its log.

use super::Person;
use crate::durable::{Durable, Failed};
use crate::revocations::{begin, next_epoch};
use rusqlite::Connection;

/// What may wait at once of what was refused: who is refused must not fill the disk.
const MAX_REFUSED: i64 = 1000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name in the log.
    pub event: String,
    /// Its reason.
    pub reason: Option<String>,
    /// Who did it.
    pub person: Option<Person>,
    /// What else there is to say.
    pub facts: Vec<(String, String)>,
}

impl Event {
    pub(crate) fn new(event: &str, reason: Option<&str>, person: Option<Person>) -> Self {
        Self {
            event: event.to_owned(),
            reason: reason.map(str::to_owned),
            person,
            facts: Vec::new(),
        }
    }

    /// What somebody was refused; nobody, if their token was no good.
    pub fn refused(reason: &str, person: Option<Person>) -> Self {
        Self::new("access.review_refused", Some(reason), person)
    }

    /// Adds a fact.
    pub fn fact(&mut self, name: &str, value: &str) {
        self.facts.push((name.to_owned(), value.to_owned()));
    }
}

impl Durable {
    /// Has it recorded that somebody was refused.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn review_refused(&self, event: Event) -> Result<(), Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let sql = "SELECT count(*) FROM review_events WHERE event = ?";
            let waiting: i64 = change.query_row(sql, [&event.event], |row| row.get(0))?;
            if waiting < MAX_REFUSED {
                tell(&change, &event)?;
                next_epoch(&change)?;
                change.commit()?;
            }
            Ok(())
        })
        .await
    }

    /// What has yet to be recorded, with its number, the oldest first.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn review_events(&self) -> Result<Vec<(i64, Event)>, Failed> {
        self.run(|connection| {
            let look = connection.transaction()?;
            let mut all = Vec::new();
            let mut rows = look.prepare(
                "SELECT number, event, reason, issuer, subject FROM review_events ORDER BY number",
            )?;
            let mut facts = look.prepare("SELECT name, value FROM review_facts WHERE event = ?")?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(0)?;
                let issuer: Option<String> = row.get(3)?;
                let person = issuer.zip(row.get(4)?);
                let own = facts.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let event = Event {
                    event: row.get(1)?,
                    reason: row.get(2)?,
                    person: person.map(|(issuer, subject)| Person { issuer, subject }),
                    facts: own.collect::<Result<_, _>>()?,
                };
                all.push((number, event));
            }
            Ok(all)
        })
        .await
    }

    /// The event of that number is in the log.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn review_recorded(&self, number: i64) -> Result<(), Failed> {
        self.run(move |connection| {
            connection.execute("DELETE FROM review_events WHERE number = ?", [number])?;
            Ok(())
        })
        .await
    }
}

pub(crate) fn tell(change: &Connection, event: &Event) -> rusqlite::Result<()> {
    let person = event.person.as_ref();
    let sql = "INSERT INTO review_events (event, reason, issuer, subject) VALUES (?, ?, ?, ?)";
    let parameters = (
        &event.event,
        &event.reason,
        person.map(|person| &person.issuer),
        person.map(|person| &person.subject),
    );
    change.execute(sql, parameters)?;
    let number = change.last_insert_rowid();
    let mut add =
        change.prepare("INSERT INTO review_facts (event, name, value) VALUES (?, ?, ?)")?;
    for (name, value) in &event.facts {
        add.execute((number, name, value))?;
    }
    Ok(())
}
