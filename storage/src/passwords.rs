//! Argon2id hashes of passwords (RFC 9106), made and checked beside the runtime.
//!
//! # Invariants
//! * At most half the processors are hashing, each with 19 MiB; at most [`PLACES`] requests hash or wait for it. Who
//!   comes then is sent away at once, so nobody waits longer than it takes to hash for those before him.
//! * A check costs the same whether or not there is a hash to check against.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use tandem_core::metric::Fill;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// Requests that hash or wait for it: two seconds of work for one processor.
const PLACES: usize = 64;

/// Nobody's hash: what unknown names are checked against. Its digest is all zeros, which no password is known to give.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// See the module.
#[derive(Debug)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Why a password was neither hashed nor checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HashError {
    /// Too many others wait.
    #[error("too many passwords at once")]
    Busy,
    /// No randomness, or the runtime is going away.
    #[error("no hash")]
    Failed,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, |it| it.get());
        Self { places: Arc::new(Semaphore::new(PLACES)), turns: Arc::new(Semaphore::new((processors / 2).max(1))) }
    }

    /// Those that are hashed or wait for it.
    pub(crate) fn busy(&self) -> Fill {
        Fill { depth: PLACES - self.places.available_permits().min(PLACES), capacity: PLACES }
    }

    /// The hash of a password with a new salt, as a PHC string.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, HashError> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move || hash(&password)).await?.ok_or(HashError::Failed)
    }

    /// Whether a hash is this password's; with none, whether it is nobody's, which it is not.
    pub(crate) async fn check(&self, password: &str, hash: Option<&str>) -> Result<bool, HashError> {
        let password = Zeroizing::new(password.to_owned());
        let hash = hash.unwrap_or(NOBODY).to_owned();
        self.run(move || is_hash_of(&hash, &password)).await
    }

    /// The work goes on when nobody waits for it any more, and keeps its place until it is done.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HashError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| HashError::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| HashError::Failed)?;
        let kept = move || {
            let _until_done = (place, turn);
            work()
        };
        spawn_blocking(kept).await.map_err(|_| HashError::Failed)
    }
}

/// With the parameters that OWASP asks for, which are this crate's own: 19 MiB, two passes, one lane.
fn hash(password: &str) -> Option<String> {
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}

/// With the parameters of the hash.
fn is_hash_of(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_of_its_password_only_and_nobodys_is_made_like_any_other() {
        let passwords = Passwords::new();
        let hash = passwords.hash("s3cret").await.unwrap();
        let head = "$argon2id$v=19$m=19456,t=2,p=1$";
        assert!(hash.starts_with(head) && NOBODY.starts_with(head) && hash.len() == NOBODY.len(), "{hash}");
        assert_ne!(passwords.hash("s3cret").await.unwrap(), hash, "the salt is new");
        assert_eq!(passwords.check("s3cret", Some(&hash)).await, Ok(true));
        for (password, hash) in [("s3cre", &*hash), ("", &*hash), ("s3cret", "no hash")] {
            assert_eq!(passwords.check(password, Some(hash)).await, Ok(false), "{password}");
        }
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert_eq!(passwords.check("", None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_flood_is_sent_away_and_those_inside_are_served() {
        let passwords = Arc::new(Passwords::new());
        let turns = u32::try_from(passwords.turns.available_permits()).unwrap();
        let all_taken = passwords.turns.clone().acquire_many_owned(turns).await.unwrap();
        let checks: Vec<_> = (0..PLACES + 10)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.run(|| ()).await })
            })
            .collect();
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.check("s3cret", None).await, Err(HashError::Busy));
        drop(all_taken);
        let mut served = 0;
        for check in checks {
            served += usize::from(check.await.unwrap().is_ok());
        }
        assert!(served >= PLACES);
        assert_eq!(passwords.places.available_permits(), PLACES);
    }
}
