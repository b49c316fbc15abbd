//! What became of a delivery, and of its webhook with it.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{DbErr, QuerySelect, TransactionTrait, UpdateMany};
use tandem_core::id::WebhookId;
use tandem_core::time::WallTime;
use tandem_core::webhook::DeliveryState;

use super::queue::{Claimed, is_pending};
use crate::database::{QueryError, Storage, in_time};
use crate::entity::{webhook_delivery, webhook_endpoint};
use crate::time::now;

use webhook_delivery::Column as Row;
use webhook_endpoint::Column as Endpoint;

/// Longest text that is kept of what was wrong, in characters.
const LONGEST_ERROR: usize = 200;

/// What became of a try.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was taken.
    Delivered {
        /// The answer's status.
        status: u16,
    },
    /// It was not.
    Failed {
        /// The answer's status, if there was an answer.
        status: Option<u16>,
        /// What was wrong.
        error: String,
        /// When it is tried again; `None`: it is given up.
        next_at: Option<WallTime>,
        /// The webhook is gone for good: it is switched off.
        gone: bool,
    },
}

impl Storage {
    /// Notes what became of a claimed delivery, and frees it; whether it was still the claim's. Until when its webhook is
    /// left alone says `rest`, by how many requests in a row failed.
    ///
    /// # Errors
    /// [`QueryError`]; it will be tried again after its lease.
    pub async fn settle_delivery(
        &self,
        webhook: WebhookId,
        claimed: &Claimed,
        outcome: &Outcome,
        rest: impl FnOnce(u32) -> Option<WallTime> + Send,
    ) -> Result<bool, QueryError> {
        in_time(async {
            let transaction = self.writer.begin().await?;
            // The webhook first: who removes it comes the same way.
            self::endpoint(&transaction, webhook, outcome, rest).await?;
            let mine = webhook_delivery::Entity::update_many()
                .filter(Row::Id.eq(claimed.id.to_string()))
                .filter(is_pending())
                .filter(Row::Attempts.eq(i64::from(claimed.attempts)))
                .col_expr(Row::LeasedUntil, Expr::value(Option::<DateTimeUtc>::None));
            let settled = delivery(mine, outcome).exec(&transaction).await?.rows_affected > 0;
            match settled {
                true => transaction.commit().await?,
                false => transaction.rollback().await?,
            }
            Ok(settled)
        })
        .await
    }

    /// Gives up what was waiting since before then for webhooks that are switched off or fail; says how many.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn give_up_deliveries(&self, since_before: WallTime) -> Result<u64, QueryError> {
        let mut given_up = 0;
        for (which, why) in [
            (Endpoint::Enabled.eq(false), "switched off"),
            (Endpoint::Enabled.eq(true).and(Endpoint::RestsUntil.is_not_null()), "it failed for too long"),
        ] {
            let those = Query::select().column(Endpoint::Id).from(webhook_endpoint::Entity).and_where(which).to_owned();
            let at = now().date_time();
            let waiting = webhook_delivery::Entity::update_many()
                .filter(is_pending())
                .filter(Row::Since.lt(since_before.date_time()))
                .filter(Row::LeasedUntil.is_null().or(Row::LeasedUntil.lte(at)))
                .filter(Row::WebhookId.in_subquery(those))
                .col_expr(Row::State, Expr::value(DeliveryState::Dead.name()))
                .col_expr(Row::LastError, Expr::value(why));
            given_up += in_time(waiting.exec(&self.writer)).await?.rows_affected;
        }
        Ok(given_up)
    }
}

/// How its webhook fares.
async fn endpoint(
    db: &impl ConnectionTrait,
    webhook: WebhookId,
    outcome: &Outcome,
    rest: impl FnOnce(u32) -> Option<WallTime>,
) -> Result<(), DbErr> {
    let it = || webhook_endpoint::Entity::update_many().filter(Endpoint::Id.eq(webhook.to_string()));
    let until = |at: Option<WallTime>| Expr::value(at.map(WallTime::date_time));
    match outcome {
        Outcome::Delivered { .. } => {
            let failing = it().filter(Endpoint::Failures.ne(0).or(Endpoint::RestsUntil.is_not_null()));
            let well = failing.col_expr(Endpoint::Failures, Expr::value(0)).col_expr(Endpoint::RestsUntil, until(None));
            well.exec(db).await?;
        }
        Outcome::Failed { gone, .. } => {
            let failed = it().col_expr(Endpoint::Failures, Expr::col(Endpoint::Failures).add(1));
            let reason = Some(String::from("gone: it answered 410"));
            let failed = match gone {
                true => failed
                    .col_expr(Endpoint::Enabled, Expr::value(false))
                    .col_expr(Endpoint::DisabledReason, Expr::value(reason)),
                false => failed,
            };
            failed.exec(db).await?;
            let failures = webhook_endpoint::Entity::find_by_id(webhook.to_string()).select_only();
            let failures: Option<i32> = failures.column(Endpoint::Failures).into_tuple().one(db).await?;
            if let Some(at) = failures.and_then(|it| rest(it.unsigned_abs())) {
                it().col_expr(Endpoint::RestsUntil, until(Some(at))).exec(db).await?;
            }
        }
    }
    Ok(())
}

fn delivery(row: UpdateMany<webhook_delivery::Entity>, outcome: &Outcome) -> UpdateMany<webhook_delivery::Entity> {
    let status = |status: Option<u16>| Expr::value(status.and_then(|it| i16::try_from(it).ok()));
    match outcome {
        Outcome::Delivered { status: code } => row
            .col_expr(Row::State, Expr::value(DeliveryState::Delivered.name()))
            .col_expr(Row::LastStatus, status(Some(*code)))
            .col_expr(Row::LastError, Expr::value(Option::<String>::None))
            .col_expr(Row::DeliveredAt, Expr::value(now().date_time())),
        Outcome::Failed { status: code, error, next_at, gone: _ } => {
            let error: String = error.chars().take(LONGEST_ERROR).collect();
            let row = row.col_expr(Row::LastStatus, status(*code)).col_expr(Row::LastError, Expr::value(error));
            match next_at {
                Some(at) => row.col_expr(Row::NextAt, Expr::value(at.date_time())),
                None => row.col_expr(Row::State, Expr::value(DeliveryState::Dead.name())),
            }
        }
    }
}
