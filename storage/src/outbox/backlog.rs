//! How much is on its way to the bus, what is in the way, and what was set aside.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{FromQueryResult, JoinType, QueryOrder, QuerySelect};
use tandem_core::time::WallTime;

use crate::database::{QueryError, Storage, in_time};
use crate::entity::{event, outbox, outbox_shard};
use crate::relay::to_event;

/// Most events that are named one by one.
const NAMED: u64 = 100;

/// The outbox as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Backlog {
    /// Every shard, in order.
    pub shards: Vec<ShardBacklog>,
    /// Events that the bus refused too often, the oldest hundred.
    pub refused: Vec<Refused>,
    /// How many they are in all.
    pub refused_in_all: u64,
}

/// A shard of the outbox.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ShardBacklog {
    /// Its number.
    pub shard: i16,
    /// Events that wait.
    pub waiting: i64,
    /// Since when the first of them does.
    pub oldest: Option<WallTime>,
    /// When the bus took something of it last.
    pub published_at: Option<WallTime>,
    /// Since when it fails, and why.
    pub failing: Option<(WallTime, String)>,
    /// Who holds it, and until when.
    pub held: Option<(String, WallTime)>,
}

/// An event that was set aside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Its id.
    pub event: String,
    /// Where it should have gone.
    pub subject: String,
    /// Since when it is set aside.
    pub refused_at: WallTime,
    /// What the bus said.
    pub why: String,
}

/// The outbox in three numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) waiting: i64,
    pub(crate) oldest: Option<WallTime>,
    pub(crate) refused: i64,
}

#[derive(FromQueryResult)]
struct Waiting {
    shard: i16,
    waiting: i64,
    oldest: Option<DateTimeUtc>,
}

impl Storage {
    /// What is on its way to the bus.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn outbox_backlog(&self) -> Result<Backlog, QueryError> {
        let waiting = self.waiting().await?;
        let states = outbox_shard::Entity::find().order_by_asc(outbox_shard::Column::Shard).all(&self.reader).await?;
        let shards = states.into_iter().map(|state| {
            let found = waiting.iter().find(|it| it.shard == state.shard);
            ShardBacklog {
                shard: state.shard,
                waiting: found.map_or(0, |it| it.waiting),
                oldest: found.and_then(|it| it.oldest).map(Into::into),
                published_at: state.published_at.map(Into::into),
                failing: state.failed_at.map(|at| (at.into(), state.error.unwrap_or_default())),
                held: state.held_until.map(|at| (state.held_by.unwrap_or_default(), at.into())),
            }
        });
        let shards = shards.collect();
        let (refused, refused_in_all) = (self.refused().await?, self.count_refused().await?);
        Ok(Backlog { shards, refused, refused_in_all })
    }

    /// Puts events that were set aside back into the queue, to be tried again. They come behind what was published
    /// meanwhile. Returns how many.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn retry_refused(&self) -> Result<u64, QueryError> {
        let again = outbox::Entity::update_many()
            .col_expr(outbox::Column::RefusedAt, Expr::value(Option::<DateTimeUtc>::None))
            .col_expr(outbox::Column::Attempts, Expr::value(0_i16))
            .filter(outbox::Column::RefusedAt.is_not_null());
        Ok(again.exec(&self.writer).await?.rows_affected)
    }

    pub(crate) async fn outbox_sizes(&self) -> Result<Sizes, QueryError> {
        let waiting = self.waiting().await?;
        let refused = self.count_refused().await?;
        Ok(Sizes {
            waiting: waiting.iter().map(|it| it.waiting).sum(),
            oldest: waiting.iter().filter_map(|it| it.oldest).min().map(Into::into),
            refused: i64::try_from(refused).unwrap_or(i64::MAX),
        })
    }

    /// Whether an event was published before: it is in the history and not in the queue.
    pub(crate) async fn has_history(&self) -> Result<bool, QueryError> {
        let published = event::Entity::find().select_only().column(event::Column::Seq);
        let published = published.filter(is_published()).limit(1);
        Ok(in_time(published.into_tuple::<i32>().one(&self.reader)).await?.is_some())
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, QueryError> {
        let waiting = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Shard)
            .column_as(outbox::Column::Id.count(), "waiting")
            .column_as(outbox::Column::CreatedAt.min(), "oldest")
            .filter(outbox::Column::RefusedAt.is_null())
            .group_by(outbox::Column::Shard);
        Ok(waiting.into_model().all(&self.reader).await?)
    }

    async fn count_refused(&self) -> Result<u64, QueryError> {
        Ok(outbox::Entity::find().filter(outbox::Column::RefusedAt.is_not_null()).count(&self.reader).await?)
    }

    async fn refused(&self) -> Result<Vec<Refused>, QueryError> {
        let rows: Vec<(String, i32, String, DateTimeUtc, Option<String>)> = outbox::Entity::find()
            .select_only()
            .columns([event::Column::Aggregate, event::Column::Seq, event::Column::Subject])
            .columns([outbox::Column::RefusedAt, outbox::Column::Error])
            .join(JoinType::InnerJoin, to_event())
            .filter(outbox::Column::RefusedAt.is_not_null())
            .order_by_asc(outbox::Column::Id)
            .limit(NAMED)
            .into_tuple()
            .all(&self.reader)
            .await?;
        let refused =
            |(aggregate, seq, subject, at, why): (String, i32, String, DateTimeUtc, Option<String>)| Refused {
                event: format!("{aggregate}.{seq}"),
                subject,
                refused_at: at.into(),
                why: why.unwrap_or_default(),
            };
        Ok(rows.into_iter().map(refused).collect())
    }
}

/// Of an event: it has no place in the queue.
pub(crate) fn is_published() -> Expr {
    let same = |a, b| Expr::col((outbox::Entity, a)).equals((event::Entity, b));
    let waiting = Query::select()
        .expr(Expr::val(1))
        .from(outbox::Entity)
        .and_where(same(outbox::Column::Aggregate, event::Column::Aggregate))
        .and_where(same(outbox::Column::Seq, event::Column::Seq))
        .to_owned();
    Expr::exists(waiting).not()
}
