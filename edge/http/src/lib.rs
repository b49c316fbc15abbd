//! HTTP: the API for browsers, their page, health, metrics and the operator's endpoints.
//!
//! ```text
//!  /  /assets/*                           the web client
//!  /healthz  /readyz  /metrics            anybody who can reach the port
//!  /.well-known/jwks.json  /api/openapi.json  /api/docs
//!  /api/v1/auth/*                         a password or a refresh token
//!  /api/v1/{me,calls,events,ice-servers}  an access token; /api/calls as well, as it always was
//!  /api/v1/cdrs                           an access token
//!  /api/v1/audit                          an access token of an administrator
//!  /api/v1/webhooks/*                     an administrator's access token
//!  /api/v1/ops/{calls,cdrs,correlations,tree,break,audit,revocations} the operator's token; `break` only where it was switched on
//! ```
//!
//! # Invariants
//! * Every request has a deadline and a largest size; the number of connections is bounded, and so is their life.
//! * Every refusal is JSON: `{"error": "code", "message": "text"}`.
//! * Nothing is decided here: the node stands behind [`Operator`], calls behind
//!   [`CallPort`](tandem_core::ports::CallPort), users behind [`identity::Accounts`].

mod api;
mod audit;
mod auth;
mod bearer;
mod body;
mod calls;
mod cdrs;
mod clients;
pub mod config;
mod correlation;
mod events;
mod history;
mod ice;
pub mod identity;
mod limits;
mod metrics;
mod openapi;
mod operator;
mod ops;
mod page;
mod problem;
mod proxies;
mod query;
mod queues;
mod refused;
mod requests;
mod server;
mod sign_in;
mod stall;
mod token;
mod trace;
mod user_call;
mod webhooks;

pub use api::{Api, router};
pub use audit::{AuditTrail, AuditUnavailable};
pub use cdrs::{Records, RecordsUnavailable};
pub use clients::Clients;
pub use correlation::Correlated;
pub use history::{History, HistoryUnavailable, Page};
pub use openapi::openapi;
pub use operator::{BreakRefused, NotReady, Operator};
pub use server::serve;
pub use sign_in::SignIns;
pub use token::OperatorToken;
pub use trace::{Traces, TracesUnavailable};
pub use user_call::{Direction, UserCall};
pub use webhooks::{DeliveryPage, NewWebhook, WebhookRefused, Webhooks};
