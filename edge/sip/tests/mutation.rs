//! Messages of RFC 4475 with bytes changed, cut, doubled and swapped: nothing panics, and what is accepted is accepted again
//! when it is written out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails by panicking")]

#[path = "rfc4475/corpus.rs"]
mod corpus;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tandem_sip::digest::Credentials;
use tandem_sip::framing::{Frame, Framer};
use tandem_sip::header::{MediaType, Name, NameAddr, Params, Reason, Via};
use tandem_sip::message::Message;
use tandem_sip::uri::Uri;

/// What SIP's grammar gives a meaning, and what it does not expect.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n ",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"\"",
    b"<",
    b">",
    b"@",
    b"=",
    b"?",
    b"\\",
    b"%",
    b"%00",
    b"\0",
    b"\xff",
    b"\xc3",
    b"/",
    b"[",
    b"]",
    b"*",
    b"-1",
    b"4294967296",
    b"99999999999999999999",
    b"SIP/2.0",
    b"Via:",
    b"Via: ,",
    b"\r\nContent-Length: 0\r\n",
    b"\r\nContent-Length: 65536\r\n",
    b"\r\nFrom: <sip:x@y>;tag=z\r\n",
    b"\r\n\r\n",
];

/// One change at a place given in 1/65,536 of the message's length.
#[derive(Clone, Debug)]
enum Change {
    Insert(u16, usize),
    Overwrite(u16, usize),
    Flip(u16, u8),
    Cut(u16, u16),
    Double(u16, u16),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<u16>;
    prop_oneof![
        (place(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (place(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Overwrite(at, piece)),
        (place(), 1..=255_u8).prop_map(|(at, mask)| Change::Flip(at, mask)),
        (place(), 0..2048_u16).prop_map(|(at, size)| Change::Cut(at, size)),
        (place(), 0..2048_u16).prop_map(|(at, size)| Change::Double(at, size)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: u16, len: usize| usize::from(at) * len / 65_536;
    let span = |at: u16, size: u16, len: usize| {
        let start = place(at, len);
        start..(start + usize::from(size) * len / 65_536).min(len)
    };
    let len = bytes.len();
    match *change {
        Change::Insert(at, piece) => drop(bytes.splice(place(at, len)..place(at, len), PIECES[piece].iter().copied())),
        Change::Overwrite(at, piece) => {
            let start = place(at, len);
            let end = (start + PIECES[piece].len()).min(len);
            drop(bytes.splice(start..end, PIECES[piece].iter().copied()));
        }
        Change::Flip(at, mask) => bytes.get_mut(place(at, len)).into_iter().for_each(|byte| *byte ^= mask),
        Change::Cut(at, size) => drop(bytes.drain(span(at, size, len))),
        Change::Double(at, size) => {
            let range = span(at, size, len);
            let copy = bytes[range.clone()].to_vec();
            drop(bytes.splice(range.start..range.start, copy));
        }
    }
}

fn mutant() -> impl Strategy<Value = Bytes> {
    let seeds: Vec<_> = corpus::rows().into_iter().map(|row| row.bytes).collect();
    (proptest::sample::select(seeds), proptest::collection::vec(change(), 0..6)).prop_map(|(seed, changes)| {
        let mut bytes = seed.to_vec();
        changes.iter().for_each(|change| mutate(&mut bytes, change));
        bytes.into()
    })
}

/// Looks at all there is to look at.
fn look_into(message: &Message) {
    let headers = &message.headers;
    let source = "[2001:db8::1]:40000".parse().unwrap();
    let mut copy = headers.clone();
    copy.stamp_via(source);
    copy.tag_to("tag");
    assert!(copy.top_via().is_ok() && copy.to().is_ok_and(|to| to.tag().is_some()));
    assert!(!copy.top_via().unwrap().wants_rport() || copy.top_via().unwrap().rport() == Some(40_000));
    for via in headers.vias() {
        let via = via.unwrap();
        let _ = (via.branch(), via.unique_branch(), via.received(), via.rport());
        assert!(Via::parse(&via.stamped(source)).is_some());
    }
    let addresses = [headers.from().unwrap(), headers.to().unwrap()];
    for address in &addresses {
        let _ = (address.display_name(), address.tag());
        assert!(NameAddr::parse(address.raw()).is_some() && address.uri().is_equivalent(address.uri()));
    }
    for header in headers.iter() {
        look_at_value(header.value());
        let _ = headers.values(&header.name).count();
    }
    let _ = (headers.expires(), headers.retry_after(), headers.reasons().count());
    let _ = (headers.contacts().is_ok(), headers.accepts("application", "sdp"), headers.content_type().is_ok());
}

/// Every parser on every value: what is meant for one header must not break on another's.
fn look_at_value(value: &Bytes) {
    let _ = (NameAddr::parse(value), Uri::parse(value).map(|uri| uri.params().count()), Via::parse(value).is_some());
    let _ = (Params::parse(value).map(|it| it.iter().count()), MediaType::parse(value), Reason::parse(value));
    let _ = Credentials::parse(value).map(|it| it.user_name());
    let _ = tandem_sip::header::text(value);
}

fn config() -> ProptestConfig {
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as _);
    ProptestConfig { cases: 4_000, failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_accepted_is_accepted_again_and_all_else_is_refused_quietly(bytes in mutant()) {
        match Message::read(&bytes) {
            Ok(message) => {
                look_into(&message);
                let written = message.to_bytes();
                let again = Message::read(&written);
                prop_assert!(again.is_ok(), "{:?}", again.map_err(|it| it.fault));
                prop_assert_eq!(again.unwrap().to_bytes(), written);
                let response = Message::response_to(&message, 486).to_bytes();
                prop_assert!(Message::read(&response).is_ok());
            }
            Err(malformed) => {
                malformed.headers.iter().for_each(|header| look_at_value(header.value()));
                if let Some(response) = malformed.response() {
                    let written = response.to_bytes();
                    let lines = written.split(|byte| *byte == b'\n').count();
                    let folds = written.windows(3).filter(|it| matches!(*it, b"\r\n " | b"\r\n\t")).count();
                    prop_assert_eq!(lines - folds, response.headers.len() + 4, "a value became a line");
                }
            }
        }
    }

    #[test]
    fn a_stream_of_mutants_is_cut_the_same_however_it_arrives(bytes in mutant(), piece in 1..400_usize) {
        let frames = |piece: usize| {
            let mut framer = Framer::default();
            let mut frames = Vec::new();
            for piece in bytes.chunks(piece) {
                framer.feed(piece);
                frames.extend(std::iter::from_fn(|| framer.next_frame()));
            }
            frames
        };
        let shown = |frames: Vec<Frame>| frames.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>();
        prop_assert_eq!(shown(frames(piece)), shown(frames(bytes.len().max(1))));
    }

    #[test]
    fn what_the_parsers_of_values_are_given_does_not_matter(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        look_at_value(&value.into());
    }
}

#[test]
fn a_header_of_ours_cannot_smuggle_another() {
    for piece in PIECES {
        let mut message = Message::response(200);
        message.headers.push(Name::Subject, [&b"x"[..], piece, b"Route: y"].concat());
        let text = message.to_bytes();
        assert!(!text.windows(7).any(|it| it == b"\nRoute:"), "{}", piece.escape_ascii());
        assert!(text.ends_with(b"\r\n\r\n") && text.windows(4).filter(|it| it == b"\r\n\r\n").count() == 1);
    }
}
