//! Reads filters out of a query, and says which one is wrong.

use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use tandem_core::cause::Cause;
use tandem_core::cdr::{CdrCursor, CdrFilter, Direction};
use tandem_core::party::{Number, TrunkName};
use utoipa::IntoParams;

use crate::problem::Problem;
use crate::query::{parsed, time};

/// Longest number or name in a filter, in bytes.
const LONGEST: usize = 255;

/// Most records on a page.
const MOST: u16 = 1_000;

/// What may be asked, as it came. Everything that is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct CdrQuery {
    /// Started then or later: RFC 3339. A `+` in a query is written `%2B`.
    #[param(value_type = Option<String>, format = "date-time")]
    from: Option<String>,
    /// Started before: RFC 3339.
    #[param(value_type = Option<String>, format = "date-time")]
    to: Option<String>,
    /// The caller's number, as it came or in E.164.
    #[param(min_length = 1, max_length = 255)]
    caller: Option<String>,
    /// The callee's number or what was dialled, as it came or in E.164.
    #[param(min_length = 1, max_length = 255)]
    callee: Option<String>,
    /// Either of them.
    #[param(min_length = 1, max_length = 255)]
    number: Option<String>,
    /// This user called or was called.
    #[param(pattern = "^user_[0-9a-f]{32}$")]
    user_id: Option<String>,
    /// It came or left by this trunk.
    #[param(min_length = 1, max_length = 255)]
    trunk: Option<String>,
    /// It ended so: `normal`, `busy`, `no_answer`, …
    cause: Option<String>,
    /// It was answered, or was not.
    #[param(value_type = Option<bool>)]
    answered: Option<String>,
    /// `internal`, `inbound`, `outbound`.
    #[param(pattern = "^(internal|inbound|outbound)$")]
    direction: Option<String>,
    /// They talked at least so many seconds.
    #[param(value_type = Option<u32>)]
    min_duration: Option<String>,
    /// Everything that followed from one request.
    #[param(pattern = "^[0-9a-f]{32}$")]
    correlation_id: Option<String>,
    /// This call.
    #[param(pattern = "^call_[0-9a-f]{32}$")]
    call_id: Option<String>,
    /// Only for the operator.
    #[param(ignore)]
    tenant: Option<String>,
    /// Only where there are pages.
    #[param(ignore)]
    limit: Option<String>,
    #[param(ignore)]
    cursor: Option<String>,
    /// Only where it is a file.
    #[param(ignore)]
    format: Option<String>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Csv,
    JsonLines,
}

impl CdrQuery {
    /// Everybody but the operator sees one tenant.
    pub(super) fn for_tenant(self) -> Result<Self, Problem> {
        absent("tenant", self.tenant.as_ref())?;
        Ok(self)
    }

    /// What the filter is, before it is narrowed to what may be seen.
    pub(super) fn filter(self) -> Result<CdrFilter, Problem> {
        Ok(CdrFilter {
            tenant: parsed("tenant", "a tenant's name", self.tenant)?,
            seen_by: None,
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            caller: number("caller", self.caller)?,
            callee: number("callee", self.callee)?,
            number: number("number", self.number)?,
            user_id: parsed("user_id", "user_ and 32 hexadecimal digits", self.user_id)?,
            trunk: text("trunk", self.trunk)?.map(|name| TrunkName(name.into())),
            cause: named("cause", self.cause, &Cause::ALL, Cause::name)?,
            answered: parsed("answered", "true or false", self.answered)?,
            direction: named("direction", self.direction, &Direction::ALL, Direction::name)?,
            min_duration: parsed("min_duration", "whole seconds", self.min_duration)?
                .map(|seconds: u32| Duration::from_secs(seconds.into())),
            correlation_id: parsed("correlation_id", "32 hexadecimal digits", self.correlation_id)?,
            call_id: parsed("call_id", "call_ and 32 hexadecimal digits", self.call_id)?,
        })
    }

