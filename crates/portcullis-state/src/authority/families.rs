//! Codes, refresh tokens, and the families of tokens that began with one code.

use super::{clients, devices};
use crate::durable::{Durable, Failed};
use crate::revocations::{Kind, Micros, Revocation, Source, Whom, begin, next_epoch, write};
use portcullis_core::time::{BACK, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, named_params};
use std::time::Duration;

/// The most families of one user.
pub const MAX_FAMILIES: u32 = 10_000;
/// The most refresh tokens of one family: one every minute, for two weeks.
const MAX_RENEWALS: u32 = 20_000;
/// So far a clock may jump ahead, and back again, and nothing that was used or has ended counts once more.
pub(super) const JUMP: Duration = Duration::from_hours(1);
/// How long it is known of what is over that it was there: longer than any access token lives, after a jump too.
pub(super) const REMEMBERED: Duration = Duration::from_hours(2);

/// All that came of one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its id, which its access tokens bear.
    pub id: String,
    /// Who vouches for the user.
    pub issuer: String,
    /// The user, as they call them.
    pub subject: String,
    /// The client.
    pub client: String,
    /// What was granted; not read here.
    pub granted: String,
    /// When.
    pub made: Timestamp,
    /// Up to when it can be renewed.
    pub until: Timestamp,
}

/// A code, by its digest.
#[derive(Debug, Clone)]
pub struct NewCode {
    /// What it begins.
    pub family: Family,
    /// A digest of it.
    pub digest: String,
    /// What it is bound to besides; not read here.
    pub bound: String,
    /// Up to when it can be used.
    pub until: Timestamp,
}

/// What is shown to get tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// What the browser brought to the client.
    Code,
    /// What came with the last tokens.
    Refresh,
    /// What a device has shown while its user had not decided.
    Device,
}

/// What was shown, and to which family it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The family.
    pub family: Family,
    /// What it is bound to besides.
    pub bound: String,
}

/// A refresh token, by its digest.
#[derive(Debug, Clone)]
pub struct Next {
    /// A digest of it.
    pub digest: String,
    /// What it is bound to besides its client; not read here.
    pub bound: String,
    /// Up to when it can be used.
    pub until: Timestamp,
}

/// What came of showing it.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T, E> {
    /// There is no such thing.
    Unknown,
    /// It was used before: its family has ended, and so have the access tokens of it.
    Again(Family),
    /// It is too old, or its family has ended.
    Over(Family),
    /// It is not this one's to use.
    Refused(Family, E),
    /// It is used up.
    Good(Family, T),
}

impl Voucher {
    const fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Refresh => "refresh",
            Self::Device => "device",
        }
    }

    const fn misuse(self) -> &'static str {
        match self {
            Self::Code | Self::Device => "code_replay",
            Self::Refresh => "refresh_reuse",
        }
    }
}

/// How a voucher stands.
struct Row {
    presented: Presented,
    made: Timestamp,
    until: Timestamp,
    is_used: bool,
    has_ended: bool,
}

impl Durable {
    /// Keeps a code, and the family that it begins.
    ///
    /// # Errors
    /// [`Failed`]; then there is no code.
    pub async fn keep_code(&self, code: NewCode) -> Result<(), Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let family = &code.family;
            begin_family(&change, family)?;
            let next = Next {
                digest: code.digest,
                bound: code.bound,
                until: code.until,
            };
            insert(&change, (Voucher::Code, &family.id), &next, family.made)?;
            change.commit()?;
            Ok(())
        })
        .await
    }

    /// Uses a code or a refresh token up, if `decide` says so; of many that show it at once, one gets it. A code is used up
    /// in any case. What is shown again ends its family, and revokes its access tokens, which `issuer` has issued.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn take<T: Send + 'static, E: Send + 'static>(
        &self,
        (voucher, digest): (Voucher, String),
        (issuer, now): (String, Timestamp),
        decide: impl FnOnce(&Presented) -> Result<(T, Option<Next>), E> + Send + 'static,
    ) -> Result<Taken<T, E>, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let Some(row) = find(&change, voucher, &digest)? else {
                return Ok(Taken::Unknown);
            };
            let family = row.presented.family.clone();
            if row.is_used {
                end(&change, &family.id, (&issuer, voucher.misuse()), now)?;
                change.commit()?;
                return Ok(Taken::Again(family));
            }
            let is_early = voucher != Voucher::Refresh && row.made > now.plus(BACK);
            let is_over = row.has_ended
                || row.until <= now
                || family.until <= now
                || is_early
                || renewals(&change, &family.id)? >= MAX_RENEWALS;
            let decided = (!is_over).then(|| decide(&row.presented));
            if voucher != Voucher::Refresh || matches!(decided, Some(Ok(_))) {
                let sql = "UPDATE vouchers SET used = :now WHERE digest = :digest";
                change.execute(
                    sql,
                    named_params! { ":now": Micros(now), ":digest": digest },
                )?;
            }
            let taken = match decided {
                None => Taken::Over(family),
                Some(Err(why)) => Taken::Refused(family, why),
                Some(Ok((good, next))) => {
                    let next = next.as_ref();
                    next.map_or(Ok(()), |next| renew(&change, &family.id, next, now))?;
                    Taken::Good(family, good)
                }
            };
            change.commit()?;
            Ok(taken)
        })
        .await
    }

    /// The family of a refresh token that could be used now.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn family_of(
        &self,
        digest: String,
        now: Timestamp,
    ) -> Result<Option<(Family, Timestamp)>, Failed> {
        self.run(move |connection| {
            let row = find(connection, Voucher::Refresh, &digest)?;
            let is_good = |row: &Row| {
                !row.is_used
                    && !row.has_ended
                    && row.until > now
                    && row.presented.family.until > now
            };
            let row = row.filter(is_good);
            Ok(row.map(|row| (row.presented.family, row.until)))
        })
        .await
    }

    /// Ends a family, and the access tokens of it; says whether it had not ended before.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn end_family(
        &self,
        id: String,
        (issuer, reason): (String, &'static str),
        now: Timestamp,
    ) -> Result<bool, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let is_ended = end(&change, &id, (&issuer, reason), now)?;
            change.commit()?;
            Ok(is_ended)
        })
        .await
    }
}

