//! Nothing that comes in breaks the reader, and what goes out comes back as it was.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use proptest::collection::{hash_set, vec};
use proptest::option;
use proptest::prelude::*;
use tandem_core::media::{Codec, Direction, LocalMedia, MediaDescription, PeerDescription};
use tandem_core::pii::Pii;
use tandem_core::room::description::{Description, Extension, Format, Msid, Sctp, Section, SectionKind, Source};
use tandem_sdp::{
    Origin, parse_answer, parse_offer, parse_peer_answer, parse_room_offer, render_answer, render_offer,
    render_peer_offer, render_room_offer,
};

/// One of everything that the reader knows.
const SEED: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=sendonly\r\n\
    m=image 5000 udptl t38\r\nm=audio 3000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n\
    m=audio 4000/2 RTP/AVP 0 8 18 96 101 111\r\nc=IN IP6 2001:db8::1\r\nb=AS:64\r\na=rtpmap:96 opus/48000/2\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=fmtp:18 annexb=no\r\na=rtcp:4005 IN IP4 192.0.2.7\r\n\
    a=ptime:20\r\na=recvonly\r\nm=video 4002 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n";

/// What a browser answers to our proposal.
const PEER_SEEDS: [&str; 2] =
    [include_str!("fixtures/chromium-156-answer.sdp"), include_str!("fixtures/firefox-answer.sdp")];

/// What clients offer to a room.
const ROOM_SEEDS: [&str; 2] =
    [include_str!("fixtures/chromium-156-room-offer.sdp"), include_str!("fixtures/firefox-room-offer.sdp")];

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
            peer: None,
            text: None,
        },
    )
}

fn peer() -> impl Strategy<Value = PeerDescription> {
    let (ufrag, password) = ("[a-zA-Z0-9+/]{4,256}", "[a-zA-Z0-9+/]{22,256}".prop_map(Pii::new));
    (ufrag, password, any::<[u8; 32]>(), option::of(any::<u32>()))
        .prop_map(|(ufrag, password, fingerprint, ssrc)| PeerDescription { ufrag, password, fingerprint, ssrc })
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::SendRecv),
        Just(Direction::SendOnly),
        Just(Direction::RecvOnly),
        Just(Direction::Inactive)
    ]
}

fn medium() -> impl Strategy<Value = Section> {
    let formats = (codecs(), vec("[a-z]{1,8}( [a-z]{1,4})?", 0..4)).prop_map(|(codecs, feedback)| {
        let feedback: Vec<Arc<str>> = hash(feedback);
        let of = |codec: Codec| Format { codec, rtx: None, feedback: feedback.clone() };
        codecs.into_iter().filter(|it| !it.name.eq_ignore_ascii_case("rtx")).map(of).collect::<Vec<_>>()
    });
    let sources = hash_set(1..u32::MAX / 2, 0..4).prop_map(|it| {
        let source = |ssrc| Source { ssrc, rtx: (ssrc % 2 == 0).then_some(ssrc + u32::MAX / 2) };
        it.into_iter().map(source).collect::<Vec<_>>()
    });
    let extensions = hash_set(1..=255u8, 0..6)
        .prop_map(|ids| ids.into_iter().map(|id| Extension { id, uri: format!("urn:x:{id}").into() }).collect());
    let msid = option::of(("[a-zA-Z_|-]{1,40}", "[a-zA-Z_]{1,40}"));
    let rids = vec("[a-z]{1,16}", 0..5).prop_map(hash);
    let kind = prop_oneof![Just(SectionKind::Audio), Just(SectionKind::Video)];
    (kind, direction(), formats, sources, extensions, msid, rids).prop_map(
        |(kind, direction, formats, sources, extensions, msid, rids)| {
            let sends = matches!(direction, Direction::SendRecv | Direction::SendOnly);
            Section {
                mid: "".into(),
                kind,
                is_rejected: false,
                direction,
                formats,
                extensions,
                rids,
                sources: if sends { sources } else { Vec::new() },
                msid: msid.filter(|_| sends).map(|(stream, track)| Msid { stream: stream.into(), track: track.into() }),
                sctp: None,
            }
        },
    )
}

/// Each once, in some order.
fn hash(texts: Vec<String>) -> Vec<Arc<str>> {
    let mut texts: Vec<Arc<str>> = texts.into_iter().map(Arc::from).collect();
    texts.sort();
    texts.dedup();
    texts
}

fn channels() -> impl Strategy<Value = Section> {
    (any::<u16>(), any::<u32>()).prop_map(|(port, max_message_size)| Section {
        mid: "".into(),
        kind: SectionKind::Data,
        is_rejected: false,
        direction: Direction::SendRecv,
        formats: Vec::new(),
        extensions: Vec::new(),
        rids: Vec::new(),
        sources: Vec::new(),
        msid: None,
        sctp: Some(Sctp { port, max_message_size }),
    })
}

fn room() -> impl Strategy<Value = Description> {
    let sections = vec(prop_oneof![4 => medium(), 1 => channels()], 1..6);
    (peer(), option::of(address()), any::<bool>(), sections).prop_map(|(peer, address, mixes_extensions, sections)| {
        let named = |(n, section)| Arc::new(Section { mid: format!("m{n}").into(), ..section });
        Description {
            peer: Arc::new(PeerDescription { ssrc: None, ..peer }),
            address,
            mixes_extensions,
            sections: sections.into_iter().enumerate().map(named).collect(),
        }
    })
}

