//! Everything that is in the stream, read as an integrator would.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt as _;
use serde_json::Value;

/// The stream of facts.
const FACTS: &str = "TANDEM_FACTS_V1";

/// One message of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// `<aggregate>.<seq>`.
    pub id: String,
    /// Whose fact.
    pub aggregate: String,
    /// The how-manieth of it.
    pub seq: u64,
    /// The CloudEvent.
    pub payload: Value,
}

/// All messages in the order of the stream.
pub fn read(url: &str) -> Vec<Told> {
    block_on(async {
        let stream = context(url).await.get_stream(FACTS).await.unwrap();
        let waiting = stream.get_info().await.unwrap().state.messages;
        let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
        let messages = consumer.messages().await.unwrap();
        let told = messages.take(usize::try_from(waiting).unwrap()).map(|message| {
            let payload: Value = serde_json::from_slice(&message.unwrap().payload).unwrap();
            let id = payload["id"].as_str().unwrap().to_owned();
            let (aggregate, seq) = id.rsplit_once('.').unwrap();
            let (aggregate, seq) = (aggregate.to_owned(), seq.parse().unwrap());
            Told { id, aggregate, seq, payload }
        });
        tokio::time::timeout(Duration::from_secs(120), told.collect()).await.expect("all of the stream")
    })
}

/// As an operator who has lost it.
pub fn delete(url: &str) {
    let deleted = block_on(async { context(url).await.delete_stream(FACTS).await.unwrap() });
    assert!(deleted.success);
}

async fn context(url: &str) -> jetstream::Context {
    let servers: Vec<async_nats::ServerAddr> = url.split(',').map(|it| it.parse().unwrap()).collect();
    jetstream::new(async_nats::connect(servers).await.unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
