//! What the tests drive: nodes, phones, load generators; and what they look at: rows, logs, sound, packets.

pub mod api;
pub mod baresip;
pub mod browser;
pub mod collector;
pub mod digest;
pub mod events;
pub mod holdings;
pub mod http;
pub mod ledger;
pub mod line;
pub mod node;
pub mod patience;
pub mod ports;
pub mod process;
pub mod rtp;
pub mod scratch;
pub mod sipp;
pub mod sound;
pub mod survey;
pub mod ua;
pub mod webrtc;
pub mod wire;

pub use patience::{SOON, eventually};

/// The program under test.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_tandem")
}
