//! Digest authentication, the server's side (RFC 7616, RFC 8760). No state but the nonces that were used.
//!
//! ```text
//!  nonce = issued at ‖ salt ‖ HMAC(key, issued at ‖ salt)      issued without memory, recognised by its signature
//!
//!  request ── Credentials::find ──▶ none: 401 or 407 with challenges
//!                             └───▶ Digest::verify ──▶ Accepted │ Stale: challenges again, stale=true │ Wrong
//! ```
//!
//! # Invariants
//! * A nonce and its count are accepted once. What is not known any more counts as used.
//! * Only correct credentials take room in the table of used nonces.
//! * Neither an unknown user nor a wrong digit changes how long an answer takes by more than noise.
//!
//! The crates `ezk-sip-types` and `ezk-sip-auth` are not used: they compare scheme and parameter names with case, refuse
//! headers that are no UTF-8, and have only a client.

mod credentials;
mod nonce;

pub use credentials::Credentials;

use std::time::Duration;

use md5::Digest as _;
use tandem_core::account::Ha1;
use tandem_core::time::Timestamp;

use crate::message::Method;
use crate::uri::Uri;
use nonce::{Nonce, UsedNonces};

/// Verifies who sends a request, for one realm.
pub struct Digest {
    realm: String,
    key: [u8; 32],
    lifetime: Duration,
    used: UsedNonces,
}

/// What credentials are worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Verdict {
    /// Right, and never seen before.
    Accepted,
    /// Right, but for a nonce that is too old, not ours or was used: challenge again with `stale`, and the phone tries again
    /// without asking its user.
    Stale,
    /// Wrong.
    Wrong,
}

/// A hash function of the digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Digest {
    /// For a realm without quotes or backslashes. `key` is random and of this process alone; a nonce lives for `lifetime`.
    #[must_use]
    pub const fn new(realm: String, key: [u8; 32], lifetime: Duration) -> Self {
        Self { realm, key, lifetime, used: UsedNonces::new() }
    }

    /// Values for WWW-Authenticate or Proxy-Authenticate, in this order. MD5 is first: most phones take the first and know
    /// nothing else, and those that know SHA-256 look for it (RFC 8760, 2.4 asks them to). Some, baresip 1.0 among them,
    /// give up at a challenge that they do not know, wherever it stands: `offers_sha256` is the operator's choice.
    /// `salt` is random: two phones must not get the same nonce.
    #[must_use]
    pub fn challenges(&self, now: Timestamp, salt: u64, is_stale: bool, offers_sha256: bool) -> Vec<String> {
        let nonce = Nonce { issued: now, salt }.signed(&self.key);
        let stale = if is_stale { ", stale=true" } else { "" };
        let sha256 = offers_sha256.then_some(Algorithm::Sha256);
        let challenge = |algorithm: Algorithm| {
            let (realm, name) = (&self.realm, algorithm.name());
            format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}")
        };
        std::iter::once(Algorithm::Md5).chain(sha256).map(challenge).collect()
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Verifies the credentials of a request. `ha1` is that of [`Credentials::user_name`]; `None` if there is no such user.
    pub fn verify(
        &mut self,
        credentials: &Credentials<'_>,
        method: &Method,
        uri: &Uri,
        ha1: Option<&Ha1>,
        now: Timestamp,
    ) -> Verdict {
        if !credentials.is_right(method, uri, ha1) {
            return Verdict::Wrong;
        }
        let is_fresh = Nonce::verified(credentials.nonce, &self.key).is_some_and(|nonce| {
            let is_alive = now - nonce.issued <= self.lifetime;
            is_alive && self.used.mark(nonce, credentials.count(), now, self.lifetime)
        });
        if is_fresh { Verdict::Accepted } else { Verdict::Stale }
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digest").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Algorithm {
    /// `None` for one that was never offered. None given is MD5 (RFC 7616, 3.4).
    fn named(name: Option<&[u8]>) -> Option<Self> {
        let Some(name) = name else { return Some(Self::Md5) };
        [Self::Md5, Self::Sha256].into_iter().find(|it| it.name().as_bytes().eq_ignore_ascii_case(name))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The hash of the parts with colons between, in lower-case hex.
    fn hash(self, parts: &[&[u8]]) -> String {
        let text = parts.join(&b':');
        match self {
            Self::Md5 => hex(&md5::Md5::digest(text)),
            Self::Sha256 => hex(&sha2::Sha256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests;
