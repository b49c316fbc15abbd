//! The database, the disk or another process is in the way.

use std::os::unix::fs::symlink;
use std::time::Duration;

use sea_orm::{ConnectionTrait, TransactionTrait};
use tandem_core::metric::{Counter, Gauge};
use tandem_storage::{Bus, JournalError, Ledger};

use super::bus::within;
use super::support::{Home, LONG, on, talked};

#[tokio::test]
async fn a_database_that_is_away_for_a_while_loses_nothing() {
    let mut home = Home::new();
    home.config.statement_timeout = Duration::from_millis(200);
    let process = home.open().await;
    // Another one has it all to itself.
    let other = home.other_program().await;
    let other = other.begin().await.unwrap();
    other.execute_unprepared(&on("UPDATE calls SET id = id", "LOCK TABLE calls")).await.unwrap();
    process.commit(&talked(1));

    let retries = || async { (process.metrics.counter(Counter::LedgerRetries) > 0).then_some(()) };
    tokio::select! {
        () = process.ledger.write_loop() => panic!("the writer returned"),
        () = within(LONG, "a try that failed", retries) => {}
    }
    assert_eq!(process.metrics.gauge(Gauge::JournalBacklog), 8);
    assert_eq!(process.ledger.flush(Duration::from_millis(100)).await.unwrap_err().left, 8);
    process.commit(&talked(2));

    other.rollback().await.unwrap();
    process.store().await;
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM events").await, ["16"]);
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM cdrs").await, ["2"]);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_raises_the_alarm_and_its_entries_are_written_later() {
    let home = Home::new();
    let process = home.open().await;
    // The first segment is a disk without room.
    symlink("/dev/full", home.journal("000000000001.journal")).unwrap();
    assert!(process.ledger.is_writable());
    process.commit(&talked(1));
    assert!(!process.ledger.is_writable());
    assert_eq!(process.metrics.gauge(Gauge::JournalBacklog), 8);

    process.store().await;
    assert!(process.ledger.is_writable());
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM cdrs").await, ["1"]);
}

#[tokio::test]
async fn a_journal_has_one_process() {
    let home = Home::new();
    let process = home.open().await;
    let bus = Bus::new(1, process.metrics.clone());
    let second = Ledger::open(process.storage.clone(), bus);
    assert!(matches!(second, Err(JournalError::InUse)));
}

#[tokio::test]
async fn full_segments_go_when_all_that_is_in_them_is_stored() {
    let mut home = Home::new();
    home.config.segment_bytes = 4_096;
    let process = home.open().await;
    let segments = || {
        let files = std::fs::read_dir(home.journal("")).unwrap();
        files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".journal")).count()
    };
    for n in 0..20 {
        process.commit(&talked(n));
    }
    assert!(segments() > 5);
    process.store().await;
    assert_eq!(segments(), 1);
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM cdrs").await, ["20"]);
}

#[tokio::test]
async fn a_loop_that_is_dropped_at_any_moment_and_begun_again_stores_everything_once() {
    let mut home = Home::new();
    home.config.batch = 7;
    let process = home.open().await;
    for n in 0..50 {
        process.commit(&talked(n));
    }
    for micros in (0..4_000).step_by(97) {
        let _ = tokio::time::timeout(Duration::from_micros(micros), process.ledger.write_loop()).await;
    }
    process.ledger.flush(LONG).await.unwrap();
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM events").await, ["400"]);
    assert_eq!(home.select("SELECT DISTINCT status || last_fact FROM calls").await, ["completed8"]);
    assert_eq!(process.metrics.gauge(Gauge::JournalBacklog), 0);
}
