//! Elevations: what somebody has asked for, and what somebody else has said to it.

use super::Person;
use super::events::{Event, tell};
use crate::durable::{Durable, Failed};
use crate::revocations::{MAX_NAME_BYTES, MAX_REASON_BYTES, Micros, begin, next_epoch};
use portcullis_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use std::time::Duration;

/// What was asked for can be decided about for so long.
const OPEN: Duration = Duration::from_hours(24);
/// What is over is kept for so long.
const KEPT: Duration = Duration::from_hours(24 * 30);
/// Requests that may be open at once, and those of one person.
const MAX_OPEN: i64 = 1000;
const MAX_OWN: i64 = 20;

const COLUMNS: &str = "number, issuer, subject, server, tool, why, asked, verdict, by_issuer, by_subject, until, tenant";

/// A request that is to be made.
#[derive(Debug, Clone)]
pub struct NewElevation {
    /// Who asks, for themselves.
    pub person: Person,
    /// At which server.
    pub server: String,
    /// For which tool.
    pub tool: String,
    /// To which tenant they belong, if to any.
    pub tenant: Option<String>,
    /// Why, in their words.
    pub why: Option<String>,
}

/// A request, and what was said to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elevation {
    /// Its number.
    pub number: u64,
    /// For whom.
    pub person: Person,
    /// At which server.
    pub server: String,
    /// For which tool.
    pub tool: String,
    /// The tenant of whoever has asked, if there is one.
    pub tenant: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// When it was asked for.
    pub asked: Timestamp,
    /// `approve` or `refuse`, if somebody has decided.
    pub verdict: Option<String>,
    /// Who has.
    pub by: Option<Person>,
    /// When it ends, if it was approved.
    pub until: Option<Timestamp>,
}

/// What somebody says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Yes, until then.
    Approve(Timestamp),
    /// No.
    Refuse,
}

impl Durable {
    /// Asks for an elevation; gives its number.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn ask_elevation(&self, new: NewElevation, now: Timestamp) -> Result<u64, Failed> {
        let names = [
            &new.person.issuer,
            &new.person.subject,
            &new.server,
            &new.tool,
        ];
        let is_fit = |name: &&String| (1..=MAX_NAME_BYTES).contains(&name.len());
        let why = new.why.as_ref();
        if !names.iter().all(is_fit) || why.is_some_and(|why| why.len() > MAX_REASON_BYTES) {
            return Err(Failed::Unfit);
        }
        self.run(move |connection| {
            let change = begin(connection)?;
            let before = Timestamp::from_micros(now.micros().saturating_sub(micros(KEPT)));
            change.execute(
                "DELETE FROM elevations WHERE coalesce(until, asked) < ?",
                [Micros(before)],
            )?;
            expect_room(&change, &new.person, now)?;
            let sql = "INSERT INTO elevations (issuer, subject, server, tool, why, asked, tenant)
                 VALUES (:issuer, :subject, :server, :tool, :why, :now, :tenant) RETURNING number";
            let parameters = named_params! {
                ":issuer": new.person.issuer,
                ":subject": new.person.subject,
                ":server": new.server,
                ":tool": new.tool,
                ":why": new.why,
                ":now": Micros(now),
                ":tenant": new.tenant,
            };
            let number: i64 = change.query_row(sql, parameters, |row| row.get(0))?;
            let mut event = Event::new("elevation.requested", None, Some(new.person));
            event.fact("elevation", &number.to_string());
            event.fact("server", &new.server);
            event.fact("tool", &new.tool);
            if let Some(why) = &new.why {
                event.fact("why", why);
            }
            tell(&change, &event)?;
            next_epoch(&change)?;
            change.commit()?;
            Ok(u64::try_from(number).unwrap_or_default())
        })
        .await
    }

    /// Decides about a request; `None` if it is not open, or not any more.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn decide_elevation(
        &self,
        number: u64,
        approval: Approval,
        by: Person,
        now: Timestamp,
    ) -> Result<Option<Elevation>, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let after = Timestamp::from_micros(now.micros().saturating_sub(micros(OPEN)));
            let (verdict, until) = match approval {
                Approval::Approve(until) => ("approve", Some(Micros(until))),
                Approval::Refuse => ("refuse", None),
            };
            let sql = format!(
                "UPDATE elevations SET verdict = :verdict, decided = :now, by_issuer = :issuer,
                 by_subject = :subject, until = :until
                 WHERE number = :number AND verdict IS NULL AND asked > :after RETURNING {COLUMNS}"
            );
            let parameters = named_params! {
                ":verdict": verdict,
                ":now": Micros(now),
                ":issuer": by.issuer,
                ":subject": by.subject,
                ":until": until,
                ":number": i64::try_from(number).unwrap_or(i64::MAX),
                ":after": Micros(after),
            };
            let decided = change.query_row(&sql, parameters, elevation).optional()?;
            let Some(decided) = decided else {
                return Ok(None);
            };
            let name = match approval {
                Approval::Approve(_) => "elevation.approved",
                Approval::Refuse => "elevation.refused",
            };
            let mut event = Event::new(name, None, Some(by));
            event.fact("elevation", &number.to_string());
            event.fact("for", &decided.person.subject);
            event.fact("server", &decided.server);
            event.fact("tool", &decided.tool);
            if let Some(until) = decided.until {
                event.fact("until", &until.micros().to_string());
            }
            tell(&change, &event)?;
            next_epoch(&change)?;
            change.commit()?;
            Ok(Some(decided))
        })
        .await
    }

    /// Takes a request or what was approved back; `None` if it is neither open nor approved, or over. From then on it
    /// counts as refused.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn withdraw_elevation(
        &self,
        number: u64,
        by: Person,
        now: Timestamp,
    ) -> Result<Option<Elevation>, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let sql = format!(
                "UPDATE elevations SET verdict = 'refuse', decided = :now, by_issuer = :issuer,
                 by_subject = :subject, until = NULL
                 WHERE number = :number AND (verdict IS NULL OR (verdict = 'approve' AND until > :now))
                 RETURNING {COLUMNS}"
            );
            let parameters = named_params! {
                ":now": Micros(now),
                ":issuer": by.issuer,
                ":subject": by.subject,
                ":number": i64::try_from(number).unwrap_or(i64::MAX),
            };
            let withdrawn = change.query_row(&sql, parameters, elevation).optional()?;
            let Some(withdrawn) = withdrawn else {
                return Ok(None);
            };
            let mut event = Event::new("elevation.withdrawn", None, Some(by));
            event.fact("elevation", &number.to_string());
            event.fact("for", &withdrawn.person.subject);
            event.fact("server", &withdrawn.server);
            event.fact("tool", &withdrawn.tool);
            tell(&change, &event)?;
            next_epoch(&change)?;
            change.commit()?;
            Ok(Some(withdrawn))
        })
        .await
    }

    /// All that there are, the oldest first.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn elevations(&self) -> Result<Vec<Elevation>, Failed> {
        self.run(|connection| Ok(all(connection)?)).await
    }
}

