//! What other stacks were seen to get wrong, and bad luck on the wire.

use std::time::Duration;

use bytes::Bytes;
use tandem_core::cause::Cause;
use tandem_core::leg::LegInput;
use tandem_core::metric::{Counter, Gauge};

use crate::header::Name;
use crate::message::Message;
use crate::world::{A, Ask, B, Talk, World, X, reply, sdp, tag_of};

pub(super) fn invite() -> String {
    Ask { body: &sdp("192.0.2.10"), ..Ask::default() }.text()
}

pub(super) fn times(world: &World, line: &str) -> Vec<String> {
    let lines = world.ladder.lines().filter(|it| it.contains(line));
    lines.map(|it| it.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn every_response_above_100_has_our_tag_and_the_same_one() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    let trying = world.take(A).unwrap();
    assert_eq!((trying.status(), trying.headers.to().unwrap().tag()), (Some(100), None));
    world.send(B, &reply(&ours, 180, B, ""));
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let (ringing, answer) = (world.got(A), world.got(A));
    assert_eq!((ringing.status(), answer.status()), (Some(180), Some(200)));
    assert_eq!(tag_of(&ringing), tag_of(&answer));
}

#[test]
fn a_repeated_invite_gets_the_last_response_again_and_no_second_call() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(A, &invite());
    world.send(B, &reply(&ours, 180, B, ""));
    world.send(A, &invite());
    world.send(A, &invite());
    assert_eq!(
        world.rest(A),
        [
            "100 Trying, INVITE",
            "100 Trying, INVITE",
            "180 Ringing, INVITE",
            "180 Ringing, INVITE",
            "180 Ringing, INVITE"
        ]
    );
    assert_eq!(world.switch.0.lock().born.len(), 1);
}

#[test]
fn a_repeated_invite_after_the_ack_is_absorbed() {
    let mut talk = Talk::new();
    talk.world.rest(A);
    talk.world.send(A, &invite());
    assert!(talk.world.rest(A).is_empty());
    assert_eq!(talk.world.switch.0.lock().born.len(), 1);
}

#[test]
fn a_gap_in_the_numbers_of_a_dialog_is_legal() {
    let mut talk = Talk::new();
    talk.caller(&Ask { method: "BYE", cseq: 4, branch: "bye", ..Ask::default() });
    assert_eq!(talk.world.status(A), 200);
    assert_eq!(talk.world.switch.told().last(), Some(&"hung_up"));
}

#[test]
fn a_lower_number_in_a_dialog_is_refused_and_changes_nothing() {
    let mut talk = Talk::new();
    talk.caller(&Ask { method: "OPTIONS", cseq: 7, branch: "o", ..Ask::default() });
    assert_eq!(talk.world.status(A), 200);
    talk.caller(&Ask { method: "BYE", cseq: 6, branch: "bye", ..Ask::default() });
    assert_eq!(talk.world.status(A), 500);
    assert_ne!(talk.world.switch.told().last(), Some(&"hung_up"));
}

#[test]
fn the_routes_of_a_callee_are_used_in_reverse() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    let answer = reply(&ours, 200, B, &sdp("192.0.2.20"));
    let routes = "Record-Route: <sip:192.0.2.21;lr>\r\nRecord-Route: <sip:192.0.2.22;lr>\r\n";
    world.send(B, &answer.replacen("CSeq:", &format!("{routes}CSeq:"), 1));
    let ack = world.got("192.0.2.22:5060");
    let route: Vec<_> = ack.headers.values(&Name::Route).collect();
    assert_eq!(route, ["<sip:192.0.2.22;lr>", "<sip:192.0.2.21;lr>"]);
    assert_eq!(ack.uri().unwrap().raw(), "sip:bob@192.0.2.20:5060");
}

