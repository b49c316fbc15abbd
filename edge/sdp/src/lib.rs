//! Offer and answer (RFC 3264) of phones and browsers, pure: SDP text (RFC 8866) to core's media descriptions and back.
//!
//! ```text
//!  phone   text ──lines──▶ sections ──stream───────▶ MediaDescription ──▶ core
//!          text ◀───────── render ────────────────── MediaDescription ◀── core
//!  browser text ──lines──▶ sections ──peer::answer─▶ MediaDescription ──▶ core
//!          text ◀───────── peer::offer ───────────── MediaDescription ◀── core
//!  room    text ──lines──▶ sections ──room::read───▶ Description ──────▶ core
//!          text ◀───────── room::write ───────────── Description ◀────── core
//! ```
//!
//! What is not understood is set aside, line by line: it neither fails the rest nor is repeated to the other side.
//!
//! # Invariants
//! * No input panics, and none costs more than its length allows.
//! * A browser's answer is taken only with ICE credentials, a certificate, an active `setup`, one port and a format.
//! * An answer has the sections of its offer, all of them, in order; those not taken have port 0.
//! * What is rendered here parses to what it was rendered from.

mod lines;
mod payload;
mod peer;
mod render;
mod room;
mod stream;

use lines::{Limits, Sections};
pub use peer::{parse_peer_answer, render_peer_offer};
pub use render::{Origin, render_answer, render_offer};
pub use room::{
    MAX_ROOM_SECTIONS, MAX_ROOM_TEXT, parse_room_answer, parse_room_offer, render_room_answer, render_room_offer,
};
use serde::{Deserialize, Serialize};
use tandem_core::media::MediaDescription;

/// Longest description that is read, in bytes: what fits a datagram.
pub const MAX_TEXT: usize = 65_536;

/// Most media sections that are read. Browsers with a screen and a camera send four.
pub const MAX_SECTIONS: usize = 32;

/// Most formats that are kept of one stream; further ones are the least wanted.
pub const MAX_CODECS: usize = 32;

/// Why a description is of no use to a call.
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
    /// An `m=` with control characters.
    #[error("media section with control characters in its m= line")]
    BadSection,
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
    /// A browser's answer has other sections than our offer, which has one.
    #[error("answer has {0} media sections, the offer has one")]
    SectionCount(usize),
    /// The section is not the offered one by its name (RFC 5888).
    #[error("answer lacks a=mid:0, the offered section")]
    WrongMid,
    /// The section wants another transport than DTLS-SRTP over UDP (RFC 5764).
    #[error("no audio over UDP/TLS/RTP/SAVPF")]
    NotPeer,
    /// None, or none of 4 to 256 ICE characters (RFC 8839, 5.4).
    #[error("no valid a=ice-ufrag")]
    NoIceUfrag,
    /// None, or none of 22 to 256 ICE characters (RFC 8839, 5.4).
    #[error("no valid a=ice-pwd")]
    NoIcePassword,
    /// No certificate is named by its SHA-256 (RFC 8122).
    #[error("no valid DTLS certificate fingerprint (a=fingerprint:sha-256)")]
    NoFingerprint,
    /// The browser does not begin the DTLS handshake, and we never do (RFC 5763, 5).
    #[error("a=setup must be active: the server only accepts DTLS connections")]
    NotActive,
    /// RTCP is to have a port of its own (RFC 5761).
    #[error("no a=rtcp-mux: RTCP must share the port of RTP")]
    NoRtcpMux,
    /// No audio format of the answer is in the offer under the same payload type.
    #[error("none of the offered audio formats is in the answer")]
    NoOfferedCodec,
    /// A section of a room's description has no name, or none that fits a header extension (RFC 8843, 15).
    #[error("a media section without a valid a=mid")]
    NoMid,
    /// Two sections have the same name.
    #[error("two media sections with the same a=mid")]
    RepeatedMid,
    /// All sections are switched off, or want what a room does not speak.
    #[error("no media section that can be used")]
    NothingUsable,
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
    let read = Sections::read(text, Limits::CALL)?;
    let (taken, audio) = stream::first_usable(&read)?;
    let sections = read.sections.iter().map(|section| section.media.to_string()).collect();
    Ok(Offer { audio, sections, taken })
}

/// Reads the answer to an offer of ours, which had one audio section and no other.
///
/// # Errors
/// Why it accepts nothing. [`SdpError::AudioOff`] when it refuses.
pub fn parse_answer(text: &[u8]) -> Result<MediaDescription, SdpError> {
    let read = Sections::read(text, Limits::CALL)?;
    stream::first_usable(&read).map(|(_, audio)| audio)
}

/// Whether a new description says the same as the old one: the same addresses, formats and direction. In a re-INVITE
/// or UPDATE it then only keeps the dialog alive (RFC 4028).
#[must_use]
pub fn is_refresh(old: &MediaDescription, new: &MediaDescription) -> bool {
    (old.rtp, old.rtcp, old.direction) == (new.rtp, new.rtcp, new.direction) && old.codecs == new.codecs
}
