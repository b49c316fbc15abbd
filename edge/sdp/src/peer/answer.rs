//! A browser's answer to our offer.

use std::sync::Arc;

use ezk_sdp_types::{Media, TransportProtocol};
use tandem_core::media::{Codec, LocalMedia, MediaDescription, PeerDescription};
use tandem_core::pii::Pii;

use crate::SdpError;
use crate::lines::{Limits, Line, Section, Sections};
use crate::peer::MID;
use crate::stream::{audio, codecs, direction, ptime_ms};

/// Reads the answer of a browser to our peer `offer`: its formats are those of the offer that it took, in its own
/// order, and it has no address.
///
/// # Errors
/// What is missing of that which a connection needs. [`SdpError::AudioOff`] when it refuses.
pub fn parse_peer_answer(text: &[u8], offer: &MediaDescription) -> Result<MediaDescription, SdpError> {
    let read = Sections::read(text, Limits::CALL)?;
    let [section] = read.sections.as_slice() else { return Err(SdpError::SectionCount(read.sections.len())) };
    let media = accepted(&read, section)?;
    let peer = peer(&read, section)?;
    let codecs = taken(codecs(&read.text, section, &media), offer)?;
    Ok(MediaDescription {
        rtp: LocalMedia::NOWHERE.rtp,
        rtcp: LocalMedia::NOWHERE.rtcp,
        codecs,
        ptime_ms: ptime_ms(section),
        direction: direction(&read, section),
        peer: Some(Arc::new(peer)),
        text: Some(Arc::from(&*read.text)),
    })
}

/// The `m=` of the section that we offered, if it is that and wanted over one secured port.
fn accepted(read: &Sections, section: &Section) -> Result<Media, SdpError> {
    let has = |flag: &str| section.lines.iter().any(|line| line.flag() == Some(flag));
    let media = audio(&read.text, section).ok_or(SdpError::NoAudio)?;
    if section.lines.iter().find_map(|line| line.attribute("mid")) != Some(MID) {
        return Err(SdpError::WrongMid);
    }
    // With this flag, port 0 says: no port of its own (RFC 8843, 6).
    if media.port == 0 && !has("bundle-only") {
        return Err(SdpError::AudioOff);
    }
    if !matches!(media.proto, TransportProtocol::UdpTlsRtpSavpf | TransportProtocol::UdpTlsRtpSavp) {
        return Err(SdpError::NotPeer);
    }
    has("rtcp-mux").then_some(media).ok_or(SdpError::NoRtcpMux)
}

fn peer(read: &Sections, section: &Section) -> Result<PeerDescription, SdpError> {
    let first = |name| values(read, section, name).first().copied();
    let ufrag = first("ice-ufrag").filter(|it| is_ice(it, 4)).ok_or(SdpError::NoIceUfrag)?;
    let password = first("ice-pwd").filter(|it| is_ice(it, 22)).ok_or(SdpError::NoIcePassword)?;
    let fingerprint = values(read, section, "fingerprint").into_iter().find_map(sha_256);
    let fingerprint = fingerprint.ok_or(SdpError::NoFingerprint)?;
    // Without the attribute an answer is passive (RFC 4145, 4).
    if first("setup") != Some("active") {
        return Err(SdpError::NotActive);
    }
    let ssrc = section.lines.iter().find_map(|line| line.attribute("ssrc")?.split(' ').next()?.parse().ok());
    Ok(PeerDescription { ufrag: ufrag.to_owned(), password: Pii::new(password.to_owned()), fingerprint, ssrc })
}

/// The section's own attributes of that name; the common ones when it has none, usable or not.
fn values<'a>(read: &'a Sections, section: &'a Section, name: &str) -> Vec<&'a str> {
    let of = |lines: &'a [Line]| lines.iter().filter_map(|line| line.attribute(name)).collect::<Vec<_>>();
    let own = of(&section.lines);
    if own.is_empty() { of(&read.common) } else { own }
}

/// RFC 8839, 5.4: at least so many ICE characters, and at most 256.
pub(crate) fn is_ice(value: &str, least: usize) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    (least..=256).contains(&value.len()) && value.bytes().all(is_char)
}

/// The value of an `a=fingerprint` of that hash function (RFC 8122, 5); in lower case too, as some write it.
pub(crate) fn sha_256(value: &str) -> Option<[u8; 32]> {
    let (function, bytes) = value.split_once(' ')?;
    let byte = |hex: &str| {
        let is_hex = hex.len() == 2 && hex.bytes().all(|it| it.is_ascii_hexdigit());
        is_hex.then(|| u8::from_str_radix(hex, 16).ok())?
    };
    let bytes: Vec<u8> = bytes.trim().split(':').map(byte).collect::<Option<_>>()?;
    function.eq_ignore_ascii_case("sha-256").then(|| bytes.try_into().ok())?
}

/// The formats that are the offer's, by number and by name.
fn taken(answered: Vec<Codec>, offer: &MediaDescription) -> Result<Vec<Codec>, SdpError> {
    let is_offered =
        |it: &Codec| offer.codecs.iter().any(|ours| ours.payload_type == it.payload_type && ours.is_same_format(it));
    let codecs: Vec<Codec> = answered.into_iter().filter(is_offered).collect();
    let is_audible = codecs.iter().any(|it| !it.is_telephone_event());
    is_audible.then_some(codecs).ok_or(SdpError::NoOfferedCodec)
}
