//! Somebody else who signs tokens: an IAM, known by its published keys.
//!
//! ```text
//!  keep: fetch ─▶ keys ─ cache ─▶ fetch …            not answered: back-off, the last good keys go on for `stale`
//!                  ▲
//!  verify ── kid unknown ── wanted, once in `unknown_kid_refresh` ──▶ waits for that fetch, not longer
//! ```
//!
//! # Invariants
//! * The token chooses among the published keys and nothing else; each key verifies one algorithm, never a shared secret.
//! * Whatever tokens come, the IAM is asked once in `unknown_kid_refresh` at most.
//! * Keys that were not confirmed for `cache` + `stale` verify nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::{Validation, decode, decode_header};
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use serde_json::Value;
use tandem_actors::Clock;
use tandem_core::metric::{Counter, Gauge, Metrics};
use tandem_core::time::{Timestamp, WallTime};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::config::IdentityConfig;
use super::key_set::KeySet;
use super::tokens::{TokenError, with_provider};

/// Largest key set, in bytes.
const LARGEST: usize = 256 << 10;

/// After the first fetch that failed; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest of those pauses.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// See the module.
pub struct Issuer {
    config: IdentityConfig,
    url: String,
    validation: Validation,
    http: reqwest::Client,
    clock: Clock,
    metrics: Arc<Metrics>,
    keys: ArcSwap<Known>,
    fetching: Mutex<Fetching>,
    wanted: Notify,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

/// The last good keys.
#[derive(Default)]
struct Known {
    keys: KeySet,
    fetched: Option<Timestamp>,
}

#[derive(Default)]
struct Fetching {
    is_on: bool,
    began: Option<Timestamp>,
}

/// Why a token of this issuer is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum IssuerError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the issuer's keys cannot be had")]
    KeysUnavailable,
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("not reached")]
    Http(#[from] reqwest::Error),
    #[error("too slow")]
    TooSlow,
    #[error("status {0}")]
    Status(u16),
    #[error("larger than {LARGEST} bytes")]
    TooLarge,
    #[error("no key that can be used")]
    NoKeys,
}

impl Issuer {
    /// As configured; `None` when no issuer is.
    ///
    /// # Errors
    /// The HTTP client cannot be made: the machine has no root certificates, for one.
    pub fn new(
        config: &IdentityConfig,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Option<Arc<Self>>, reqwest::Error> {
        let (Some(issuer), Some(url), Some(audience)) = (&config.issuer, &config.jwks_url, &config.audience) else {
            return Ok(None);
        };
        with_provider();
        let mut validation = Validation::default();
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_exp = false; // it would look at the machine's clock; whoever asks looks at the caller's
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(config.fetch_timeout).build()?;
        let (keys, fetching, wanted) = Default::default();
        let (url, ended) = (url.clone(), watch::Sender::new(0));
        let config = config.clone();
        Ok(Some(Arc::new(Self { config, url, validation, http, clock, metrics, keys, fetching, wanted, ended })))
    }

    pub(super) const fn config(&self) -> &IdentityConfig {
        &self.config
    }

    /// The claims of a token whose signature, issuer and audience are right. Its times are not looked at.
    pub(super) async fn open(&self, token: &str) -> Result<Value, IssuerError> {
        let header = decode_header(token).map_err(TokenError::from)?;
        // RFC 7515, 4.1.11: what is critical and not understood makes it invalid. We understand none.
        if header.crit.is_some() {
            return Err(TokenError::Malformed.into());
        }
        let kid = header.kid.ok_or(TokenError::UnknownKey)?;
        let mut ended = self.ended.subscribe();
        let mut keys = self.keys.load_full();
        if self.usable(&keys).is_none_or(|keys| keys.find(&kid).is_none()) && self.ask() {
            let _late = timeout(self.config.fetch_timeout, ended.changed()).await;
            keys = self.keys.load_full();
        }
        let key = self.usable(&keys).ok_or(IssuerError::KeysUnavailable)?.find(&kid).ok_or(TokenError::UnknownKey)?;
        let validation = Validation { algorithms: vec![key.algorithm], ..self.validation.clone() };
        Ok(decode::<Value>(token, &key.verifies, &validation).map_err(TokenError::from)?.claims)
    }

    /// Fetches the keys again and again. Never returns.
    pub async fn keep(&self) {
        let mut retry = FIRST_RETRY;
        loop {
            let pause = match self.refresh().await {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    self.config.cache
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "keys of the issuer not fetched");
                    let pause = retry.min(self.config.cache);
                    retry = (retry * 2).min(LAST_RETRY);
                    pause
                }
            };
            let usable = self.usable(&self.keys.load()).map_or(0, KeySet::len);
            self.metrics.set(Gauge::IssuerKeys, i64::try_from(usable).unwrap_or(i64::MAX));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    async fn refresh(&self) -> Result<(), FetchError> {
        *self.fetching.lock() = Fetching { is_on: true, began: Some(self.clock.now().mono) };
        let done = Done(self);
        self.metrics.count(Counter::IssuerKeyFetches);
        let fetched = timeout(self.config.fetch_timeout, self.fetch()).await.unwrap_or(Err(FetchError::TooSlow));
        match fetched {
            Ok(keys) => {
                if self.keys.load().fetched.is_none() {
                    info!(keys = keys.len(), "keys of the issuer are there");
                }
                self.keys.store(Arc::new(Known { keys, fetched: Some(self.clock.now().mono) }));
                drop(done);
                Ok(())
            }
            Err(error) => {
                self.metrics.count(Counter::IssuerKeyFetchesFailed);
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let mut response = self.http.get(&self.url).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if text.len() + chunk.len() > LARGEST {
                return Err(FetchError::TooLarge);
            }
            text.extend_from_slice(&chunk);
        }
        KeySet::read(&text).ok_or(FetchError::NoKeys)
    }

    /// Whether a fetch is on its way, or may be begun and was.
    fn ask(&self) -> bool {
        let (fetching, now) = (self.fetching.lock(), self.clock.now().mono);
        if !fetching.is_on && fetching.began.is_some_and(|at| now - at < self.config.unknown_kid_refresh) {
            return false;
        }
        if !fetching.is_on {
            self.wanted.notify_one();
        }
        true
    }

    /// Those keys, unless nobody has confirmed them for too long.
    fn usable<'a>(&self, known: &'a Known) -> Option<&'a KeySet> {
        let age = self.clock.now().mono - known.fetched?;
        (age < self.config.cache + self.config.stale).then_some(&known.keys)
    }
}

/// A fetch that ends, however it does.
struct Done<'a>(&'a Issuer);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetching.lock().is_on = false;
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}

/// A time in a claim (RFC 7519, NumericDate), to the second. `None` when it is none.
pub(super) fn time(claim: &Value) -> Option<WallTime> {
    let seconds = claim.as_f64().filter(|it| (0.0..1e11).contains(it))?;
    Some(WallTime((seconds as i64).saturating_mul(1_000_000)))
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}
