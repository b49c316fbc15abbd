//! API keys: who may sign tokens, and what they say.

use std::collections::HashMap;
use std::time::Duration;

use livekit_token::{AccessToken, Claims, TokenVerifier};
use tandem_core::id::Tenant;
use tandem_core::pii::Pii;

use crate::config::ApiKey;

/// How long a token is good that a participant is given while he is connected.
const REFRESHED: Duration = Duration::from_secs(600);

/// The configured keys.
pub(crate) struct Keys(HashMap<String, Key>);

struct Key {
    verifier: TokenVerifier,
    secret: Pii<String>,
    tenant: Tenant,
}

/// What a valid token says, and whose it is.
#[derive(Clone)]
pub(crate) struct Bearer {
    pub(crate) tenant: Tenant,
    pub(crate) claims: Claims,
}

/// The token is missing, expired, or not signed by a key of ours. Which of these is nobody's business.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid or missing access token")]
pub(crate) struct Unauthenticated;

impl Keys {
    pub(crate) fn new(keys: &[ApiKey]) -> Self {
        let filed = |it: &ApiKey| {
            let verifier = TokenVerifier::with_api_key(&it.key, it.secret.reveal());
            (it.key.clone(), Key { verifier, secret: it.secret.clone(), tenant: it.tenant.clone() })
        };
        Self(keys.iter().map(filed).collect())
    }

    /// Checks a token.
    ///
    /// # Errors
    /// When it is not a good one.
    pub(crate) fn verify(&self, token: &str) -> Result<Bearer, Unauthenticated> {
        let issuer = Claims::from_unverified(token).map_err(|_| Unauthenticated)?.iss;
        let key = self.0.get(&issuer).ok_or(Unauthenticated)?;
        let claims = key.verifier.verify(token).map_err(|_| Unauthenticated)?;
        Ok(Bearer { tenant: key.tenant.clone(), claims })
    }

    /// The same token anew, so that somebody can come back after the first one expired. `None`: its key is gone.
    pub(crate) fn refreshed(&self, claims: &Claims) -> Option<String> {
        let key = self.0.get(&claims.iss)?;
        AccessToken::with_api_key(&claims.iss, key.secret.reveal())
            .with_ttl(REFRESHED)
            .with_identity(&claims.sub)
            .with_name(&claims.name)
            .with_kind(&claims.kind)
            .with_metadata(&claims.metadata)
            .with_attributes(claims.attributes.clone())
            .with_grants(claims.video.clone())
            .to_jwt()
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use livekit_token::VideoGrants;

    use super::*;
    use crate::Config;

    fn token(key: &str, secret: &str) -> AccessToken {
        let grants = VideoGrants { room_join: true, room: "r".into(), ..VideoGrants::default() };
        AccessToken::with_api_key(key, secret).with_identity("alice").with_grants(grants)
    }

    #[test]
    fn only_a_configured_key_with_its_secret_signs() {
        let keys = Keys::new(&Config::default().for_development().key);
        let bearer = keys.verify(&token("devkey", "secret").to_jwt().unwrap()).unwrap();
        assert_eq!((bearer.tenant.as_str(), bearer.claims.sub.as_str()), ("default", "alice"));
        for (key, secret) in [("devkey", "wrong"), ("other", "secret")] {
            assert!(keys.verify(&token(key, secret).to_jwt().unwrap()).is_err(), "{key} {secret}");
        }
        assert!(keys.verify("").is_err() && keys.verify("a.b.c").is_err());
        // No signature at all: algorithm `none`.
        assert!(keys.verify("eyJhbGciOiJub25lIn0.eyJpc3MiOiJkZXZrZXkiLCJleHAiOjk5OTk5OTk5OTl9.").is_err());
    }

    #[test]
    fn a_refreshed_token_says_the_same() {
        let keys = Keys::new(&Config::default().for_development().key);
        let claims = keys.verify(&token("devkey", "secret").with_name("A").to_jwt().unwrap()).unwrap().claims;
        let again = keys.verify(&keys.refreshed(&claims).unwrap()).unwrap().claims;
        assert_eq!((again.sub, again.name, again.video), (claims.sub, claims.name, claims.video));
    }
}
