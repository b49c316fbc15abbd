//! What is logged of every attempt to interfere with the node, whatever became of it.

use axum::http::Method;
use tandem_actors::drill::How;
use tracing::{info, warn};

use crate::auth::CameFrom;
use crate::problem::Problem;

/// Longest part of what somebody sent that goes into the log.
const LONGEST: usize = 64;

/// Somebody without the operator's token.
pub(super) fn refused(CameFrom(from): CameFrom, method: &Method, path: &str) {
    let outcome = Problem::Unauthorized.code();
    warn!(target: "audit", who = "nobody", %from, %method, path = cut(path), outcome, "operator's endpoint");
}

/// The operator broke a part, or could not.
pub(super) fn broken(
    CameFrom(from): CameFrom,
    (id, how): (Option<String>, Option<How>),
    outcome: &Result<(), Problem>,
) {
    let outcome = outcome.as_ref().map_or_else(Problem::code, |()| "broken");
    let id = cut(id.as_deref().unwrap_or_default());
    let how = how.map_or("", How::name);
    info!(target: "audit", who = "operator", %from, id, how, outcome, "part broken on purpose");
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
