//! Checks that Cargo and clippy cannot make: `cargo xtask tidy` of the tree, `cargo xtask sim` of many simulated days.

mod tidy;
mod tree;

use std::io::Write;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use tidy::Finding;
use tree::Tree;

/// The root of the tree, wherever this is started.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("tidy") => report(&tidy::check(&Tree::read(ROOT)?)),
        Some("sim") => simulate(args),
        other => bail!("usage: cargo xtask tidy | sim [--seeds N] [--from S] (got {other:?})"),
    }
}

/// Plays more days than `ops/test` does, or others.
fn simulate(mut args: impl Iterator<Item = String>) -> Result<ExitCode> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--package", "tandem-core", "--test", "sim", "--", "whatever"]).current_dir(ROOT);
    while let Some(flag) = args.next() {
        let variable = match flag.as_str() {
            "--seeds" => "TANDEM_SIM_SEEDS",
            "--from" => "TANDEM_SIM_FROM",
            other => bail!("sim takes --seeds and --from, not {other}"),
        };
        cargo.env(variable, args.next().with_context(|| format!("{flag} wants a number"))?);
    }
    Ok(if cargo.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(findings: &[Finding]) -> Result<ExitCode> {
    let mut out = std::io::stderr().lock();
    for finding in findings {
        writeln!(out, "{finding}")?;
    }
    let failures = findings.iter().filter(|finding| finding.is_failure()).count();
    writeln!(out, "tidy: {failures} failures, {} warnings", findings.len() - failures)?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
