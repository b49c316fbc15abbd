//! The node and the operator's command line.

mod accounts;
mod ask;
mod audit_trail;
mod breaking;
mod cli;
mod config;
mod contracts;
mod edges;
mod history;
mod identity;
mod last_media;
mod limits;
mod operator;
mod outbox;
mod outsiders;
mod plan;
mod records;
mod replay;
mod revoker;
mod rooms;
mod serve;
mod services;
mod table;
mod telemetry;
mod tenant_list;
mod tenants;
mod token;
mod tracer;
mod traces;
mod tree;
mod user_calls;
mod users;
mod webhooks;
mod why;
mod witness;

use std::process::ExitCode;

/// Calls are set up by several threads and ended by others; glibc's arenas pay for that on every message.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
