//! End-to-end tests: a node in a process of its own, real phones (baresip), load (SIPp) and phones by script around it.
//!
//! Every test has its own ports, data folder, configuration and processes. After a failure its folder is kept and named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test that cannot go on says so and stops"
)]

mod harness;

mod calls_api;
mod click;
mod door;
mod events_api;
mod load;
mod page;
mod page_failures;
mod page_survival;
mod refusals;
mod survival;
mod talk;
mod without_a_node;
