//! Offer and answer (RFC 3264) of the SIP border, pure: SDP text (RFC 8866) to core's media descriptions and back.
//!
//! ```text
//!  text ──lines──▶ sections ──stream──▶ MediaDescription ──▶ core
//!  text ◀──────────── render ────────── MediaDescription ◀── core
//! ```
//!
//! What is not understood is set aside, line by line: it neither fails the rest nor is repeated to the other side.
//!
//! # Invariants
//! * No input panics, and none costs more than its length allows.
//! * An answer has the sections of its offer, all of them, in order; those not taken have port 0.
//! * What is rendered here parses to what it was rendered from.

mod lines;
mod payload;
mod render;
mod stream;

use lines::Sections;
pub use render::{Origin, render_answer, render_offer};
use serde::{Deserialize, Serialize};
use tandem_core::media::MediaDescription;

/// Longest description that is read, in bytes: what fits a datagram.
pub const MAX_TEXT: usize = 65_536;

/// Most media sections that are read. Browsers with a screen and a camera send four.
pub const MAX_SECTIONS: usize = 32;

/// Most formats that are kept of one stream; further ones are the least wanted.
pub const MAX_CODECS: usize = 32;

/// Why a description is of no use to a phone call.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SdpError {
    /// Longer than [`MAX_TEXT`].
    #[error("description of {0} bytes is too long")]
    TooLong(usize),
    /// It does not begin with `v=0`.
    #[error("not a session description of version 0")]
    NotSdp,
    /// More than [`MAX_SECTIONS`].
    #[error("too many media sections")]
    TooManySections,
    /// No section is for audio.
    #[error("no audio section")]
    NoAudio,
    /// The audio section has port 0: not wanted, or in an answer refused.
    #[error("audio is switched off")]
    AudioOff,
    /// The audio section wants another transport than plain RTP.
    #[error("no audio over RTP/AVP")]
    NotAcceptable,
    /// No format of the audio section has a name.
    #[error("no known audio format")]
    NoCodec,
    /// Nobody says where media should go.
    #[error("no connection address")]
    NoAddress,
    /// Media should go to a host name. Names are not looked up for media.
    #[error("connection address is a host name")]
    NamedAddress,
}

/// What a peer offers, and what is needed to answer it. Part of a dialog until it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The audio stream that is taken; its text is the whole offer as received.
    pub audio: MediaDescription,
    /// The `m=` of every section, in order.
    sections: Vec<String>,
    /// Which of them is `audio`.
    taken: usize,
}

/// Reads an offer: the first audio section that can be used, and what the others were.
///
/// # Errors
/// Why no section can be used; of several audio sections the first one's reason.
pub fn parse_offer(text: &[u8]) -> Result<Offer, SdpError> {
    let read = Sections::read(text)?;
    let (taken, audio) = stream::first_usable(&read)?;
    let sections = read.sections.iter().map(|section| section.media.to_string()).collect();
    Ok(Offer { audio, sections, taken })
}

/// Reads the answer to an offer of ours, which had one audio section and no other.
///
/// # Errors
/// Why it accepts nothing. [`SdpError::AudioOff`] when it refuses.
pub fn parse_answer(text: &[u8]) -> Result<MediaDescription, SdpError> {
    let read = Sections::read(text)?;
    stream::first_usable(&read).map(|(_, audio)| audio)
}

/// Whether a new description says the same as the old one: the same addresses, formats and direction. In a re-INVITE
/// or UPDATE it then only keeps the dialog alive (RFC 4028).
#[must_use]
pub fn is_refresh(old: &MediaDescription, new: &MediaDescription) -> bool {
    (old.rtp, old.rtcp, old.direction) == (new.rtp, new.rtcp, new.direction) && old.codecs == new.codecs
}
