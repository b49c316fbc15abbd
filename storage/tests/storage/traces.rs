//! Stories of calls: kept, read, and gone after a while.

use std::sync::Arc;
use std::time::Duration;

use tandem_core::event::Fact;
use tandem_core::id::LegId;
use tandem_core::trace::{Entry, Story, Trail, Way, What, Wire};
use tandem_storage::{Config, Engine, OpenError, PackedTrace, QueryError, Storage};
use tandem_testbed::postgres::Postgres;

use super::ENGINE;
use super::support::{Home, at, call_id, leg, on, talked};

fn message(leg: LegId, second: i64) -> Entry {
    let text = format!("INVITE sip:1002@h SIP/2.0\r\nX-Pad: {}\r\n\r\nv=0\r\n", "pad".repeat(200));
    let (direction, text) = (Way::In, Wire::of_sip(text.as_bytes()));
    let what = What::Message { direction, peer: None, is_repeat: false, text };
    Entry { leg: Some(leg), ..Entry::new(at(second), what) }
}

fn story(n: u128) -> Story {
    let mut trail = Trail::default();
    let facts: Vec<Fact> = talked(n);
    facts.iter().for_each(|fact| trail.take(Entry::of_fact(fact)));
    (0..10).for_each(|second| trail.take(message(leg(n, 1), second)));
    trail.story(true).unwrap()
}

fn packed(numbers: std::ops::Range<u128>) -> Vec<PackedTrace> {
    numbers.map(|n| PackedTrace::of(&story(n)).unwrap()).collect()
}

#[tokio::test]
async fn a_story_is_read_as_it_was_kept_takes_less_room_and_the_first_one_stays() {
    let home = Home::new();
    let storage = home.open().await.storage;
    let trace = PackedTrace::of(&story(1)).unwrap();
    assert!(trace.len() * 3 < serde_json::to_vec(&story(1)).unwrap().len(), "{}", trace.len());
    storage.keep_traces(vec![trace]).await.unwrap();
    let other = Story { dropped: 7, ..story(1) };
    storage.keep_traces(vec![PackedTrace::of(&other).unwrap(), PackedTrace::of(&story(2)).unwrap()]).await.unwrap();
    assert_eq!(storage.trace(call_id(1)).await.unwrap(), Some(story(1)));
    assert_eq!(storage.trace(call_id(2)).await.unwrap(), Some(story(2)));
    assert_eq!(storage.trace(call_id(3)).await.unwrap(), None);
    let row = "SELECT tenant || correlation_id || ended_at FROM call_traces WHERE call_id LIKE '%1'";
    assert!(home.select(row).await[0].starts_with("default00000000000000000000000000c00001"));
}

#[tokio::test]
async fn stories_that_are_too_old_go_in_bounded_batches_and_no_other_does() {
    let home = Home::new();
    let storage = home.open().await.storage;
    storage.keep_traces(packed(0..700)).await.unwrap();
    // They all ended in second 63.
    assert_eq!(storage.prune_traces(at(63)).await.unwrap(), 0);
    let later = at(63) + Duration::from_micros(1);
    assert_eq!(storage.prune_traces(later).await.unwrap(), 500);
    assert_eq!(storage.prune_traces(later).await.unwrap(), 200);
    assert_eq!(storage.prune_traces(later).await.unwrap(), 0);
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM call_traces").await, ["0"]);
}

#[tokio::test]
async fn of_a_call_whose_story_was_not_kept_the_facts_are_told() {
    let home = Home::new();
    let process = home.open().await;
    assert_eq!(process.storage.bare_trace(call_id(1)).await.unwrap(), None);
    process.commit(&talked(1));
    process.store().await;
    let story = process.storage.bare_trace(call_id(1)).await.unwrap().unwrap();
    assert!(story.is_over && story.entries.len() == talked(1).len());
    assert_eq!(story.record().unwrap().caller.number.reveal(), "1001");
}

#[tokio::test]
async fn a_database_that_is_only_read_has_to_be_there_and_stays_as_it_is() {
    let home = Home::new();
    let data_dir = home.config.data_dir.join("elsewhere");
    let elsewhere = home.config.database_url.is_some().then(|| Postgres::shared().url("elsewhere").into());
    let config = Config { data_dir: data_dir.clone(), database_url: elsewhere, ..home.config.clone() };
    let missing = Storage::open_existing(&config, Arc::default()).await.unwrap_err();
    match (&missing, ENGINE) {
        (OpenError::Missing { path }, Engine::Sqlite) => assert_eq!(*path, data_dir.join("tandem.db")),
        (OpenError::Connect(why), Engine::Postgres) => assert!(why.to_string().contains("does not exist"), "{why}"),
        _ => panic!("{missing}"),
    }
    assert!(!data_dir.exists());
    home.open().await.storage.keep_traces(packed(1..2)).await.unwrap();
    let storage = Storage::open_existing(&home.config, Arc::default()).await.unwrap();
    assert_eq!(storage.trace(call_id(1)).await.unwrap(), Some(story(1)));
    assert!(storage.keep_traces(packed(2..3)).await.is_err());
}

#[tokio::test]
async fn a_damaged_row_is_said_to_be() {
    let home = Home::new();
    let storage = home.open().await.storage;
    storage.keep_traces(packed(1..2)).await.unwrap();
    home.execute(&on("UPDATE call_traces SET body = x'00'", "UPDATE call_traces SET body = '\\x00'")).await;
    assert!(matches!(storage.trace(call_id(1)).await, Err(QueryError::Damaged { table: "call_traces" })));
}
