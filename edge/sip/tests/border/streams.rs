//! Connections.

use std::time::{Duration, Instant};

use tandem_core::metric::Gauge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::node::{Node, header, request, trunk};

/// A connection from address `n`.
pub(crate) async fn connect(node: &Node, n: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(node.network.at(n, 0)).unwrap();
    socket.connect(node.us).await.unwrap()
}

/// All that comes within a time, and whether the connection ended in it.
pub(crate) async fn read_for(stream: &mut TcpStream, time: Duration) -> (String, bool) {
    let (mut text, mut buffer) = (Vec::new(), [0; 4_096]);
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, stream.read(&mut buffer)).await {
            Ok(Ok(length @ 1..)) => text.extend_from_slice(&buffer[..length]),
            Ok(_) => return (String::from_utf8_lossy(&text).into_owned(), true),
            Err(_) => return (String::from_utf8_lossy(&text).into_owned(), false),
        }
    }
}

fn options(node: &Node, stream: &TcpStream, cseq: u32) -> String {
    request("OPTIONS", node.us, stream.local_addr().unwrap(), cseq, "", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_on_a_connection_are_answered_on_it_and_in_order() {
    let node = Node::start(|config| config.trunk = vec![trunk("127.0.0.0/8")]);
    let mut stream = connect(&node, 2).await;
    let all: String = (0..200).map(|cseq| options(&node, &stream, cseq)).collect();
    // In pieces that end anywhere.
    for piece in all.as_bytes().chunks(777) {
        stream.write_all(piece).await.unwrap();
    }
    let (answers, is_closed) = read_for(&mut stream, Duration::from_secs(1)).await;
    assert!(!is_closed);
    let numbers: Vec<_> =
        answers.lines().filter(|it| it.starts_with("CSeq")).map(|it| header(it, "CSeq:").to_owned()).collect();
    assert_eq!(numbers, (0..200).map(|it| format!("{it} OPTIONS")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keep_alive_is_answered() {
    let node = Node::start(|_| {});
    let mut stream = connect(&node, 2).await;
    stream.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_for(&mut stream, Duration::from_millis(300)).await, (String::from("\r\n"), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_message_is_not_waited_for_long_and_disturbs_nobody() {
    let node = Node::start(|config| config.trunk = vec![trunk("127.0.0.0/8")]);
    let mut halves = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(&node, 2).await;
        stream.write_all(b"INVITE sip:a@b SIP/2.0\r\nVia: ").await.unwrap();
        halves.push(stream);
    }
    let mut good = connect(&node, 3).await;
    good.write_all(options(&node, &good, 1).as_bytes()).await.unwrap();
    assert!(read_for(&mut good, Duration::from_millis(200)).await.0.starts_with("SIP/2.0 200"));
    for stream in &mut halves {
        assert!(read_for(stream, Duration::from_secs(2)).await.1, "closed");
    }
    while node.metrics.gauge(Gauge::SipConnections) != 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_per_address() {
    let node = Node::start(|config| config.limits.connections_per_address = 3);
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(connect(&node, 2).await);
    }
    assert!(read_for(&mut streams[3], Duration::from_secs(1)).await.1);
    let mut other = connect(&node, 3).await;
    other.write_all(options(&node, &other, 1).as_bytes()).await.unwrap();
    assert!(read_for(&mut other, Duration::from_millis(300)).await.0.starts_with("SIP/2.0 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_off() {
    let node = Node::start(|config| {
        config.trunk = vec![trunk("127.0.0.0/8")];
        config.limits.write_queue = 8;
    });
    let mut stream = connect(&node, 2).await;
    let end = Instant::now() + Duration::from_secs(20);
    let mut cseq = 0;
    while node.metrics.gauge(Gauge::SipConnections) == 1 || cseq == 0 {
        assert!(Instant::now() < end, "never cut off");
        cseq += 1;
        let text = options(&node, &stream, cseq);
        let written = tokio::time::timeout(Duration::from_secs(1), stream.write_all(text.as_bytes()));
        if !matches!(written.await, Ok(Ok(()))) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_on_a_connection_waits_and_is_answered() {
    let scarce = |config: &mut tandem_sip::SipConfig| {
        config.limits.guard.source_rate = 50;
        config.limits.guard.source_burst = 5;
        config.limits.queue = 16;
    };
    let crowded = |config: &mut tandem_sip::SipConfig| {
        config.trunk = vec![trunk("127.0.0.0/8")];
        config.limits.queue = 16;
    };
    for (change, count) in [(&scarce as &dyn Fn(&mut tandem_sip::SipConfig), 30), (&crowded, 300)] {
        let node = Node::start(change);
        let mut stream = connect(&node, 2).await;
        let all: String = (0..count).map(|cseq| options(&node, &stream, cseq)).collect();
        stream.write_all(all.as_bytes()).await.unwrap();
        let (answers, is_closed) = read_for(&mut stream, Duration::from_secs(2)).await;
        assert!(!is_closed);
        let numbers: Vec<_> =
            answers.lines().filter(|it| it.starts_with("CSeq")).map(|it| header(it, "CSeq:")).collect();
        assert_eq!(numbers, (0..count).map(|it| format!("{it} OPTIONS")).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_messages_find_no_room_for_long_is_closed() {
    let node = Node::start(|config| {
        config.limits.guard.source_rate = 1;
        config.limits.guard.source_burst = 1;
    });
    let mut stream = connect(&node, 2).await;
    let all: String = (0..3).map(|cseq| options(&node, &stream, cseq)).collect();
    stream.write_all(all.as_bytes()).await.unwrap();
    let (answers, is_closed) = read_for(&mut stream, Duration::from_secs(2)).await;
    assert_eq!((answers.matches("SIP/2.0 200").count(), is_closed), (1, true));
}
