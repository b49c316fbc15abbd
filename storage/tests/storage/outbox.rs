//! The history of calls, and what of it is on its way.

use sea_orm_migration::MigratorTrait;
use tandem_storage::Migrations;

use super::support::{Heard, Home, call_id, line, node, talked};

/// Steps of the schema up to the outbox of old.
const BEFORE_EVENTS: u32 = 6;

#[tokio::test]
async fn the_outbox_of_old_becomes_history_and_queue_and_can_be_had_back() {
    let home = Home::new();
    drop(home.open().await);
    let db = home.other_program().await;
    let steps = u32::try_from(Migrations::migrations().len()).unwrap();
    Migrations::down(&db, Some(steps - BEFORE_EVENTS)).await.unwrap();
    // Two events of a call as the program of old wrote them: one published, one not.
    for (fact, published) in talked(1)[4..6].iter().zip(["'2026-09-21T14:13:21+00:00'", "NULL"]) {
        let (payload, fact_text) = (serde_json::to_string(&fact.cloud_event()), serde_json::to_string(fact));
        let values = [
            fact.number.to_string(),
            "default".to_owned(),
            fact.call.to_string(),
            fact.number.to_string(),
            fact.context.correlation_id.to_string(),
            fact.body.event_type().to_owned(),
            fact.subject(),
            payload.unwrap(),
            fact_text.unwrap(),
            "2026-09-21T14:13:20.123456+00:00".to_owned(),
        ]
        .join("', '");
        home.execute(&format!("INSERT INTO outbox VALUES ('{values}', {published})")).await;
    }
    let old = "SELECT concat_ws('|', seq, tenant, correlation_id, event_type, subject, payload, fact, created_at, \
        published_at IS NULL) FROM outbox ORDER BY id";
    let before = home.select(old).await;

    Migrations::up(&db, None).await.unwrap();
    let history = home.select("SELECT cast(seq AS text) FROM events ORDER BY seq").await;
    assert_eq!(history, ["5", "6"]);
    let queue = format!("SELECT {} FROM outbox", line("aggregate, seq, attempts, created_at"));
    let waiting = format!("{}|6|0|2026-09-21T14:13:20.123456+00:00", call_id(1));
    assert_eq!(home.select(&queue).await, [waiting]);
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM outbox_shards").await, ["16"]);

    Migrations::down(&db, Some(steps - BEFORE_EVENTS)).await.unwrap();
    let facts = home.select("SELECT fact FROM outbox ORDER BY seq").await;
    let facts: Vec<tandem_core::event::Fact> = facts.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(facts, talked(1)[4..6]);
    // The fields of a fact come in another order.
    let after = home.select(&old.replace(" fact,", "")).await;
    let without_fact =
        |row: &String| row.split('|').enumerate().filter(|it| it.0 != 6).map(|it| it.1.to_owned()).collect();
    let before: Vec<Vec<String>> = before.iter().map(without_fact).collect();
    assert_eq!(after.iter().map(|row| row.split('|').map(str::to_owned).collect()).collect::<Vec<Vec<_>>>(), before);
}

#[tokio::test]
async fn an_event_stays_in_the_history_when_it_is_published_and_its_place_in_the_queue_goes() {
    let home = Home::new();
    let process = home.open().await;
    process.commit(&talked(1)[..4]);
    process.store().await;
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM outbox").await, ["4"]);
    let mut bus = Heard::of(&home, &process);
    process.relay().await;
    assert_eq!(bus.all().await.len(), 4);
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM outbox").await, ["0"]);
    assert_eq!(home.select("SELECT cast(count(*) AS text) FROM events").await, ["4"]);

    // A repeated commit is not published again.
    process.commit(&talked(1)[..5]);
    process.store().await;
    assert_eq!(home.select("SELECT cast(seq AS text) FROM outbox").await, ["5"]);
    assert_eq!(process.ledger.recover(node()).await.unwrap(), 1);
}
