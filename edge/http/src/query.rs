//! Reads what stands in a query, and says which part of it is wrong.

use std::str::FromStr;

use chrono::DateTime;
use tandem_core::time::WallTime;

use crate::problem::Problem;

/// What its type reads out of a text.
pub(crate) fn parsed<T: FromStr>(name: &str, expected: &str, given: Option<String>) -> Result<Option<T>, Problem> {
    let parse = |text: String| text.parse().map_err(|_| Problem::Invalid(format!("{name}: {expected}")));
    given.map(parse).transpose()
}

/// RFC 3339, with any offset.
pub(crate) fn time(name: &str, given: Option<String>) -> Result<Option<WallTime>, Problem> {
    let wrong = || Problem::Invalid(format!("{name}: RFC 3339, as 2026-11-21T10:00:00Z"));
    let read = |text: String| DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc().into());
    given.map(read).transpose().map_err(|_| wrong())
}
