//! SIP: messages, streams of them, values of headers, credentials.

use std::time::Duration;

use bytes::Bytes;
use tandem_core::account::Ha1;
use tandem_core::time::Timestamp;
use tandem_sip::digest::{Credentials, Digest, Verdict};
use tandem_sip::framing::Framer;
use tandem_sip::header::{MediaType, NameAddr, Params, Reason, Via, text};
use tandem_sip::message::{Message, Method};
use tandem_sip::uri::Uri;

/// A datagram: what is accepted is accepted again as we write it, and so is every response to it.
pub fn sip_message(data: &[u8]) {
    match Message::read(&Bytes::copy_from_slice(data)) {
        Ok(message) => {
            message.headers.iter().for_each(|header| sip_value(header.value()));
            let written = message.to_bytes();
            let again = Message::read(&written).expect("what is accepted is accepted again");
            assert_eq!(again.to_bytes(), written, "and means the same");
            let response = Message::response_to(&message, 486).to_bytes();
            assert!(Message::read(&response).is_ok(), "a response to it can be read");
        }
        Err(malformed) => {
            malformed.headers.iter().for_each(|header| sip_value(header.value()));
            let _refusal = malformed.response().map(|response| response.to_bytes());
        }
    }
}

/// A stream, its first byte the size of the pieces that it comes in: they do not matter.
pub fn sip_stream(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else { return };
    let frames = |piece: usize| {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for piece in stream.chunks(piece.max(1)) {
            framer.feed(piece);
            frames.extend(std::iter::from_fn(|| framer.next_frame()).map(|frame| format!("{frame:?}")));
        }
        frames
    };
    assert_eq!(frames(usize::from(*first)), frames(stream.len()), "a stream is cut the same however it arrives");
}

/// The value of any header, read as every one that we read: what is accepted is accepted again from its own text.
pub fn sip_value(data: &[u8]) {
    let value = Bytes::copy_from_slice(data);
    if let Ok(uri) = Uri::parse(&value) {
        assert!(Uri::parse(uri.raw()).is_ok_and(|again| again.is_equivalent(&uri)), "a URI is itself");
        let _parts = (uri.decoded_user(), uri.user_text(), uri.password(), uri.port(), uri.headers());
        uri.params().for_each(|(name, _)| drop(uri.param(&text(name))));
    }
    if let Some(address) = NameAddr::parse(&value) {
        assert!(NameAddr::parse(address.raw()).is_some_and(|again| again.tag() == address.tag()));
        let _parts = (address.display_name(), address.params().iter().count());
    }
    if let Some(via) = Via::parse(&value) {
        let source = "[2001:db8::1]:40000".parse().expect("an address");
        assert!(Via::parse(&via.stamped(source)).is_some(), "a Via that we stamped can be read");
        let _parts = (via.branch(), via.unique_branch(), via.received(), via.rport());
    }
    let _others = (MediaType::parse(data), Reason::parse(data), text(data));
    let _params = Params::parse(data).map(|params| params.iter().filter(|it| it.unquoted().is_some()).count());
    let _user = Credentials::parse(data).map(|credentials| credentials.user_name());
}

/// Credentials: nobody gets in by them who does not know the password.
pub fn sip_digest(data: &[u8]) {
    let Some(credentials) = Credentials::parse(data) else { return };
    let mut digest = Digest::new("tandem".into(), [7; 32], Duration::from_secs(60));
    let uri = Uri::from_text("sip:tandem").expect("a URI");
    let ha1 = Ha1 { md5: "5a".repeat(16), sha256: "a5".repeat(32) };
    let known = (credentials.user_name() == "1001").then_some(&ha1);
    let verdict = digest.verify(&credentials, &Method::Register, &uri, known, Timestamp(0));
    assert_eq!(verdict, Verdict::Wrong, "who does not know the password is not let in");
}
