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

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde_json::json;
    use tandem_core::id::Tenant;

    use super::*;
    use crate::identity::outsider::Testimony;

    /// An issuer whose key is known, and will not be asked for again.
    fn issuer() -> (Arc<Issuer>, EncodingKey) {
        with_provider();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let private = EncodingKey::from_ec_der(pair.as_ref());
        let mut jwk = Jwk::from_encoding_key(&private, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("e".to_owned());
        let config = IdentityConfig {
            issuer: Some("https://iam.example".to_owned()),
            jwks_url: Some("http://127.0.0.1:9/".to_owned()),
            audience: Some("tandem".to_owned()),
            unknown_kid_refresh: Duration::from_secs(3_600),
            ..IdentityConfig::default()
        };
        let clock = Clock::start();
        let issuer = Issuer::new(&config, clock.clone(), Arc::default()).unwrap().unwrap();
        let now = Some(clock.now().mono);
        let keys = KeySet::read(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        issuer.keys.store(Arc::new(Known { keys, fetched: now }));
        *issuer.fetching.lock() = Fetching { is_on: false, began: now };
        (issuer, private)
    }

    fn good() -> Value {
        json!({"iss": "https://iam.example", "aud": "tandem", "sub": "alice", "tenant": "default", "exp": 1_790_000_900})
    }

    fn sign(private: &EncodingKey, payload: &Value) -> String {
        encode(&Header { kid: Some("e".to_owned()), ..Header::new(Algorithm::ES256) }, payload, private).unwrap()
    }

    /// Whether it is opened, by somebody who does not wait.
    fn opens(issuer: &Issuer, token: &str) -> Option<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(issuer.open(token)).ok()
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|it| json!(it)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_is_opened(text in "\\PC{0,300}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,80}", 0..5)) {
            let (issuer, _) = issuer();
            prop_assert!(opens(&issuer, &text).is_none());
            prop_assert!(opens(&issuer, &parts.join(".")).is_none());
        }

        #[test]
        fn no_token_with_another_character_in_it_is_opened(at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=-]") {
            let (issuer, private) = issuer();
            let mut token = sign(&private, &good());
            prop_assert_eq!(opens(&issuer, &token), Some(good()));
            let at = at.index(token.len());
            prop_assume!(token[at..=at] != other);
            token.replace_range(at..=at, &other);
            prop_assert!(opens(&issuer, &token).is_none());
        }

        #[test]
        fn whatever_the_issuer_signs_is_read_or_refused(
            name in prop::sample::select(vec!["iss", "aud", "sub", "tenant", "exp", "nbf", "role", "ext", "sid", "jti"]),
            value in json(),
        ) {
            let (issuer, private) = issuer();
            let mut payload = good();
            payload[name] = value;
            if let Some(claims) = opens(&issuer, &sign(&private, &payload)) {
                prop_assert_eq!(&claims["iss"], "https://iam.example");
                let said = Testimony::read(issuer.config(), &Tenant::default_tenant(), &claims);
                let _read_or_not = said.map(|said| said.check(issuer.config(), WallTime(1_790_000_000_000_000)));
            }
        }
    }
}