    /// Where a page begins, and how long it may be.
    pub(super) fn place(&self) -> Result<(Option<CdrCursor>, Option<u16>), Problem> {
        absent("format", self.format.as_ref())?;
        let limit = parsed::<u16>("limit", "1 to 1000", self.limit.clone())?;
        if limit.is_some_and(|limit| !(1..=MOST).contains(&limit)) {
            return Err(Problem::invalid("limit: 1 to 1000"));
        }
        Ok((parsed("cursor", "as it came with the page before", self.cursor.clone())?, limit))
    }

    /// What a file is to be.
    pub(super) fn form(&self) -> Result<Form, Problem> {
        absent("limit", self.limit.as_ref())?;
        absent("cursor", self.cursor.as_ref())?;
        match self.format.as_deref() {
            None | Some("csv") => Ok(Form::Csv),
            Some("jsonl") => Ok(Form::JsonLines),
            Some(_) => Err(Problem::invalid("format: csv or jsonl")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CdrQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Self>::from_request_parts(parts, state).await;
        query.map(|Query(query)| query).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

fn absent(name: &str, given: Option<&String>) -> Result<(), Problem> {
    if given.is_some() { Err(Problem::Invalid(format!("{name}: does not apply here"))) } else { Ok(()) }
}

fn named<T: Copy>(
    name: &str,
    given: Option<String>,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Problem> {
    let Some(text) = given else { return Ok(None) };
    if let Some(found) = all.iter().find(|it| name_of(**it) == text) {
        return Ok(Some(*found));
    }
    let known: Vec<_> = all.iter().map(|it| name_of(*it)).collect();
    Err(Problem::Invalid(format!("{name}: one of {}", known.join(", "))))
}

fn text(name: &str, given: Option<String>) -> Result<Option<String>, Problem> {
    let is_wrong = |text: &String| text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control);
    if given.as_ref().is_some_and(is_wrong) {
        return Err(Problem::Invalid(format!("{name}: 1 to {LONGEST} bytes, no control characters")));
    }
    Ok(given)
}

/// A `+` that was not escaped arrives as a space, which no number begins with.
fn number(name: &str, given: Option<String>) -> Result<Option<Number>, Problem> {
    let read = |text: String| match text.strip_prefix(' ') {
        Some(digits) => format!("+{digits}").into(),
        None => text.into(),
    };
    Ok(text(name, given)?.map(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<CdrFilter, String> {
        let uri: axum::http::Uri = format!("/?{query}").parse().unwrap();
        let query = Query::<CdrQuery>::try_from_uri(&uri).map_err(|rejection| rejection.body_text())?;
        query.0.filter().map_err(|problem| problem.to_string())
    }

    #[test]
    fn every_filter_is_read() {
        let filter = read(
            "from=2026-11-21T10:00:00%2B02:00&to=2026-11-21T10:00:00Z&caller=+4930123456&callee=1001&number=7\
             &user_id=user_00000000000000000000000000000007&trunk=world&cause=busy&answered=false&direction=inbound\
             &min_duration=3&correlation_id=000000000000000000000000000000c0\
             &call_id=call_00000000000000000000000000000007&tenant=acme",
        )
        .unwrap();
        assert_eq!(filter.from.unwrap().rfc3339(), "2026-11-21T08:00:00.000000Z");
        assert_eq!(filter.caller.unwrap().reveal(), "+4930123456");
        assert_eq!((filter.cause, filter.answered), (Some(Cause::Busy), Some(false)));
        assert_eq!((filter.direction, filter.min_duration), (Some(Direction::Inbound), Some(Duration::from_secs(3))));
        assert!(filter.user_id.is_some() && filter.correlation_id.is_some() && filter.call_id.is_some());
        assert_eq!(filter.tenant.unwrap().as_str(), "acme");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, name) in [
            ("from=yesterday", "from"),
            ("to=", "to"),
            ("caller=", "caller"),
            ("number=a%00b", "number"),
            ("user_id=7", "user_id"),
            ("cause=weather", "cause"),
            ("answered=perhaps", "answered"),
            ("direction=up", "direction"),
            ("min_duration=-1", "min_duration"),
            ("correlation_id=7", "correlation_id"),
            ("call_id=7", "call_id"),
            ("tenant=A", "tenant"),
            ("colour=red", "colour"),
        ] {
            let why = read(query).unwrap_err();
            assert!(why.contains(name), "{query}: {why}");
        }
    }
}
