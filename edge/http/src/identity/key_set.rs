//! The public keys of an issuer (RFC 7517), and what they may verify.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of an issuer that are looked at.
const MOST: usize = 64;

/// The keys that can verify, as they were published together.
#[derive(Default)]
pub(super) struct KeySet(Vec<Key>);

/// One of them. Which algorithm it is for is the key's to say, never a token's.
pub(super) struct Key {
    kid: String,
    pub(super) algorithm: Algorithm,
    pub(super) verifies: DecodingKey,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl KeySet {
    /// The keys in a JSON Web Key Set that we can use; others are passed over. `None` when that leaves none: whoever
    /// publishes this has lost something.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let published: Published = serde_json::from_slice(text).ok()?;
        let keys: Vec<_> = published.keys.into_iter().take(MOST).filter_map(usable).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(super) fn find(&self, kid: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.kid == kid)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}

fn usable(published: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(published).ok()?;
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(it) if it.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let is_for_it = jwk.common.key_algorithm.is_none_or(|it| it == named);
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
    let verifies = DecodingKey::from_jwk(&jwk).ok()?;
    let kid = jwk.common.key_id?;
    (is_for_it && signs).then_some(Key { kid, algorithm, verifies })
}
