//! The browser's side of offer and answer: one audio section of an ICE-lite WebRTC server (RFC 8829).
//!
//! ```text
//!  ours ──offer──▶ group BUNDLE 0, ice-lite, setup:actpass, one candidate ──▶ browser
//!  core ◀─answer── mid 0, ufrag, pwd, fingerprint, setup:active, rtcp-mux ◀── browser
//! ```
//!
//! The browser finds us, never we it: our one candidate has a public address, and its candidates are not read. The
//! addresses of its description are [nowhere](tandem_core::media::LocalMedia::NOWHERE).

mod answer;
mod offer;

pub use answer::parse_peer_answer;
pub(crate) use answer::{is_ice, sha_256};
pub(crate) use offer::colons;
pub use offer::render_peer_offer;

/// The name of our one section (RFC 5888).
const MID: &str = "0";
