//! Our offer to a browser.

use tandem_core::media::{Direction, MediaDescription, PeerDescription};

use crate::peer::MID;
use crate::render::{Origin, flow, format_of, head, line, media};

/// Names our stream and the source of our packets, in every call: it tells nothing, and renegotiation does not change
/// it. It need only be unique within the peer connection.
const NAME: &str = "tandem";

/// An offer with one audio section of a WebRTC server (RFC 8829) that is ICE-lite (RFC 8445) and has one candidate, the
/// address of `ours`. `None`: `ours` describes plain RTP.
#[must_use]
pub fn render_peer_offer(ours: &MediaDescription, origin: &Origin) -> Option<String> {
    let peer = ours.peer.as_deref()?;
    let mut text = head(ours, origin);
    line(&mut text, format_args!("a=group:BUNDLE {MID}"));
    line(&mut text, format_args!("a=ice-lite"));
    media(&mut text, ours, "UDP/TLS/RTP/SAVPF");
    line(&mut text, format_args!("a=mid:{MID}"));
    transport(&mut text, ours, peer);
    ours.codecs.iter().for_each(|codec| format_of(&mut text, codec));
    flow(&mut text, ours);
    source(&mut text, ours.direction, peer);
    Some(text)
}

fn transport(text: &mut String, ours: &MediaDescription, peer: &PeerDescription) {
    line(text, format_args!("a=rtcp-mux"));
    line(text, format_args!("a=rtcp-rsize"));
    line(text, format_args!("a=ice-ufrag:{}", peer.ufrag));
    line(text, format_args!("a=ice-pwd:{}", peer.password.reveal()));
    line(text, format_args!("a=fingerprint:sha-256 {}", colons(&peer.fingerprint)));
    line(text, format_args!("a=setup:actpass"));
    // The priority of the only host candidate of the only component (RFC 8445, 5.1.2.1).
    line(text, format_args!("a=candidate:1 1 udp 2130706431 {} {} typ host", ours.rtp.ip(), ours.rtp.port()));
    line(text, format_args!("a=end-of-candidates"));
}

/// Whose packets we send, when we do (RFC 8829, 5.2.1; RFC 5576).
fn source(text: &mut String, direction: Direction, peer: &PeerDescription) {
    let sends = matches!(direction, Direction::SendRecv | Direction::SendOnly);
    if let Some(ssrc) = peer.ssrc.filter(|_| sends) {
        line(text, format_args!("a=msid:{NAME} audio"));
        line(text, format_args!("a=ssrc:{ssrc} cname:{NAME}"));
    }
}

/// As RFC 8122, 5 writes a fingerprint.
pub(crate) fn colons(fingerprint: &[u8; 32]) -> String {
    let bytes: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
