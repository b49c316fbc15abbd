//! JetStream on three servers, of which the one that matters dies.

use std::time::Duration;

use super::bus::{ELECTION, FACTS, Running, drained, events, interleaved, jetstream, stored, whole, within};
use super::support::Home;

#[tokio::test]
async fn facts_survive_the_loss_of_the_streams_leader_each_once_and_in_order() {
    let (home, nats) = Home::with_killable();
    let process = home.open().await;
    let _running = Running::begin(&process);
    let jetstream = jetstream(&home.bus).await;
    let leader = within(ELECTION, "a leader", || async {
        let mut stream = jetstream.get_stream(FACTS).await.ok()?;
        nats.server(&stream.info().await.ok()?.cluster.clone()?.leader?)
    })
    .await;
    for n in 0..40 {
        process.commit(&interleaved(n * 10..n * 10 + 10));
        tokio::time::sleep(Duration::from_millis(10)).await;
        if n == 10 {
            nats.kill9(leader).unwrap();
        }
    }
    stored(&process).await;
    drained(&process).await;
    whole(events(&jetstream, FACTS).await, 0..400);
    nats.start_again(leader).unwrap();
}
