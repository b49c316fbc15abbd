//! Our own descriptions as text.

use std::fmt;
use std::net::SocketAddr;

use tandem_core::media::{Direction, LocalMedia, PeerDescription};
use tandem_core::room::description::{Description, Format, Msid, Section, SectionKind};

use crate::peer::colons;
use crate::render::{Origin, format_of, line, name};

/// Names us as the source of packets: it tells nothing (RFC 7022).
const CNAME: &str = "tandem";

/// Our offer: whoever answers begins the DTLS handshake.
#[must_use]
pub fn render_room_offer(ours: &Description, origin: &Origin) -> String {
    render(ours, origin, "actpass")
}

/// Our answer. Its sections are those of the offer, in the same order.
#[must_use]
pub fn render_room_answer(ours: &Description, origin: &Origin) -> String {
    render(ours, origin, "passive")
}

fn render(ours: &Description, origin: &Origin, setup: &'static str) -> String {
    let mut text = String::with_capacity(512 + 1_024 * ours.sections.len());
    let used = || ours.sections.iter().filter(|it| is_used(it));
    line(&mut text, format_args!("v=0"));
    line(&mut text, format_args!("o=- {} {} IN IP4 127.0.0.1", origin.id, origin.version));
    line(&mut text, format_args!("s=-"));
    line(&mut text, format_args!("t=0 0"));
    let group: String = used().map(|it| format!(" {}", it.mid)).collect();
    line(&mut text, format_args!("a=group:BUNDLE{group}"));
    line(&mut text, format_args!("a=ice-lite"));
    if ours.mixes_extensions {
        line(&mut text, format_args!("a=extmap-allow-mixed"));
    }
    line(&mut text, format_args!("a=msid-semantic: WMS *"));
    let mut address = Some(ours.address.unwrap_or(LocalMedia::NOWHERE.rtp));
    for section in &ours.sections {
        if is_used(section) {
            media(&mut text, section);
            transport(&mut text, &ours.peer, setup, address.take());
            content(&mut text, section);
        } else {
            refused(&mut text, section);
        }
    }
    text
}

fn is_used(section: &Section) -> bool {
    !section.is_rejected && section.kind != SectionKind::Other
}

fn refused(text: &mut String, section: &Section) {
    let number = section.formats.first().map_or(0, |it| it.codec.payload_type);
    match section.kind {
        SectionKind::Audio => line(text, format_args!("m=audio 0 UDP/TLS/RTP/SAVPF {number}")),
        SectionKind::Video => line(text, format_args!("m=video 0 UDP/TLS/RTP/SAVPF {number}")),
        SectionKind::Data | SectionKind::Other => {
            line(text, format_args!("m=application 0 UDP/DTLS/SCTP webrtc-datachannel"));
        }
    }
    line(text, format_args!("c=IN IP4 0.0.0.0"));
    line(text, format_args!("a=mid:{}", section.mid));
    line(text, format_args!("a=inactive"));
}

/// The `m=` line and the name. The address is that of the transport that they share: port 9 says so.
fn media(text: &mut String, section: &Section) {
    if section.kind == SectionKind::Data {
        line(text, format_args!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"));
    } else {
        let kind = if section.kind == SectionKind::Audio { "audio" } else { "video" };
        let number = |it: &Format| {
            let rtx = it.rtx.map(|rtx| format!(" {rtx}")).unwrap_or_default();
            format!(" {}{rtx}", it.codec.payload_type)
        };
        let numbers: String = section.formats.iter().map(number).collect();
        line(text, format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF{numbers}"));
    }
    line(text, format_args!("c=IN IP4 0.0.0.0"));
    line(text, format_args!("a=mid:{}", section.mid));
}

fn transport(text: &mut String, peer: &PeerDescription, setup: &str, address: Option<SocketAddr>) {
    line(text, format_args!("a=ice-ufrag:{}", peer.ufrag));
    line(text, format_args!("a=ice-pwd:{}", peer.password.reveal()));
    line(text, format_args!("a=fingerprint:sha-256 {}", colons(&peer.fingerprint)));
    line(text, format_args!("a=setup:{setup}"));
    if let Some(at) = address {
        // The priority of the only host candidate of the only component (RFC 8445, 5.1.2.1).
        line(text, format_args!("a=candidate:1 1 udp 2130706431 {} {} typ host", at.ip(), at.port()));
        line(text, format_args!("a=end-of-candidates"));
    }
}

fn content(text: &mut String, section: &Section) {
    if let Some(sctp) = section.sctp.filter(|_| section.kind == SectionKind::Data) {
        line(text, format_args!("a=sctp-port:{}", sctp.port));
        return line(text, format_args!("a=max-message-size:{}", sctp.max_message_size));
    }
    line(text, format_args!("a=rtcp-mux"));
    line(text, format_args!("a=rtcp-rsize"));
    section.formats.iter().for_each(|it| format(text, it));
    for extension in &section.extensions {
        line(text, format_args!("a=extmap:{} {}", extension.id, extension.uri));
    }
    line(text, format_args!("a={}", name(section.direction)));
    layers(text, section);
    if matches!(section.direction, Direction::SendRecv | Direction::SendOnly) {
        sent(text, section);
    }
}

fn format(text: &mut String, format: &Format) {
    let number = format.codec.payload_type;
    format_of(text, &format.codec);
    for feedback in &format.feedback {
        line(text, format_args!("a=rtcp-fb:{number} {feedback}"));
    }
    if let Some(rtx) = format.rtx {
        line(text, format_args!("a=rtpmap:{rtx} rtx/{}", format.codec.clock_rate_hz));
        line(text, format_args!("a=fmtp:{rtx} apt={number}"));
    }
}

/// The layers that we take.
fn layers(text: &mut String, section: &Section) {
    for rid in &section.rids {
        line(text, format_args!("a=rid:{rid} recv"));
    }
    if !section.rids.is_empty() {
        line(text, format_args!("a=simulcast:recv {}", section.rids.join(";")));
    }
}

fn sent(text: &mut String, section: &Section) {
    if let Some(Msid { stream, track }) = &section.msid {
        line(text, format_args!("a=msid:{} {}", Token(stream), Token(track)));
    }
    for source in &section.sources {
        if let Some(rtx) = source.rtx {
            line(text, format_args!("a=ssrc-group:FID {} {rtx}", source.ssrc));
        }
        for ssrc in [Some(source.ssrc), source.rtx].into_iter().flatten() {
            line(text, format_args!("a=ssrc:{ssrc} cname:{CNAME}"));
        }
    }
}

/// What a participant called his stream, as a word of a line: nothing in it ends the word or the line.
struct Token<'a>(&'a str);

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let is_of_word = |c: &char| !c.is_control() && !c.is_whitespace();
        self.0.chars().try_for_each(|c| f.write_char(if is_of_word(&c) { c } else { '_' }))
    }
}
