//! Follows the facts of all calls: each is handled once, in the order of its call.
//!
//! `cargo run -p tandem --example subscribe_events -- nats://127.0.0.1:4222`
#![allow(clippy::print_stdout, reason = "an example shows what it gets")]

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::StreamExt;
use serde::Deserialize;

const STREAM: &str = "TANDEM_FACTS_V1";
const NAME: &str = "example-rust";
/// The stream has the audit, too.
const CALLS: [&str; 2] = ["tandem.v1.*.call.>", "tandem.v1.*.cdr.>"];
const REMEMBERED: usize = 100_000;

/// What every event has. The rest is in docs/contracts/schemas.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

fn handle(event: &Event) {
    println!("{} {}", event.id, event.kind);
}

/// What a database has as a unique key: an event may come again, with the same id.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| String::from("nats://127.0.0.1:4222"));
    let client = async_nats::connect(url).await?;
    let stream = jetstream::new(client).get_stream(STREAM).await.context("is this the NATS of a node?")?;
    // Durable: whoever comes back with this name goes on where it stopped.
    let config = pull::Config {
        durable_name: Some(NAME.to_owned()),
        filter_subjects: CALLS.map(str::to_owned).to_vec(),
        ack_policy: AckPolicy::Explicit,
        deliver_policy: DeliverPolicy::All,
        ack_wait: Duration::from_secs(30),
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(NAME, config).await?;
    let (mut messages, mut seen) = (consumer.messages().await?, Seen::default());
    while let Some(message) = messages.next().await {
        let message = message?;
        let event: Event = serde_json::from_slice(&message.payload)?;
        if seen.insert(&event.id) {
            handle(&event);
        }
        // Only now: what is not acknowledged comes again.
        message.ack().await.map_err(|error| anyhow!(error))?;
    }
    Ok(())
}
