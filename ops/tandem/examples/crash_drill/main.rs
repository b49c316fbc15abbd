//! The crash drill: see `--help` and docs/reliability.md.
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

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Parser;

fn main() -> ExitCode {
    let options = drill::Options::parse();
    if !build() {
        return ExitCode::from(2);
    }
    let verdict = drill::run(&options);
    let record = drill::Record::of_this();
    println!("{record}\n{verdict}");
    if let Some(Err(error)) = options.out.as_ref().map(|folder| verdict.write(&record, folder)) {
        eprintln!("the outcome cannot be written: {error}");
        return ExitCode::from(2);
    }
    if verdict.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes sure that the node is of the present sources. Together with this example, because then it is of the same
/// features, and nothing is built twice.
fn build() -> bool {
    let program = harness::program();
    eprintln!("building {} unless it is of today", program.display());
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    command.args(["build", "--workspace", "--quiet", "--bin", "tandem", "--example", "crash_drill"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    match command.status() {
        Ok(status) if status.success() => program.exists(),
        outcome => {
            eprintln!("cargo build: {outcome:?}");
            false
        }
    }
}
