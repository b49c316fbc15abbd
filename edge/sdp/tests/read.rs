//! What phones, browsers and trunks send, and what is made of it.

use tandem_core::media::{Codec, Direction};
use tandem_sdp::{MAX_CODECS, MAX_SECTIONS, MAX_TEXT, SdpError, is_refresh, parse_answer, parse_offer};

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

fn sdp(sections: &str) -> String {
    format!("{HEAD}{}", sections.replace('\n', "\r\n"))
}

fn codec(payload_type: u8, name: &str, clock_rate_hz: u32, channels: u8, fmtp: Option<&str>) -> Codec {
    Codec { payload_type, name: name.into(), clock_rate_hz, channels, fmtp: fmtp.map(str::to_owned) }
}

#[test]
fn a_phones_offer_is_read_in_full() {
    let text = sdp("m=audio 4000 RTP/AVP 8 0 101 111\n\
         a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000/1\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n\
         a=rtpmap:111 opus/48000/2\na=rtcp:4010\na=ptime:30\na=recvonly\n");
    let audio = parse_offer(text.as_bytes()).unwrap().audio;
    assert_eq!(audio.rtp, "192.0.2.1:4000".parse().unwrap());
    assert_eq!(audio.rtcp, "192.0.2.1:4010".parse().unwrap());
    let expected = [
        codec(8, "PCMA", 8_000, 1, None),
        codec(0, "PCMU", 8_000, 1, None),
        codec(101, "telephone-event", 8_000, 1, Some("0-15")),
        codec(111, "opus", 48_000, 2, None),
    ];
    assert_eq!(audio.codecs, expected);
    assert_eq!((audio.ptime_ms, audio.direction), (Some(30), Direction::RecvOnly));
    assert_eq!(audio.text.as_deref(), Some(text.as_str()));
}

#[test]
fn static_payload_types_have_their_names_without_an_rtpmap() {
    let audio =
        parse_offer(sdp("m=audio 4000 RTP/AVP 0 3 8 9 13 18 96\na=fmtp:18 annexb=no\n").as_bytes()).unwrap().audio;
    let expected = [
        codec(0, "PCMU", 8_000, 1, None),
        codec(3, "GSM", 8_000, 1, None),
        codec(8, "PCMA", 8_000, 1, None),
        codec(9, "G722", 8_000, 1, None),
        codec(13, "CN", 8_000, 1, None),
        codec(18, "G729", 8_000, 1, Some("annexb=no")),
    ];
    assert_eq!(audio.codecs, expected, "96 has no name");
}

#[test]
fn addresses_come_from_where_the_rfcs_have_them() {
    for (sections, rtp, rtcp) in [
        ("m=audio 4000 RTP/AVP 0\n", "192.0.2.1:4000", "192.0.2.1:4001"),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.9\n", "192.0.2.9:4000", "192.0.2.9:4001"),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::9\n", "[2001:db8::9]:4000", "[2001:db8::9]:4001"),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:53020 IN IP4 192.0.2.7\n", "192.0.2.1:4000", "192.0.2.7:53020"),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:53020 IN IP6 2001:db8::7\n", "192.0.2.1:4000", "[2001:db8::7]:53020"),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:53020 IN IP4 media.example.net\n", "192.0.2.1:4000", "192.0.2.1:4001"),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:0\n", "192.0.2.1:4000", "192.0.2.1:4001"),
        ("m=audio 4000/2 RTP/AVP 0\n", "192.0.2.1:4000", "192.0.2.1:4001"),
        ("m=video 9000 RTP/AVP 96\nc=IN IP4 192.0.2.8\nm=audio 4000 RTP/AVP 0\n", "192.0.2.1:4000", "192.0.2.1:4001"),
    ] {
        let audio = parse_offer(sdp(sections).as_bytes()).unwrap().audio;
        assert_eq!((audio.rtp, audio.rtcp), (rtp.parse().unwrap(), rtcp.parse().unwrap()), "{sections}");
    }
}