pub(super) fn begin_family(change: &Connection, family: &Family) -> Result<(), Failed> {
    let held: u32 = change.query_row(
        "SELECT count(*) FROM families WHERE issuer = ? AND subject = ?",
        (&family.issuer, &family.subject),
        |row| row.get(0),
    )?;
    if held >= MAX_FAMILIES {
        return Err(Failed::TooMany);
    }
    change.execute(
        "INSERT INTO families (id, issuer, subject, client, granted, made, until)
         VALUES (:id, :issuer, :subject, :client, :granted, :made, :until)",
        named_params! {
            ":id": family.id,
            ":issuer": family.issuer,
            ":subject": family.subject,
            ":client": family.client,
            ":granted": family.granted,
            ":made": Micros(family.made),
            ":until": Micros(family.until),
        },
    )?;
    Ok(())
}

pub(super) fn insert(
    change: &Connection,
    (voucher, family): (Voucher, &str),
    next: &Next,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO vouchers (digest, kind, family, bound, made, until)
         VALUES (:digest, :kind, :family, :bound, :made, :until)";
    let parameters = named_params! {
        ":digest": next.digest,
        ":kind": voucher.word(),
        ":family": family,
        ":bound": next.bound,
        ":made": Micros(now),
        ":until": Micros(next.until),
    };
    change.execute(sql, parameters).map(drop)
}

fn renew(change: &Connection, family: &str, next: &Next, now: Timestamp) -> rusqlite::Result<()> {
    insert(change, (Voucher::Refresh, family), next, now)
}

/// How many vouchers of this family are kept, since it must be known that they were used.
fn renewals(connection: &Connection, family: &str) -> rusqlite::Result<u32> {
    let sql = "SELECT count(*) FROM vouchers WHERE family = ?";
    connection.query_row(sql, [family], |row| row.get(0))
}

fn find(connection: &Connection, voucher: Voucher, digest: &str) -> rusqlite::Result<Option<Row>> {
    let sql = "SELECT v.bound, v.made, v.until, v.used IS NOT NULL, f.ended IS NOT NULL,
             f.id, f.issuer, f.subject, f.client, f.granted, f.made, f.until
         FROM vouchers v JOIN families f ON f.id = v.family WHERE v.digest = ? AND v.kind = ?";
    let found = connection.query_row(sql, (digest, voucher.word()), |row| {
        let time = |index: usize| row.get::<_, Micros>(index).map(|time| time.0);
        Ok(Row {
            made: time(1)?,
            until: time(2)?,
            is_used: row.get(3)?,
            has_ended: row.get(4)?,
            presented: Presented {
                bound: row.get(0)?,
                family: Family {
                    id: row.get(5)?,
                    issuer: row.get(6)?,
                    subject: row.get(7)?,
                    client: row.get(8)?,
                    granted: row.get(9)?,
                    made: time(10)?,
                    until: time(11)?,
                },
            },
        })
    });
    found.optional()
}

/// Access tokens of the family are refused from the next look on; they end by themselves before the revocation does.
pub(super) fn end(
    change: &Connection,
    id: &str,
    (issuer, reason): (&str, &str),
    now: Timestamp,
) -> Result<bool, Failed> {
    let sql = "UPDATE families SET ended = :now, reason = :reason WHERE id = :id AND ended IS NULL";
    let parameters = named_params! { ":now": Micros(now), ":reason": reason, ":id": id };
    let is_ended = change.execute(sql, parameters)? == 1;
    if is_ended {
        let whom = Whom {
            kind: Kind::Claim,
            issuer: issuer.to_owned(),
            name: format!("grant_id={id}"),
        };
        let revocation = Revocation {
            source: Source::Event,
            reason: Some(reason.to_owned()),
            expires: now.plus(REMEMBERED),
            ..Revocation::new(whom, now, (now, "authority".to_owned()))
        };
        let epoch = next_epoch(change)?;
        write(change, &revocation, epoch)?;
    }
    Ok(is_ended)
}

/// Forgets what is over, once no access token of it can be good and nobody needs to be told that it was used.
pub(crate) fn prune(change: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let over = "DELETE FROM families WHERE until + :remembered <= :now
         OR ended + :remembered <= :now
         OR NOT EXISTS (SELECT 1 FROM vouchers WHERE family = families.id AND until + :remembered > :now)";
    let remembered = i64::try_from(REMEMBERED.as_micros()).unwrap_or(i64::MAX);
    let parameters = named_params! { ":remembered": remembered, ":now": Micros(now) };
    change.execute(over, parameters)?;
    // Of a family that lives on, what was used long ago need not be kept.
    let used = "DELETE FROM vouchers WHERE until <= :now AND used IS NOT NULL AND used + :remembered <= :now";
    change.execute(used, parameters)?;
    devices::forget_over(change, now)?;
    clients::forget_used(change, now)?;
    let over = "DELETE FROM registered_clients WHERE until <= :now";
    change.execute(over, named_params! { ":now": Micros(now) })?;
    Ok(())
}
