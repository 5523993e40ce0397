//! Devices that wait for their users (RFC 8628): each is decided about once, by whoever has its code.

use super::families::{Family, Next, REMEMBERED, Voucher, begin_family, insert};
use crate::durable::{Durable, Failed};
use crate::revocations::{Micros, begin};
use portcullis_core::time::{BACK, Span, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, named_params};
use std::time::Duration;

/// The most devices that wait at once.
pub const MAX_DEVICES: u32 = 4096;
/// The most of one network.
const MAX_OF_NETWORK: u32 = 256;
/// By how much longer a device has to wait that asks too soon (RFC 8628 section 3.5), and the longest.
const SLOWER: Duration = Duration::from_secs(5);
const SLOWEST: Duration = Duration::from_mins(1);

/// A device that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// A digest of what it shows.
    pub digest: String,
    /// A digest of what its user types.
    pub user_code: String,
    /// Its client.
    pub client: String,
    /// From where it came.
    pub network: String,
    /// What it has asked for; not read here.
    pub asked: String,
    /// When.
    pub made: Timestamp,
    /// Up to when.
    pub until: Timestamp,
    /// How long it has to wait between two questions.
    pub pause: Duration,
}

/// How it stands with a device that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// There is none, or it is another client's.
    Unknown,
    /// Its user has not decided.
    Pending,
    /// The same, and it asks too often.
    TooSoon,
    /// Its user did not decide in time.
    Over,
    /// Its user has said no.
    Denied,
    /// Its user has said yes: it is a voucher now.
    Granted,
}

impl Durable {
    /// Lets a device wait, unless as many do; says whether.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn keep_device(&self, device: Waiting) -> Result<bool, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            forget_over(&change, device.made)?;
            let (all, own): (u32, u32) = change.query_row(
                "SELECT count(*), count(*) FILTER (WHERE network = :network) FROM devices
                 WHERE verdict IS NULL AND until > :now AND made <= :latest",
                named_params! {
                    ":network": device.network, ":now": Micros(device.made),
                    ":latest": Micros(device.made.plus(BACK)),
                },
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            if all >= MAX_DEVICES || own >= MAX_OF_NETWORK {
                return Ok(false);
            }
            let sql = "INSERT OR IGNORE INTO devices
                 (digest, user_code, client, network, asked, made, until, pause) VALUES
                 (:digest, :user_code, :client, :network, :asked, :made, :until, :pause)";
            let parameters = named_params! {
                ":digest": device.digest,
                ":user_code": device.user_code,
                ":client": device.client,
                ":network": device.network,
                ":asked": device.asked,
                ":made": Micros(device.made),
                ":until": Micros(device.until),
                ":pause": micros(device.pause),
            };
            // Another one may show its user the same code.
            let is_kept = change.execute(sql, parameters)? == 1;
            change.commit()?;
            Ok(is_kept)
        })
        .await
    }

    /// The device that shows its user this, if nobody has decided about it.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn device_of(
        &self,
        user_code: String,
        now: Timestamp,
    ) -> Result<Option<Waiting>, Failed> {
        self.run(move |connection| {
            let sql = "SELECT digest, client, network, asked, made, until, pause FROM devices
                 WHERE user_code = :code AND verdict IS NULL AND until > :now AND made <= :latest";
            let parameters = named_params! {
                ":code": user_code, ":now": Micros(now), ":latest": Micros(now.plus(BACK)),
            };
            let found = connection.query_row(sql, parameters, |row| {
                let pause: i64 = row.get(6)?;
                Ok(Waiting {
                    digest: row.get(0)?,
                    user_code: user_code.clone(),
                    client: row.get(1)?,
                    network: row.get(2)?,
                    asked: row.get(3)?,
                    made: row.get::<_, Micros>(4)?.0,
                    until: row.get::<_, Micros>(5)?.0,
                    pause: Duration::from_micros(pause.unsigned_abs()),
                })
            });
            Ok(found.optional()?)
        })
        .await
    }

    /// A user lets a device in: it becomes a voucher of this family, bound to `bound`. Says whether it still waited.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn grant_device(
        &self,
        digest: String,
        family: Family,
        bound: String,
    ) -> Result<bool, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let Some(until) = decide(&change, &digest, ("granted", family.made))? else {
                return Ok(false);
            };
            begin_family(&change, &family)?;
            let next = Next {
                digest,
                bound,
                until,
            };
            let kind = (Voucher::Device, family.id.as_str());
            insert(&change, kind, &next, family.made)?;
            change.commit()?;
            Ok(true)
        })
        .await
    }

    /// A user does not let a device in. Says whether it still waited.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn deny_device(&self, digest: String, now: Timestamp) -> Result<bool, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let decided = decide(&change, &digest, ("denied", now))?;
            change.commit()?;
            Ok(decided.is_some())
        })
        .await
    }

    /// How it stands with a device of this client, which asks. One that asks too soon has to wait longer.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn poll_device(
        &self,
        digest: String,
        client: String,
        now: Timestamp,
    ) -> Result<Polled, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let Some(row) = find(&change, &digest, &client)? else {
                return Ok(Polled::Unknown);
            };
            match row.verdict.as_deref() {
                Some("granted") => return Ok(Polled::Granted),
                Some(_) => return Ok(Polled::Denied),
                None if row.until <= now || row.made > now.plus(BACK) => return Ok(Polled::Over),
                None => {}
            }
            // One that has asked in what is the future now is not held up until then.
            let is_early = row
                .polled
                .is_some_and(|last| Span::new(last, row.pause).has(now));
            let pause = if is_early {
                (row.pause + SLOWER).min(SLOWEST.max(row.pause))
            } else {
                row.pause
            };
            let sql = "UPDATE devices SET polled = :now, pause = :pause WHERE digest = :digest";
            let parameters = named_params! {
                ":now": Micros(now), ":pause": micros(pause), ":digest": digest,
            };
            change.execute(sql, parameters)?;
            change.commit()?;
            Ok(if is_early {
                Polled::TooSoon
            } else {
                Polled::Pending
            })
        })
        .await
    }
}

