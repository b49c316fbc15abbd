//! The API as a client on the wire meets it, over calls, accounts and a history that are played.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod audit;
mod calls;
mod cdrs;
mod endpoints;
mod events;
mod hostile;
mod identity;
mod limits;
mod log;
mod outside;
mod page;
mod player;
mod webhooks;
mod world;
