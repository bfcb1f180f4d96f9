//! Reading columns into our own types.

use sqlx::{Row, postgres::PgRow};
use std::{error::Error, str::FromStr, time::Duration};

/// The text of a column as one of our types.
pub(super) fn parsed<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    parse(row.try_get(column)?, column)
}

/// The same for a column that may be null.
pub(super) fn parsed_option<T>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| parse(text, column)).transpose()
}

/// The same for an array.
pub(super) fn parsed_list<T>(row: &PgRow, column: &str) -> Result<Vec<T>, sqlx::Error>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let texts: Vec<String> = row.try_get(column)?;
    texts.iter().map(|text| parse(text, column)).collect()
}

/// A column of whole numbers that cannot be negative.
pub(super) fn count(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    let number: i32 = row.try_get(column)?;
    u32::try_from(number).map_err(|error| undecodable(column, error))
}

/// The same for a column that may be null.
pub(super) fn count_option(row: &PgRow, column: &str) -> Result<Option<u32>, sqlx::Error> {
    let number: Option<i32> = row.try_get(column)?;
    number.map(|number| u32::try_from(number).map_err(|error| undecodable(column, error))).transpose()
}

/// A column of seconds.
pub(super) fn duration(row: &PgRow, column: &str) -> Result<Option<Duration>, sqlx::Error> {
    let seconds: Option<f64> = row.try_get(column)?;
    seconds.map(|seconds| Duration::try_from_secs_f64(seconds).map_err(|error| undecodable(column, error))).transpose()
}

pub(super) fn undecodable(column: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}

fn parse<T>(text: &str, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error: T::Err| undecodable(column, error))
}
