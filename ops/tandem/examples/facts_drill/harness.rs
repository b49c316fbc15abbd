//! The toys of the end-to-end tests, as far as the drill plays with them.
#![allow(dead_code, reason = "the tests need more of them")]

#[path = "../../tests/e2e/harness/http.rs"]
pub mod http;
#[path = "../../tests/e2e/harness/ledger.rs"]
pub mod ledger;
#[path = "../../tests/e2e/harness/node.rs"]
pub mod node;
#[path = "../../tests/e2e/harness/patience.rs"]
pub mod patience;
#[path = "../../tests/e2e/harness/ports.rs"]
pub mod ports;
#[path = "../../tests/e2e/harness/process.rs"]
pub mod process;
#[path = "../../tests/e2e/harness/scratch.rs"]
pub mod scratch;
#[path = "../../tests/e2e/harness/sipp.rs"]
pub mod sipp;

pub use patience::{SOON, eventually};

/// The program under test: of the same build as this one.
pub fn program() -> std::path::PathBuf {
    let folder = std::env::current_exe().unwrap();
    folder.ancestors().nth(2).unwrap().join("tandem")
}
