//! What must outlive the process: the journal, the database behind it, and the bus that facts go out on; who may sign
//! in, and with what.
//!
//! ```text
//!  commit ──▶ journal ──write_loop──▶ rows + events + outbox (one transaction) ──relay_loop──▶ bus
//!  bind   ──▶    │                                                            live ──▶ │
//!                └── replayed at start, before anything else ([`Ledger::recover`])
//! ```
//!
//! # Invariants
//! * A fact is in the journal when `commit` returns, and leaves it only after its transaction was committed.
//! * Whatever is done twice (a commit, a replay, a recovery) leaves the same rows as once.
//! * No password and no refresh token is kept, only hashes of them.
//! * On SQLite exactly one connection writes. Entities do not leave this crate.

mod accounts;
mod audit;
mod batch;
mod bindings;
mod bus;
mod calls;
mod cdrs;
mod config;
mod database;
mod entity;
mod external_identities;
mod heartbeat;
mod history;
mod journal;
mod keys;
mod ledger;
mod migration;
mod node;
mod outbox;
mod passwords;
mod pool;
mod projection;
mod record;
mod recovery;
mod relay;
mod retention;
mod revocations;
mod sessions;
mod settled;
mod sign_in;
mod stream;
mod tenants;
mod time;
mod traces;
mod webhooks;

pub use accounts::{AccountError, AccountsVersion, NewUser, User};
pub use audit::LARGEST_AUDIT_PAGE;
pub use bus::{Bus, BusConfig, BusError, PublishedEvent};
pub use calls::RecentCall;
pub use cdrs::LARGEST_CDR_PAGE;
pub use config::{Config, OutOfRange};
pub use database::{DatabaseUrl, Engine, OpenError, QueryError, Storage};
pub use entity::call::CallStatus;
pub use external_identities::{ExternalIdentity, IdentityError};
pub use history::{LARGEST_PAGE, UserCall, UserCalls};
pub use journal::JournalError;
pub use keys::{KeyError, SigningKey};
pub use ledger::{FlushError, Ledger};
pub use migration::Migrations;
pub use node::{NodeIdError, node_id};
pub use outbox::backlog::{Backlog, Refused, ShardBacklog};
pub use outbox::replay::{Replay, ReplayError, ReplayFrom, Replayed};
pub use passwords::HashError;
pub use recovery::RecoveryError;
pub use retention::{RetentionError, Retired};
pub use sessions::{ClosedSession, RefreshToken, SESSION_LIFE};
pub use sign_in::SignInError;
pub use stream::StreamError;
pub use tenants::ListedTenant;
pub use traces::{PackError, PackedTrace};
pub use webhooks::{Claimed, DeliveryPage, NewWebhook, Outcome, WebhookError, WebhookTarget};
