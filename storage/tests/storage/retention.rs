//! What is too old goes, and nothing else.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use tandem_core::audit::{Action, Actor, AuditEvent, Deed};
use tandem_core::id::{AuditId, Tenant};
use tandem_core::location::BindingChange;
use tandem_core::metric::Counter;
use tandem_core::ports::LedgerPort as _;
use tandem_storage::{Engine, Outcome, Retired};

use super::ENGINE;
use super::support::{Home, at, binding, call_id, node, talked, uuid};
use super::webhooks::add;

const DAY: Duration = Duration::from_secs(86_400);

async fn count(home: &Home, table: &str) -> String {
    home.select(&format!("SELECT cast(count(*) AS text) FROM {table}")).await.remove(0)
}

#[tokio::test]
async fn events_go_when_they_are_old_published_and_of_calls_that_are_closed() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1));
    process.commit(&talked(2)[..4]);
    process.store().await;
    process.relay().await;
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
    process.relay().await;
    assert_eq!(process.storage.retain(long_ago).await.unwrap().events, 8);
    assert_eq!((count(&home, "calls").await, count(&home, "cdrs").await), ("3".to_owned(), "2".to_owned()));
}

#[tokio::test]
async fn an_event_stays_while_a_webhook_may_ask_for_it() {
    let home = Home::new();
    let process = home.open().await;
    let tenant = Tenant::default_tenant();
    let webhook = add(&process.storage, &tenant, &["tandem.call.answered"], 9).await.unwrap();
    for n in 1..=3 {
        process.commit(&talked(n));
    }
    process.store().await;
    process.relay().await;
    home.execute("UPDATE events SET created_at = '2026-01-01T00:00:00+00:00'").await;
    let later = at(0) + 400 * DAY;
    let claimed = process.storage.claim_deliveries(webhook, 9, later, DAY).await.unwrap();
    assert_eq!(claimed.len(), 3);
    let settle = async |n: usize, outcome: Outcome| {
        process.storage.settle_delivery(webhook, &claimed[n], &outcome, |_| None).await.unwrap();
    };
    // One is delivered, one given up, one waits.
    settle(0, Outcome::Delivered { status: 200 }).await;
    settle(1, Outcome::Failed { status: None, error: "no".to_owned(), next_at: None, gone: false }).await;
    assert_eq!(process.storage.retain(later).await.unwrap().events, 22);
    let mut left = home.select("SELECT concat(aggregate, '.', seq) FROM events").await;
    left.sort_unstable();
    let mut expected = [claimed[1].event_id.clone(), claimed[2].event_id.clone()];
    expected.sort_unstable();
    assert_eq!(left, expected);
    settle(2, Outcome::Delivered { status: 200 }).await;
    assert_eq!(process.storage.prune_deliveries(later).await.unwrap(), 3);
    assert_eq!(process.storage.retain(later).await.unwrap().events, 2);
}

#[tokio::test]
async fn the_audit_goes_after_its_time_and_registrations_when_they_are_long_over_whosever_they_are() {
    let mut home = Home::new();
    home.config.keep_audit = Some(30 * DAY);
    let process = home.open().await;
    let now = at(0);
    for (n, age) in [(1, 31), (2, 29)] {
        let deed = Deed::new(Tenant::default_tenant(), Actor::Nobody, Action::SignIn, "x");
        let at = tandem_core::time::WallTime(now.0 - age * 86_400_000_000);
        let (id, node) = (AuditId::from_uuid(uuid(n)), node());
        process.ledger.audit(&AuditEvent { id, node, at, hushed: 0, deed });
    }
    for (n, ends_in) in [(1, -90_000), (2, -80_000), (3, 60)] {
        process.ledger.bind(&BindingChange::Bound(binding(&format!("sip:{n}@h"), at(ends_in))));
    }
    process.store().await;
    home.execute("UPDATE registrations SET node_id = 'another'").await;
    let retired = process.storage.retain(now).await.unwrap();
    assert_eq!((retired.audits, retired.registrations), (1, 1));
    assert_eq!(count(&home, "audit_events").await, "1");
    assert_eq!(home.select("SELECT contact FROM registrations ORDER BY 1").await, ["sip:2@h", "sip:3@h"]);
}

#[tokio::test]
async fn of_nodes_that_share_a_database_one_archives() {
    if ENGINE == Engine::Sqlite {
        // One node has the file.
        return;
    }
    let mut home = Home::new();
    (home.config.keep_events, home.config.keep_cdrs) = (None, Some(DAY));
    let process = home.open().await;
    process.commit(&talked(1));
    process.store().await;
    let other = home.other_program().await;
    let other = other.begin().await.unwrap();
    other.execute_unprepared("SELECT pg_advisory_xact_lock(27428844020004453)").await.unwrap();
    assert_eq!(process.storage.retain(at(64) + DAY).await.unwrap().cdrs, 0);
    other.rollback().await.unwrap();
    assert_eq!(process.storage.retain(at(64) + DAY).await.unwrap().cdrs, 1);
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
