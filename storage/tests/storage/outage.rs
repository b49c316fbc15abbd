//! The server dies, is away, or answers something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tandem_core::metric::{Counter, Gauge};
use tandem_storage::{Config, OpenError, Storage};
use tandem_testbed::postgres::{Durability, Postgres};

use super::support::{Home, LONG, call_id, talked};

/// A folder whose database is in a cluster that the test may kill.
fn killable() -> (Home, Postgres) {
    let postgres = Postgres::begin(Durability::Process).unwrap();
    let mut home = Home::at(Some(postgres.url("postgres")));
    home.config.acquire_timeout = Duration::from_millis(500);
    (home, postgres)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_while_facts_are_written_loses_and_doubles_none() {
    const CALLS: u128 = 300;
    let (mut home, postgres) = killable();
    home.config.batch = 20;
    let process = Arc::new(home.open().await);
    let is_done = Arc::new(AtomicBool::new(false));
    let (writing, done) = (process.clone(), is_done.clone());
    let writer = tokio::spawn(async move {
        let calls = async {
            for n in 0..CALLS {
                writing.commit(&talked(n));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            done.store(true, Relaxed);
        };
        tokio::select! {
            () = writing.ledger.write_loop() => panic!("the writer returned"),
            () = calls => {}
        }
    });
    while !is_done.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let killed = tokio::task::block_in_place(|| postgres.kill9().and_then(|()| postgres.start()));
        killed.unwrap();
    }
    writer.await.unwrap();
    process.ledger.flush(LONG).await.unwrap();
    assert_eq!(process.metrics.gauge(Gauge::JournalBacklog), 0);
    assert_eq!(process.metrics.counter(Counter::FactsPoisoned), 0);
    assert!(process.metrics.counter(Counter::LedgerRetries) > 0, "it was never in the way");
    let count = "SELECT concat(count(*), ' ', count(DISTINCT call_id)) FROM cdrs";
    assert_eq!(home.select(count).await, ["300 300"]);
    assert_eq!(home.select("SELECT DISTINCT concat(status, last_fact, closed) FROM calls").await, ["completed8t"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_a_server_that_is_away_and_gives_up_when_it_was_told_to() {
    let (mut home, postgres) = killable();
    tokio::task::block_in_place(|| postgres.stop()).unwrap();

    let impatient = Config { connect_timeout: Duration::ZERO, ..home.config.clone() };
    let error = Storage::open(&impatient, Arc::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::Connect(_)), "{error:?}");

    home.config.connect_timeout = LONG;
    let config = home.config.clone();
    let opening = tokio::spawn(async move { Storage::open(&config, Arc::default()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!opening.is_finished());
    tokio::task::block_in_place(|| postgres.start()).unwrap();
    assert!(opening.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_whose_server_vanished_without_a_word_are_replaced() {
    let (mut home, postgres) = killable();
    home.config.statement_timeout = Duration::from_millis(500);
    let process = home.open().await;
    for n in 0..3 {
        process.commit(&talked(n));
        process.store().await;
        assert_eq!(process.storage.recent_calls(10).await.unwrap().len(), 1 + usize::try_from(n).unwrap());
        postgres.freeze_connections();
        let frozen = Instant::now();
        process.commit(&talked(10 + n));
        process.store().await;
        assert!(frozen.elapsed() >= home.config.acquire_timeout, "it was not in the way");
        home.execute(&format!("DELETE FROM calls WHERE id = '{}'", call_id(10 + n))).await;
        // Readers come back as well, each after its deadline.
        let read = async { while process.storage.recent_calls(10).await.is_err() {} };
        tokio::time::timeout(LONG, read).await.unwrap();
    }
    tokio::task::block_in_place(|| postgres.kill9()).unwrap();
}

#[tokio::test]
async fn a_password_that_is_not_where_it_should_be_ends_the_start() {
    let mut home = Home::new();
    home.config.database_password_file = Some("/nowhere/password".into());
    let error = Storage::open(&home.config, Arc::default()).await.unwrap_err();
    assert!(matches!(&error, OpenError::PasswordFile { path, .. } if path.ends_with("password")), "{error:?}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_no_reason_to_wait() {
    let home = Home::new();
    let nowhere = Some(Postgres::shared().url("nowhere").into());
    let config = Config { database_url: nowhere, connect_timeout: 100 * LONG, ..home.config.clone() };
    let opening = tokio::time::timeout(LONG, Storage::open(&config, Arc::default()));
    let error = opening.await.unwrap().unwrap_err();
    assert!(matches!(&error, OpenError::Connect(why) if why.to_string().contains("nowhere")), "{error:?}");
}

#[tokio::test]
async fn nodes_that_start_at_once_on_an_empty_database_make_one_schema() {
    let home = Home::new();
    let other = Home::at(home.url.clone());
    let open = |config: Config| async move { Storage::open(&config, Arc::default()).await.unwrap() };
    let (one, two) = tokio::join!(open(home.config.clone()), open(other.config.clone()));
    assert_eq!(one.signing_keys().await.unwrap(), two.signing_keys().await.unwrap());
}
