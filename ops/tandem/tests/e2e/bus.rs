//! A call, as a plain subscriber of NATS hears of it.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use tandem_testbed::nats::Nats;

use crate::harness::node::{Node, Settings};
use crate::harness::scratch::Scratch;
use crate::harness::{SOON, eventually};
use crate::talk::{phones, talk};

#[test]
fn a_subscriber_of_nats_hears_the_facts_of_a_call_in_order_and_its_record_last() {
    let scratch = Scratch::new("bus");
    let nats = Nats::start().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut heard = runtime.block_on(async {
        let client = async_nats::connect(nats.url()).await.unwrap();
        let heard = client.subscribe("tandem.v1.default.>").await.unwrap();
        client.flush().await.unwrap();
        let is_fact = |it: &async_nats::Message| [".call.", ".cdr."].iter().any(|part| it.subject.contains(part));
        heard.filter(move |it| std::future::ready(is_fact(it) && !it.subject.contains(".live.")))
    });
    let environment = vec![("TANDEM__BUS__NATS_URL", nats.url())];
    let node = Node::start(&scratch, &Settings { environment, ..Settings::default() });
    let (mut alice, mut bob) = phones(&scratch, &node, "udp");
    talk(&mut alice, &mut bob);
    bob.hang_up();
    alice.expect("CALL_CLOSED");
    let cdr = node.ledger().the_cdr();
    let events = node.ledger().events(cdr.call_id());

    let limit = SOON.max(Duration::from_secs(20));
    let seen: Vec<Value> = events
        .iter()
        .map(|_| {
            let next = runtime.block_on(async { tokio::time::timeout(limit, heard.next()).await });
            let message = next.expect("an event").unwrap();
            let event: Value = serde_json::from_slice(&message.payload).unwrap();
            let header = |name: &str| message.headers.as_ref().unwrap().get(name).unwrap().to_string();
            assert_eq!(header("Nats-Msg-Id"), event["id"].as_str().unwrap());
            assert_eq!(message.subject.as_str(), event["subject"].as_str().unwrap());
            event
        })
        .collect();
    let ids = |n: usize| seen[n]["id"].as_str().unwrap();
    assert!(events.iter().enumerate().all(|(n, event)| event.id() == ids(n)), "{seen:#?}");
    let record = seen.last().unwrap();
    assert_eq!(record["type"], "tandem.cdr.closed.v1");
    assert_eq!(record["data"]["call_id"].as_str().unwrap(), cdr.call_id());
    eventually("an empty outbox", SOON, || {
        node.command(&["outbox"]).unwrap().contains(" 0 events wait.").then_some(())
    });
}
