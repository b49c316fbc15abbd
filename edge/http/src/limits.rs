//! How many requests may come: of an address, of a user, of a tenant. Token buckets, bounded in number.
//!
//! ```text
//!  request ── address ──▶ who is it? ── user ── tenant ──▶ handler
//!                └─ empty ────────────────┴───────┴──────▶ 429, Retry-After: 1
//! ```
//!
//! # Invariants
//! * Health, metrics and the page are nobody's to limit: who watches a flooded node must see it.
//! * Whom his own bucket refuses takes nothing from his tenant's.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tandem_core::admission::{Buckets, RETRY_AFTER, Rate};
use tandem_core::audit::damping::network;
use tandem_core::id::Tenant;
use tandem_core::metric::Counter;
use tandem_core::time::Timestamp;

use crate::api::Shared;
use crate::auth::CameFrom;
use crate::bearer::Principal;
use crate::clients::UserKey;
use crate::config::Config;
use crate::problem::Problem;

/// Addresses, users and tenants that are remembered, each.
const KNOWN: usize = 65_536;

/// See the module.
pub(crate) struct Limits {
    addresses: Mutex<Buckets<IpAddr>>,
    people: Mutex<People>,
}

struct People {
    users: Buckets<UserKey>,
    tenants: Buckets<Tenant>,
}

impl Limits {
    /// With full buckets, each of two seconds' worth.
    pub(crate) fn new(config: &Config, now: Timestamp) -> Self {
        let rate = Rate::with_two_seconds;
        let users = Buckets::new(rate(config.requests_per_second_user), KNOWN, now);
        let tenants = Buckets::new(rate(config.requests_per_second_tenant), KNOWN, now);
        let addresses = Buckets::new(rate(config.requests_per_second_ip), KNOWN, now);
        Self { addresses: Mutex::new(addresses), people: Mutex::new(People { users, tenants }) }
    }

    /// One more request from there.
    fn admit_address(&self, from: IpAddr, now: Timestamp) -> Result<(), Counter> {
        let mut addresses = self.addresses.lock();
        addresses.ready(network(from), now).ok_or(Counter::ApiLimitedAddress)?.take();
        Ok(())
    }

    /// One more request of his.
    fn admit_user(&self, key: UserKey, now: Timestamp) -> Result<(), Counter> {
        let mut people = self.people.lock();
        let People { users, tenants } = &mut *people;
        let tenant = key.0.clone();
        let user = users.ready(key, now).ok_or(Counter::ApiLimitedUser)?;
        let tenant = tenants.ready(tenant, now).ok_or(Counter::ApiLimitedTenant)?;
        user.take();
        tenant.take();
        Ok(())
    }
}

impl Shared {
    /// Whether somebody who is known may ask once more.
    pub(crate) fn admit(&self, principal: &Principal) -> Result<(), Problem> {
        let now = self.api.clients.clock.now().mono;
        self.limits.admit_user(principal.key(), now).map_err(|limit| self.limited(limit))
    }

    fn limited(&self, limit: Counter) -> Problem {
        self.api.metrics.count(limit);
        Problem::RateLimited(RETRY_AFTER)
    }
}

/// Around every route of the API.
pub(crate) async fn by_address(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<CameFrom>().filter(|_| request.uri().path().starts_with("/api/"));
    let now = shared.api.clients.clock.now().mono;
    match from.map_or(Ok(()), |CameFrom(from)| shared.limits.admit_address(*from, now)) {
        Ok(()) => next.run(request).await,
        Err(limit) => shared.limited(limit).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use tandem_core::id::UserId;
    use uuid::Uuid;

    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    fn limits() -> Limits {
        let rate = |per_second| NonZeroU32::new(per_second).unwrap();
        let config = Config {
            requests_per_second_ip: rate(5),
            requests_per_second_user: rate(2),
            requests_per_second_tenant: rate(3),
            ..Config::default()
        };
        Limits::new(&config, START)
    }

    fn user(tenant: &str, n: u128) -> UserKey {
        (tenant.parse().unwrap(), UserId::from_uuid(Uuid::from_u128(n)))
    }

    #[test]
    fn each_has_a_bucket_and_whom_his_own_refuses_takes_nothing_from_his_tenant_s() {
        let limits = limits();
        let admitted = |key: UserKey, at| (0..100).filter(|_| limits.admit_user(key.clone(), at).is_ok()).count();
        assert_eq!(admitted(user("a", 1), START), 4);
        assert_eq!(admitted(user("a", 2), START), 2);
        assert_eq!(limits.admit_user(user("a", 3), START), Err(Counter::ApiLimitedTenant));
        assert_eq!(limits.admit_user(user("a", 1), START), Err(Counter::ApiLimitedUser));
        assert_eq!(admitted(user("b", 1), START), 4, "another tenant's user of the same id");
        assert_eq!(admitted(user("a", 1), START + RETRY_AFTER), 2);
    }

    #[test]
    fn an_address_gets_two_seconds_worth_and_then_its_rate() {
        let limits = limits();
        let admitted = |from: [u8; 4], at| (0..100).filter(|_| limits.admit_address(from.into(), at).is_ok()).count();
        assert_eq!(admitted([192, 0, 2, 1], START), 10);
        assert_eq!(admitted([192, 0, 2, 2], START), 10);
        assert_eq!(admitted([192, 0, 2, 1], START + Duration::from_secs(1)), 5);
    }
}
