//! What browsers are offered, to the letter, and what is made of their answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tandem_core::media::{Codec, Direction, LocalMedia, MediaDescription, PeerDescription};
use tandem_core::pii::Pii;
use tandem_sdp::{MAX_TEXT, Origin, SdpError, parse_peer_answer, render_peer_offer};

const ORIGIN: Origin = Origin { id: 77, version: 1 };

/// What Chromium 156 with a microphone answered to the first golden offer, but for the fingerprint there.
const CHROMIUM: &str = include_str!("fixtures/chromium-156-answer.sdp");

/// The form of Firefox, written by hand: the fingerprint is a common one, and there is one rate of events.
const FIREFOX: &str = include_str!("fixtures/firefox-answer.sdp");

fn local(ip: impl Into<IpAddr>) -> LocalMedia {
    let address = SocketAddr::new(ip.into(), 40_000);
    let peer = PeerDescription {
        ufrag: "wK3f9QxZ".into(),
        password: Pii::new("Zb7Qm2+Xr9/Lk4Vt8Ny1Hc6D".into()),
        fingerprint: std::array::from_fn(|place| place as u8 * 8),
        ssrc: Some(305_419_896),
    };
    LocalMedia { peer: Some(Arc::new(peer)), ..LocalMedia::pair(address, address) }
}

fn offer() -> MediaDescription {
    MediaDescription::proposal(false).relayed_at(&local([192, 0, 2, 5]))
}

fn wire(lines: &str) -> String {
    lines.lines().map(|line| format!("{line}\r\n")).collect()
}

fn answer(text: &str) -> Result<MediaDescription, SdpError> {
    parse_peer_answer(wire(text).as_bytes(), &offer())
}

fn numbers(description: &MediaDescription) -> Vec<u8> {
    description.codecs.iter().map(|codec| codec.payload_type).collect()
}

/// The good answer with one thing changed, which must be there.
fn changed(old: &str, new: &str) -> String {
    assert!(CHROMIUM.contains(old), "{old}");
    CHROMIUM.replacen(old, new, 1)
}

#[test]
fn our_offer_of_opus_and_g711() {
    let expected = wire(
        "v=0\no=- 77 1 IN IP4 192.0.2.5\ns=-\nc=IN IP4 192.0.2.5\nt=0 0\na=group:BUNDLE 0\na=ice-lite\n\
         m=audio 40000 UDP/TLS/RTP/SAVPF 111 0 8 110 126\na=mid:0\na=rtcp-mux\na=rtcp-rsize\n\
         a=ice-ufrag:wK3f9QxZ\na=ice-pwd:Zb7Qm2+Xr9/Lk4Vt8Ny1Hc6D\n\
         a=fingerprint:sha-256 00:08:10:18:20:28:30:38:40:48:50:58:60:68:70:78:\
         80:88:90:98:A0:A8:B0:B8:C0:C8:D0:D8:E0:E8:F0:F8\n\
         a=setup:actpass\na=candidate:1 1 udp 2130706431 192.0.2.5 40000 typ host\na=end-of-candidates\n\
         a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\na=rtpmap:0 PCMU/8000\n\
         a=rtpmap:8 PCMA/8000\na=rtpmap:110 telephone-event/48000\na=fmtp:110 0-16\n\
         a=rtpmap:126 telephone-event/8000\na=fmtp:126 0-16\na=ptime:20\na=sendrecv\n\
         a=msid:tandem audio\na=ssrc:305419896 cname:tandem",
    );
    assert_eq!(render_peer_offer(&offer(), &ORIGIN).unwrap(), expected);
}

