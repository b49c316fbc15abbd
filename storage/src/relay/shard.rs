//! A shard of the outbox: whose turn it is, what is in it, and what became of it.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, NullOrdering, Query};
use sea_orm::{DbErr, JoinType, Order, QueryOrder, QuerySelect};

use super::publish::{Outcome, Row};
use super::to_event;
use crate::entity::outbox_shard::{Column as Shard, Entity as Shards};
use crate::entity::{event, outbox};
use crate::time::now;

/// Rows that are published at a time.
const BATCH: u64 = 500;
/// How often an event is offered that the bus refuses. Then it is set aside, and those behind it go on without it.
const TRIES: i16 = 5;

/// The shard that waited longest, of those which have rows, that nobody else has and nobody holds. Locked until the
/// transaction ends, where a database locks rows.
pub(super) async fn take(db: &impl ConnectionTrait) -> Result<Option<i16>, DbErr> {
    let rows = Query::select()
        .expr(Expr::val(1))
        .from(outbox::Entity)
        .and_where(Expr::col((outbox::Entity, outbox::Column::Shard)).equals((Shards, Shard::Shard)))
        .and_where(outbox::Column::RefusedAt.is_null())
        .to_owned();
    Shards::find()
        .select_only()
        .column(Shard::Shard)
        .filter(Expr::exists(rows))
        .filter(Shard::HeldUntil.is_null().or(Shard::HeldUntil.lt(now().date_time())))
        .order_by_with_nulls(Shard::TriedAt, Order::Asc, NullOrdering::First)
        .limit(1)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .one(db)
        .await
}

/// The first rows of a shard, in order.
pub(super) async fn rows(db: &impl ConnectionTrait, shard: i16) -> Result<Vec<Row>, DbErr> {
    use event::Column as Event;
    outbox::Entity::find()
        .select_only()
        .columns([outbox::Column::Id, outbox::Column::CreatedAt])
        .columns([Event::Aggregate, Event::Seq, Event::Subject, Event::Payload])
        .join(JoinType::InnerJoin, to_event())
        .filter(outbox::Column::Shard.eq(shard))
        .filter(outbox::Column::RefusedAt.is_null())
        .order_by_asc(outbox::Column::Id)
        .limit(BATCH)
        .into_model()
        .all(db)
        .await
}

/// Notes what became of a batch: what is published goes, what is refused is counted, and in the end set aside.
pub(super) async fn settle(db: &impl ConnectionTrait, shard: i16, outcome: &Outcome) -> Result<(), DbErr> {
    let at = now().date_time();
    if !outcome.published.is_empty() {
        let published = outcome.published.iter().copied();
        outbox::Entity::delete_many().filter(outbox::Column::Id.is_in(published)).exec(db).await?;
    }
    for (id, why) in &outcome.refused {
        use outbox::Column::{Attempts, Error, Id, RefusedAt};
        let tried = Expr::col(Attempts).add(1);
        let refused = outbox::Entity::update_many().col_expr(Error, Expr::value(why.as_str()));
        refused.col_expr(Attempts, tried).filter(Id.eq(*id)).exec(db).await?;
        let set_aside = outbox::Entity::update_many().col_expr(RefusedAt, Expr::value(at));
        set_aside.filter(Id.eq(*id)).filter(Expr::col(Attempts).gte(TRIES)).exec(db).await?;
    }
    if let Some(why) = &outcome.failure {
        return failed(db, Some(shard), why).await;
    }
    let mut took_turn = Shards::update_many().col_expr(Shard::TriedAt, Expr::value(at));
    if !outcome.published.is_empty() {
        took_turn = took_turn
            .col_expr(Shard::PublishedAt, Expr::value(at))
            .col_expr(Shard::FailedAt, Expr::value(Option::<DateTimeUtc>::None))
            .col_expr(Shard::Error, Expr::value(Option::<String>::None));
    }
    took_turn.filter(Shard::Shard.eq(shard)).exec(db).await.map(drop)
}

/// Notes that nothing gets through, of one shard or of all of them.
pub(super) async fn failed(db: &impl ConnectionTrait, shard: Option<i16>, why: &str) -> Result<(), DbErr> {
    let at = now().date_time();
    let since = Expr::col(Shard::FailedAt).if_null(Expr::value(at));
    let failed = Shards::update_many().col_expr(Shard::FailedAt, since).col_expr(Shard::Error, Expr::value(why));
    let failed = match shard {
        Some(shard) => failed.col_expr(Shard::TriedAt, Expr::value(at)).filter(Shard::Shard.eq(shard)),
        // Said once, not with every try.
        None => failed.filter(Shard::Error.is_null().or(Shard::Error.ne(why))),
    };
    failed.exec(db).await.map(drop)
}

/// Withdraws what was complained of: the bus is in order, and what is not will be told again.
pub(super) async fn recovered(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let well = Shards::update_many()
        .col_expr(Shard::FailedAt, Expr::value(Option::<DateTimeUtc>::None))
        .col_expr(Shard::Error, Expr::value(Option::<String>::None));
    well.filter(Shard::FailedAt.is_not_null()).exec(db).await.map(drop)
}
