//! Who is asking: access tokens that every node can check by itself, ours or an IAM's, and what stands behind signing in.
//!
//! ```text
//!  password ─▶ Accounts::sign_in ─┐                      ┌─▶ access token: JWT, ES256, 15 minutes
//!  refresh token ─▶ ::refresh ────┴─▶ Opened ─▶ Claims ──┤
//!                                                        └─▶ refresh token: once, 30 days at most
//!  request ─▶ Gate ─┬▶ Tokens (ours) ─▶ Claims          others ─▶ /.well-known/jwks.json ─▶ Tokens::jwks
//!                   └▶ Issuer (an IAM's keys) ─▶ Outsiders ─▶ Claims
//! ```
//!
//! # Invariants
//! * Of our tokens only ES256 with a key of ours verifies; the token chooses among our keys and nothing else.
//! * Checking a token of ours asks nobody: what was revoked is in memory. One of an IAM asks for its user once a while.

mod accounts;
mod claims;
mod config;
mod gate;
mod issuer;
mod key_set;
mod outsider;
mod revocations;
mod tokens;

pub use accounts::{Accounts, Ended, Opened, Unavailable};
pub use claims::{ACCESS_TOKEN_LIFE, Claims};
pub use config::{IdentityConfig, WrongSetting};
pub use gate::Gate;
pub use issuer::Issuer;
pub use outsider::{Insider, NotMapped, Outsider, Outsiders};
pub use revocations::{Revocations, Revoker};
pub use tandem_core::account::Role;
pub use tokens::{KeyError, NotSigned, SigningKey, TokenError, Tokens};

pub(crate) use gate::{Barred, Proven};