#[test]
fn our_offer_at_an_ipv6_address_of_a_side_that_only_listens() {
    let ours = MediaDescription { direction: Direction::RecvOnly, ptime_ms: None, ..offer() };
    let ours = MediaDescription { codecs: ours.codecs[1..2].to_vec(), ..ours }
        .relayed_at(&local([0x2001, 0xdb8, 0, 0, 0, 0, 0, 5]));
    let expected = wire(
        "v=0\no=- 77 1 IN IP6 2001:db8::5\ns=-\nc=IN IP6 2001:db8::5\nt=0 0\na=group:BUNDLE 0\na=ice-lite\n\
         m=audio 40000 UDP/TLS/RTP/SAVPF 0\na=mid:0\na=rtcp-mux\na=rtcp-rsize\n\
         a=ice-ufrag:wK3f9QxZ\na=ice-pwd:Zb7Qm2+Xr9/Lk4Vt8Ny1Hc6D\n\
         a=fingerprint:sha-256 00:08:10:18:20:28:30:38:40:48:50:58:60:68:70:78:\
         80:88:90:98:A0:A8:B0:B8:C0:C8:D0:D8:E0:E8:F0:F8\n\
         a=setup:actpass\na=candidate:1 1 udp 2130706431 2001:db8::5 40000 typ host\na=end-of-candidates\n\
         a=rtpmap:0 PCMU/8000\na=recvonly",
    );
    assert_eq!(render_peer_offer(&ours, &ORIGIN).unwrap(), expected);
}

#[test]
fn plain_rtp_is_no_offer_to_a_browser() {
    let ours = MediaDescription { peer: None, ..offer() };
    assert_eq!(render_peer_offer(&ours, &ORIGIN), None);
}

#[test]
fn chromiums_answer_is_read_in_full() {
    let read = answer(CHROMIUM).unwrap();
    let peer = read.peer.unwrap();
    assert_eq!(peer.ufrag, "UA1X");
    assert_eq!(peer.password.reveal(), "riD35jAuAI9bqSIzJY02tjac");
    assert_eq!(peer.fingerprint[..4], [0x04, 0x11, 0x44, 0x8e]);
    assert_eq!((peer.fingerprint[31], peer.ssrc), (0x43, Some(286_900_456)));
    let format = |payload_type, name: &str, clock_rate_hz, channels, fmtp: Option<&str>| Codec {
        payload_type,
        name: name.into(),
        clock_rate_hz,
        channels,
        fmtp: fmtp.map(str::to_owned),
    };
    let expected = [
        format(111, "opus", 48_000, 2, Some("minptime=10;useinbandfec=1")),
        format(0, "PCMU", 8_000, 1, None),
        format(8, "PCMA", 8_000, 1, None),
        format(110, "telephone-event", 48_000, 1, None),
        format(126, "telephone-event", 8_000, 1, None),
    ];
    assert_eq!(read.codecs, expected);
    assert_eq!((read.rtp, read.rtcp), (LocalMedia::NOWHERE.rtp, LocalMedia::NOWHERE.rtcp), "no candidate is read");
    assert_eq!((read.direction, read.ptime_ms), (Direction::SendRecv, None));
    assert_eq!(read.text.as_deref(), Some(wire(CHROMIUM).as_str()));
}

#[test]
fn firefoxs_answer_is_read_in_full() {
    let read = answer(FIREFOX).unwrap();
    assert_eq!(numbers(&read), [111, 0, 8, 126]);
    assert_eq!(read.codecs[0].fmtp.as_deref(), Some("maxplaybackrate=48000;stereo=1;useinbandfec=1"));
    let peer = read.peer.unwrap();
    assert_eq!((peer.ufrag.as_str(), peer.password.reveal().len()), ("a1b2c3d4", 32));
    assert_eq!((peer.fingerprint[0], peer.fingerprint[31], peer.ssrc), (0x3b, 0x6f, Some(2_882_400_001)));
}

