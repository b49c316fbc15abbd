//! What runs for as long as the node, each under the supervision of its group.

mod accounts;
mod archivist;
mod http;
mod issuer;
mod ledger;
mod provider;
mod revocations;
mod rooms;
mod sessions;
mod sip;
mod traces;
mod worker;

pub(crate) use accounts::AccountLoader;
pub(crate) use archivist::Archivist;
pub(crate) use http::HttpService;
pub(crate) use issuer::IssuerKeeper;
pub(crate) use ledger::{DiskWatch, LedgerWriter, Relay};
pub(crate) use provider::MockProvider;
pub(crate) use revocations::RevocationKeeper;
pub(crate) use rooms::RoomRelay;
pub(crate) use sessions::SessionKeeper;
pub(crate) use sip::SipLoop;
pub(crate) use traces::TraceKeeper;
pub(crate) use worker::MediaWorker;
