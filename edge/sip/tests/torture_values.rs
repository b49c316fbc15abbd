//! What the table says must be understood of the messages of RFC 4475 that are valid; and how phones bend the rules
//! otherwise, which must be understood too.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails by panicking")]

#[path = "rfc4475/corpus.rs"]
mod corpus;

use bytes::Bytes;
use tandem_sip::digest::Credentials;
use tandem_sip::header::{Contacts, Name, NameAddr, text};
use tandem_sip::message::{Message, Method};
use tandem_sip::uri::{Scheme, Uri};

fn read(name: &str) -> Message {
    Message::read(&corpus::message(name)).unwrap()
}

fn contacts(message: &Message) -> Vec<NameAddr> {
    match message.headers.contacts().unwrap() {
        Contacts::List(list) => list,
        Contacts::All => panic!("*"),
    }
}

fn uri(text: &str) -> Uri {
    Uri::from_text(text).unwrap()
}

#[test]
fn wsinv_is_read_through_all_its_white_space() {
    let message = read("wsinv");
    let headers = &message.headers;
    let vias: Vec<_> = headers.vias().map(Result::unwrap).collect();
    let seen: Vec<_> = vias.iter().map(|via| (via.transport(), via.host(), via.branch().unwrap())).collect();
    assert_eq!(
        seen,
        [
            (&b"UDP"[..], "192.0.2.2", &b"390skdjuw"[..]),
            (b"TCP", "spindle.example.com", b"z9hG4bK9ikj8"),
            (b"UDP", "192.168.255.111", b"z9hG4bK30239"),
        ]
    );
    assert_eq!(vias[0].unique_branch(), None, "matched as RFC 2543 did");
    let cseq = headers.cseq().unwrap();
    assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
    assert_eq!(headers.max_forwards(), Ok(Some(68)));
    assert_eq!(headers.from().unwrap().display_name().as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(headers.from().unwrap().tag(), Some(&b"98asjd8"[..]));
    assert_eq!(headers.to().unwrap().tag(), Some(&b"1918181833n"[..]));
    let unknown = headers.first(&Name::Other("unknownheaderwithunusualvalue".into())).unwrap();
    assert_eq!(unknown, ";;,,;;,;");
    let folded = headers.first(&Name::Other("NewFangledHeader".into())).unwrap();
    assert_eq!(text(folded), "newfangled value continued newfangled value");
    let contact = &contacts(&message)[0];
    assert_eq!(contact.display_name().as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params().value("newparam").as_deref(), Some(&b"newvalue"[..]));
    assert_eq!(contact.params().value("q").as_deref(), Some(&b"0.33"[..]));
    assert!(contact.params().find("secondparam").is_some());
    assert_eq!(headers.addresses(Name::Route).next().unwrap().unwrap().uri().host(), "services.example.com");
    assert_eq!((message.body.len(), message.uri().unwrap().host()), (150, "chair-dnrc.example.com"));
}

#[test]
fn intmeth_has_a_method_of_its_own_and_is_echoed_to_the_byte() {
    let message = read("intmeth");
    let method = Method::Other("!interesting-Method0123456789_*+`.%indeed'~".into());
    assert_eq!(message.method(), Some(&method));
    assert_eq!(message.headers.cseq().unwrap().method, method);
    assert_eq!(message.headers.call_id().unwrap(), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    let to = message.headers.to().unwrap();
    assert_eq!(to.display_name().as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    let from = message.headers.from().unwrap();
    assert_eq!(from.display_name().as_deref(), Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(from.tag(), Some(&b"_token~1'+`*%!-."[..]));
    let request_uri = message.uri().unwrap();
    assert_eq!(request_uri.user(), Some(&b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"[..]));
    assert_eq!((request_uri.host(), request_uri.params().count()), ("example.com", 0));
    let response = Message::response_to(&message, 501);
    for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
        let values = |message: &Message| message.headers.lines(&name).cloned().collect::<Vec<_>>();
        assert_eq!(values(&response), values(&message), "{name}");
    }
}

#[test]
fn escapes_are_resolved_once_and_only_in_uris() {
    let message = read("esc01");
    let request_uri = message.uri().unwrap();
    assert_eq!(
        (request_uri.host(), request_uri.user_text().as_deref()),
        ("example.net", Some("sips:user@example.com"))
    );
    assert!(message.headers.to().unwrap().uri().is_equivalent(&uri("sip:user@example.com")));
    assert_eq!(message.headers.from().unwrap().uri().user_text().as_deref(), Some("I have spaces"));
    let contact = &contacts(&message)[0];
    assert_eq!(contact.uri().param("name").as_deref(), Some(&b"value%41"[..]));
    assert_eq!(contact.uri().param("lr").as_deref(), Some(&b""[..]));

    let message = read("esc02");
    assert_eq!(message.method(), Some(&Method::Other("RE%47IST%45R".into())));
    assert_eq!(message.headers.to().unwrap().display_name().as_deref(), Some("%Z%45"));
    assert_eq!(contacts(&message).len(), 2);

    let message = read("escnull");
    assert_eq!(message.headers.to().unwrap().uri().decoded_user().as_deref(), Some(&b"null-\0-null"[..]));
    let users: Vec<_> = contacts(&message).iter().map(|it| it.uri().decoded_user().unwrap().into_owned()).collect();
    assert_eq!(users, [&b"\0"[..], b"\0\0"]);
}

#[test]
fn names_lists_and_long_values_are_read_whole() {
    let from = read("lwsdisp").headers.from().unwrap();
    assert_eq!(
        (from.display_name().as_deref(), from.uri().raw().as_ref()),
        (Some("caller"), &b"sip:caller@example.com"[..])
    );

    let message = read("longreq");
    assert_eq!(message.headers.vias().filter(|via| via.is_ok()).count(), 34);
    assert_eq!(message.headers.top_via().unwrap().branch(), None);
    let response = Message::response_to(&message, 180);
    assert_eq!(response.headers.vias().filter(|via| via.is_ok()).count(), 34);
    assert_eq!(response.headers.first(&Name::To), message.headers.first(&Name::To));

    let message = read("semiuri");
    let request_uri = message.uri().unwrap();
    assert_eq!(request_uri.user_text().as_deref(), Some("user;par=u@example.net"));
    assert_eq!((request_uri.host(), request_uri.params().count()), ("example.com", 0));
    assert_eq!(message.headers.values(&Name::Accept).count(), 6);

    let transports: Vec<_> = read("transports").headers.vias().map(|via| text(via.unwrap().transport())).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn a_body_is_as_long_as_it_says() {
    let message = read("mpart01");
    assert_eq!(message.body.len(), 553);
    assert!(message.headers.top_via().unwrap().wants_rport());
    assert_eq!(Message::read(&message.to_bytes()).unwrap().body, message.body);
    assert!(message.headers.content_type().unwrap().unwrap().is("multipart", "mixed"));

    let message = read("dblreq");
    assert_eq!((message.method(), message.body.len()), (Some(&Method::Register), 0));

    let message = read("inv2543");
    assert_eq!((message.body.len(), message.headers.max_forwards()), (105, Ok(None)));
    assert_eq!(message.headers.from().unwrap().tag(), None);
}

#[test]
fn a_parameter_is_the_headers_or_the_uris() {
    let bare = &contacts(&read("cparam01"))[0];
    assert!(bare.params().find("unknownparam").is_some() && bare.uri().param("unknownparam").is_none());
    let bracketed = &contacts(&read("cparam02"))[0];
    assert!(bracketed.params().find("unknownparam").is_none() && bracketed.uri().param("unknownparam").is_some());
    let escaped = &contacts(&read("regescrt"))[0];
    assert_eq!(escaped.uri().headers(), Some(&b"Route=%3Csip:sip.example.com%3E"[..]));
    assert_eq!(escaped.raw(), "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>");
}

#[test]
fn responses_have_their_status_whatever_their_reason() {
    for (name, status) in [("unreason", 200), ("noreason", 100), ("bcast", 200)] {
        assert_eq!(read(name).status(), Some(status));
    }
    assert_eq!(read("bcast").headers.vias().nth(1).unwrap().unwrap().host(), "255.255.255.255");
}

#[test]
fn what_higher_layers_refuse_is_there_for_them() {
    let message = read("bext01");
    let tokens = |name| message.headers.tokens(name).map(text).collect::<Vec<_>>();
    assert_eq!(tokens(&Name::Require), ["nothingSupportsThis", "nothingSupportsThisEither"]);
    assert_eq!(tokens(&Name::ProxyRequire), ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]);

    let message = read("unksm2");
    assert_eq!(message.headers.to().unwrap().uri().scheme(), Scheme::Other);
    assert_eq!(contacts(&message)[0].uri().raw(), "name:John_Smith");

    assert!(!read("invut").headers.content_type().unwrap().unwrap().is("application", "sdp"));
    assert!(Credentials::find(&read("regaut01").headers, &Name::Authorization, "example.com").is_none());
    assert_eq!(read("zeromf").headers.max_forwards(), Ok(Some(0)));
    assert!(!read("sdp01").headers.accepts("application", "sdp"));
    assert!(read("transports").headers.accepts("application", "sdp"));
}

/// A request as phones send it, with something bent.
fn probe(from: &str, to: &str) -> Bytes {
    let text = "INVITE sip:1002@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: <sip:1001@example.com>;tag=1\r\nTo: <sip:1002@example.com>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
        Subject: x\r\nContent-Length: 0\r\n\r\n";
    assert!(text.contains(from), "{from}");
    text.replace(from, to).into()
}

#[test]
fn what_other_libraries_drop_is_read() {
    for (from, to) in [
        ("sip:1002@example.com SIP", "tel:+4930123456;phone-context=+49 SIP"),
        ("<sip:1001@example.com>", "<tel:+4930123456>"),
        ("<sip:1002@example.com>", "tel:+4930123456"),
        ("sip:1002@example.com SIP", "urn:service:sos SIP"),
        ("sip:1002@example.com SIP", "sip:1002@pbx_1.example.com SIP"),
        ("sip:1002@example.com SIP", "sip:*21#@example.com SIP"),
        ("From: ", "From: \"a \\\"b\\\" c\" "),
        ("192.0.2.1;", "192.0.2.1;maddr=192.0.2.99;ttl=1;"),
        ("192.0.2.1;", "[2001:db8::1]:5061;rport;"),
        ("INVITE", "INVITEX"),
        ("SIP/2.0\r\nVia", "sip/2.0\r\nVia"),
    ] {
        assert!(Message::read(&probe(from, to)).is_ok(), "{to}");
    }
    let maddr = Message::read(&probe("192.0.2.1;", "192.0.2.1;maddr=192.0.2.99;")).unwrap();
    assert_eq!(maddr.headers.top_via().unwrap().host(), "192.0.2.1", "not where maddr says");
    assert_eq!(Message::read(&probe("INVITE", "INVITEX")).unwrap().method(), Some(&Method::Other("INVITEX".into())));
}

#[test]
fn bytes_that_are_no_utf8_are_read_and_echoed() {
    for (from, to) in
        [("From: ", &b"From: M\xfcller "[..]), ("From: ", b"From: \"\xc4\xd6\" "), ("Subject: x", b"Subject: \xe9")]
    {
        let text = probe(from, "@@");
        let at = text.windows(2).position(|it| it == b"@@").unwrap();
        let bytes = Bytes::from([&text[..at], to, &text[at + 2..]].concat());
        let message = Message::read(&bytes).unwrap();
        assert!(Message::response_to(&message, 200).headers.from().is_ok());
        assert!(message.to_bytes().windows(to.len()).any(|it| it == to), "{}", to.escape_ascii());
    }
}

#[test]
fn what_nobody_can_make_sense_of_is_refused_and_still_answered() {
    for (from, to) in [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", ""),
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", ","),
        ("192.0.2.1;", "192.0.2.1;;"),
        ("sip:1002@example.com SIP", "sip: SIP"),
        ("sip:1002@example.com SIP", "* SIP"),
        ("Call-ID: 1", "Call-ID: "),
        ("Call-ID: 1", "Call-ID: a b"),
        ("CSeq: 1 INVITE", "CSeq: 1 invite"),
        ("Max-Forwards: 70", "Max-Forwards: 256"),
        ("Subject: x", "Expires: 1\r\nExpires: 1"),
        ("Subject: x", "Contact: *, <sip:a@h>"),
        ("Subject: x", "Route: <sip:a@h>;;"),
        ("Content-Length: 0", "Content-Length: 1"),
    ] {
        let malformed = Message::read(&probe(from, to)).expect_err(to);
        assert_eq!(malformed.response().unwrap().status(), Some(400), "{to}");
    }
    let without_via = Message::read(&probe("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n", "")).unwrap_err();
    assert!(without_via.response().is_none(), "nobody could be waiting for the answer");
    let ack = Message::read(&probe("INVITE sip", "ACK sip")).unwrap_err();
    assert!(ack.response().is_none(), "an ACK is never answered");
}
