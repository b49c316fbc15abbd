//! What was asked under which Idempotency-Key, and what came of it.

use std::future::Future;
use std::time::Duration;

use axum::http::HeaderMap;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tandem_core::party::Number;

use super::initiate::Initiated;
use crate::clients::UserKey;
use crate::problem::Problem;

/// Name of the header.
pub(crate) const HEADER: &str = "idempotency-key";

/// How long a key is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// How many keys are remembered; the one unused for longest goes first.
const REMEMBERED: u64 = 100_000;

/// Longest key, in bytes.
const LONGEST: usize = 255;

/// See the module. Only what succeeded is remembered: what failed may be tried again.
pub(crate) struct Idempotency(Cache<(UserKey, String), (Number, Initiated)>);

impl Default for Idempotency {
    fn default() -> Self {
        // By default a full cache would not take a new key at all, and what it asks for would be done twice.
        let keys = Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru());
        Self(keys.time_to_live(REMEMBERED_FOR).build())
    }
}

impl Idempotency {
    /// Does it, unless the key has done it already. Of several at the same time one does it, and all get what came of it.
    pub(super) async fn once(
        &self,
        user: UserKey,
        key: Option<String>,
        asked: Number,
        initiate: impl Future<Output = Result<Initiated, Problem>>,
    ) -> Result<Initiated, Problem> {
        let Some(key) = key else { return initiate.await };
        let work =
            async { initiate.await.map(|done| (asked.clone(), done)).map_err(|problem| (asked.clone(), problem)) };
        let (was_asked, done) = match self.0.try_get_with((user, key), work).await {
            Ok((was_asked, done)) => (was_asked, Ok(done)),
            Err(failed) => (failed.0.clone(), Err(failed.1.clone())),
        };
        if was_asked == asked { done } else { Err(Problem::IdempotencyConflict) }
    }
}

/// The key of a request.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(HEADER) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=LONGEST).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::invalid(format!("Idempotency-Key: 1 to {LONGEST} visible characters"))),
    }
}