#[test]
fn what_of_an_answer_does_not_matter_may_be_otherwise() {
    let mux = "a=rtcp-mux\n";
    for (old, new) in [
        ("m=audio 56256 ", "m=audio 9 "),
        ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"),
        (mux, "a=rtcp-mux\na=candidate:nonsense\na=extmap:x\na=rid:1 recv\na=simulcast:recv 1\na=crypto:\n"),
        (mux, "a=rtcp-mux\na=ptime:40\na=ptime:60\n"),
        ("c=IN IP4 192.0.2.2\n", ""),
        ("c=IN IP4 192.0.2.2\n", "c=IN IP4 browser.example.net\n"),
        ("a=group:BUNDLE 0\n", ""),
        ("a=fingerprint:", "a=fingerprint:sha-1 00:01\na=fingerprint:md5 zz\na=fingerprint:"),
        ("a=fingerprint:sha-256", "a=fingerprint:SHA-256"),
        ("111 0 8 110 126", "63 111 0 8 13 110 126"),
    ] {
        let read = answer(&changed(old, new)).unwrap_or_else(|error| panic!("{error}: {new}"));
        assert_eq!(numbers(&read), [111, 0, 8, 110, 126], "{new}");
        assert_eq!(read.peer, answer(CHROMIUM).unwrap().peer, "{new}");
        assert_eq!(read.ptime_ms, new.contains("ptime").then_some(40), "{new}");
    }
    let without_port = changed("m=audio 56256 ", "m=audio 0 ").replace("a=mid:0\n", "a=mid:0\na=bundle-only\n");
    assert!(answer(&without_port).is_ok());
    assert_eq!(answer(&CHROMIUM.replace("a=ssrc:", "a=x:")).unwrap().peer.unwrap().ssrc, None);
}

#[test]
fn formats_are_the_offers_by_number_and_name_in_the_order_of_the_answer() {
    for (formats, maps, expected) in [
        ("8 0 111", "", &[8, 0, 111][..]),
        ("0", "", &[0]),
        ("109 0", "a=rtpmap:109 opus/48000/2\n", &[0]),
        ("111 8", "a=rtpmap:8 PCMU/8000\n", &[111]),
        ("111 0", "a=rtpmap:111 OPUS/48000/2\n", &[111, 0]),
        ("111 8", "a=rtpmap:111 opus/48000\n", &[8]),
        ("111 8", "a=rtpmap:111 opus/16000/2\n", &[8]),
    ] {
        // The first map of a number counts.
        let text = changed("111 0 8 110 126\n", &format!("{formats}\n{maps}"));
        assert_eq!(numbers(&answer(&text).unwrap()), expected, "{formats} {maps}");
    }
}

#[test]
fn what_the_section_says_goes_before_what_is_common() {
    let zeros = ["00"; 32].join(":");
    let common = format!(
        "t=0 0\na=ice-ufrag:common\na=ice-pwd:commoncommoncommoncommon\na=fingerprint:sha-256 {zeros}\n\
         a=setup:passive\na=inactive\n"
    );
    let both = changed("t=0 0\n", &common);
    let read = answer(&both).unwrap();
    let plain = answer(CHROMIUM).unwrap();
    assert_eq!((read.peer, read.direction), (plain.peer.clone(), Direction::SendRecv));

    let own = ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:", "a=sendrecv"];
    let is_own = |line: &&str| own.iter().any(|it| line.starts_with(it));
    let moved: Vec<&str> = CHROMIUM.lines().filter(is_own).collect();
    let rest: Vec<&str> = CHROMIUM.lines().filter(|line| !is_own(line)).collect();
    let moved = rest.join("\n").replacen("t=0 0\n", &format!("t=0 0\n{}\n", moved.join("\n")), 1);
    let read = answer(&moved).unwrap();
    assert_eq!((read.peer, read.direction), (plain.peer, Direction::SendRecv));
}

#[test]
fn a_common_fingerprint_does_not_stand_in_for_another_hash_of_the_section() {
    let text = FIREFOX.replace("a=mid:0\n", "a=mid:0\na=fingerprint:sha-1 00:01\n");
    assert_eq!(answer(&text).unwrap_err(), SdpError::NoFingerprint);
}

