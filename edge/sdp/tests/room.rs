//! What clients offer to rooms, and what they are answered, to the letter.

use std::sync::Arc;

use tandem_core::media::{Codec, Direction, PeerDescription};
use tandem_core::pii::Pii;
use tandem_core::room::description::{Description, Extension, Format, Msid, Sctp, Section, SectionKind, Source, uri};
use tandem_sdp::{
    MAX_ROOM_SECTIONS, MAX_ROOM_TEXT, Origin, SdpError, parse_room_answer, parse_room_offer, render_room_answer,
    render_room_offer,
};

/// What Chromium 156 offers with one audio and one video section to receive in, a camera in three layers, a microphone
/// and channels.
const CHROMIUM: &str = include_str!("fixtures/chromium-156-room-offer.sdp");

/// The form of Firefox, written by hand.
const FIREFOX: &str = include_str!("fixtures/firefox-room-offer.sdp");

fn wire(lines: &str) -> String {
    lines.lines().map(|line| format!("{line}\r\n")).collect()
}

fn offer(text: &str) -> Result<Description, SdpError> {
    parse_room_offer(wire(text).as_bytes())
}

/// The text with one thing changed, which must be there.
fn changed(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

fn formats(section: &Section) -> Vec<(u8, &str, Option<u8>)> {
    section.formats.iter().map(|it| (it.codec.payload_type, it.codec.name.as_str(), it.rtx)).collect()
}

fn texts(list: &[Arc<str>]) -> Vec<&str> {
    list.iter().map(|it| &**it).collect()
}

#[test]
fn chromiums_offer_is_read_in_full() {
    let read = offer(CHROMIUM).unwrap();
    assert_eq!(read.peer.fingerprint[..3], [0x3d, 0xdb, 0x1c]);
    assert_eq!((read.peer.ufrag.as_str(), read.address, read.mixes_extensions), ("WwvJ", None, true));
    let seen: Vec<_> = read.sections.iter().map(|it| (&*it.mid, it.kind, it.is_rejected, it.direction)).collect();
    use SectionKind::{Audio, Data, Video};
    let expected = [
        ("0", Audio, false, Direction::RecvOnly),
        ("1", Video, false, Direction::RecvOnly),
        ("2", Video, false, Direction::SendOnly),
        ("3", Audio, false, Direction::SendOnly),
        ("4", Data, false, Direction::SendRecv),
    ];
    assert_eq!(seen, expected);
    let [_, _, camera, microphone, channels] = read.sections.as_slice() else { panic!("five sections") };
    assert_eq!(texts(&camera.rids), ["q", "h", "f"]);
    assert_eq!(camera.msid.as_ref().unwrap().stream.as_ref(), "-");
    assert_eq!(camera.formats[0].codec.name, "VP8");
    assert_eq!((camera.formats[0].codec.payload_type, camera.formats[0].rtx), (96, Some(97)));
    assert_eq!(texts(&camera.formats[0].feedback), ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"]);
    assert!(camera.formats.iter().all(|it| it.codec.name != "rtx"));
    let numbers = [uri::MID, uri::RID, uri::REPAIRED_RID, uri::TRANSPORT_CC, uri::DEPENDENCY_DESCRIPTOR];
    assert_eq!(numbers.map(|it| camera.extension(it)), [Some(4), Some(10), Some(11), Some(3), Some(12)]);
    assert_eq!(microphone.extension(uri::AUDIO_LEVEL), Some(1));
    assert_eq!(microphone.sources, [Source { ssrc: 1_846_915_687, rtx: None }]);
    assert_eq!(microphone.formats[0].codec.fmtp.as_deref(), Some("minptime=10;useinbandfec=1"));
    assert_eq!(channels.sctp, Some(Sctp { port: 5_000, max_message_size: 262_144 }));
}

#[test]
fn firefoxs_offer_is_read_in_full() {
    let read = offer(FIREFOX).unwrap();
    let [channels, listening, camera] = read.sections.as_slice() else { panic!("three sections") };
    assert_eq!(read.peer.password.reveal(), "0d7dd9bd3e06fd3ee76adb1eaf3e0ff8");
    assert_eq!(channels.sctp, Some(Sctp { port: 5_000, max_message_size: 1_073_741_823 }));
    assert!(!listening.is_rejected, "port 0 with a=bundle-only is not refused");
    assert_eq!(listening.sources, [], "it only receives");
    assert_eq!(formats(camera), [(120, "VP8", Some(124)), (121, "VP9", Some(125)), (126, "H264", Some(127))]);
    assert_eq!(texts(&camera.formats[1].feedback), ["nack pli", "nack"]);
    assert_eq!(texts(&camera.rids), ["q", "h", "f"], "in the order of a=simulcast");
    let pair = |ssrc, rtx| Source { ssrc, rtx: Some(rtx) };
    assert_eq!(camera.sources, [pair(1_001, 2_001), pair(1_002, 2_002), pair(1_003, 2_003)]);
    assert_eq!(camera.extension(uri::RID), Some(8), "whichever way it goes");
    assert_eq!(camera.msid.as_ref().unwrap().track.as_ref(), "{0f6b3c57-3f0c-4a2b-a7dd-36ff1db2cf0d}");
}

#[test]
fn what_cannot_be_connected_to_is_refused_with_its_reason() {
    let no = |old, new| offer(&changed(FIREFOX, old, new)).map(|_| ());
    assert_eq!(no("v=0", "v=1"), Err(SdpError::NotSdp));
    assert_eq!(no("a=mid:1\n", ""), Err(SdpError::NoMid));
    assert_eq!(no("a=mid:1\n", "a=mid:12345678901234567\n"), Err(SdpError::NoMid));
    assert_eq!(no("a=mid:1\n", "a=mid:2\n"), Err(SdpError::RepeatedMid));
    assert_eq!(no("a=ice-ufrag:3c8ed0a2", "a=ice-ufrag:3"), Err(SdpError::NoIceUfrag));
    assert_eq!(no("a=ice-pwd:0d7dd9bd3e06fd3ee76adb1eaf3e0ff8", "a=x"), Err(SdpError::NoIcePassword));
    assert_eq!(no("a=fingerprint:sha-256", "a=fingerprint:sha-1"), Err(SdpError::NoFingerprint));
    assert_eq!(no("a=setup:actpass", "a=setup:passive"), Err(SdpError::NotActive));
    assert_eq!(no("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 7"), Err(SdpError::NothingUsable));
    assert_eq!(parse_room_offer(&vec![b'v'; MAX_ROOM_TEXT + 1]), Err(SdpError::TooLong(MAX_ROOM_TEXT + 1)));
    let many: String = (0..=MAX_ROOM_SECTIONS).map(|n| format!("m=audio 9 RTP/AVP 0\na=mid:{n}\n")).collect();
    assert_eq!(offer(&format!("v=0\n{many}")), Err(SdpError::TooManySections));
}

#[test]
fn only_an_answer_has_to_be_active() {
    let answer = |new| parse_room_answer(wire(&changed(FIREFOX, "a=setup:actpass", new)).as_bytes()).map(|_| ());
    assert_eq!(answer("a=setup:active"), Ok(()));
    assert_eq!(answer("a=setup:actpass"), Err(SdpError::NotActive));
    assert_eq!(answer("a=x"), Err(SdpError::NotActive));
    for fine in ["a=setup:active", "a=x"] {
        assert!(offer(&changed(FIREFOX, "a=setup:actpass", fine)).is_ok(), "{fine}");
    }
}

#[test]
fn a_section_that_no_room_can_use_is_rejected_and_keeps_its_place() {
    let rejected = |old, new| {
        let read = offer(&changed(FIREFOX, old, new)).unwrap();
        read.sections.iter().map(|it| it.is_rejected).collect::<Vec<_>>()
    };
    assert_eq!(rejected("BUNDLE 0 1 2", "BUNDLE 0 2"), [false, true, false]);
    assert_eq!(rejected("a=group:BUNDLE 0 1 2\n", ""), [false, true, true]);
    assert_eq!(rejected("a=bundle-only\n", ""), [false, true, false]);
    assert_eq!(rejected("m=audio 0 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP"), [false, true, false]);
    assert_eq!(rejected("a=rtcp-mux\n", ""), [false, true, false]);
    assert_eq!(rejected("m=audio 0 UDP/TLS/RTP/SAVPF", "m=text 9 UDP/TLS/RTP/SAVPF"), [false, true, false]);
    // The first that is left is the one whose transport counts.
    assert_eq!(rejected("a=sctp-port:5000\n", ""), [true, false, false]);
}

fn ours(sections: Vec<Section>) -> Description {
    let peer = PeerDescription {
        ufrag: "wK3f9QxZ".into(),
        password: Pii::new("Zb7Qm2+Xr9/Lk4Vt8Ny1Hc6D".into()),
        fingerprint: std::array::from_fn(|place| place as u8 * 8),
        ssrc: None,
    };
    Description {
        peer: Arc::new(peer),
        address: Some(([192, 0, 2, 5], 7_882).into()),
        mixes_extensions: true,
        sections: sections.into_iter().map(Arc::new).collect(),
    }
}

fn section(mid: &str, kind: SectionKind, direction: Direction) -> Section {
    Section {
        mid: mid.into(),
        kind,
        is_rejected: false,
        direction,
        formats: Vec::new(),
        extensions: Vec::new(),
        rids: Vec::new(),
        sources: Vec::new(),
        msid: None,
        sctp: None,
    }
}

fn format(payload_type: u8, name: &str, rtx: Option<u8>) -> Format {
    let codec = Codec { payload_type, name: name.into(), clock_rate_hz: 90_000, channels: 1, fmtp: None };
    Format { codec, rtx, feedback: vec!["nack".into(), "nack pli".into()] }
}

#[test]
fn our_answer_to_the_letter() {
    let mid = || vec![Extension { id: 4, uri: uri::MID.into() }];
    let opus = Codec {
        payload_type: 111,
        name: "opus".into(),
        clock_rate_hz: 48_000,
        channels: 2,
        fmtp: Some("minptime=10;useinbandfec=1".into()),
    };
    let answer = ours(vec![
        Section { is_rejected: true, ..section("0", SectionKind::Audio, Direction::Inactive) },
        Section {
            formats: vec![Format { codec: opus, rtx: None, feedback: Vec::new() }],
            extensions: mid(),
            ..section("1", SectionKind::Audio, Direction::Inactive)
        },
        Section {
            formats: vec![format(96, "VP8", Some(97))],
            extensions: mid(),
            rids: ["q", "h", "f"].map(Arc::from).to_vec(),
            ..section("2", SectionKind::Video, Direction::RecvOnly)
        },
        Section {
            formats: vec![format(96, "VP8", Some(97))],
            sources: vec![Source { ssrc: 11, rtx: Some(12) }],
            msid: Some(Msid { stream: "PA_x|my\r\na=b c".into(), track: "TR_y".into() }),
            ..section("3", SectionKind::Video, Direction::SendOnly)
        },
        Section {
            sctp: Some(Sctp { port: 5_000, max_message_size: 262_144 }),
            ..section("4", SectionKind::Data, Direction::SendRecv)
        },
    ]);
    let secured = "a=ice-ufrag:wK3f9QxZ\na=ice-pwd:Zb7Qm2+Xr9/Lk4Vt8Ny1Hc6D\n\
         a=fingerprint:sha-256 00:08:10:18:20:28:30:38:40:48:50:58:60:68:70:78:\
         80:88:90:98:A0:A8:B0:B8:C0:C8:D0:D8:E0:E8:F0:F8\na=setup:passive\n";
    let video = "a=rtcp-mux\na=rtcp-rsize\na=rtpmap:96 VP8/90000\na=rtcp-fb:96 nack\na=rtcp-fb:96 nack pli\n\
         a=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n";
    let expected = format!(
        "v=0\no=- 77 3 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 1 2 3 4\na=ice-lite\na=extmap-allow-mixed\n\
         a=msid-semantic: WMS *\n\
         m=audio 0 UDP/TLS/RTP/SAVPF 0\nc=IN IP4 0.0.0.0\na=mid:0\na=inactive\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=mid:1\n{secured}\
         a=candidate:1 1 udp 2130706431 192.0.2.5 7882 typ host\na=end-of-candidates\n\
         a=rtcp-mux\na=rtcp-rsize\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\na=inactive\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97\nc=IN IP4 0.0.0.0\na=mid:2\n{secured}{video}\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\na=recvonly\n\
         a=rid:q recv\na=rid:h recv\na=rid:f recv\na=simulcast:recv q;h;f\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97\nc=IN IP4 0.0.0.0\na=mid:3\n{secured}{video}\
         a=sendonly\na=msid:PA_x|my__a=b_c TR_y\na=ssrc-group:FID 11 12\na=ssrc:11 cname:tandem\n\
         a=ssrc:12 cname:tandem\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=mid:4\n{secured}\
         a=sctp-port:5000\na=max-message-size:262144\n"
    );
    let text = render_room_answer(&answer, &Origin { id: 77, version: 3 });
    assert_eq!(text.replace("\r\n", "\n"), expected);
    let offered = render_room_offer(&answer, &Origin { id: 77, version: 3 });
    assert_eq!(offered.replace("\r\n", "\n"), expected.replace("a=setup:passive", "a=setup:actpass"));
}

#[test]
fn an_offer_can_be_said_again() {
    for text in [CHROMIUM, FIREFOX] {
        let read = offer(text).unwrap();
        let again = render_room_offer(&read, &Origin { id: 1, version: 1 });
        let again = again.replace(" recv\r\n", " send\r\n").replace("a=simulcast:recv", "a=simulcast:send");
        assert_eq!(parse_room_offer(again.as_bytes()), Ok(read));
    }
}
