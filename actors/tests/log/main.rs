//! What the log says of a call. Alone in its process: a subscriber of one test is not the others' business.

#![allow(unreachable_pub, missing_docs, dead_code, reason = "tests share a world")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../calls/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tandem_actors::PartId;
use tandem_actors::drill::How;
use tandem_core::leg::LegInput;
use tokio::time::sleep;
use world::{CALLEE, CALLER, World, new_call};

#[tokio::test(start_paused = true)]
async fn every_line_of_the_log_names_the_call_and_its_correlation_id_and_no_number() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let world = World::start().await;
    let (ids, callee) = world.talking(1).await;
    for who in world.calls.actors_of(ids.call) {
        world.break_actor(who, How::Panic).await;
    }
    world.tell(callee, LegInput::Ringing); // does not apply any more
    sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        world.break_actor(PartId::Leg(callee), How::Panic).await; // with the first one that is once too often
    }
    world.until_empty().await;
    drop(guard);
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("\"target\":\"tandem_actors")).collect();
    let correlation = new_call(ids).context.correlation_id.to_string();
    for line in &lines {
        assert!(line.contains(&ids.call.to_string()) && line.contains(&correlation), "{line}");
        assert!(!line.contains(CALLER) && !line.contains(CALLEE), "{line}");
    }
    let events = ["started", "ringing", "answered", "ended", "input rejected", "another goes on", "given up"];
    for event in events {
        assert!(lines.iter().any(|line| line.contains(event)), "{event}");
    }
    let phases = lines.iter().filter(|line| line.contains("INFO")).count();
    assert_eq!(phases, 3, "one line for each phase");
    let failures = lines.iter().filter(|line| line.contains("ERROR") && line.contains("\"ended\"")).count();
    assert_eq!(failures, 1, "a call that we broke ends as a failure");
}

/// Where the log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