#[test]
fn what_cannot_be_used_says_why() {
    let line_of = |start: &str| CHROMIUM.lines().find(|line| line.starts_with(start)).unwrap();
    let (ufrag, password) = (line_of("a=ice-ufrag:"), line_of("a=ice-pwd:"));
    let fingerprint = line_of("a=fingerprint:");
    let long = "x".repeat(257);
    let head = CHROMIUM.split("m=").next().unwrap();
    for (text, why) in [
        (String::new(), SdpError::NotSdp),
        ("{\"type\":\"answer\"}".into(), SdpError::NotSdp),
        ("v".repeat(MAX_TEXT), SdpError::TooLong(MAX_TEXT + 2)),
        ("m=audio 9 x 0\n".repeat(33).replacen('m', "v=0\nm", 1), SdpError::TooManySections),
        (format!("{CHROMIUM}m=vi\0deo 0 RTP/AVP 96\n"), SdpError::BadSection),
        (head.to_owned(), SdpError::SectionCount(0)),
        (format!("{CHROMIUM}m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\n"), SdpError::SectionCount(2)),
        (changed("m=audio", "m=video"), SdpError::NoAudio),
        (changed("m=audio 56256", "m=audio 70000"), SdpError::NoAudio),
        (changed("a=mid:0\n", ""), SdpError::WrongMid),
        (changed("a=mid:0\n", "a=mid:audio\n"), SdpError::WrongMid),
        (changed("m=audio 56256", "m=audio 0"), SdpError::AudioOff),
        (changed("UDP/TLS/RTP/SAVPF", "RTP/AVP"), SdpError::NotPeer),
        (changed("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), SdpError::NotPeer),
        (changed("UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF"), SdpError::NotPeer),
        (changed("a=rtcp-mux\n", ""), SdpError::NoRtcpMux),
        (changed("a=rtcp-mux\n", "").replace("t=0 0\n", "t=0 0\na=rtcp-mux\n"), SdpError::NoRtcpMux),
        (changed(ufrag, "a=ice-ufrag:abc"), SdpError::NoIceUfrag),
        (changed(ufrag, "a=ice-ufrag:ab cd"), SdpError::NoIceUfrag),
        (changed(ufrag, &format!("a=ice-ufrag:{long}")), SdpError::NoIceUfrag),
        (changed(ufrag, ""), SdpError::NoIceUfrag),
        (changed(password, "a=ice-pwd:123456789012345678901"), SdpError::NoIcePassword),
        (changed(password, "a=ice-pwd:12345678901234567890-12"), SdpError::NoIcePassword),
        (changed(password, &format!("a=ice-pwd:{long}")), SdpError::NoIcePassword),
        (changed(password, ""), SdpError::NoIcePassword),
        (changed(fingerprint, ""), SdpError::NoFingerprint),
        (changed("a=fingerprint:sha-256", "a=fingerprint:sha-512"), SdpError::NoFingerprint),
        (changed(fingerprint, &fingerprint[..fingerprint.len() - 3]), SdpError::NoFingerprint),
        (changed(fingerprint, &format!("{fingerprint}:00")), SdpError::NoFingerprint),
        (changed("sha-256 04:", "sha-256 +4:"), SdpError::NoFingerprint),
        (changed("sha-256 04:", "sha-256 4:"), SdpError::NoFingerprint),
        (changed("sha-256 04:", "sha-256 04-"), SdpError::NoFingerprint),
        (changed("a=setup:active", "a=setup:passive"), SdpError::NotActive),
        (changed("a=setup:active", "a=setup:actpass"), SdpError::NotActive),
        (changed("a=setup:active", "a=setup:holdconn"), SdpError::NotActive),
        (changed("a=setup:active\n", ""), SdpError::NotActive),
        (changed("111 0 8 110 126", "63 13"), SdpError::NoOfferedCodec),
        (changed("111 0 8 110 126", "110 126"), SdpError::NoOfferedCodec),
        (changed("111 0 8 110 126", ""), SdpError::NoOfferedCodec),
        (CHROMIUM.replace("111", "109").replace("0 8 ", "9 ").replace("8000", "16000"), SdpError::NoOfferedCodec),
    ] {
        assert_eq!(answer(&text).unwrap_err(), why, "{text}");
    }
}
