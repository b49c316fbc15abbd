//! The messages of RFC 4475 on the wire. The README beside them says how each is to be treated.

use std::time::Duration;

use tandem_core::metric::{Counter, Gauge};
use tokio::io::AsyncWriteExt;

use crate::corpus::{Row, rows};
use crate::node::{Node, Phone, request, trunk};
use crate::streams::{connect, read_for};

/// Long enough for an answer, and for the lack of one.
const ANSWER: Duration = Duration::from_millis(250);

/// From these addresses one is trusted, so that what comes after authentication is seen.
const TRUSTED: u32 = 64;

fn start() -> Node {
    Node::start(|config| {
        let base = config.udp[0].ip();
        let std::net::IpAddr::V4(base) = base else { panic!("{base}") };
        let trusted = std::net::Ipv4Addr::from(u32::from(base) - 1 + TRUSTED);
        config.trunk = vec![trunk(&format!("{trusted}/26"))];
    })
}

/// The bytes as they are sent: three files have the transaction of another one.
fn bytes(row: &Row) -> Vec<u8> {
    let text = row.bytes.to_vec();
    if !matches!(row.file, "cparam02.dat" | "regescrt.dat" | "novelsc.dat") {
        return text;
    }
    let mark = b"branch=z9hG4bK";
    let at = text.windows(mark.len()).position(|it| it == mark).unwrap() + mark.len();
    [&text[..at], b"other", &text[at..]].concat()
}

/// Status codes of the final answers in a text.
fn finals(text: &str) -> Vec<u16> {
    let lines = text.split("\r\n").filter_map(|line| line.strip_prefix("SIP/2.0 "));
    lines.filter_map(|it| it.get(..3)?.parse().ok()).filter(|it| *it >= 200).collect()
}

/// Whether the answer is one the table allows. Who is not trusted may be asked for a password first.
fn is_right(row: &Row, answer: Option<u16>, is_trusted: bool) -> bool {
    let may_ask = row.parse == "ok" && row.kind == "request" && !is_trusted;
    match (row.status, answer) {
        ("none", answer) => answer.is_none(),
        ("any", answer) => answer.is_some(),
        ("any-but-400", answer) => answer.is_some_and(|it| it != 400),
        (_, Some(401)) if may_ask => true,
        (allowed, Some(answer)) => allowed.split(',').any(|it| it == answer.to_string()),
        (_, None) => false,
    }
}

/// A good request from elsewhere is answered.
async fn assert_alive(node: &Node) {
    let at = node.network.at(127, 5060);
    let phone = Phone::at(at).await;
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let cseq = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    phone.send(node.us, &request("OPTIONS", node.us, at, cseq, "", "")).await;
    let answer = phone.get_within(Duration::from_secs(1)).await;
    assert!(answer.is_some_and(|it| it.starts_with("SIP/2.0 200")));
}

fn assert_clean(node: &Node) {
    assert_eq!(node.metrics.counter(Counter::SipPanics), 0);
    assert_eq!(node.metrics.gauge(Gauge::SipDialogs), 0);
    assert_eq!(node.metrics.gauge(Gauge::Registrations), 0);
}

async fn by_datagram(is_trusted: bool) {
    let node = start();
    let first = if is_trusted { TRUSTED } else { 2 };
    let mut listening = Vec::new();
    for (n, row) in rows().into_iter().enumerate() {
        let n = first + u32::try_from(n).unwrap();
        let phone = Phone::at(node.network.at(n, 5060)).await;
        let named = Phone::at(node.network.at(n, 5050)).await;
        phone.0.send_to(&bytes(&row), node.us).await.unwrap();
        assert_alive(&node).await;
        listening.push(tokio::spawn(async move {
            let (usual, named) = tokio::join!(everything(&phone), everything(&named));
            (row, finals(&usual), finals(&named))
        }));
    }
    let mut wrong = Vec::new();
    for one in listening {
        let (row, usual, named) = one.await.unwrap();
        let answers = [usual, named].concat();
        // The answer to an INVITE comes again, for nobody acknowledges it.
        let is_once = row.file != "dblreq.dat" || answers.len() == 1;
        if !is_right(&row, answers.first().copied(), is_trusted) || !is_once {
            wrong.push((row.file, answers));
        }
    }
    report("UDP", is_trusted, wrong.len());
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_clean(&node);
}

fn report(transport: &str, is_trusted: bool, wrong: usize) {
    println!("RFC 4475 over {transport}{}: {}/49", if is_trusted { ", trusted" } else { "" }, 49 - wrong);
}

async fn everything(phone: &Phone) -> String {
    let mut all = String::new();
    while let Some(text) = phone.get_within(ANSWER).await {
        all += &text;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn as_datagrams_from_strangers() {
    by_datagram(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_datagrams_from_a_trunk() {
    by_datagram(true).await;
}

async fn by_connection(is_trusted: bool) {
    let node = start();
    let first = if is_trusted { TRUSTED } else { 2 };
    let mut open = Vec::new();
    for (n, row) in rows().into_iter().enumerate() {
        let mut stream = connect(&node, first + u32::try_from(n).unwrap()).await;
        stream.write_all(&bytes(&row)).await.unwrap();
        assert_alive(&node).await;
        let good = request("OPTIONS", node.us, stream.local_addr().unwrap(), 1, "", "");
        open.push(tokio::spawn(async move {
            let answers = finals(&read_for(&mut stream, ANSWER).await.0);
            // A good request behind it: answered where framing goes on, and never where it is lost.
            let _ = stream.write_all(good.as_bytes()).await;
            let wait = if row.stream == "same" { ANSWER } else { Duration::from_secs(1) };
            let (later, is_closed) = read_for(&mut stream, wait).await;
            (row, answers, finals(&later), is_closed)
        }));
    }
    let mut wrong = Vec::new();
    for one in open {
        let (row, answers, later, is_closed) = one.await.unwrap();
        let is_answered = if answers.is_empty() {
            is_right(&row, None, is_trusted)
        } else {
            answers.iter().any(|it| is_right(&row, Some(*it), is_trusted))
        };
        let is_as_wanted = match row.stream {
            "same" => is_answered && !is_closed && later.contains(&200),
            "close" => is_closed && later.is_empty() && answers.iter().all(|it| *it >= 400),
            "wait-then-close" => is_closed && !later.contains(&200),
            // Behind the first: an INVITE whose body is not what its length says, and then junk.
            "two-messages" => is_answered && answers.len() >= 2 && is_closed,
            other => panic!("{other}"),
        };
        if !is_as_wanted {
            wrong.push((row.file, answers, later, is_closed));
        }
    }
    report("TCP", is_trusted, wrong.len());
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_clean(&node);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_connections_from_a_trunk() {
    by_connection(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_connections_from_strangers() {
    by_connection(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_leave_the_framing_whole_in_one_connection() {
    let node = start();
    let mut stream = connect(&node, TRUSTED).await;
    let whole: Vec<Row> = rows().into_iter().filter(|row| row.stream == "same").collect();
    for row in &whole {
        stream.write_all(&bytes(row)).await.unwrap();
    }
    let good = request("OPTIONS", node.us, stream.local_addr().unwrap(), 1, "", "");
    stream.write_all(good.as_bytes()).await.unwrap();
    let (answers, is_closed) = read_for(&mut stream, Duration::from_secs(1)).await;
    assert!(!is_closed && finals(&answers).contains(&200), "the last one is answered: {answers}");
    assert_clean(&node);
}
