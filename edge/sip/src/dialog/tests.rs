use super::*;
use crate::transaction::{Client, InviteClient, InviteServer, Server};
use tandem_core::time::Timestamp;

fn message(text: &str) -> Message {
    Message::read(&Bytes::from(text.replace('\n', "\r\n"))).unwrap()
}

fn invite() -> Message {
    message(
        "INVITE sip:b@us SIP/2.0\nVia: SIP/2.0/UDP a;branch=z9hG4bKa\nFrom: <sip:a@a>;tag=a\nTo: <sip:b@us>\nCall-ID: c\n\
         CSeq: 7 INVITE\nContact: <sip:a@10.0.0.1;x=y>\nMax-Forwards: 70\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\n\
         Record-Route: <sip:p3;lr>\nContent-Length: 0\n\n",
    )
}

fn answer(routes: &str) -> Message {
    message(&format!(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP us;branch=z9hG4bKa\nFrom: <sip:us@us>;tag=u\nTo: <sip:b@b>;tag=b\nCall-ID: c\n\
         CSeq: 3 INVITE\nContact: <sip:b@10.0.0.2>\n{routes}Content-Length: 0\n\n"
    ))
}

fn routes(headers: &Headers) -> Vec<String> {
    headers.values(&Name::Route).map(|it| String::from_utf8(it.to_vec()).unwrap()).collect()
}

#[test]
fn a_dialog_with_a_caller_keeps_its_routes_in_order_and_one_with_a_callee_reverses_them() {
    let mut caller = Dialog::with_caller(&invite(), "u").unwrap();
    let (uri, headers) = caller.request(&Method::Bye).unwrap();
    assert_eq!(uri.raw(), "sip:a@10.0.0.1;x=y");
    assert_eq!(routes(&headers), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
    assert_eq!(headers.first(&Name::From).unwrap(), "<sip:b@us>;tag=u");
    assert_eq!(headers.first(&Name::To).unwrap(), "<sip:a@a>;tag=a");
    let callee = Dialog::with_callee(&answer("Record-Route: <sip:p1;lr>, <sip:p2;lr>\n"), None).unwrap();
    let (_, headers) = callee.ack().unwrap();
    assert_eq!(routes(&headers), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert_eq!(callee.next_hop().unwrap().host(), "p2");
}

#[test]
fn a_strict_router_gets_the_request_uri_and_the_far_end_comes_last() {
    let callee = Dialog::with_callee(&answer("Record-Route: <sip:p1;lr>, <sip:strict>\n"), None).unwrap();
    let (uri, headers) = callee.ack().unwrap();
    assert_eq!(uri.raw(), "sip:strict");
    assert_eq!(routes(&headers), ["<sip:p1;lr>", "<sip:b@10.0.0.2>"]);
}

#[test]
fn our_numbers_rise_by_one_and_an_ack_has_that_of_the_invite() {
    let mut callee = Dialog::with_callee(&answer(""), None).unwrap();
    let cseq = |it: Option<(Uri, Headers)>| it.unwrap().1.cseq().unwrap().number;
    assert_eq!(cseq(callee.ack()), 3);
    assert_eq!((cseq(callee.request(&Method::Bye)), cseq(callee.request(&Method::Bye))), (4, 5));
}

#[test]
fn their_numbers_may_have_gaps_and_never_fall() {
    let mut caller = Dialog::with_caller(&invite(), "u").unwrap();
    assert_eq!([8, 12, 12, 11, 13].map(|it| caller.take(it)), [Ok(()), Ok(()), Ok(()), Err(OutOfOrder), Ok(())]);
}

#[test]
fn without_what_a_dialog_needs_there_is_none() {
    let mut no_contact = invite();
    no_contact.headers.remove(&Name::Contact);
    assert_eq!(Dialog::with_caller(&no_contact, "u"), None);
    let mut no_tag = answer("");
    no_tag.headers.set(Name::To, "<sip:b@b>");
    assert_eq!(Dialog::with_callee(&no_tag, None), None);
    let mut no_contact = answer("");
    no_contact.headers.remove(&Name::Contact);
    assert_eq!(Dialog::with_callee(&no_contact, None), None);
    assert!(Dialog::with_callee(&no_contact, Some(&Uri::from_text("sip:b@b").unwrap())).is_some());
}

#[test]
fn dialogs_and_transactions_can_be_taken_up_by_another_process() {
    fn assert_storable<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(it: &T) {
        let text = serde_json::to_string(it).unwrap();
        assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), it);
    }
    let (now, bytes) = (Timestamp(7), Bytes::from_static(b"x\xff"));
    assert_storable(&Dialog::with_caller(&invite(), "u").unwrap());
    assert_storable(&Acceptance::new(now, 1, bytes.clone()));
    assert_storable(&InviteClient::new(now, bytes.clone(), false));
    assert_storable(&Client::new(now, bytes.clone(), true));
    assert_storable(&Server::new(now, bytes.clone()));
    let mut server = InviteServer::new(false);
    server.respond(now, 486, &bytes);
    assert_storable(&server);
}
