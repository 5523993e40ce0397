//! How values of ours stand in the database.

use super::{Kind, Source};
use portcullis_core::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A time as it stands in the database; one beyond what that can hold is its end of time.
pub(crate) struct Micros(pub(crate) Timestamp);

impl ToSql for Micros {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let micros = i64::try_from(self.0.micros()).unwrap_or(i64::MAX);
        Ok(micros.into())
    }
}

impl FromSql for Micros {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let micros = u64::try_from(value.as_i64()?).map_err(|_| FromSqlError::InvalidType)?;
        Ok(Self(Timestamp::from_micros(micros)))
    }
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.word().into())
    }
}

impl FromSql for Kind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "token" => Ok(Self::Token),
            "subject" => Ok(Self::Subject),
            "client" => Ok(Self::Client),
            "claim" => Ok(Self::Claim),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl ToSql for Source {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.word().into())
    }
}

impl FromSql for Source {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "operator" => Ok(Self::Operator),
            "event" => Ok(Self::Event),
            "disabled" => Ok(Self::Disabled),
            "directory" => Ok(Self::Directory),
            "misuse" => Ok(Self::Misuse),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
