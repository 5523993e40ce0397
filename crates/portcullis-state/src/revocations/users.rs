//! The users of whom directories have told (SCIM): what is known of each changes together with what that revokes.

use super::begin;
use super::heard::{Change, carry_out, count};
use crate::durable::{Durable, Failed};
use portcullis_core::scim::{Attribute, Search, User};
use portcullis_core::time::Timestamp;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

/// The most users of all directories.
pub const MAX_USERS: u64 = 100_000;

const COLUMNS: &str = "id, user_name, external_id, active";

/// Whose directory, and which user if it is not a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// The issuer.
    pub issuer: String,
    /// The user's id.
    pub id: String,
    /// The attribute, besides `userName`, that no two users share.
    pub unique: Attribute,
}

/// What a change comes to.
#[derive(Debug)]
pub struct Provision {
    /// The user after it; none if it is gone.
    pub user: Option<User>,
    /// What it revokes, or reinstates.
    pub changes: Vec<Change>,
}

/// Some of the users that were asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// How many there are.
    pub total: usize,
    /// These.
    pub users: Vec<User>,
}

impl Durable {
    /// Changes what is known of a user as `decide` says, and carries out what that means: both or neither. `taken` is why
    /// not, if another user has the name already.
    ///
    /// # Errors
    /// [`Failed`], or what `decide` says; then nothing has changed.
    pub async fn provision<E: Clone + Send + 'static>(
        &self,
        sought: Sought,
        now: Timestamp,
        taken: E,
        decide: impl FnOnce(Option<User>) -> Result<Provision, E> + Send + 'static,
    ) -> Result<Result<Provision, E>, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let before = one(&change, &sought)?;
            let decided = match decide(before) {
                Ok(decided) => decided,
                Err(why) => return Ok(Err(why)),
            };
            if !decided.changes.iter().all(Change::is_fit) {
                return Err(Failed::Unfit);
            }
            match &decided.user {
                None => remove(&change, &sought)?,
                Some(user) if is_taken(&change, &sought, user)? => return Ok(Err(taken)),
                Some(user) => write(&change, &sought, user)?,
            }
            if count(&change, "users")? > MAX_USERS {
                return Err(Failed::Full);
            }
            carry_out(&decided.changes, &change, now)?;
            change.commit()?;
            Ok(Ok(decided))
        })
        .await
    }

    /// Users of an issuer's directory.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn users(&self, issuer: String, search: Search) -> Result<Page, Failed> {
        self.run(move |connection| {
            let look = connection.transaction()?;
            let by = |column: &str, value: &str| {
                let condition = format!("issuer = :issuer AND {column} = :value ORDER BY id");
                select(
                    &look,
                    &condition,
                    named_params! { ":issuer": issuer, ":value": value },
                )
            };
            let users = match search {
                Search::One(id) | Search::Where(Attribute::Id, id) => by("id", &id)?,
                Search::Where(Attribute::UserName, name) => by("folded", &fold(&name))?,
                Search::Where(Attribute::ExternalId, id) => by("external_id", &id)?,
                Search::All(skipped, most) => {
                    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
                    let condition = "issuer = :issuer ORDER BY id LIMIT :most OFFSET :skipped";
                    let parameters = named_params! {
                        ":issuer": issuer, ":most": number(most), ":skipped": number(skipped),
                    };
                    let users = select(&look, condition, parameters)?;
                    let total: i64 = look.query_row(
                        "SELECT count(*) FROM users WHERE issuer = :issuer",
                        named_params! { ":issuer": issuer },
                        |row| row.get(0),
                    )?;
                    let total = usize::try_from(total).unwrap_or(usize::MAX);
                    return Ok(Page { total, users });
                }
            };
            let total = users.len();
            Ok(Page { total, users })
        })
        .await
    }
}

fn fold(name: &str) -> String {
    name.to_lowercase()
}

fn one(change: &Connection, sought: &Sought) -> Result<Option<User>, Failed> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE issuer = :issuer AND id = :id");
    let parameters = named_params! { ":issuer": sought.issuer, ":id": sought.id };
    Ok(change.query_row(&sql, parameters, read).optional()?)
}

fn remove(change: &Connection, sought: &Sought) -> Result<(), Failed> {
    let sql = "DELETE FROM users WHERE issuer = :issuer AND id = :id";
    let parameters = named_params! { ":issuer": sought.issuer, ":id": sought.id };
    change.execute(sql, parameters)?;
    Ok(())
}

fn is_taken(change: &Connection, sought: &Sought, user: &User) -> Result<bool, Failed> {
    let external_id = match sought.unique {
        Attribute::ExternalId => user.external_id.as_deref(),
        Attribute::Id | Attribute::UserName => None,
    };
    Ok(change.query_row(
        "SELECT EXISTS (SELECT 1 FROM users WHERE issuer = :issuer AND id != :id
             AND (folded = :folded OR external_id = :external))",
        named_params! {
            ":issuer": sought.issuer,
            ":id": sought.id,
            ":folded": fold(&user.user_name),
            ":external": external_id,
        },
        |row| row.get(0),
    )?)
}

fn write(change: &Connection, sought: &Sought, user: &User) -> Result<(), Failed> {
    change.execute(
        "INSERT INTO users (issuer, id, user_name, folded, external_id, active)
         VALUES (:issuer, :id, :name, :folded, :external, :active)
         ON CONFLICT (issuer, id) DO UPDATE SET user_name = excluded.user_name, folded = excluded.folded,
             external_id = excluded.external_id, active = excluded.active",
        named_params! {
            ":issuer": sought.issuer,
            ":id": sought.id,
            ":name": user.user_name,
            ":folded": fold(&user.user_name),
            ":external": user.external_id,
            ":active": user.active,
        },
    )?;
    Ok(())
}

fn select(
    look: &Connection,
    condition: &str,
    parameters: &[(&str, &dyn ToSql)],
) -> Result<Vec<User>, Failed> {
    let mut statement = look.prepare(&format!("SELECT {COLUMNS} FROM users WHERE {condition}"))?;
    let rows = statement.query_map(parameters, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get("id")?,
        user_name: row.get("user_name")?,
        external_id: row.get("external_id")?,
        active: row.get("active")?,
    })
}
