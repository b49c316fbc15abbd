//! Who carries a token, whoever signed it.
//!
//! ```text
//!  token ─▶ ours? ─ yes ─▶ Tokens::verify ────────────────────────────────┐
//!             └─── the IAM's ─▶ remembered? ─▶ Issuer::open ─▶ Outsiders ─┴─▶ times ─▶ revoked? ─▶ Proven
//! ```
//!
//! # Invariants
//! * A decision is remembered for `decision` at most, and never used beyond the token's end or after its revocation.
//! * Only good decisions are remembered, [`REMEMBERED`] of them, under a hash: no token stays in memory.

use std::sync::Arc;

use jsonwebtoken::dangerous::insecure_decode_claims;
use moka::future::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tandem_actors::Clock;
use tandem_core::id::Tenant;
use tandem_core::metric::{Counter, Metrics};
use tandem_core::time::WallTime;

use super::claims::Claims;
use super::issuer::{Issuer, IssuerError};
use super::outsider::{NotMapped, Outsiders, Testimony};
use super::revocations::Revocations;
use super::tokens::{TokenError, Tokens};

/// Most decisions that are remembered.
const REMEMBERED: u64 = 50_000;

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// See the module. Outlives the server.
pub struct Gate {
    tokens: Arc<Tokens>,
    outside: Option<Outside>,
    revocations: Arc<Revocations>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

struct Outside {
    issuer: Arc<Issuer>,
    outsiders: Arc<dyn Outsiders>,
    /// Of those whose token names none.
    home: Tenant,
    decided: Cache<[u8; 32], Arc<Proven>>,
}

/// What a good token proves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Proven {
    pub(crate) claims: Claims,
    /// Its `jti`, if it has one.
    pub(crate) token_id: Option<Box<str>>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Barred {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("revoked")]
    Revoked,
    #[error("the issuer's keys cannot be had")]
    KeysUnavailable,
    #[error(transparent)]
    NotMapped(#[from] NotMapped),
}

#[derive(Deserialize)]
struct Named {
    iss: String,
}

impl Gate {
    /// For tokens of ours.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, revocations: Arc<Revocations>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { tokens, outside: None, revocations, clock, metrics }
    }

    /// And for those of this issuer. Whoever belongs to no tenant by his token belongs to `home`, if that is configured.
    #[must_use]
    pub fn with_issuer(mut self, issuer: Arc<Issuer>, outsiders: Arc<dyn Outsiders>, home: Tenant) -> Self {
        let decided = Cache::builder().max_capacity(REMEMBERED).time_to_live(issuer.config().decision).build();
        self.outside = Some(Outside { issuer, outsiders, home, decided });
        self
    }

    /// Who carries this token.
    pub(crate) async fn admit(&self, token: &str) -> Result<Arc<Proven>, Barred> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed.into());
        }
        let now = self.clock.now().wall;
        let proven = match &self.outside {
            Some(outside) if outside.signs(token) => {
                let proven = outside.prove(token, now).await;
                proven.inspect_err(|_| self.metrics.count(Counter::ExternalTokensRefused))?
            }
            _ => Arc::new(self.tokens.prove(token, now)?),
        };
        if self.revocations.covers(&proven, now) {
            return Err(Barred::Revoked);
        }
        Ok(proven)
    }

    /// Returns when what let somebody in is revoked.
    pub(crate) async fn revoked(&self, proven: &Proven) {
        let mut changes = self.revocations.changes();
        while !self.revocations.covers(proven, self.clock.now().wall) {
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Outside {
    /// Whether a token says that it is the issuer's. Whether that is so, only the signature shows.
    fn signs(&self, token: &str) -> bool {
        let named = insecure_decode_claims::<Named>(token);
        named.is_ok_and(|named| Some(named.iss) == self.issuer.config().issuer)
    }

    async fn prove(&self, token: &str, now: WallTime) -> Result<Arc<Proven>, Barred> {
        let config = self.issuer.config();
        let hash = Sha256::digest(token).into();
        if let Some(decided) = self.decided.get(&hash).await {
            let holds = now < decided.claims.expires + config.leeway;
            return if holds { Ok(decided) } else { Err(TokenError::Expired.into()) };
        }
        let claims = self.issuer.open(token).await?;
        let said = Testimony::read(config, &self.home, &claims).ok_or(TokenError::Malformed)?;
        said.check(config, now)?;
        let insider = self.outsiders.insider(&said.who).await?;
        let proven = Arc::new(said.of(insider));
        self.decided.insert(hash, proven.clone()).await;
        Ok(proven)
    }
}

impl From<IssuerError> for Barred {
    fn from(error: IssuerError) -> Self {
        match error {
            IssuerError::Token(error) => Self::Token(error),
            IssuerError::KeysUnavailable => Self::KeysUnavailable,
        }
    }
}
