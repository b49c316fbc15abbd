//! Webhooks: who is told of events, what is on its way there, and what became of it.
//!
//! ```text
//!  facts ─ ledger's transaction ─▶ enqueue ─▶ deliveries ─ claim (lease) ─▶ whoever sends ─▶ settle
//!                                                 ▲                                            │ failed: later, or dead
//!                                                 └──────────── redeliver ◀────────────────────┘
//! ```
//!
//! # Invariants
//! * A delivery is made in the transaction of its event: none is lost, none is made twice.
//! * Of the deliveries of one resource to one webhook only the earliest pending one is claimed.
//! * A claim ends by itself: who dies with one leads to a repetition, never to a loss.
//! * Who settles late, after somebody else has claimed the delivery, changes nothing.
//! * A webhook that fails rests: until then a look costs the same however much waits for it.

mod deliveries;
mod endpoints;
mod queue;
mod settle;

pub use deliveries::DeliveryPage;
pub use endpoints::{NewWebhook, WebhookError};
pub(crate) use queue::enqueue;
pub use queue::{Claimed, WebhookTarget};
pub use settle::Outcome;