#[test]
fn the_ack_of_a_refusal_has_the_branch_of_its_invite() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 486, B, ""));
    let ack = world.got(B);
    assert_eq!(ack.headers.first(&Name::Via), ours.headers.first(&Name::Via));
    assert_eq!(tag_of(&ack), "btag");
}

#[test]
fn an_unanswered_bye_is_repeated_as_the_rfc_has_it() {
    let mut talk = Talk::new();
    talk.caller(&Ask { method: "BYE", cseq: 2, branch: "bye", ..Ask::default() });
    talk.world.pass(Duration::from_secs(40));
    let times = times(&talk.world, "us ──▶ B   BYE");
    assert_eq!(times[..6], ["00.000", "00.500", "01.500", "03.500", "07.500", "11.500"]);
    assert_eq!(times.len(), 11);
    assert!(talk.world.is_idle());
}

#[test]
fn an_answer_that_nobody_acknowledges_is_repeated_and_then_hung_up() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    world.pass(Duration::from_secs(33));
    let answers = times(&world, "us ──▶ A   200");
    assert_eq!(answers[..5], ["00.000", "00.500", "01.500", "03.500", "07.500"]);
    assert_eq!(times(&world, "us ──▶ A   BYE").first().map(String::as_str), Some("32.000"));
    assert_eq!(times(&world, "us ──▶ B   BYE").first().map(String::as_str), Some("32.000"));
    let broken = world.switch.0.lock().told.iter().any(|(_, it)| *it == LegInput::Broken(Cause::Timeout));
    assert!(broken, "the leg knows");
}

#[test]
fn a_hang_up_waits_for_the_ack_of_our_answer() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let answer = world.got(A);
    let mut talk = Talk { world, answer, ours };
    talk.callee("BYE", "");
    assert!(talk.world.take(A).is_none(), "no BYE before the ACK");
    talk.caller(&Ask { method: "ACK", branch: "ack", ..Ask::default() });
    assert_eq!(talk.world.got(A).method().unwrap().as_bytes(), b"BYE");
}

#[test]
fn an_unreachable_callee_is_a_timeout_after_32_seconds() {
    let mut world = World::new();
    world.send(A, &invite());
    world.pass(Duration::from_secs(32));
    assert_eq!(times(&world, "us ──▶ B   INVITE").len(), 7);
    assert_eq!(world.status(A), 408);
}

#[test]
fn a_callee_whose_connection_is_gone_is_unreachable_at_once() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    let key = crate::exchange::ClientKey::of_response(&ours).unwrap();
    world.shard.handle(world.now, crate::inbox::Input::Unsent(crate::inbox::Unsent(key)));
    world.run();
    assert_eq!(world.status(A), 480);
}

#[test]
fn other_requests_in_a_dialog_are_answered() {
    let mut talk = Talk::new();
    for (cseq, (method, status)) in [
        ("OPTIONS", 200),
        ("UPDATE", 200),
        ("INFO", 405),
        ("MESSAGE", 405),
        ("REFER", 405),
        ("SUBSCRIBE", 405),
        ("NOTIFY", 405),
        ("PRACK", 405),
        ("FOO", 501),
        ("INVITEX", 501),
    ]
    .into_iter()
    .enumerate()
    {
        let cseq = u32::try_from(cseq).unwrap() + 2;
        talk.caller(&Ask { method, cseq, branch: method, ..Ask::default() });
        let response = talk.world.got(A);
        assert_eq!(response.status(), Some(status), "{method}");
        assert!(response.headers.has_token(&Name::Allow, "INVITE"), "{method}");
    }
    assert!(talk.world.take(B).is_none(), "nothing of that reaches the other side");
}

