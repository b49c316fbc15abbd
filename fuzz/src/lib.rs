//! What comes from outside, with every byte changed. One function a parser or machine; each must not panic, and keeps
//! what it promises besides.
//!
//! ```text
//!  corpus/<target>/* ── as it is, and mutated ──▶ tests/corpora.rs   stable, always
//!        └──▶ fuzz_targets/<target>.rs ──▶ libFuzzer                 nightly, `cargo fuzz run <target>`
//! ```
//!
//! What libFuzzer finds goes into the corpus, and is a test from then on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "they fail by panicking")]

mod input;
mod media;
mod sdp;
mod sip;

pub use media::{engine, peer, rtp, stun};
pub use sdp::{sdp, sdp_peer, sdp_room};
pub use sip::{sip_digest, sip_message, sip_stream, sip_value};

/// A parser or machine that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the function, of the binary and of the folder of its corpus.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Further folders with inputs, from the root of the tree, and how their files' names end.
    pub more: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "sip_message", run: sip_message, more: TORTURE },
    Target { name: "sip_stream", run: sip_stream, more: TORTURE },
    Target { name: "sip_value", run: sip_value, more: &[] },
    Target { name: "sip_digest", run: sip_digest, more: &[] },
    Target { name: "sdp", run: sdp, more: BROWSERS },
    Target { name: "sdp_peer", run: sdp_peer, more: BROWSERS },
    Target { name: "sdp_room", run: sdp_room, more: BROWSERS },
    Target { name: "stun", run: stun, more: &[] },
    Target { name: "rtp", run: rtp, more: &[] },
    Target { name: "peer", run: peer, more: &[] },
    Target { name: "engine", run: engine, more: &[] },
];

/// The torture tests of RFC 4475.
const TORTURE: &[(&str, &str)] = &[("edge/sip/tests/rfc4475", ".dat")];

/// What browsers answer.
const BROWSERS: &[(&str, &str)] = &[("edge/sdp/tests/fixtures", ".sdp")];
