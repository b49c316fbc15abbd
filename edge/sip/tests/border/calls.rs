//! Calls between sockets.

use std::time::Duration;

use tandem_core::metric::{Counter, Gauge};

use crate::node::{Node, Phone, header, request, response, sdp, trunk};

fn tag(text: &str) -> String {
    format!(";tag={}", header(text, "To:").split("tag=").nth(1).unwrap())
}

/// Both phones, in a call that A made: with A's To tag.
async fn talking(node: &Node) -> (Phone, Phone, String) {
    let (at_a, at_b) = (node.network.at(2, 5060), node.network.at(3, 5060));
    *node.switch.callee.lock() = Some(at_b);
    let (a, b) = (Phone::at(at_a).await, Phone::at(at_b).await);
    a.send(node.us, &request("INVITE", node.us, at_a, 1, "", &sdp(at_a.ip()))).await;
    let ours = b.get().await;
    b.send(node.us, &response(&ours, "180 Ringing", at_b, "")).await;
    assert!(a.get().await.starts_with("SIP/2.0 180"));
    b.send(node.us, &response(&ours, "200 OK", at_b, &sdp(at_b.ip()))).await;
    let answer = a.get().await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    a.send(node.us, &request("ACK", node.us, at_a, 1, &tag(&answer), "")).await;
    assert!(b.get().await.starts_with("ACK"));
    (a, b, tag(&answer))
}

async fn hang_up(node: &Node, a: &Phone, b: &Phone, to_tag: &str) {
    a.send(node.us, &request("BYE", node.us, node.network.at(2, 5060), 2, to_tag, "")).await;
    assert!(a.get().await.starts_with("SIP/2.0 200"));
    let bye = b.get().await;
    assert!(bye.starts_with("BYE"));
    b.send(node.us, &response(&bye, "200 OK", node.network.at(3, 5060), "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_from_socket_to_socket_and_back() {
    let node = Node::start(|config| config.trunk = vec![trunk("127.0.0.0/8")]);
    let (a, b, to_tag) = talking(&node).await;
    hang_up(&node, &a, &b, &to_tag).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(node.metrics.gauge(Gauge::SipDialogs), 0);
    assert_eq!(node.metrics.counter(Counter::SipPanics), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_every_task_of_the_border() {
    let mut node = Node::start(|config| config.trunk = vec![trunk("127.0.0.0/8")]);
    let (a, b, to_tag) = talking(&node).await;
    for task in std::mem::take(&mut node.tasks) {
        task.abort();
        let _ = task.await;
    }
    let bye = request("BYE", node.us, node.network.at(2, 5060), 2, &to_tag, "");
    a.send(node.us, &bye).await;
    assert_eq!(a.get_within(Duration::from_millis(100)).await, None, "nobody is there");
    node.run();
    assert!(a.get().await.starts_with("SIP/2.0 200"), "what waited in the socket is answered");
    assert!(b.get().await.starts_with("BYE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_door_refuses_new_calls_and_lets_old_ones_go_on() {
    let node = Node::start(|config| config.trunk = vec![trunk("127.0.0.0/8")]);
    let (a, b, to_tag) = talking(&node).await;
    node.sip.close_door();
    let at_c = node.network.at(4, 5060);
    let c = Phone::at(at_c).await;
    c.send(node.us, &request("INVITE", node.us, at_c, 1, "", &sdp(at_c.ip()))).await;
    let refusal = c.get().await;
    assert!(refusal.starts_with("SIP/2.0 503") && refusal.contains("Retry-After: 5\r\n"), "{refusal}");
    hang_up(&node, &a, &b, &to_tag).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_is_turned_away_and_nobody_else() {
    let node = Node::start(|config| (config.limits.guard.source_burst, config.limits.guard.source_rate) = (20, 1));
    let (at_a, at_c) = (node.network.at(2, 5060), node.network.at(4, 5060));
    let (a, c) = (Phone::at(at_a).await, Phone::at(at_c).await);
    for cseq in 1..=40 {
        a.send(node.us, &request("INVITE", node.us, at_a, cseq, "", "")).await;
    }
    let mut refused = 0;
    for _ in 1..=40 {
        refused += usize::from(a.get().await.starts_with("SIP/2.0 503"));
    }
    assert_eq!((refused, node.metrics.counter(Counter::SipLimited)), (20, 20));
    c.send(node.us, &request("OPTIONS", node.us, at_c, 1, "", "")).await;
    assert!(c.get().await.starts_with("SIP/2.0 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_of_one_call_are_handled_in_order() {
    let node = Node::start(|config| config.trunk = vec![trunk("127.0.0.0/8")]);
    let at_a = node.network.at(2, 5060);
    let a = Phone::at(at_a).await;
    for batch in 0..50 {
        for cseq in batch * 20..batch * 20 + 20 {
            a.send(node.us, &request("OPTIONS", node.us, at_a, cseq, "", "")).await;
        }
        for cseq in batch * 20..batch * 20 + 20 {
            assert_eq!(header(&a.get().await, "CSeq:"), format!("{cseq} OPTIONS"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_call_is_noted_with_its_leg_and_a_repeat_as_one() {
    let node = Node::start(|config| config.trunk = vec![trunk("127.0.0.0/8")]);
    let (at_a, at_b) = (node.network.at(2, 5060), node.network.at(3, 5060));
    *node.switch.callee.lock() = Some(at_b);
    let (a, b) = (Phone::at(at_a).await, Phone::at(at_b).await);
    let invite = request("INVITE", node.us, at_a, 1, "", &sdp(at_a.ip()));
    a.send(node.us, &invite).await;
    let ours = b.get().await;
    a.send(node.us, &invite).await;
    // The answer to the first INVITE, and to the repeat.
    for _ in 0..2 {
        assert!(a.get_within(Duration::from_secs(5)).await.unwrap().starts_with("SIP/2.0 100"));
    }
    b.send(node.us, &response(&ours, "180 Ringing", at_b, "")).await;
    assert!(a.get().await.starts_with("SIP/2.0 180"));
    a.send(node.us, &request("CANCEL", node.us, at_a, 1, "", "").replace("z9hG4bKCANCEL1", "z9hG4bKINVITE1")).await;
    assert!(b.get().await.starts_with("CANCEL"));
    for status in ["200", "487"] {
        assert!(a.get().await.starts_with(&format!("SIP/2.0 {status}")));
    }
    // A message is noted once it is sent, and may be there before.
    let noted = async {
        while node.notes.lines().len() < 11 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _in_time = tokio::time::timeout(Duration::from_secs(5), noted).await;
    let lines = node.notes.lines();
    let of = |leg: &str| lines.iter().filter_map(|it| it.strip_prefix(leg)).collect::<Vec<_>>();
    let caller = [
        "> INVITE",
        "< 100 Trying",
        "> again INVITE",
        "< again 100 Trying",
        "< 180 Ringing",
        "> CANCEL",
        "< 200 OK (CANCEL)",
        "< 487 Request Terminated",
    ];
    assert_eq!(of("0 "), caller, "{lines:#?}");
    assert_eq!(of("1 "), ["< INVITE", "> 180 Ringing", "< CANCEL"], "{lines:#?}");
}
