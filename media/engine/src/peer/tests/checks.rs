//! Connectivity checks.

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_stun::attributes::{
    ATTR_ERROR_CODE, ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_UNKNOWN_ATTRIBUTES,
    ATTR_USE_CANDIDATE, ATTR_USERNAME, AttrType,
};
use rtc_stun::error_code::{
    CODE_BAD_REQUEST, CODE_ROLE_CONFLICT, CODE_UNKNOWN_ATTRIBUTE, ErrorCode, ErrorCodeAttribute,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_ERROR, BINDING_SUCCESS, Getter, Message, Setter};
use rtc_stun::xoraddr::XorMappedAddress;

use super::far_end::{attribute, nominating, request, unsigned};
use super::*;

/// What came back for a request, checked for the marks that every answer has.
fn reply(side: &mut Side, from: &str, request: &[u8]) -> (Received, Message) {
    let received = side.peer.receive(ms(0), at(from), &mut request.to_vec());
    let (to, bytes) = side.peer.poll_transmit().unwrap();
    assert_eq!(to, at(from));
    assert_eq!(side.peer.poll_transmit(), None);
    let mut reply = Message::new();
    reply.unmarshal_binary(&bytes).unwrap();
    FINGERPRINT.check(&reply).unwrap();
    MessageIntegrity::check(&mut reply, PASSWORD.as_bytes(), AwsLcRsProvider::new().crypto()).unwrap();
    assert_eq!(reply.transaction_id.0, [7; 12]);
    (received, reply)
}

#[test]
fn a_good_check_is_answered_with_the_address_that_it_came_from() {
    for from in [HERE, "[2001:db8::1]:4001"] {
        let mut side = Side::new();
        let (received, reply) = reply(&mut side, from, &request(PASSWORD, &nominating()));
        let mut seen = XorMappedAddress::default();
        seen.get_from(&reply).unwrap();
        assert_eq!((received, reply.typ), (Received::Alive, BINDING_SUCCESS));
        assert_eq!(SocketAddr::new(seen.ip, seen.port), at(from));
        assert_eq!(side.kept.nominated(), Some(at(from)));
    }
}

#[test]
fn a_check_that_nominates_nobody_selects_nobody() {
    let mut side = Side::new();
    let attributes: Vec<_> = nominating().into_iter().filter(|it| it.typ != ATTR_USE_CANDIDATE).collect();
    let (received, _) = reply(&mut side, HERE, &request(PASSWORD, &attributes));
    assert_eq!((received, side.kept.nominated()), (Received::Alive, None));
}

#[test]
fn who_does_not_know_the_password_or_the_name_gets_no_answer() {
    let named = |name: &str| {
        let mut attributes = nominating();
        attributes[0] = attribute(ATTR_USERNAME, name.as_bytes());
        request(PASSWORD, &attributes)
    };
    let without_fingerprint = {
        let mut message = unsigned(&nominating());
        let provider = AwsLcRsProvider::new();
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(PASSWORD.as_bytes(), provider.crypto());
        integrity.add_to(&mut message).unwrap();
        message.raw
    };
    let without_integrity = {
        let mut message = unsigned(&nominating());
        FINGERPRINT.add_to(&mut message).unwrap();
        message.raw
    };
    let table = [
        (request("another password, 22+.", &nominating()), Refusal::Unauthenticated),
        (request(PASSWORD, &nominating()[1..]), Refusal::Unauthenticated),
        (named("other:theirs"), Refusal::Unauthenticated),
        (named("ours"), Refusal::Unauthenticated),
        (named("our:s"), Refusal::Unauthenticated),
        (without_integrity, Refusal::Unauthenticated),
        (without_fingerprint, Refusal::Malformed),
    ];
    for (mut datagram, refusal) in table {
        let mut side = Side::new();
        assert_eq!(side.peer.receive(ms(0), at(HERE), &mut datagram), Received::Refused(refusal));
        assert_eq!((side.peer.poll_transmit(), side.kept.nominated()), (None, None));
    }
}