#[test]
fn a_session_refresh_is_accepted_and_a_change_of_media_is_not() {
    let mut talk = Talk::new();
    let same = sdp("192.0.2.10");
    let hold = format!("{same}a=sendonly\n");
    let moved = sdp("192.0.2.11");
    for (cseq, (method, body, status)) in [
        ("UPDATE", &same, 200),
        ("UPDATE", &hold, 488),
        ("INVITE", &hold, 488),
        ("INVITE", &moved, 488),
        ("INVITE", &same, 200),
    ]
    .into_iter()
    .enumerate()
    {
        let cseq = u32::try_from(cseq).unwrap() + 2;
        let branch = format!("re{cseq}");
        talk.caller(&Ask { method, cseq, branch: &branch, body, ..Ask::default() });
        let response = talk.world.got(A);
        assert_eq!(response.status(), Some(status), "{method} {cseq}");
        assert_eq!(!response.body.is_empty(), status == 200);
        if method == "INVITE" {
            talk.caller(&Ask { method: "ACK", cseq, branch: &format!("ack{cseq}"), ..Ask::default() });
        }
    }
    talk.caller(&Ask { method: "UPDATE", cseq: 9, branch: "u9", body: &same, ..Ask::default() });
    assert_eq!(talk.world.got(A).body, talk.answer.body);
    talk.world.pass(Duration::from_secs(40));
    assert_eq!(times(&talk.world, "BYE"), Vec::<String>::new(), "the call goes on");
}

#[test]
fn a_second_invite_before_the_ack_of_the_first_must_wait() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(A, &Ask { cseq: 2, branch: "2", to_tag: "none", ..Ask::default() }.text());
    assert_eq!(world.status(A), 481);
    world.send(B, &reply(&ours, 180, B, ""));
    let to_tag = tag_of(&world.got(A));
    world.send(A, &Ask { cseq: 2, branch: "3", to_tag: &to_tag, ..Ask::default() }.text());
    assert_eq!(world.status(A), 500);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    world.got(A);
    world.send(A, &Ask { cseq: 3, branch: "4", to_tag: &to_tag, ..Ask::default() }.text());
    assert_eq!(world.status(A), 491);
}

#[test]
fn a_refreshed_contact_is_where_the_next_request_goes() {
    let mut talk = Talk::new();
    let update = Ask { method: "UPDATE", cseq: 2, branch: "u", to_tag: &talk.to_tag(), ..Ask::default() }.text();
    talk.world.send(A, &update.replace("<sip:alice@192.0.2.10:5060>", "<sip:new@192.0.2.10:5070>"));
    talk.callee("BYE", "");
    let bye = talk.world.got("192.0.2.10:5070");
    assert_eq!(bye.uri().unwrap().raw(), "sip:new@192.0.2.10:5070");
}