struct Row {
    made: Timestamp,
    until: Timestamp,
    pause: Duration,
    polled: Option<Timestamp>,
    verdict: Option<String>,
}

fn find(connection: &Connection, digest: &str, client: &str) -> rusqlite::Result<Option<Row>> {
    let sql =
        "SELECT made, until, pause, polled, verdict FROM devices WHERE digest = ? AND client = ?";
    let found = connection.query_row(sql, (digest, client), |row| {
        let pause: i64 = row.get(2)?;
        Ok(Row {
            made: row.get::<_, Micros>(0)?.0,
            until: row.get::<_, Micros>(1)?.0,
            pause: Duration::from_micros(pause.unsigned_abs()),
            polled: row.get::<_, Option<Micros>>(3)?.map(|polled| polled.0),
            verdict: row.get(4)?,
        })
    });
    found.optional()
}

/// INVARIANT: a device is decided about once, while it waits; gives up to when it may collect what it was granted.
fn decide(
    change: &Connection,
    digest: &str,
    (verdict, now): (&str, Timestamp),
) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "UPDATE devices SET verdict = :verdict
         WHERE digest = :digest AND verdict IS NULL AND until > :now AND made <= :latest RETURNING until";
    let parameters = named_params! {
        ":verdict": verdict, ":digest": digest, ":now": Micros(now), ":latest": Micros(now.plus(BACK)),
    };
    let until = change.query_row(sql, parameters, |row| row.get::<_, Micros>(0));
    Ok(until.optional()?.map(|until| until.0))
}

/// Forgets those whose time was over long ago.
pub(super) fn forget_over(change: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "DELETE FROM devices WHERE until + :remembered <= :now";
    let parameters = named_params! { ":remembered": micros(REMEMBERED), ":now": Micros(now) };
    change.execute(sql, parameters).map(drop)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
