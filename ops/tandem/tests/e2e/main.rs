//! End-to-end tests: a node in a process of its own, real phones (baresip), load (SIPp) and phones by script around it.
//!
//! Every test has its own ports, data folder, configuration and processes. After a failure its folder is kept and named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on says so and stops"
)]

/// The crash drill's own code: what it runs at length is run here in short.
#[path = "../../examples/crash_drill/drill.rs"]
#[allow(dead_code, unused_imports, reason = "it publishes its table only when it is run by hand")]
mod drill;
mod harness;

mod bus;
mod calls_api;
mod churn;
mod click;
mod crash_drill;
mod database;
mod door;
mod events_api;
mod load;
mod overload;
mod page;
mod page_failures;
mod page_survival;
mod poison;
mod refusals;
mod rooms;
mod sdks;
mod subscribers;
mod survival;
mod talk;
mod telemetry;
mod tenants;
mod tree;
mod why;
mod without_a_node;
