//! The old outbox was two things: the history of every call, and what is on its way to the bus. Now they are two tables.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_pk_auto, integer, small_integer, string, string_len, string_len_null, string_null, text, text_null,
    timestamp_with_time_zone, timestamp_with_time_zone_null,
};
use sea_orm_migration::sea_orm::ConnectionTrait;
use sea_orm_migration::sea_orm::prelude::DateTimeUtc;
use serde_json::{Value, json};

use crate::outbox::{SHARDS, shard};

/// Rows that are carried over at a time.
const PAGE: u64 = 1_000;
/// What the history has in common with the outbox of old.
const SHARED: [&str; 8] =
    ["aggregate", "seq", "tenant", "correlation_id", "event_type", "subject", "payload", "created_at"];

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.rename_table(Table::rename().table("outbox", "outbox_old").to_owned()).await?;
        for table in [events(), outbox(), shards()] {
            manager.create_table(table).await?;
        }
        let db = manager.get_connection();
        let mut rows = Query::insert().into_table("outbox_shards").columns(["shard"]).to_owned();
        for shard in 0..SHARDS {
            rows.values([shard.into()]).map_err(wrong)?;
        }
        db.execute(&rows).await?;
        let history = Query::select().columns(SHARED).from("outbox_old").to_owned();
        db.execute(Query::insert().into_table("events").columns(SHARED).select_from(history).map_err(wrong)?).await?;
        carry_pending(db).await?;
        manager.drop_table(Table::drop().table("outbox_old").to_owned()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.rename_table(Table::rename().table("outbox", "outbox_new").to_owned()).await?;
        manager.create_table(old_outbox()).await?;
        restore(manager.get_connection()).await?;
        for table in ["outbox_new", "outbox_shards", "events"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for index in old_indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn events() -> TableCreateStatement {
    Table::create()
        .table("events")
        .col(string_len("aggregate", 48))
        .col(integer("seq"))
        .col(string_len("tenant", 32))
        .col(string_len_null("correlation_id", 32))
        .col(string("event_type"))
        .col(string("subject"))
        .col(text("payload"))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("aggregate").col("seq"))
        .to_owned()
}

fn outbox() -> TableCreateStatement {
    Table::create()
        .table("outbox")
        .col(big_pk_auto("id"))
        .col(small_integer("shard"))
        .col(string_len("aggregate", 48))
        .col(integer("seq"))
        .col(timestamp_with_time_zone("created_at"))
        .col(small_integer("attempts").default(0))
        .col(timestamp_with_time_zone_null("refused_at"))
        .col(text_null("error"))
        .to_owned()
}

fn shards() -> TableCreateStatement {
    Table::create()
        .table("outbox_shards")
        .col(small_integer("shard").primary_key())
        .col(timestamp_with_time_zone_null("tried_at"))
        .col(timestamp_with_time_zone_null("published_at"))
        .col(timestamp_with_time_zone_null("failed_at"))
        .col(text_null("error"))
        .col(string_null("held_by"))
        .col(timestamp_with_time_zone_null("held_until"))
        .to_owned()
}

/// Made after the rows: the names of the old ones are free by then.
fn indexes() -> [IndexCreateStatement; 4] {
    let index = |name, table| Index::create().name(name).table(table).to_owned();
    [
        index("events_correlation_id", "events").col("correlation_id").to_owned(),
        index("events_tenant_created_at", "events").col("tenant").col("created_at").to_owned(),
        index("outbox_event", "outbox").col("aggregate").col("seq").unique().to_owned(),
        index("outbox_shard", "outbox").col("shard").col("id").to_owned(),
    ]
}

/// What was not published yet stays on its way, in its order.
async fn carry_pending(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let mut last = 0_i64;
    loop {
        let pending = Query::select()
            .columns(["id", "aggregate", "seq", "created_at"])
            .from("outbox_old")
            .and_where(Expr::col("published_at").is_null())
            .and_where(Expr::col("id").gt(last))
            .order_by("id", Order::Asc)
            .limit(PAGE)
            .to_owned();
        let rows = db.query_all(&pending).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let columns = ["shard", "aggregate", "seq", "created_at"];
        let mut insert = Query::insert().into_table("outbox").columns(columns).to_owned();
        for row in rows {
            last = row.try_get("", "id")?;
            let (aggregate, seq): (String, i32) = (row.try_get("", "aggregate")?, row.try_get("", "seq")?);
            let created_at: DateTimeUtc = row.try_get("", "created_at")?;
            let shard = shard(&aggregate);
            insert.values([shard.into(), aggregate.into(), seq.into(), created_at.into()]).map_err(wrong)?;
        }
        db.execute(&insert).await?;
    }
}

/// As m0003 made it.
fn old_outbox() -> TableCreateStatement {
    Table::create()
        .table("outbox")
        .col(big_pk_auto("id"))
        .col(string_len("tenant", 32))
        .col(string_len("aggregate", 48))
        .col(integer("seq"))
        .col(string_len("correlation_id", 32))
        .col(string("event_type"))
        .col(string("subject"))
        .col(text("payload"))
        .col(text("fact"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("published_at"))
        .to_owned()
}

fn old_indexes() -> [IndexCreateStatement; 2] {
    let index = |name| Index::create().name(name).table("outbox").to_owned();
    let unpublished = Expr::col("published_at").is_null();
    [
        index("outbox_once").col("aggregate").col("seq").unique().to_owned(),
        index("outbox_unpublished").col("id").and_where(unpublished).to_owned(),
    ]
}

/// The whole history goes back into the outbox; what is not on its way any more was published when it was made.
async fn restore(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let mut last = (String::new(), 0_i32);
    loop {
        let after = Expr::tuple([Expr::col("aggregate"), Expr::col("seq")])
            .gt(Expr::tuple([last.0.clone().into(), last.1.into()]));
        let page = Query::select()
            .columns(SHARED)
            .from("events")
            .and_where(after)
            .order_by("aggregate", Order::Asc)
            .order_by("seq", Order::Asc)
            .limit(PAGE)
            .to_owned();
        let rows = db.query_all(&page).await?;
        if rows.is_empty() {
            break;
        }
        let columns = SHARED.into_iter().chain(["fact", "published_at"]);
        let mut insert = Query::insert().into_table("outbox").columns(columns).to_owned();
        for row in rows {
            last = (row.try_get("", "aggregate")?, row.try_get("", "seq")?);
            let text = |column| row.try_get::<String>("", column);
            let correlation: Option<String> = row.try_get("", "correlation_id")?;
            let created_at: DateTimeUtc = row.try_get("", "created_at")?;
            let payload = text("payload")?;
            let fact = fact(&payload).to_string();
            insert
                .values([
                    last.0.clone().into(),
                    last.1.into(),
                    text("tenant")?.into(),
                    correlation.unwrap_or_default().into(),
                    text("event_type")?.into(),
                    text("subject")?.into(),
                    payload.into(),
                    created_at.into(),
                    fact.into(),
                    created_at.into(),
                ])
                .map_err(wrong)?;
        }
        db.execute(&insert).await?;
    }
    let waits = Query::select().column("seq").from("outbox_new").to_owned();
    let same = |column| Expr::col(("outbox_new", column)).equals(("outbox", column));
    let waits = { waits }.and_where(same("aggregate")).and_where(same("seq")).to_owned();
    let pending = Query::update()
        .table("outbox")
        .value("published_at", Option::<DateTimeUtc>::None)
        .and_where(Expr::exists(waits))
        .to_owned();
    db.execute(&pending).await?;
    Ok(())
}

/// The fact of an event, as the outbox of old had it. Worded for the events of that time; `null` for what was none.
fn fact(payload: &str) -> Value {
    let Ok(event) = serde_json::from_str::<Value>(payload) else { return Value::Null };
    let text = |key: &str| event.get(key).and_then(Value::as_str);
    let node = text("source").and_then(|it| it.strip_prefix("/tandem/"));
    let mut fact = json!({
        "context": { "tenant": event.get("tenantid"), "correlation_id": event.get("correlationid"), "node": node },
        "call": event.get("callid"),
        "number": event.get("seq"),
        "at": event.get("time"),
        "body": event.get("data"),
    });
    let cause = text("causationid").and_then(|it| it.split_once('.'));
    if let (Some((from, number)), Some(fields)) = (cause, fact.as_object_mut()) {
        fields.insert("caused_by".to_owned(), json!({ "from": from, "number": number.parse::<u64>().ok() }));
    }
    fact
}

fn wrong(error: impl std::fmt::Display) -> DbErr {
    DbErr::Migration(error.to_string())
}