/// Only what can be decided about still counts, and nobody takes the place of all others.
fn expect_room(change: &Connection, person: &Person, now: Timestamp) -> Result<(), Failed> {
    let after = Timestamp::from_micros(now.micros().saturating_sub(micros(OPEN)));
    let sql = "SELECT count(*), count(*) FILTER (WHERE issuer = :issuer AND subject = :subject)
         FROM elevations WHERE verdict IS NULL AND asked > :after";
    let parameters = named_params! {
        ":issuer": person.issuer,
        ":subject": person.subject,
        ":after": Micros(after),
    };
    let counted = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let (all, own) = change.query_row(sql, parameters, counted)?;
    if all >= MAX_OPEN || own >= MAX_OWN {
        return Err(Failed::ManyOpen);
    }
    Ok(())
}

/// Those that are approved; whether they are over, whoever asks decides.
pub(super) fn approved(look: &Connection) -> rusqlite::Result<Vec<Elevation>> {
    let mut all = all(look)?;
    all.retain(|one| one.until.is_some());
    Ok(all)
}

fn all(look: &Connection) -> rusqlite::Result<Vec<Elevation>> {
    let sql = format!("SELECT {COLUMNS} FROM elevations ORDER BY number");
    let mut rows = look.prepare(&sql)?;
    let all = rows.query_map([], elevation)?;
    all.collect()
}

fn elevation(row: &Row<'_>) -> rusqlite::Result<Elevation> {
    let (issuer, subject): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
    let by = issuer.zip(subject);
    Ok(Elevation {
        number: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
        person: Person {
            issuer: row.get(1)?,
            subject: row.get(2)?,
        },
        server: row.get(3)?,
        tool: row.get(4)?,
        why: row.get(5)?,
        asked: row.get::<_, Micros>(6)?.0,
        verdict: row.get(7)?,
        by: by.map(|(issuer, subject)| Person { issuer, subject }),
        until: row.get::<_, Option<Micros>>(10)?.map(|until| until.0),
        tenant: row.get(11)?,
    })
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
