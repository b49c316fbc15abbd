//! The node and the operator's command line.

mod accounts;
mod ask;
mod cli;
mod config;
mod history;
mod limits;
mod operator;
mod plan;
mod serve;
mod services;
mod table;
mod telemetry;
mod token;
mod users;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
