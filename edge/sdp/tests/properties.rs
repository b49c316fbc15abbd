//! Nothing that comes in breaks the reader, and what goes out comes back as it was.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::{hash_set, vec};
use proptest::option;
use proptest::prelude::*;
use tandem_core::media::{Codec, Direction, MediaDescription};
use tandem_sdp::{Origin, parse_answer, parse_offer, render_answer, render_offer};

/// One of everything that the reader knows.
const SEED: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=sendonly\r\n\
    m=image 5000 udptl t38\r\nm=audio 3000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n\
    m=audio 4000/2 RTP/AVP 0 8 18 96 101 111\r\nc=IN IP6 2001:db8::1\r\nb=AS:64\r\na=rtpmap:96 opus/48000/2\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=fmtp:18 annexb=no\r\na=rtcp:4005 IN IP4 192.0.2.7\r\n\
    a=ptime:20\r\na=recvonly\r\nm=video 4002 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n";

/// What is done to a seed at a place of it (in permille of its length).
#[derive(Clone, Debug)]
enum Change {
    Overwrite(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
    Insert(usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let place = 0..1000usize;
    prop_oneof![
        (place.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Overwrite(at, byte)),
        (place.clone(), 0..80usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (place.clone(), 0..80usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        (place, vec(any::<u8>(), 0..20)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ]
}

fn apply(text: &mut Vec<u8>, change: Change) {
    let spot = |at: usize| at * text.len() / 1000;
    match change {
        Change::Overwrite(at, byte) => {
            let at = spot(at);
            text.iter_mut().skip(at).take(1).for_each(|it| *it = byte);
        }
        Change::Cut(at, length) => {
            let at = spot(at);
            text.drain(at..text.len().min(at + length));
        }
        Change::Repeat(at, length) => {
            let at = spot(at);
            let piece: Vec<u8> = text.iter().skip(at).take(length).copied().collect();
            text.splice(at..at, piece);
        }
        Change::Insert(at, bytes) => {
            let at = spot(at);
            text.splice(at..at, bytes);
        }
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<u32>().prop_map(|it| IpAddr::from(Ipv4Addr::from(it)));
    let v6 = any::<u128>().prop_map(|it| IpAddr::from(Ipv6Addr::from(it)));
    (prop_oneof![v4, v6], 1..=u16::MAX)
        .prop_filter("an unspecified address is a hold", |(ip, _)| !ip.is_unspecified())
        .prop_map(SocketAddr::from)
}

fn codecs() -> impl Strategy<Value = Vec<Codec>> {
    let format = ("[a-zA-Z0-9.+-]{1,12}", 1..=192_000u32, 1..=8u8, option::of("[a-z0-9=;/]{1,20}"));
    hash_set(0..128u8, 1..8).prop_flat_map(move |numbers| {
        let numbers: Vec<u8> = numbers.into_iter().collect();
        vec(format.clone(), numbers.len()).prop_map(move |formats| {
            let of = |(number, format): (&u8, (String, u32, u8, Option<String>))| {
                let (name, clock_rate_hz, channels, fmtp) = format;
                Codec { payload_type: *number, name, clock_rate_hz, channels, fmtp }
            };
            numbers.iter().zip(formats).map(of).collect()
        })
    })
}

fn description() -> impl Strategy<Value = MediaDescription> {
    let direction = prop_oneof![
        Just(Direction::SendRecv),
        Just(Direction::SendOnly),
        Just(Direction::RecvOnly),
        Just(Direction::Inactive)
    ];
    (address(), address(), codecs(), option::of(any::<u16>()), direction).prop_map(
        |(rtp, rtcp, codecs, ptime_ms, direction)| MediaDescription {
            rtp,
            rtcp,
            codecs,
            ptime_ms,
            direction,
            text: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_panics_and_what_is_taken_can_be_answered(changes in vec(change(), 0..12)) {
        let mut text = SEED.as_bytes().to_vec();
        changes.into_iter().for_each(|it| apply(&mut text, it));
        if let Ok(offer) = parse_offer(&text) {
            prop_assert!(!offer.audio.codecs.is_empty() && offer.audio.rtp.port() != 0);
            let answer = render_answer(&offer, &offer.audio, &Origin { id: 1, version: 1 });
            let read = parse_answer(answer.as_bytes()).unwrap();
            prop_assert_eq!(MediaDescription { text: None, ..read }, MediaDescription { text: None, ..offer.audio });
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(parse_offer(&bytes).is_err());
        prop_assert!(parse_offer(&[b"v=0\r\n", bytes.as_slice()].concat()).is_err());
    }

    #[test]
    fn what_is_rendered_is_read_as_it_was(ours in description(), id in 0..=i64::MAX as u64, version in 0..100u64) {
        let text = render_offer(&ours, &Origin { id, version });
        let offer = parse_offer(text.as_bytes()).unwrap();
        prop_assert_eq!(offer.audio.text.as_deref(), Some(text.as_str()));
        prop_assert_eq!(MediaDescription { text: None, ..offer.audio }, ours);
    }
}