#[test]
fn what_stands_behind_the_signature_is_not_believed() {
    let provider = AwsLcRsProvider::new();
    let mut message = unsigned(&[nominating()[0].clone(), nominating()[2].clone()]);
    let integrity = MessageIntegrity::new_raw_integrity_with_provider(PASSWORD.as_bytes(), provider.crypto());
    integrity.add_to(&mut message).unwrap();
    message.add(ATTR_USE_CANDIDATE, &[]);
    FINGERPRINT.add_to(&mut message).unwrap();
    let mut side = Side::new();
    assert_eq!(side.peer.receive(ms(0), at(HERE), &mut message.raw), Received::Alive);
    assert_eq!(side.kept.nominated(), None);

    let mut message = unsigned(&[nominating()[2].clone()]);
    integrity_of(&mut message);
    message.add(ATTR_USERNAME, b"ours:theirs");
    FINGERPRINT.add_to(&mut message).unwrap();
    let received = side.peer.receive(ms(0), at(HERE), &mut message.raw);
    assert_eq!(received, Received::Refused(Refusal::Unauthenticated));
}

fn integrity_of(message: &mut Message) {
    let provider = AwsLcRsProvider::new();
    MessageIntegrity::new_raw_integrity_with_provider(PASSWORD.as_bytes(), provider.crypto()).add_to(message).unwrap();
}

#[test]
fn what_cannot_be_done_is_said_to_who_knows_the_password_and_is_no_check() {
    let with = |more| [nominating(), vec![more]].concat();
    let table: [(Vec<_>, ErrorCode); 3] = [
        (with(attribute(ATTR_ICE_CONTROLLED, &[1; 8])), CODE_ROLE_CONFLICT),
        (with(attribute(AttrType(0x7abc), &[])), CODE_UNKNOWN_ATTRIBUTE),
        (nominating().into_iter().filter(|it| it.typ != ATTR_PRIORITY).collect(), CODE_BAD_REQUEST),
    ];
    for (attributes, code) in table {
        let mut side = Side::new();
        let (received, reply) = reply(&mut side, HERE, &request(PASSWORD, &attributes));
        let mut error = ErrorCodeAttribute::default();
        error.get_from(&reply).unwrap();
        assert_eq!((received, reply.typ, error.code.0), (Received::Nothing, BINDING_ERROR, code.0));
        assert!(reply.contains(ATTR_ERROR_CODE));
        let unknown = reply.get(ATTR_UNKNOWN_ATTRIBUTES).ok();
        assert_eq!(unknown, (code == CODE_UNKNOWN_ATTRIBUTE).then(|| vec![0x7a, 0xbc]));
        assert_eq!(side.kept.nominated(), None);
    }
}

#[test]
fn an_attribute_that_may_be_ignored_is() {
    let network_cost = attribute(AttrType(0xc057), &[0, 1, 0, 10]);
    let attributes = [nominating(), vec![network_cost]].concat();
    assert_eq!(reply(&mut Side::new(), HERE, &request(PASSWORD, &attributes)).0, Received::Alive);
}

#[test]
fn only_requests_are_answered() {
    for kind in [BINDING_SUCCESS, BINDING_ERROR] {
        let mut message = unsigned(&nominating());
        message.set_type(kind);
        integrity_of(&mut message);
        FINGERPRINT.add_to(&mut message).unwrap();
        let mut side = Side::new();
        assert_eq!(side.peer.receive(ms(0), at(HERE), &mut message.raw), Received::Refused(Refusal::Malformed));
        assert_eq!(side.peer.poll_transmit(), None);
    }
}

#[test]
fn the_name_is_found_in_a_request_and_in_nothing_else() {
    let request = request(PASSWORD, &nominating());
    assert_eq!(ufrag_of(&request), Some(UFRAG));
    assert!(is_stun(&request));
    let mut behind = unsigned(&[attribute(ATTR_PRIORITY, &[1, 2, 3]), nominating()[0].clone()]);
    assert_eq!(ufrag_of(&behind.raw), Some(UFRAG));
    behind.set_type(BINDING_SUCCESS);
    assert_eq!(ufrag_of(&behind.raw), None);
    assert_eq!(ufrag_of(&request[..30]), None);
    assert_eq!(ufrag_of(&unsigned(&[attribute(ATTR_MESSAGE_INTEGRITY, &[0; 20])]).raw), None);
    assert!(!is_stun(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]) && ufrag_of(&rtp(1, 1)).is_none());
}

#[test]
fn an_address_that_nobody_can_send_to_is_foreign() {
    let mut side = Side::new();
    for from in ["224.0.0.1:4000", "192.0.2.1:0"] {
        let received = side.peer.receive(ms(0), at(from), &mut request(PASSWORD, &nominating()));
        assert_eq!(received, Received::Refused(Refusal::Foreign));
    }
}
