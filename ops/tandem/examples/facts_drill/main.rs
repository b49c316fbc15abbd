//! The facts drill: see `--help` and docs/reliability.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a drill that cannot go on says so and stops"
)]

#[path = "drill.rs"]
mod drill;
mod harness;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let options = drill::Options::parse();
    eprintln!("the node under test: {} (build it first, as this one was built)", harness::program().display());
    let verdict = drill::run(&options);
    println!("{verdict}");
    if verdict.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
