//! What must outlive the process: the journal, the database behind it, and the bus that facts go out on.
//!
//! ```text
//!  commit ──▶ journal ──write_loop──▶ rows + outbox (one transaction) ──relay_loop──▶ bus
//!  bind   ──▶    │                                                            live ──▶ │
//!                └── replayed at start, before anything else ([`Ledger::recover`])
//! ```
//!
//! # Invariants
//! * A fact is in the journal when `commit` returns, and leaves it only after its transaction was committed.
//! * Whatever is done twice (a commit, a replay, a recovery) leaves the same rows as once.
//! * Exactly one connection writes. Entities do not leave this crate.

mod accounts;
mod batch;
mod bindings;
mod bus;
mod calls;
mod config;
mod database;
mod entity;
mod heartbeat;
mod journal;
mod ledger;
mod migration;
mod node;
mod projection;
mod record;
mod recovery;
mod relay;
mod time;

pub use accounts::{AccountError, AccountsVersion, NewUser, User};
pub use bus::{Bus, PublishedEvent};
pub use calls::RecentCall;
pub use config::{Config, OutOfRange};
pub use database::{OpenError, QueryError, Storage};
pub use entity::call::CallStatus;
pub use journal::JournalError;
pub use ledger::{FlushError, Ledger};
pub use migration::Migrations;
pub use node::{NodeIdError, node_id};
pub use recovery::RecoveryError;
