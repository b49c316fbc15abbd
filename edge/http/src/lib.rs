//! HTTP: health, metrics and the operator's endpoints.
//!
//! ```text
//!  /healthz  /readyz  /metrics            anybody who can reach the port
//!  /api/v1/ops/calls  /api/v1/ops/break   the operator's token; `break` only in development
//! ```
//!
//! # Invariants
//! * Every request has a deadline and a largest size; the number of connections is bounded.
//! * Every refusal is JSON: `{"error": "code", "message": "text"}`.
//! * Nothing is decided here: what the node is and does stands behind [`Operator`].

mod api;
pub mod config;
mod metrics;
mod operator;
mod problem;
mod server;
mod token;

pub use api::{Api, router};
pub use operator::{BreakRefused, NotReady, Operator, Part};
pub use server::serve;
pub use token::OperatorToken;
