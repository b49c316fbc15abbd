//! The engine that delivers events to webhooks.
//!
//! ```text
//!  deliveries due ─▶ per webhook: claim ─▶ sign ─▶ POST (address checked, deadline, no redirects) ─▶ settle
//! ```
//!
//! # Invariants
//! * At most `parallel` requests at a time, `per_endpoint` to one webhook, and one to a webhook that fails; then it rests.
//! * A request ends within `timeout`; what it answers is not read.
//! * An address that is not public is not connected to, whatever name led there, unless that is allowed.

mod addresses;
mod config;
mod engine;
mod send;
mod sign;
mod stored;

pub(crate) use config::WebhooksConfig;
pub(crate) use engine::WebhookEngine;
pub(crate) use stored::StoredWebhooks;
