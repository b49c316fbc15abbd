//! Who is asking: access tokens that every node can check by itself, and what stands behind signing in.
//!
//! ```text
//!  password ─▶ Accounts::sign_in ─┐                      ┌─▶ access token: JWT, ES256, 15 minutes
//!  refresh token ─▶ ::refresh ────┴─▶ Opened ─▶ Claims ──┤
//!                                                        └─▶ refresh token: once, 30 days at most
//!  request ─▶ Tokens::verify ─▶ Claims          others ─▶ /.well-known/jwks.json ─▶ Tokens::jwks
//! ```
//!
//! # Invariants
//! * Only ES256 with a key of ours verifies; the token chooses among our keys and nothing else.
//! * Checking a token asks nobody: a signed-out user's access token holds until it expires.

mod accounts;
mod claims;
mod tokens;

pub use accounts::{Accounts, Ended, Opened, Unavailable};
pub use claims::{ACCESS_TOKEN_LIFE, Claims};
pub use tandem_core::account::Role;
pub use tokens::{KeyError, NotSigned, SigningKey, TokenError, Tokens};
