//! Signing in, with its limits: so many times a minute for a name, and for an address.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use parking_lot::Mutex;
use tandem_actors::Clock;
use tandem_core::admission::Damper;
use tandem_core::id::Tenant;
use tandem_core::metric::{Counter, Metrics};
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use tracing::{error, warn};

use crate::identity::{Accounts, Ended, Opened, Tokens};
use crate::problem::Problem;

/// Sign-ins a minute, and at once, with one name.
const PER_NAME: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Sign-ins a minute, and at once, from one address.
const PER_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);

/// How many names and addresses are remembered; the one unused for longest goes first.
const REMEMBERED: u64 = 100_000;

/// Longer than any bucket takes to fill.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);

/// See the module. Outlives the server, so that a restart gives nobody new tries.
pub struct SignIns {
    accounts: Arc<dyn Accounts>,
    tokens: Arc<Tokens>,
    clock: Clock,
    metrics: Arc<Metrics>,
    limits: Cache<Limited, Arc<DefaultDirectRateLimiter>>,
    refusals: Mutex<Damper>,
}

/// What is limited.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Limited {
    Name(Tenant, Pii<String>),
    Address(IpAddr),
}

/// What somebody who signed in gets.
pub(crate) struct SignedIn {
    pub(crate) access_token: String,
    pub(crate) opened: Opened,
}

impl SignIns {
    /// At the door of these accounts, with these tokens.
    #[must_use]
    pub fn new(accounts: Arc<dyn Accounts>, tokens: Arc<Tokens>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        // By default a full cache takes nobody whom it has not seen often: a name that is tried for the first time during
        // a flood of others would have no limit.
        let limits = Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru());
        let limits = limits.time_to_idle(FORGOTTEN_AFTER).build();
        Self { accounts, tokens, clock, metrics, limits, refusals: Mutex::default() }
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(crate) async fn sign_in(
        &self,
        tenant: &Tenant,
        from: Option<IpAddr>,
        name: &str,
        password: &str,
    ) -> Result<SignedIn, Problem> {
        if let Some(from) = from {
            self.limit(Limited::Address(network(from)), PER_ADDRESS).await?;
        }
        // Names differ in nothing but what is left of them here.
        let known_as = name.trim().to_lowercase();
        self.limit(Limited::Name(tenant.clone(), known_as.into()), PER_NAME).await?;
        let Some(opened) = self.accounts.sign_in(tenant, name, password).await? else {
            self.metrics.count(Counter::SignInsFailed);
            self.log("wrong credentials");
            return Err(Problem::InvalidCredentials);
        };
        self.signed_in(opened)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<SignedIn, Problem> {
        let opened = self.accounts.refresh(token).await?.ok_or(Problem::InvalidRefreshToken)?;
        self.signed_in(opened)
    }

    pub(crate) async fn sign_out(&self, token: &str) -> Result<Option<Ended>, Problem> {
        Ok(self.accounts.sign_out(token).await?)
    }

    fn signed_in(&self, opened: Opened) -> Result<SignedIn, Problem> {
        let now = self.now();
        match self.tokens.issue(&opened.claims(now), now) {
            Ok(access_token) => Ok(SignedIn { access_token, opened }),
            Err(error) => {
                error!(%error, "access token not signed");
                Err(Problem::Unavailable)
            }
        }
    }

    async fn limit(&self, what: Limited, a_minute: NonZeroU32) -> Result<(), Problem> {
        let bucket = async { Arc::new(RateLimiter::direct(Quota::per_minute(a_minute))) };
        let bucket = self.limits.get_with(what, bucket).await;
        bucket.check().map_err(|until| {
            self.metrics.count(Counter::SignInsLimited);
            self.log("rate");
            Problem::RateLimited(until.wait_time_from(DefaultClock::default().now()))
        })
    }

    fn log(&self, why: &'static str) {
        if let Some(hushed) = self.refusals.lock().admit(self.clock.now().mono) {
            warn!(why, hushed, "sign-in refused");
        }
    }

    fn now(&self) -> WallTime {
        self.clock.now().wall
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_household_count_as_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::5"), of("2001:db8:0:1:aaaa::7"));
        assert_ne!(of("2001:db8:0:1::5"), of("2001:db8:0:2::5"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
