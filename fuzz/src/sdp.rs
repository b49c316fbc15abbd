//! Session descriptions, in both roles.

use tandem_core::media::{Codec, LocalMedia, MediaDescription};
use tandem_sdp::{
    Origin, parse_answer, parse_offer, parse_peer_answer, parse_room_answer, parse_room_offer, render_answer,
    render_offer, render_room_offer,
};

const ORIGIN: Origin = Origin { id: 1, version: 1 };

fn untold(description: MediaDescription) -> MediaDescription {
    MediaDescription { text: None, ..description }
}

/// A description as an offer and as an answer: what we take we can say again, and it is read as it was.
pub fn sdp(data: &[u8]) {
    if let Ok(offer) = parse_offer(data) {
        assert!(!offer.audio.codecs.is_empty() && offer.audio.rtp.port() != 0, "an offer that is taken is of use");
        let text = render_answer(&offer, &offer.audio, &ORIGIN);
        let read = parse_answer(text.as_bytes()).expect("our answer can be read");
        assert_eq!(untold(read), untold(offer.audio), "and says what we meant");
    }
    if let Ok(answer) = parse_answer(data) {
        let text = render_offer(&answer, &ORIGIN);
        let read = parse_offer(text.as_bytes()).expect("our offer can be read");
        assert_eq!(untold(read.audio), untold(answer), "and says what we meant");
    }
}

/// What a browser answers: what is taken has all that a connection needs, and nothing that we did not offer.
pub fn sdp_peer(data: &[u8]) {
    let offer = MediaDescription::proposal(false);
    let Ok(answer) = parse_peer_answer(data, &offer) else { return };
    let peer = answer.peer.expect("a browser's answer has its side of the peer connection");
    let is_ice = |text: &str, least| (least..=256).contains(&text.len());
    assert!(is_ice(&peer.ufrag, 4) && is_ice(peer.password.reveal(), 22), "and ICE credentials");
    let is_offered = |it: &Codec| offer.codecs.iter().any(|ours| ours.is_same_format(it));
    assert!(answer.codecs.iter().all(is_offered) && !answer.codecs.iter().all(Codec::is_telephone_event));
    assert_eq!(answer.rtp, LocalMedia::NOWHERE.rtp, "where it is says only a check");
}

/// What a client says to a room, in both roles: what is taken can be said again.
pub fn sdp_room(data: &[u8]) {
    let _answer = parse_room_answer(data);
    let Ok(offer) = parse_room_offer(data) else { return };
    assert!(offer.sections.iter().any(|it| !it.is_rejected), "an offer that is taken is of use");
    let text = render_room_offer(&offer, &ORIGIN);
    let read = parse_room_offer(text.as_bytes()).expect("our offer can be read");
    assert_eq!(read.peer, offer.peer, "and says who we are");
    assert_eq!(read.sections.len(), offer.sections.len(), "and has every section");
}
