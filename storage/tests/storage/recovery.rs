//! A process dies; the next one begins.

use std::fs::File;
use std::time::{Duration, SystemTime};

use sea_orm::ConnectionTrait;
use tandem_core::cause::Cause;
use tandem_core::event::Side;
use tandem_core::id::NodeId;
use tandem_core::time::WallTime;

use super::bus::within;
use super::support::{Home, LONG, Process, at, call_id, node, talked, uuid};

#[tokio::test]
async fn what_only_the_journal_had_is_stored_by_the_next_process() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1));
    process.commit(&talked(2));
    drop(process);
    assert_eq!(home.select("SELECT id FROM calls").await, [""; 0]);

    let next = home.open().await;
    assert_eq!(next.ledger.recover(node()).await.unwrap(), 0);
    assert_eq!(home.select("SELECT cast(talk_ms AS text) FROM cdrs").await, ["60000"; 2]);
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM events").await, ["16"]);
}

#[tokio::test]
async fn an_entry_that_was_being_written_is_cut_off_and_those_before_it_are_kept() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1)[..3]);
    drop(process);
    let segment = home.journal("000000000001.journal");
    let whole = std::fs::metadata(&segment).unwrap().len();
    File::options().write(true).open(&segment).unwrap().set_len(whole - 5).unwrap();

    let next = home.open().await;
    assert!(std::fs::metadata(&segment).unwrap().len() < whole - 5);
    next.store().await;
    assert_eq!(home.select("SELECT cast(max(seq) AS text) FROM events").await, ["2"]);
    next.commit(&talked(1)[2..]);
    next.store().await;
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM cdrs").await, ["1"]);
}

#[tokio::test]
async fn an_answered_call_without_an_end_gets_exactly_one_record_however_often_it_is_recovered() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1)[..4]);
    process.commit(&talked(2));
    process.store().await;
    drop(process);

    let next = home.open().await;
    assert_eq!(next.ledger.recover(node()).await.unwrap(), 1);
    assert_eq!(next.ledger.recover(node()).await.unwrap(), 0);
    drop(next);
    let third = home.open().await;
    assert_eq!(third.ledger.recover(node()).await.unwrap(), 0);

    let cdr = third.storage.cdr(call_id(1)).await.unwrap().unwrap();
    assert_eq!((cdr.cause, cdr.ended_by, cdr.answered_at), (Cause::NodeLost, Side::System, Some(at(3))));
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM cdrs").await, ["2"]);
    let facts = third.storage.facts(call_id(1)).await.unwrap();
    assert_eq!(
        facts.iter().map(|fact| fact.body.name()).collect::<Vec<_>>()[4..],
        ["ended", "leg_ended", "leg_ended", "cdr"]
    );
    assert_eq!(home.select("SELECT status FROM calls WHERE closed").await, ["completed"; 2]);
}

#[tokio::test]
async fn a_call_whose_end_is_known_keeps_it_and_only_gets_its_record() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1)[..7]);
    drop(process);
    let next = home.open().await;
    assert_eq!(next.ledger.recover(node()).await.unwrap(), 1);
    let cdr = next.storage.cdr(call_id(1)).await.unwrap().unwrap();
    assert_eq!((cdr.cause, cdr.talk_ms, cdr.ended_at), (Cause::Normal, 60_000, at(63)));
}

/// The loop runs until the heart has beaten.
async fn beats(home: &Home, process: &Process) {
    let file = home.journal("heartbeat");
    File::options().append(true).open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let has_beaten = || async {
        let beat = std::fs::metadata(&file).unwrap().modified().unwrap();
        (beat > SystemTime::UNIX_EPOCH).then_some(())
    };
    tokio::select! {
        () = process.ledger.write_loop() => panic!("the loop never returns"),
        () = within(LONG, "a beat", has_beaten) => {}
    }
}

#[tokio::test]
async fn a_lost_call_ends_when_its_node_was_last_alive() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1)[..4]);
    beats(&home, &process).await;
    drop(process);
    let alive = SystemTime::UNIX_EPOCH + Duration::from_micros(at(30).0.unsigned_abs());
    File::options().append(true).open(home.journal("heartbeat")).unwrap().set_modified(alive).unwrap();

    let next = home.open().await;
    assert_eq!(next.ledger.recover(node()).await.unwrap(), 1);
    let cdr = next.storage.cdr(call_id(1)).await.unwrap().unwrap();
    assert_eq!((cdr.ended_at, cdr.talk_ms), (at(30), 27_000));
}

#[tokio::test]
async fn the_heart_beats_while_the_loop_runs() {
    let home = Home::new();
    let process = home.open().await;
    for _ in 0..2 {
        beats(&home, &process).await;
    }
}

#[tokio::test]
async fn calls_of_other_nodes_are_left_alone() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1)[..4]);
    process.store().await;
    assert_eq!(process.ledger.recover(NodeId::from_uuid(uuid(0x41))).await.unwrap(), 0);
    assert_eq!(process.storage.cdr(call_id(1)).await.unwrap(), None);
    assert_eq!(process.storage.recent_calls(1).await.unwrap()[0].ended_at, None::<WallTime>);
}

#[tokio::test]
async fn a_call_with_damaged_facts_stays_open_and_keeps_nobody_from_starting() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1)[..4]);
    process.commit(&talked(2)[..4]);
    process.store().await;
    let damage = format!("UPDATE events SET payload = '{{' WHERE aggregate = '{}' AND seq = 2", call_id(1));
    home.other_program().await.execute_unprepared(&damage).await.unwrap();

    assert_eq!(process.ledger.recover(node()).await.unwrap(), 1);
    assert_eq!(process.storage.cdr(call_id(1)).await.unwrap(), None);
    assert_eq!(process.storage.cdr(call_id(2)).await.unwrap().unwrap().cause, Cause::NodeLost);
}
