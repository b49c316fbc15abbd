//! What is noted of every attempt to interfere with the node, whatever became of it.

use std::net::IpAddr;

use tandem_actors::drill::How;
use tandem_core::audit::{Action, Actor, Deed};
use tandem_core::id::Tenant;

use crate::api::Shared;
use crate::problem::Problem;

/// Longest part of what somebody sent that is noted.
const LONGEST: usize = 64;

/// The operator's attempt to break a part. Noted when it goes: also one that is dropped because its body never came.
pub(super) struct Attempt {
    shared: Shared,
    from: IpAddr,
    /// What is to be broken, and how, once that is known.
    pub(super) asked: Option<(String, How)>,
    pub(super) outcome: Result<(), Problem>,
}

impl Attempt {
    /// Of which nothing has come yet.
    pub(super) const fn new(shared: Shared, from: IpAddr) -> Self {
        Self { shared, from, asked: None, outcome: Err(Problem::TimedOut) }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let outcome = self.outcome.as_ref().map_or_else(Problem::code, |()| "broken");
        let (id, how) = self.asked.as_ref().map_or(("", ""), |(id, how)| (id, how.name()));
        let id: String = id.chars().take(LONGEST).collect();
        let deed = Deed::new(Tenant::operator(), Actor::Operator, Action::PartBroken, outcome);
        self.shared.audit(deed.from(Some(self.from)).of(format_args!("{id} {how}")));
    }
}