#[test]
fn the_direction_of_the_section_goes_before_the_common_one_and_an_old_hold_is_inactive() {
    for (common, own, expected) in [
        ("", "", Direction::SendRecv),
        ("", "a=sendonly\r\n", Direction::SendOnly),
        ("a=sendonly\r\n", "", Direction::SendOnly),
        ("a=sendonly\r\n", "a=inactive\r\n", Direction::Inactive),
        ("", "c=IN IP4 0.0.0.0\r\na=sendrecv\r\n", Direction::Inactive),
        ("", "c=IN IP6 ::\r\n", Direction::Inactive),
    ] {
        let text = format!("{HEAD}{common}m=audio 4000 RTP/AVP 0\r\n{own}");
        assert_eq!(parse_offer(text.as_bytes()).unwrap().audio.direction, expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_set_aside_and_the_rest_is_read() {
    for text in [
        sdp("a=group:BUNDLE 0 1\nm=audio 4000 RTP/AVP 0\na=rtpmap: 0 PCMU\na=candidate:nonsense\na=crypto:\n"),
        sdp("m=image 5000 udptl t38\na=T38FaxVersion:0\nm=audio 4000 RTP/AVP 0\n"),
        sdp("m=message 5000 TCP/MSRP *\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\nm=audio 4000 RTP/AVP 0\n"),
        sdp("m=audio 4000 RTP/AVP 0 300 0 129\n\u{1}\nnonsense\na=\nm\na=ptime:abc\na=rtpmap:0 PC\u{7}MU/8000\n"),
        sdp("m=audio 4000 RTP/AVP 0 97 98 99\na=rtpmap:97 /8000\na=rtpmap:98 a b/8000\na=rtpmap:99 x/0\n"),
        "v=0\no=x\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0".to_owned(),
        "\r\nv=0 \r\n\r\nc=IN IP4 192.0.2.1/127 \r\nm=audio 4000 RTP/AVP 0 \r\n\r\n".to_owned(),
    ] {
        let audio = parse_offer(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")).audio;
        assert_eq!(audio.rtp, "192.0.2.1:4000".parse().unwrap(), "{text}");
        assert_eq!(audio.codecs, [codec(0, "PCMU", 8_000, 1, None)], "{text}");
        assert_eq!(audio.ptime_ms, None, "{text}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_do_not_matter() {
    let mut text = b"v=0\r\ns=B\xfcro\r\n".to_vec();
    text.extend_from_slice(b"c=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert!(parse_offer(&text).is_ok());
}

#[test]
fn the_first_section_that_can_be_used_is_taken() {
    for sections in [
        "m=audio 3000 RTP/SAVP 0\nm=audio 4000 RTP/AVP 0\nm=audio 5000 RTP/AVP 0\n",
        "m=audio 0 RTP/AVP 0\nm=audio 4000 RTP/AVP 0\n",
        "m=audio 3000 RTP/AVP 96\nm=audio 4000 RTP/AVP 0\n",
        "m=audio 3000 RTP/AVP 0\nc=IN IP4 phone.example.net\nm=audio 4000 RTP/AVP 0\n",
        "m=audio 3000 RTP/AVPX 0\nm=audio 4000 RTP/AVP 0\n",
    ] {
        assert_eq!(parse_offer(sdp(sections).as_bytes()).unwrap().audio.rtp.port(), 4000, "{sections}");
    }
}

#[test]
fn what_cannot_be_used_says_why() {
    let many = "m=video 0 RTP/AVP 96\n".repeat(MAX_SECTIONS + 1);
    for (text, why) in [
        (String::new(), SdpError::NotSdp),
        ("{\"type\":\"offer\"}".to_owned(), SdpError::NotSdp),
        ("v=1\r\nm=audio 4000 RTP/AVP 0\r\n".to_owned(), SdpError::NotSdp),
        (HEAD.to_owned(), SdpError::NoAudio),
        (sdp("m=video 4000 RTP/AVP 96\na=rtpmap:96 VP8/90000\n"), SdpError::NoAudio),
        (sdp("m=audio\n"), SdpError::NoAudio),
        (sdp("m=audio 70000 RTP/AVP 0\n"), SdpError::NoAudio),
        (sdp("m=audio 0 RTP/AVP 0\n"), SdpError::AudioOff),
        (sdp("m=audio 4000 RTP/SAVP 0\n"), SdpError::NotAcceptable),
        (sdp("m=audio 9 UDP/TLS/RTP/SAVPF 111\na=rtpmap:111 opus/48000/2\n"), SdpError::NotAcceptable),
        (sdp("m=audio 9 TCP/RTP/AVP 0\n"), SdpError::NotAcceptable),
        (sdp("m=audio 4000 RTP/AVP 96 97\na=rtpmap:97 nonsense\n"), SdpError::NoCodec),
        (sdp("m=audio 4000 RTP/AVP\n"), SdpError::NoCodec),
        ("v=0\r\nm=audio 4000 RTP/AVP 0\r\n".to_owned(), SdpError::NoAddress),
        ("v=0\r\nc=IN IP4 \r\nm=audio 4000 RTP/AVP 0\r\n".to_owned(), SdpError::NoAddress),
        (sdp("m=audio 4000 RTP/AVP 0\nc=IN IP4 phone.example.net\n"), SdpError::NamedAddress),
        (sdp("m=audio 4000 RTP/SAVP 0\nm=audio 0 RTP/AVP 0\n"), SdpError::NotAcceptable),
        (sdp(&many), SdpError::TooManySections),
        (sdp("m=audio 4000 RTP/AVP 0\nm=vi\0deo 0 RTP/AVP 96\na=sendonly\n"), SdpError::BadSection),
        ("v".repeat(MAX_TEXT + 1), SdpError::TooLong(MAX_TEXT + 1)),
    ] {
        assert_eq!(parse_offer(text.as_bytes()).unwrap_err(), why, "{text}");
        assert_eq!(parse_answer(text.as_bytes()).unwrap_err(), why, "{text}");
    }
}

#[test]
fn formats_beyond_the_limit_are_left_out() {
    let numbers: String = (0..128).map(|it| format!(" {it}")).collect();
    let maps: String = (0..128).map(|it| format!("a=rtpmap:{it} x{it}/8000\n")).collect();
    let audio = parse_offer(sdp(&format!("m=audio 4000 RTP/AVP{numbers}\n{maps}")).as_bytes()).unwrap().audio;
    assert_eq!(audio.codecs.len(), MAX_CODECS);
    assert_eq!(audio.codecs[31].name, "x31");
}

#[test]
fn only_the_same_address_formats_and_direction_are_a_refresh() {
    let read = |sections: &str| parse_offer(sdp(sections).as_bytes()).unwrap().audio;
    let old = read("m=audio 4000 RTP/AVP 0\na=ptime:20\n");
    assert!(is_refresh(&old, &read("b=AS:64\nm=audio 4000 RTP/AVP 0\na=rtpmap:0 PCMU/8000\na=sendrecv\n")));
    for other in [
        "m=audio 4002 RTP/AVP 0\n",
        "m=audio 4000 RTP/AVP 0\na=rtcp:4003\n",
        "m=audio 4000 RTP/AVP 0 8\n",
        "m=audio 4000 RTP/AVP 0\na=sendonly\n",
        "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n",
    ] {
        assert!(!is_refresh(&old, &read(other)), "{other}");
    }
}
