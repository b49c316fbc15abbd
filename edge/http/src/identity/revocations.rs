//! What was taken back before its time: every request asks, so it is in memory on every node.
//!
//! ```text
//!  POST /ops/revocations, sign-out ─▶ Revoker: database ─▶ bus ─▶ every node: apply ─▶ requests 401, event streams closed
//!  start, or the bus lost some     ─▶ database ─▶ load
//! ```
//!
//! # Invariants
//! * What is revoked stays so until its time, whatever else is applied and in whatever order.
//! * There are never more than [`MOST`]; those that end first leave first.

use std::collections::HashMap;

use futures::future::BoxFuture;
use parking_lot::RwLock;
use tandem_core::id::Tenant;
use tandem_core::revocation::{Revocation, Revoked};
use tandem_core::time::WallTime;
use tokio::sync::watch;

use super::accounts::Unavailable;
use super::gate::Proven;

/// Most revocations that are kept in memory.
const MOST: usize = 100_000;

/// Takes back, everywhere.
pub trait Revoker: Send + Sync + 'static {
    /// Stores it, applies it here and tells the other nodes.
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// See the module.
#[derive(Debug)]
pub struct Revocations {
    until: RwLock<HashMap<(Tenant, Revoked), WallTime>>,
    changed: watch::Sender<u64>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { until: RwLock::default(), changed: watch::Sender::new(0) }
    }
}

impl Revocations {
    /// From now on these too. One that is known already holds until the later time.
    pub fn apply(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let mut known = self.until.write();
        for Revocation { tenant, what, until } in revocations {
            let kept = known.entry((tenant, what)).or_insert(until);
            *kept = until.max(*kept);
        }
        if known.len() > MOST {
            let mut ends: Vec<_> = known.values().copied().collect();
            let (_, first_kept, _) = ends.select_nth_unstable(known.len() - MOST);
            let first_kept = *first_kept;
            tracing::error!(most = MOST, "more revocations than fit, those that end first are gone");
            known.retain(|_, until| *until >= first_kept);
        }
        drop(known);
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Forgets what has ended.
    pub fn prune(&self, now: WallTime) {
        self.until.write().retain(|_, until| *until > now);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.until.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn covers(&self, proven: &Proven, now: WallTime) -> bool {
        let known = self.until.read();
        if known.is_empty() {
            return false;
        }
        let claims = &proven.claims;
        let token = proven.token_id.as_ref().map(|id| Revoked::Token(id.to_string()));
        let whats = [Some(Revoked::UserId(claims.user_id)), Some(Revoked::DeviceId(claims.device_id)), token];
        let ends = |what| known.get(&(claims.tenant.clone(), what)).is_some_and(|until| *until > now);
        whats.into_iter().flatten().any(ends)
    }

    /// Told of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::id::{DeviceId, UserId};
    use uuid::Uuid;

    use super::*;
    use crate::identity::claims::tests::{NOW, claims};

    fn proven() -> Proven {
        Proven { claims: claims(), token_id: Some("t1".into()) }
    }

    fn of(what: Revoked, until: WallTime) -> Revocation {
        Revocation { tenant: Tenant::default_tenant(), what, until }
    }

    #[test]
    fn a_token_a_user_and_a_device_are_each_enough_until_the_time_is_over() {
        let later = WallTime(NOW.0 + 1);
        for what in
            [Revoked::Token("t1".to_owned()), Revoked::UserId(claims().user_id), Revoked::DeviceId(claims().device_id)]
        {
            let revocations = Revocations::default();
            assert!(!revocations.covers(&proven(), NOW));
            revocations.apply([of(what.clone(), later), of(what.clone(), NOW)]);
            assert!(revocations.covers(&proven(), NOW), "{what:?}");
            assert!(!revocations.covers(&proven(), later));
            let other = Revocation { tenant: "other".parse().unwrap(), ..of(what, later) };
            let elsewhere = Revocations::default();
            elsewhere.apply([other]);
            assert!(!elsewhere.covers(&proven(), NOW), "another tenant's");
            revocations.prune(later);
            assert!(revocations.is_empty());
        }
        let others = Revocations::default();
        let (user, device) = (UserId::from_uuid(Uuid::nil()), DeviceId::from_uuid(Uuid::nil()));
        let whats = [Revoked::Token("t2".to_owned()), Revoked::UserId(user), Revoked::DeviceId(device)];
        others.apply(whats.map(|what| of(what, later)));
        assert!(!others.covers(&proven(), NOW));
    }

    #[test]
    fn when_there_are_too_many_those_that_end_first_leave() {
        let revocations = Revocations::default();
        let many = (0..=MOST as i64).map(|n| of(Revoked::Token(n.to_string()), WallTime(NOW.0 + 1 + n)));
        revocations.apply(many);
        assert_eq!(revocations.len(), MOST);
        let with = |id: &str| Proven { claims: claims(), token_id: Some(id.into()) };
        assert!(!revocations.covers(&with("0"), NOW) && revocations.covers(&with("1"), NOW));
    }
}