fn is_ice(value: &str, least: usize) -> bool {
    (least..=256).contains(&value.len()) && value.chars().all(|it| it.is_ascii_alphanumeric() || "+/".contains(it))
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

    #[test]
    fn no_answer_of_a_browser_panics_and_what_is_taken_has_all_that_a_connection_needs(
        seed in 0..PEER_SEEDS.len(),
        changes in vec(change(), 0..6),
    ) {
        let mut text = PEER_SEEDS[seed].as_bytes().to_vec();
        changes.into_iter().for_each(|it| apply(&mut text, it));
        let offer = MediaDescription::proposal(false);
        if let Ok(answer) = parse_peer_answer(&text, &offer) {
            let peer = answer.peer.unwrap();
            prop_assert!(is_ice(&peer.ufrag, 4) && is_ice(peer.password.reveal(), 22));
            let is_offered = |it: &Codec| {
                offer.codecs.iter().any(|ours| ours.payload_type == it.payload_type && ours.is_same_format(it))
            };
            prop_assert!(answer.codecs.iter().all(is_offered));
            prop_assert!(!answer.codecs.iter().all(Codec::is_telephone_event));
            prop_assert_eq!((answer.rtp, answer.rtcp), (LocalMedia::NOWHERE.rtp, LocalMedia::NOWHERE.rtcp));
            let text = answer.text.unwrap();
            let lines: Vec<&str> = text.split(['\r', '\n']).map(str::trim_end).collect();
            for must in ["a=mid:0", "a=setup:active", "a=rtcp-mux"] {
                prop_assert!(lines.contains(&must), "{}", must);
            }
            let hex: Vec<String> = peer.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert!(text.to_ascii_lowercase().contains(&hex.join(":")));
            prop_assert_eq!(lines.iter().filter(|line| line.starts_with("m=")).count(), 1);
        }
    }

    #[test]
    fn no_bytes_panic_as_a_browsers_answer(bytes in vec(any::<u8>(), 0..400)) {
        let offer = MediaDescription::proposal(false);
        prop_assert!(parse_peer_answer(&bytes, &offer).is_err());
        prop_assert!(parse_peer_answer(&[b"v=0\r\nm=audio 9 ", bytes.as_slice()].concat(), &offer).is_err());
    }

    #[test]
    fn what_a_browser_is_offered_is_read_as_it_was_once_it_is_active(ours in description(), peer in peer()) {
        let ours = MediaDescription { peer: Some(Arc::new(peer)), ..ours };
        let text = render_peer_offer(&ours, &Origin { id: 1, version: 1 }).unwrap();
        let is_audible = !ours.codecs.iter().all(Codec::is_telephone_event);
        let read = parse_peer_answer(text.replace("a=setup:actpass", "a=setup:active").as_bytes(), &ours);
        prop_assert_eq!(read.is_ok(), is_audible);
        if let Ok(read) = read {
            let sends = matches!(ours.direction, Direction::SendRecv | Direction::SendOnly);
            let peer = Arc::unwrap_or_clone(ours.peer.unwrap());
            let peer = PeerDescription { ssrc: peer.ssrc.filter(|_| sends), ..peer };
            let (rtp, rtcp) = (LocalMedia::NOWHERE.rtp, LocalMedia::NOWHERE.rtcp);
            let expected = MediaDescription { rtp, rtcp, peer: Some(Arc::new(peer)), text: None, ..ours };
            prop_assert_eq!(MediaDescription { text: None, ..read }, expected);
        }
    }

    #[test]
    fn no_offer_to_a_room_panics_and_what_is_taken_can_be_said_again(
        seed in 0..ROOM_SEEDS.len(),
        changes in vec(change(), 0..12),
    ) {
        let mut text = ROOM_SEEDS[seed].as_bytes().to_vec();
        changes.into_iter().for_each(|it| apply(&mut text, it));
        if let Ok(offer) = parse_room_offer(&text) {
            prop_assert!(is_ice(&offer.peer.ufrag, 4) && is_ice(offer.peer.password.reveal(), 22));
            prop_assert!(offer.sections.iter().any(|it| !it.is_rejected));
            let read = parse_room_offer(render_room_offer(&offer, &Origin { id: 1, version: 1 }).as_bytes()).unwrap();
            prop_assert_eq!(&read.peer, &offer.peer);
            let brief = |it: &Description| -> Vec<_> {
                it.sections.iter().map(|it| (it.mid.clone(), it.is_rejected)).collect()
            };
            prop_assert_eq!(brief(&read), brief(&offer));
            for (read, offered) in read.sections.iter().zip(&offer.sections) {
                if offered.is_rejected || offered.kind == SectionKind::Data {
                    continue;
                }
                prop_assert_eq!(&read.formats, &offered.formats);
                prop_assert_eq!(&read.extensions, &offered.extensions);
            }
        }
    }

    #[test]
    fn no_bytes_panic_as_an_offer_to_a_room(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(parse_room_offer(&bytes).is_err());
        prop_assert!(parse_room_offer(&[b"v=0\r\nm=audio 9 ", bytes.as_slice()].concat()).is_err());
    }

    #[test]
    fn what_a_room_says_is_read_as_it_was(ours in room(), version in 0..100u64) {
        let text = render_room_offer(&ours, &Origin { id: 1, version });
        let text = text.replace(" recv\r\n", " send\r\n").replace("a=simulcast:recv", "a=simulcast:send");
        prop_assert_eq!(parse_room_offer(text.as_bytes()).unwrap(), Description { address: None, ..ours });
    }
}
