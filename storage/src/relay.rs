//! From the outbox to the bus: in order, at least once.

use std::error::Error;

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, JoinType, QueryOrder, QuerySelect};
use tandem_core::metric::Counter;
use tokio::time::sleep;

use crate::bus::PublishedEvent;
use crate::entity::{event, outbox};
use crate::ledger::Ledger;
use crate::time::Waits;

/// Rows that are published at a time.
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

    /// Publishes one batch and takes it out of the outbox. Returns how many rows it had.
    async fn relay_batch(&self) -> Result<usize, DbErr> {
        let mut published = self.published.lock().await;
        let rows: Vec<(i64, String, String)> = outbox::Entity::find()
            .select_only()
            .column(outbox::Column::Id)
            .columns([event::Column::Subject, event::Column::Payload])
            .join(JoinType::InnerJoin, to_event())
            .order_by_asc(outbox::Column::Id)
            .limit(BATCH)
            .into_tuple()
            .all(&self.storage.reader)
            .await?;
        let ids: Vec<i64> = rows.iter().map(|(id, ..)| *id).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        for (id, subject, payload) in rows {
            // Published before, and not taken out because the loop was dropped in between.
            if !published.contains(&id) {
                self.bus.send(PublishedEvent { subject, payload });
                self.storage.metrics.count(Counter::FactsPublished);
                published.insert(id);
            }
        }
        let relayed = ids.len();
        outbox::Entity::delete_many().filter(outbox::Column::Id.is_in(ids)).exec(&self.storage.writer).await?;
        published.clear();
        Ok(relayed)
    }
}

/// Every row of the outbox has its event.
fn to_event() -> RelationDef {
    use {event::Column as Event, outbox::Column as Outbox};
    outbox::Entity::belongs_to(event::Entity)
        .from((Outbox::Aggregate, Outbox::Seq))
        .to((Event::Aggregate, Event::Seq))
        .into()
}
