//! The parser's verdict on each message of RFC 4475, as `rfc4475/verdicts.tsv` has it: as a datagram, and in every split in
//! two over a stream.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails by panicking")]

#[path = "rfc4475/corpus.rs"]
mod corpus;

use bytes::Bytes;
use corpus::{Row, rows};
use tandem_sip::framing::{Frame, Framer};
use tandem_sip::message::{Malformed, Message, Start};

#[test]
fn the_parser_judges_every_message_as_the_table_does() {
    let rows = rows();
    let wrong: Vec<_> = rows.iter().filter_map(|row| judge_datagram(row).err().map(|why| (row.file, why))).collect();
    println!("RFC 4475 parser: {}/{}", rows.len() - wrong.len(), rows.len());
    assert_eq!((rows.len(), wrong), (49, Vec::new()));
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_frames() {
    for row in rows() {
        let whole = frames(&[&row.bytes]);
        for at in 0..=row.bytes.len() {
            let (first, second) = row.bytes.split_at(at);
            assert_eq!(frames(&[first, second]), whole, "{} cut at {at}", row.file);
        }
        let octets: Vec<&[u8]> = row.bytes.chunks(1).collect();
        assert_eq!(frames(&octets), whole, "{} octet by octet", row.file);
    }
}

#[test]
fn a_stream_goes_on_or_is_lost_as_the_table_says() {
    const NEXT: &[u8] = b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKnext\r\nFrom: <sip:a@h>;tag=1\r\n\
        To: <sip:b@h>\r\nCall-ID: next\r\nCSeq: 1 OPTIONS\r\nl: 0\r\n\r\n";
    for row in rows() {
        let got = frames(&[&row.bytes, NEXT]);
        let is_next = |frame: &String| frame.contains("Call-ID: next");
        let is_right = match row.stream {
            "same" => got.len() == 2 && got.get(1).is_some_and(is_next),
            "close" => got.len() == 1 && got[0].starts_with("fatal"),
            "wait-then-close" => frames(&[&row.bytes]).is_empty(),
            "two-messages" => got.len() >= 2 && got[0].starts_with("REGISTER") && !got.iter().skip(1).any(is_next),
            other => panic!("{other}"),
        };
        assert!(is_right, "{} {}: {got:#?}", row.file, row.stream);
    }
}

#[test]
fn the_message_without_its_empty_line_is_refused_with_it_too() {
    let row = rows().into_iter().find(|row| row.file == "baddn.dat").unwrap();
    let with_end = Bytes::from([&row.bytes, &b"\r\n"[..]].concat());
    assert_eq!(Message::read(&with_end).unwrap_err().fault.reason, "From is malformed");
}

#[test]
fn what_is_refused_is_answered_with_what_it_had_and_what_was_a_response_never() {
    for row in rows() {
        let Err(malformed) = Message::read(&row.bytes) else { continue };
        let Some(response) = malformed.response() else {
            assert!(row.kind == "response", "{} is not answered", row.file);
            continue;
        };
        assert_eq!(row.kind, "request", "{}", row.file);
        let bytes = response.to_bytes();
        let via = malformed.headers.first(&tandem_sip::header::Name::Via).unwrap();
        assert!(bytes.windows(via.len()).any(|it| it == via), "{}: Via is echoed to the byte", row.file);
        assert!(bytes.starts_with(format!("SIP/2.0 {} ", malformed.fault.status).as_bytes()), "{}", row.file);
    }
}

/// `Err` says what is wrong.
fn judge_datagram(row: &Row) -> Result<(), String> {
    match (Message::read(&row.bytes), row.parse) {
        (Ok(message), "ok") => judge_round_trip(&message),
        // well-formed, but nobody could ever serve it: the answer is the same for every server
        (Err(malformed), "ok") if malformed.fault.status == 416 => judge_refusal(row, &malformed),
        (Ok(message), "either") if row.verdict != "reject" => judge_round_trip(&message),
        (Err(malformed), "error" | "either") => judge_refusal(row, &malformed),
        (read, parse) => Err(format!("{parse}, but {read:?}")),
    }
}

/// The preferred status, and the right kind.
fn judge_refusal(row: &Row, malformed: &Malformed) -> Result<(), String> {
    let status = malformed.response().map_or("none".to_owned(), |it| it.status().unwrap().to_string());
    match row.status.split(',').next() {
        Some(preferred) if preferred == status => Ok(()),
        _ => Err(format!("{}, but {status} {}", row.status, malformed.fault.reason)),
    }
}

fn judge_round_trip(message: &Message) -> Result<(), String> {
    let bytes = message.to_bytes();
    let again = Message::read(&bytes).map_err(|it| format!("written, but not read again: {}", it.fault.reason))?;
    let is_same_start = match (&message.start, &again.start) {
        (Start::Request { method, uri }, Start::Request { method: other, uri: to }) => method == other && uri == to,
        (Start::Response { status, reason }, Start::Response { status: other, reason: why }) => {
            status == other && reason == why
        }
        _ => false,
    };
    let is_same = is_same_start && message.body == again.body && again.to_bytes() == bytes;
    if is_same { Ok(()) } else { Err("another message when it is read again".into()) }
}

/// What comes out of a stream, as text.
fn frames(pieces: &[&[u8]]) -> Vec<String> {
    let mut framer = Framer::default();
    let mut frames = Vec::new();
    for piece in pieces {
        framer.feed(piece);
        frames.extend(std::iter::from_fn(|| framer.next_frame()).map(|frame| match frame {
            Frame::Message(message) => message.to_bytes().escape_ascii().to_string(),
            Frame::Malformed(it) => format!("malformed {:?} {}", it.fault, it.headers.len()),
            Frame::Fatal(it) => format!("fatal {:?} {}", it.fault, it.headers.len()),
            Frame::Ping => "ping".into(),
        }));
    }
    frames
}
