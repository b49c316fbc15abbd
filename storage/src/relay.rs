//! From the outbox to the bus: in order, at least once.

use std::error::Error;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{DbErr, QueryOrder, QuerySelect};
use tandem_core::metric::Counter;
use tokio::time::sleep;

use crate::bus::PublishedEvent;
use crate::entity::outbox::{Column, Entity};
use crate::ledger::Ledger;
use crate::time::{Waits, now};

/// Rows that are read and marked at a time.
const BATCH: u64 = 1_000;

impl Ledger {
    /// Publishes what was stored. Never returns; drop it to stop.
    pub async fn relay_loop(&self) {
        let mut waits = Waits::new();
        loop {
            match self.relay_batch().await {
                Ok(0) => self.stored.notified().await,
                Ok(_) => {}
                Err(error) => {
                    let wait = waits.after_failure();
                    tracing::error!(error = &error as &dyn Error, wait_ms = wait.as_millis(), "outbox is not relayed");
                    sleep(wait).await;
                }
            }
        }
    }

    /// Publishes and marks one batch. Returns how many rows it had.
    async fn relay_batch(&self) -> Result<usize, DbErr> {
        let mut published = self.published.lock().await;
        let rows: Vec<(i64, String, String)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::Subject, Column::Payload])
            .filter(Column::PublishedAt.is_null())
            .order_by_asc(Column::Id)
            .limit(BATCH)
            .into_tuple()
            .all(&self.storage.reader)
            .await?;
        let ids: Vec<i64> = rows.iter().map(|(id, ..)| *id).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        for (id, subject, payload) in rows {
            // Published before, and not marked because the loop was dropped in between.
            if id > *published {
                self.storage.published(&subject);
                self.bus.send(PublishedEvent { subject, payload });
                self.storage.metrics.count(Counter::FactsPublished);
                *published = id;
            }
        }
        let marked = ids.len();
        Entity::update_many()
            .col_expr(Column::PublishedAt, Expr::value(now().date_time()))
            .filter(Column::Id.is_in(ids))
            .exec(&self.storage.writer)
            .await?;
        Ok(marked)
    }
}