#[test]
fn what_is_required_and_not_known_is_refused_by_name() {
    let mut world = World::new();
    world.send(A, &Ask { extra: "Require: 100rel, foo\n", body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    let refusal = world.got(A);
    assert_eq!(
        (refusal.status(), refusal.headers.first(&Name::Unsupported).unwrap().as_ref()),
        (Some(420), &b"100rel, foo"[..])
    );
}

#[test]
fn what_cannot_be_used_is_refused_before_anybody_rings() {
    let body = sdp("192.0.2.10");
    let with = |from: &str, to: &str| invite().replace(from, to);
    for (text, status) in [
        (with("Content-Type: application/sdp", "Content-Type: text/plain"), 415),
        (with("Content-Type: application/sdp", "Accept: text/plain\nContent-Type: application/sdp"), 406),
        (with("m=audio 40000 RTP/AVP 0 8", "m=image 40000 udptl 000 0"), 488),
        (with("Max-Forwards: 70", "Max-Forwards: 0"), 483),
        (with("INVITE sip:1002@198.51.100.1 ", "INVITE urn:service:sos "), 416),
        (with("INVITE sip:1002@198.51.100.1 ", "INVITE sip:198.51.100.1 "), 404),
        (with("INVITE sip:1002@198.51.100.1 ", "INVITE sip:nobody@198.51.100.1 "), 404),
        (with("Contact:", "X-Contact:"), 400),
        (with("CSeq: 1 INVITE", "CSeq: 1 OPTIONS"), 400),
    ] {
        let mut world = World::new();
        assert!(!body.is_empty());
        world.send(A, &text);
        assert_eq!(world.status(A), status, "{text}");
        assert!(world.take(B).is_none());
    }
}

#[test]
fn what_phones_dial_reaches_the_plan_as_it_was_dialled() {
    for (uri, dialled) in [
        ("sip:1002@198.51.100.1", "1002"),
        ("tel:+4930123456", "+4930123456"),
        ("sip:*21#@198.51.100.1", "*21#"),
        ("sip:1002@pbx_1.example", "1002"),
        ("sip:%2B4930@198.51.100.1;user=phone", "+4930"),
    ] {
        let mut world = World::new();
        world.send(A, &Ask { uri, body: &sdp("192.0.2.10"), ..Ask::default() }.text());
        let born = world.switch.0.lock().born.first().map(|it| it.dialled.reveal().clone());
        assert_eq!(born.as_deref(), Some(dialled), "{uri}");
    }
}

#[test]
fn names_of_all_kinds_reach_the_callee() {
    for (from, name) in [
        (&b"\"a \\\"b\\\" c\" <sip:alice@a.example>;tag=atag"[..], "\"a \\\"b\\\" c\" <sip:alice@"),
        (b"tel:+4930123;tag=atag", "<sip:+4930123@"),
        (b"J\xfcrgen <sip:alice@a.example>;tag=atag", "\"J\u{fc}rgen\" <sip:alice@"),
    ] {
        let text = invite().replace('\n', "\r\n").replace("\r\r", "\r");
        let (head, rest) = text.split_once("From: ").unwrap();
        let (_, rest) = rest.split_once("\r\n").unwrap();
        let bytes = [head.as_bytes(), b"From: ", from, b"\r\n", rest.as_bytes()].concat();
        let mut world = World::new();
        world.send_bytes(A, bytes.into());
        let ours = world.got(B);
        let ours = String::from_utf8(ours.headers.first(&Name::From).unwrap().to_vec()).unwrap();
        assert!(ours.starts_with(name), "{ours}");
        let trying = world.take(A).unwrap();
        assert_eq!(trying.headers.first(&Name::From).unwrap(), from, "echoed to the byte");
    }
}

#[test]
fn an_unknown_method_outside_a_dialog_is_refused_with_what_we_know() {
    for (method, status) in [("INVITEX", 501), ("invite", 501), ("MESSAGE", 405), ("UPDATE", 405), ("BYE", 481)] {
        let mut world = World::new();
        world.send(A, &Ask { method, ..Ask::default() }.text());
        assert_eq!(world.status(A), status, "{method}");
    }
}

#[test]
fn an_invite_that_comes_by_two_ways_is_taken_once() {
    let mut world = World::new();
    world.send(A, &invite());
    world.got(B);
    world.send(A, &Ask { branch: "other", body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    assert_eq!(world.status(A), 482);
    assert_eq!(world.switch.0.lock().born.len(), 1);
}

#[test]
fn an_invite_that_was_forked_to_two_of_our_numbers_is_two_calls() {
    let mut world = World::new();
    world.route("1003", &["192.0.2.30:5060"]);
    world.send(A, &invite());
    let fork = Ask { uri: "sip:1003@198.51.100.1", branch: "fork", body: &sdp("192.0.2.10"), ..Ask::default() };
    world.send(A, &fork.text());
    assert_eq!(world.switch.0.lock().born.len(), 2);
    world.send(A, &Ask { branch: "other", ..fork }.text());
    assert_eq!(world.rest(A), ["100 Trying, INVITE", "100 Trying, INVITE", "482 Loop Detected, INVITE"]);
}

#[test]
fn an_invite_that_was_refused_is_no_twin_of_the_next() {
    let mut world = World::new();
    world.send(A, &Ask { extra: "Require: foo\n", body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    assert_eq!(world.status(A), 420);
    world.send(A, &Ask { branch: "other", body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    assert_eq!(world.switch.0.lock().born.len(), 1);
    world.send(A, &Ask { branch: "third", body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    world.send(A, &Ask { branch: "fourth", body: &sdp("192.0.2.10"), ..Ask::default() }.text());
    assert_eq!(world.rest(A), ["100 Trying, INVITE", "482 Loop Detected, INVITE", "482 Loop Detected, INVITE"]);
}

#[test]
fn a_second_device_that_answers_one_invite_is_hung_up() {
    let mut talk = Talk::new();
    let fork = reply(&talk.ours, 200, "192.0.2.21:5060", &sdp("192.0.2.21")).replace("tag=btag", "tag=fork");
    talk.world.rest(B);
    talk.world.send(B, &fork);
    let (ack, bye) = (talk.world.got("192.0.2.21:5060"), talk.world.got("192.0.2.21:5060"));
    assert_eq!((tag_of(&ack).as_str(), tag_of(&bye).as_str()), ("fork", "fork"));
    assert!(talk.world.rest(A).iter().all(|it| !it.starts_with("BYE")), "the call goes on");
}

#[test]
fn a_request_for_no_dialog_and_a_response_to_nothing_do_nothing() {
    let mut talk = Talk::new();
    let tag = talk.to_tag();
    for (call_id, to_tag, from_tag) in [("other", tag.as_str(), "atag"), ("call-a", "x", "atag"), ("call-a", &tag, "y")]
    {
        let text = Ask {
            method: "BYE",
            cseq: 2,
            branch: &format!("{call_id}{from_tag}{}", to_tag.len()),
            call_id,
            to_tag,
            ..Ask::default()
        }
        .text();
        talk.world.send(X, &text.replace("tag=atag", &format!("tag={from_tag}")));
        assert_eq!(talk.world.status(A.replace("192.0.2.10", "203.0.113.66").as_str()), 481);
    }
    talk.world.send(
        X,
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK0000000000000000\n\
        From: <sip:a@h>;tag=1\nTo: <sip:b@h>;tag=2\nCall-ID: x\nCSeq: 1 INVITE\nContent-Length: 0\n\n",
    );
    assert!(talk.world.rest(X).is_empty());
    assert_eq!(talk.world.count(Counter::SipUnmatched), 1);
    assert_ne!(talk.world.switch.told().last(), Some(&"hung_up"));
}

#[test]
fn nothing_of_one_side_is_visible_on_the_other() {
    let mut talk = Talk::new();
    talk.caller(&Ask { method: "BYE", cseq: 2, branch: "bye", ..Ask::default() });
    let text = |at: &str| String::from_utf8_lossy(&talk.world.sent[&at.parse().unwrap()]).into_owned();
    let (to_a, to_b) = (text(A), text(B));
    for of_a in
        ["192.0.2.10", "a.example", "atag", "call-a", "z9hG4bK1", "a-calls.example", tag_of(&talk.answer).as_str()]
    {
        assert!(!to_b.contains(of_a), "{of_a} in\n{to_b}");
    }
    let call_id = String::from_utf8(talk.ours.headers.call_id().unwrap().to_vec()).unwrap();
    let tag = String::from_utf8(talk.ours.headers.from().unwrap().tag().unwrap().to_vec()).unwrap();
    for of_b in ["192.0.2.20", "btag", "bob", call_id.as_str(), tag.as_str()] {
        assert!(!to_a.contains(of_b), "{of_b} in\n{to_a}");
    }
    let id = talk.world.switch.0.lock().born[0].context.correlation_id.to_string();
    assert!(to_a.contains(&id) && to_b.contains(&id), "what they share is the call's id");
}

#[test]
fn a_call_that_is_not_let_in_is_told_when_to_come_again() {
    for (cause, wait_s) in [(Cause::Overload, 5), (Cause::Shutdown, 5), (Cause::RateLimited, 1), (Cause::Throttled, 1)]
    {
        let mut world = World::new();
        world.switch.0.lock().refuses = Some(cause);
        world.send(A, &invite());
        let refusal = world.got(A);
        assert_eq!((refusal.status(), refusal.headers.retry_after()), (Some(503), Some(wait_s)), "{cause:?}");
        world.send(A, &Ask { method: "ACK", ..Ask::default() }.text());
        world.pass(Duration::from_secs(40));
        assert!(world.is_idle());
        assert_eq!(world.shared.metrics.gauge(Gauge::SipDialogs), 0);
    }
}

#[test]
fn news_that_a_leg_has_no_room_for_comes_again_in_order() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.switch.0.lock().is_full = 2;
    world.send(B, &reply(&ours, 180, B, ""));
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    assert!(world.switch.told().is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.switch.told(), ["ringing", "answered"]);
}

#[test]
fn a_stranger_is_asked_for_a_password_and_nothing_is_remembered_of_it() {
    let mut world = World::with(|config| config.offer_sha256 = true);
    world.send(X, &Ask { from: X, body: &sdp("203.0.113.66"), ..Ask::default() }.text());
    let challenge = world.got(X);
    let schemes: Vec<_> = challenge.headers.lines(&Name::WwwAuthenticate).cloned().collect();
    assert_eq!((challenge.status(), schemes.len()), (Some(401), 2));
    assert!(world.is_idle());
    assert!(world.switch.0.lock().born.is_empty());
}

#[test]
fn a_repeated_signal_is_said_once() {
    use tandem_core::machine::Stamp;
    let mut world = World::new();
    world.send(A, &invite());
    let leg = world.switch.0.lock().born[0].leg;
    let ring = |number| crate::inbox::Input::Signal(Stamp { from: leg, number }, tandem_core::ports::Signal::Ring);
    for number in [50, 50, 49, 51] {
        world.shard.handle(world.now, ring(number));
    }
    world.run();
    assert_eq!(times(&world, "us ──▶ A   180").len(), 2);
}

#[test]
fn a_mutated_message_breaks_nothing() {
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    let seeds: Vec<Bytes> = [
        invite(),
        Ask { method: "BYE", to_tag: "x", ..Ask::default() }.text(),
        Ask { method: "REGISTER", extra: "Expires: 60\nAuthorization: Digest realm=\"tandem\"\n", ..Ask::default() }
            .text(),
        String::from(
            "SIP/2.0 200 OK\nVia: SIP/2.0/UDP h;branch=z9hG4bK0123456789abcdef\nCSeq: 1 INVITE\nTo: <sip:a@b>\n\n",
        ),
    ]
    .iter()
    .map(|text| Bytes::from(text.replace("\r\n", "\n").replace('\n', "\r\n")))
    .collect();
    let world = std::cell::RefCell::new(World::new());
    let change = (0..seeds.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8));
    TestRunner::default()
        .run(&change, |(seed, changes)| {
            let mut bytes = seeds[seed].to_vec();
            for (at, byte, how) in changes {
                let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                match how {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.drain(at..(at + 3).min(bytes.len()))),
                    _ => bytes.insert(at, b";,\"<>:= \r\n"[usize::from(byte) % 10]),
                }
            }
            world.borrow_mut().send_unseen(A, bytes.into());
            prop_assert_eq!(world.borrow().count(Counter::SipPanics), 0);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_message_of_ours_reads_back() {
    let talk = Talk::new();
    assert_eq!(Message::read(&talk.ours.to_bytes()).unwrap(), talk.ours);
}

#[test]
fn a_refusal_of_a_stranger_is_sent_once_and_not_remembered() {
    let ask = Ask { from: X, ..Ask::default() };
    for (text, status) in [
        (ask.text().replace("Max-Forwards: 70", "Max-Forwards: 0"), 483),
        (Ask { extra: "Require: foo\n", ..ask }.text(), 420),
        (Ask { to_tag: "none", ..ask }.text(), 481),
        (Ask { uri: "urn:service:sos", ..ask }.text(), 416),
        (Ask { method: "OPTIONS", ..ask }.text(), 200),
        (Ask { method: "MESSAGE", ..ask }.text(), 405),
        (Ask { method: "BYE", ..ask }.text(), 481),
        (Ask { method: "CANCEL", ..ask }.text(), 481),
    ] {
        let mut world = World::new();
        world.send(X, &text);
        world.send(X, &text);
        let (first, again) = (world.got(X), world.got(X));
        assert_eq!((first.status(), &first), (Some(status), &again), "{text}");
        assert!(world.is_idle(), "{text}");
        world.pass(Duration::from_secs(40));
        assert!(world.take(X).is_none(), "{text}");
    }
}

#[test]
fn a_closed_door_is_shown_to_a_stranger_once_and_to_a_trunk_until_it_has_heard() {
    let mut world = World::new();
    world.shared.is_door_closed.store(true, std::sync::atomic::Ordering::Relaxed);
    world.send(X, &Ask { from: X, ..Ask::default() }.text());
    world.send(A, &Ask { call_id: "other", ..Ask::default() }.text());
    world.pass(Duration::from_secs(40));
    assert_eq!(world.rest(X), ["503 Service Unavailable, INVITE"]);
    assert!(world.rest(A).len() > 5);
}

#[test]
fn above_the_limit_of_transactions_new_requests_are_refused_and_calls_can_end() {
    let mut world = World::with(|config| config.limits.transactions = 2);
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 200, B, &sdp("192.0.2.20")));
    let to_tag = tag_of(&world.got(A));
    world.send(A, &Ask { method: "ACK", branch: "ack", to_tag: &to_tag, ..Ask::default() }.text());
    for (branch, status) in [("o1", 200), ("o2", 503), ("o3", 503)] {
        world.send(A, &Ask { method: "OPTIONS", call_id: "other", branch, ..Ask::default() }.text());
        assert_eq!(world.status(A), status);
    }
    world.send(A, &Ask { method: "BYE", cseq: 2, branch: "bye", to_tag: &to_tag, ..Ask::default() }.text());
    assert_eq!(world.status(A), 200);
}

#[test]
fn a_callee_that_says_the_same_on_and_on_is_news_once_and_sets_no_alarms() {
    let mut world = World::new();
    world.send(A, &invite());
    let ours = world.got(B);
    world.send(B, &reply(&ours, 180, B, ""));
    let alarms = world.shard.exchanges.alarms();
    for status in [180, 181, 182, 180] {
        world.send(B, &reply(&ours, status, B, ""));
    }
    assert_eq!((world.switch.told(), world.shard.exchanges.alarms()), (vec!["ringing"], alarms));
    world.send(B, &reply(&ours, 486, B, ""));
    let refused = world.shard.exchanges.alarms();
    for _ in 0..4 {
        world.send(B, &reply(&ours, 486, B, ""));
    }
    assert_eq!(world.shard.exchanges.alarms(), refused);
    assert_eq!(times(&world, "us ──▶ B   ACK").len(), 5);
}

#[test]
fn of_many_devices_that_accept_one_invite_eight_are_heard() {
    let mut talk = Talk::new();
    for fork in 0..20 {
        let text = reply(&talk.ours, 200, B, &sdp("192.0.2.20")).replace("tag=btag", &format!("tag=fork{fork}"));
        talk.world.send(B, &text);
    }
    assert_eq!(times(&talk.world, "us ──▶ B   BYE").len(), 7);
    talk.world.send(B, &reply(&talk.ours, 200, B, &sdp("192.0.2.20")));
    assert_eq!(times(&talk.world, "us ──▶ B   ACK").len(), 9, "the first one is acknowledged again");
}
