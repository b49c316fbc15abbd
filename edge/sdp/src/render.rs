//! Our own descriptions as text.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use tandem_core::media::{Codec, Direction, MediaDescription};

use crate::Offer;
use crate::stream::next_port;

/// Names one side's descriptions of one dialog (`o=`): the id stays, the version grows by one with each that differs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Any number, 0..=`i64::MAX` (RFC 3264, 5).
    pub id: u64,
    /// Of the description, 0..=`i64::MAX`.
    pub version: u64,
}

/// An offer with one audio section.
#[must_use]
pub fn render_offer(ours: &MediaDescription, origin: &Origin) -> String {
    let mut text = head(ours, origin);
    audio(&mut text, ours);
    text
}

/// An answer: the audio section where the offer has it, every other one refused with port 0.
#[must_use]
pub fn render_answer(offer: &Offer, ours: &MediaDescription, origin: &Origin) -> String {
    let mut text = head(ours, origin);
    for (place, section) in offer.sections.iter().enumerate() {
        if place == offer.taken {
            audio(&mut text, ours);
        } else {
            line(&mut text, format_args!("m={}", refused(section)));
        }
    }
    text
}

/// The lines before the first section.
pub(crate) fn head(ours: &MediaDescription, origin: &Origin) -> String {
    let mut text = String::with_capacity(512);
    let address = tagged(ours.rtp.ip());
    line(&mut text, format_args!("v=0"));
    line(&mut text, format_args!("o=- {} {} {address}", origin.id, origin.version));
    line(&mut text, format_args!("s=-"));
    line(&mut text, format_args!("c={address}"));
    line(&mut text, format_args!("t=0 0"));
    text
}

fn audio(text: &mut String, ours: &MediaDescription) {
    media(text, ours, "RTP/AVP");
    ours.codecs.iter().for_each(|codec| format_of(text, codec));
    if ours.rtcp != next_port(ours.rtp) {
        line(text, format_args!("a=rtcp:{}", rtcp(ours.rtp, ours.rtcp)));
    }
    flow(text, ours);
}

/// The `m=` of our section over this transport.
pub(crate) fn media(text: &mut String, ours: &MediaDescription, transport: &str) {
    let numbers: String = ours.codecs.iter().map(|codec| format!(" {}", codec.payload_type)).collect();
    line(text, format_args!("m=audio {} {transport}{numbers}", ours.rtp.port()));
}

/// How long our packets are and which way they go.
pub(crate) fn flow(text: &mut String, ours: &MediaDescription) {
    if let Some(ptime) = ours.ptime_ms {
        line(text, format_args!("a=ptime:{ptime}"));
    }
    line(text, format_args!("a={}", name(ours.direction)));
}

/// What a payload type stands for.
pub(crate) fn format_of(text: &mut String, codec: &Codec) {
    let Codec { payload_type, name, clock_rate_hz, channels, fmtp } = codec;
    match channels {
        1 => line(text, format_args!("a=rtpmap:{payload_type} {name}/{clock_rate_hz}")),
        more => line(text, format_args!("a=rtpmap:{payload_type} {name}/{clock_rate_hz}/{more}")),
    }
    if let Some(fmtp) = fmtp {
        line(text, format_args!("a=fmtp:{payload_type} {fmtp}"));
    }
}

fn rtcp(rtp: SocketAddr, rtcp: SocketAddr) -> String {
    if rtp.ip() == rtcp.ip() { rtcp.port().to_string() } else { format!("{} {}", rtcp.port(), tagged(rtcp.ip())) }
}

/// The section's `m=` with port 0; the rest as it came, for it means something to its sender only.
fn refused(section: &str) -> String {
    let words = section.split_ascii_whitespace().enumerate();
    let words: Vec<&str> = words.map(|(place, word)| if place == 1 { "0" } else { word }).collect();
    words.join(" ")
}

fn tagged(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("IN IP4 {ip}"),
        IpAddr::V6(ip) => format!("IN IP6 {ip}"),
    }
}

/// The attribute that stands for a direction.
pub(crate) const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    }
}

/// Adds a line and its end.
pub(crate) fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = text.write_fmt(words);
    text.push_str("\r\n");
}
