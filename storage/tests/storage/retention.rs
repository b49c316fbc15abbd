//! What is too old goes, and nothing else.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use tandem_core::metric::Counter;
use tandem_storage::Retired;

use super::support::{Home, Process, at, call_id, talked};

const DAY: Duration = Duration::from_secs(86_400);

async fn count(home: &Home, table: &str) -> String {
    home.select(&format!("SELECT cast(count(*) AS text) FROM {table}")).await.remove(0)
}

/// Everything that was stored is published.
async fn relay(home: &Home, process: &Process) {
    let is_empty = async { while count(home, "outbox").await != "0" {} };
    tokio::select! {
        () = process.ledger.relay_loop() => panic!("the relay returned"),
        () = is_empty => {}
    }
}

#[tokio::test]
async fn events_go_when_they_are_old_published_and_of_calls_that_are_closed() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1));
    process.commit(&talked(2)[..4]);
    process.store().await;
    relay(&home, &process).await;
    process.commit(&talked(3));
    process.store().await;
    home.execute("UPDATE events SET created_at = '2026-01-01T00:00:00+00:00'").await;

    let long_ago = at(0) + 400 * DAY;
    let early = tandem_core::time::WallTime(0);
    assert_eq!(process.storage.retain(early).await.unwrap(), Retired::default());
    // The second call goes on, and the third is on its way.
    assert_eq!(process.storage.retain(long_ago).await.unwrap(), Retired { events: 8, ..Retired::default() });
    assert_eq!(count(&home, "events").await, "12");
    assert_eq!(process.storage.facts(call_id(1)).await.unwrap(), []);
    assert_eq!(process.storage.facts(call_id(3)).await.unwrap().len(), 8);
    assert_eq!(process.metrics.counter(Counter::RowsRetired), 8);
    relay(&home, &process).await;
    assert_eq!(process.storage.retain(long_ago).await.unwrap().events, 8);
    assert_eq!((count(&home, "calls").await, count(&home, "cdrs").await), ("3".to_owned(), "2".to_owned()));
}

#[tokio::test]
async fn calls_and_records_go_in_bounded_steps_and_records_are_in_the_archive_first() {
    let mut home = Home::new();
    let archive = home.config.data_dir.join("archive");
    (home.config.keep_events, home.config.keep_calls) = (None, Some(DAY));
    (home.config.keep_cdrs, home.config.archive_dir) = (Some(DAY), Some(archive.clone()));
    let process = home.open().await;
    for n in 0..600 {
        process.commit(&talked(n));
    }
    process.commit(&talked(600)[..4]);
    process.store().await;
    assert_eq!(process.storage.retain(at(63) + DAY / 2).await.unwrap(), Retired::default());
    assert!(!archive.exists());

    let later = at(64) + DAY;
    let first = process.storage.retain(later).await.unwrap();
    assert_eq!((first.calls, first.cdrs, first.has_more()), (500, 500, true));
    let second = process.storage.retain(later).await.unwrap();
    assert_eq!((second.calls, second.cdrs, second.has_more()), (100, 100, false));
    assert_eq!(process.storage.retain(later).await.unwrap(), Retired::default());
    assert_eq!(count(&home, "cdrs").await, "0");
    assert_eq!(home.select("SELECT id FROM calls").await, [call_id(600).to_string()]);
    assert_eq!(home.select("SELECT DISTINCT call_id FROM legs").await, [call_id(600).to_string()]);

    let mut archived = Vec::new();
    for file in std::fs::read_dir(&archive).unwrap() {
        let path = file.unwrap().path();
        assert!(path.to_string_lossy().ends_with(".jsonl.gz"), "{path:?}");
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        archived.extend(text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
    }
    archived.sort_by_key(|row| row["call_id"].to_string());
    assert_eq!(archived.len(), 600);
    assert_eq!(archived[7]["call_id"], call_id(7).to_string());
    assert_eq!((&archived[7]["talk_ms"], &archived[7]["caller"]), (&60_000.into(), &"1001".into()));
    assert_eq!(archived[7]["legs"][1]["party"]["number"], "1002");
    assert!(archived[7]["started_at"].as_str().unwrap().starts_with("2026-09-21T14:13:20.123456"));
}

#[tokio::test]
async fn a_record_that_cannot_be_archived_stays() {
    let mut home = Home::new();
    let file = home.config.data_dir.join("file");
    (home.config.keep_cdrs, home.config.archive_dir) = (Some(DAY), Some(file.join("archive")));
    let process = home.open().await;
    std::fs::write(&file, "no folder").unwrap();
    process.commit(&talked(1));
    process.store().await;
    let error = process.storage.retain(at(64) + DAY).await.unwrap_err();
    assert!(error.to_string().contains("archive"), "{error}");
    assert_eq!(count(&home, "cdrs").await, "1");
}
