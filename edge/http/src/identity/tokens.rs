//! Access tokens: signed here, checked here, and checkable by others with the published keys (RFC 7515, 7517, 7518).

use std::fmt;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Value, json};
use tandem_core::time::WallTime;
use uuid::Uuid;

use super::claims::{Claims, Payload, US};
use super::gate::Proven;

/// How far the clocks of two nodes may differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// A key pair on P-256. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct SigningKey {
    /// Its name in tokens and among the published keys.
    pub kid: String,
    /// The private key as PKCS#8 (RFC 5958) in DER, with the public one in it.
    pub pkcs8: Vec<u8>,
}

/// The keys of the moment. Shared by all requests, replaced as a whole while they run.
pub struct Tokens {
    keys: ArcSwap<Keys>,
    validation: Validation,
}

struct Keys {
    signing: EncodingKey,
    header: Header,
    verifying: Vec<(String, DecodingKey)>,
    published: Value,
}

/// Why keys cannot be used. Those before them go on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// There are none.
    #[error("no signing key")]
    Missing,
    /// This one is no P-256 key pair.
    #[error("signing key {kid} is no P-256 key pair in PKCS#8")]
    Invalid {
        /// Which.
        kid: String,
    },
}

/// There was no randomness for a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("token not signed")]
pub struct NotSigned;

/// Why a token is not accepted. For logs: whoever sent it is told nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of the kind that we sign.
    #[error("malformed")]
    Malformed,
    /// It names no key of ours.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is not that key's, or not ES256.
    #[error("forged")]
    Forged,
    /// It is ours, but from or for another service.
    #[error("foreign")]
    Foreign,
    /// It was good once.
    #[error("expired")]
    Expired,
    /// It will be good.
    #[error("not yet valid")]
    NotYet,
}

impl Tokens {
    /// With these keys: the first one signs, all of them verify.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, KeyError> {
        with_provider();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[US]);
        validation.set_audience(&[US]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_exp = false; // it would look at the machine's clock; `verify` looks at the caller's
        Ok(Self { keys: ArcSwap::from_pointee(Keys::new(keys)?), validation })
    }

    /// From now on with these keys.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing changes.
    pub fn replace(&self, keys: Vec<SigningKey>) -> Result<(), KeyError> {
        self.keys.store(Keys::new(keys)?.into());
        Ok(())
    }

    /// A token that says so.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn issue(&self, claims: &Claims, now: WallTime) -> Result<String, NotSigned> {
        let keys = self.keys.load();
        encode(&keys.header, &Payload::new(claims, now, Uuid::new_v4()), &keys.signing).map_err(|_| NotSigned)
    }

    /// What a token says, when it is ours and has not expired for more than 30 seconds.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, now: WallTime) -> Result<Claims, TokenError> {
        self.prove(token, now).map(|proven| proven.claims)
    }

    /// The same, and by which token.
    pub(super) fn prove(&self, token: &str, now: WallTime) -> Result<Proven, TokenError> {
        let kid = decode_header(token)?.kid.ok_or(TokenError::UnknownKey)?;
        let keys = self.keys.load();
        let (_, key) = keys.verifying.iter().find(|(it, _)| *it == kid).ok_or(TokenError::UnknownKey)?;
        let payload = decode::<Payload>(token, key, &self.validation)?.claims;
        let (token_id, claims) = (Some(payload.token_id()), payload.into_claims());
        if now >= claims.expires + LEEWAY {
            return Err(TokenError::Expired);
        }
        Ok(Proven { claims, token_id })
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.keys.load().published.clone()
    }
}

/// Left to itself the crate that signs and verifies chooses its cryptography by its features, and panics if any dependency
/// should ever switch on a second provider. The first who installs one wins; an error says that it is installed.
pub(super) fn with_provider() {
    let _ = aws_lc::DEFAULT_PROVIDER.install_default();
}

impl Keys {
    fn new(keys: Vec<SigningKey>) -> Result<Self, KeyError> {
        let (mut signing, mut verifying, mut published) = (None, Vec::new(), Vec::new());
        for key in keys {
            let private = EncodingKey::from_ec_der(&key.pkcs8);
            let public = public(&key.kid, &private).map_err(|_| KeyError::Invalid { kid: key.kid.clone() })?;
            let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::ES256) };
            signing.get_or_insert((private, header));
            verifying.push((key.kid, public.verifying));
            published.push(public.published);
        }
        let (signing, header) = signing.ok_or(KeyError::Missing)?;
        Ok(Self { signing, header, verifying, published: json!({ "keys": published }) })
    }
}

struct Public {
    verifying: DecodingKey,
    published: Jwk,
}

fn public(kid: &str, private: &EncodingKey) -> Result<Public, Error> {
    let mut published = Jwk::from_encoding_key(private, Algorithm::ES256)?;
    published.common.key_id = Some(kid.to_owned());
    published.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(Public { verifying: DecodingKey::from_jwk(&published)?, published })
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Self::Forged,
            ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Self::Foreign,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.load();
        f.debug_struct("Tokens").field("signs", &keys.header.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
