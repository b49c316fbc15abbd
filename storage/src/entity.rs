//! The tables, one file each. Ids are text with their prefix and times are UTC, so that a person can read a row.

#![allow(unreachable_pub, reason = "the derive makes public types of what it is given")]

pub(crate) mod audit_event;
pub(crate) mod call;
pub(crate) mod call_trace;
pub(crate) mod cdr;
pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod external_identity;
pub(crate) mod leg;
pub(crate) mod outbox;
pub(crate) mod outbox_shard;
pub(crate) mod registration;
pub(crate) mod revocation;
pub(crate) mod session;
pub(crate) mod signing_key;
pub(crate) mod tenant;
pub(crate) mod tenant_domain;
pub(crate) mod user;
pub(crate) mod webhook_delivery;
pub(crate) mod webhook_endpoint;
