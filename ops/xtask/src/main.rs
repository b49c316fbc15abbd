//! Checks of the tree that Cargo and clippy cannot make: `cargo xtask tidy`.

mod tidy;
mod tree;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};

use tidy::Finding;
use tree::Tree;

/// The root of the tree, wherever this is started.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => report(&tidy::check(&Tree::read(ROOT)?)),
        other => bail!("usage: cargo xtask tidy (got {other:?})"),
    }
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
