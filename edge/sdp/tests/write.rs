//! Our descriptions on the wire, to the letter.

use tandem_core::media::{Codec, Direction, LocalMedia, MediaDescription};
use tandem_sdp::{Origin, parse_answer, parse_offer, render_answer, render_offer};

const ORIGIN: Origin = Origin { id: 77, version: 3 };

fn wire(lines: &str) -> String {
    lines.lines().map(|line| format!("{line}\r\n")).collect()
}

#[test]
fn our_basic_offer() {
    let offer = MediaDescription::basic(&LocalMedia::pair(
        "192.0.2.5:10000".parse().unwrap(),
        "192.0.2.5:10001".parse().unwrap(),
    ));
    let expected = wire(
        "v=0\no=- 77 3 IN IP4 192.0.2.5\ns=-\nc=IN IP4 192.0.2.5\nt=0 0\nm=audio 10000 RTP/AVP 0 8 101\n\
         a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n\
         a=ptime:20\na=sendrecv",
    );
    assert_eq!(render_offer(&offer, &ORIGIN), expected);
}

#[test]
fn an_offer_with_everything_that_is_unusual() {
    let opus = Codec {
        payload_type: 111,
        name: "opus".into(),
        clock_rate_hz: 48_000,
        channels: 2,
        fmtp: Some("useinbandfec=1; usedtx=0".into()),
    };
    let offer = MediaDescription {
        codecs: vec![opus],
        ptime_ms: None,
        direction: Direction::SendOnly,
        ..MediaDescription::basic(&LocalMedia::pair(
            "[2001:db8::5]:10000".parse().unwrap(),
            "192.0.2.5:30001".parse().unwrap(),
        ))
    };
    let expected = wire(
        "v=0\no=- 77 3 IN IP6 2001:db8::5\ns=-\nc=IN IP6 2001:db8::5\nt=0 0\nm=audio 10000 RTP/AVP 111\n\
         a=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1; usedtx=0\na=rtcp:30001 IN IP4 192.0.2.5\na=sendonly",
    );
    assert_eq!(render_offer(&offer, &ORIGIN), expected);
}

#[test]
fn an_answer_has_every_section_of_its_offer_in_order() {
    let text = wire(
        "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=image 5000 udptl t38\n\
         m=audio 4000 RTP/AVP 8 96\na=rtpmap:96 telephone-event/8000\nm=video 4002/2 RTP/AVP 97 98\n\
         m=message 5002 TCP/MSRP *\nm=audio 4004 RTP/AVP 0\nm=nonsense",
    );
    let offer = parse_offer(text.as_bytes()).unwrap();
    let ours = LocalMedia::pair("192.0.2.5:10000".parse().unwrap(), "192.0.2.5:10003".parse().unwrap());
    let answer = offer.audio.answered_like(&MediaDescription::basic(&ours), &ours).unwrap();
    let expected = wire(
        "v=0\no=- 77 3 IN IP4 192.0.2.5\ns=-\nc=IN IP4 192.0.2.5\nt=0 0\nm=image 0 udptl t38\n\
         m=audio 10000 RTP/AVP 8 96\na=rtpmap:8 PCMA/8000\na=rtpmap:96 telephone-event/8000\na=rtcp:10003\n\
         a=ptime:20\na=sendrecv\nm=video 0 RTP/AVP 97 98\nm=message 0 TCP/MSRP *\nm=audio 0 RTP/AVP 0\nm=nonsense",
    );
    assert_eq!(render_answer(&offer, &answer, &ORIGIN), expected);
    assert_eq!(parse_answer(expected.as_bytes()).unwrap().codecs, answer.codecs);
}
