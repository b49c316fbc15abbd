//! What is logged of every attempt to interfere with the node, whatever became of it.

use axum::http::Method;
use tandem_actors::drill::How;
use tandem_core::revocation::Revocation;
use tracing::{info, warn};

use crate::auth::CameFrom;
use crate::problem::Problem;

/// Longest part of what somebody sent that goes into the log.
const LONGEST: usize = 64;

/// Somebody without the operator's token. `hushed`: so many more, since the last one that is logged.
pub(super) fn refused(CameFrom(from): CameFrom, method: &Method, route: &str, hushed: u64) {
    let outcome = Problem::Unauthorized.code();
    warn!(target: "audit", who = "nobody", %from, %method, route, outcome, hushed, "operator's endpoint");
}

/// The operator took something back, or tried to.
pub(super) fn revoked(CameFrom(from): CameFrom, revocation: &Revocation, outcome: &Result<(), Problem>) {
    let outcome = outcome.as_ref().map_or_else(Problem::code, |()| "revoked");
    let (kind, id) = revocation.what.parts();
    let id = id.chars().take(LONGEST).collect::<String>();
    let (tenant, until) = (&revocation.tenant, revocation.until.rfc3339());
    info!(target: "audit", who = "operator", %from, %tenant, kind, id, until, outcome, "identity revoked");
}

/// The operator's attempt to break a part. Logged when it goes: also one that is dropped because its body never came.
pub(super) struct Attempt {
    from: CameFrom,
    /// What is to be broken, and how, once that is known.
    pub(super) asked: Option<(String, How)>,
    pub(super) outcome: Result<(), Problem>,
}

impl Attempt {
    /// Of which nothing has come yet.
    pub(super) const fn new(from: CameFrom) -> Self {
        Self { from, asked: None, outcome: Err(Problem::TimedOut) }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let outcome = self.outcome.as_ref().map_or_else(Problem::code, |()| "broken");
        let (id, how) = self.asked.as_ref().map_or(("", ""), |(id, how)| (id, how.name()));
        let (CameFrom(from), id) = (self.from, id.chars().take(LONGEST).collect::<String>());
        info!(target: "audit", who = "operator", %from, id, how, outcome, "part broken on purpose");
    }
}
