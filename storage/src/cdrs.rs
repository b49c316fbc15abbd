//! Billing records as they are asked for: filtered, the latest first, page by page.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{Condition, QueryOrder, QuerySelect};
use tandem_core::cdr::{Cdr, CdrCursor, CdrFilter};
use tandem_core::party::Number;

use crate::database::{QueryError, Storage};
use crate::entity::cdr::{self, Column};
use crate::record;

/// Most records on a page.
pub const LARGEST_CDR_PAGE: u64 = 1_000;

impl Storage {
    /// Records that the filter lets through, the latest first: those after `after`, up to `limit` (1 to
    /// [`LARGEST_CDR_PAGE`], what is beyond counts as that). Fewer than `limit`: there are no more.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn cdrs(&self, filter: &CdrFilter, after: Option<CdrCursor>, limit: u64) -> Result<Vec<Cdr>, QueryError> {
        let rows = cdr::Entity::find()
            .filter(wanted(filter).add_option(after.map(below)))
            .order_by_desc(Column::StartedAt)
            .order_by_desc(Column::CallId)
            .limit(limit.clamp(1, LARGEST_CDR_PAGE))
            .all(&self.reader)
            .await?;
        let records: Option<_> = rows.into_iter().map(record::of).collect();
        records.ok_or(QueryError::Damaged { table: "cdrs" })
    }
}

/// Began before that record or, at the same moment, under a smaller id.
fn below(place: CdrCursor) -> Condition {
    let (started_at, call_id) = (place.started_at.date_time(), place.call_id.to_string());
    let at_once = Condition::all().add(Column::StartedAt.eq(started_at)).add(Column::CallId.lt(call_id));
    // Said twice, for the index: an OR alone would not narrow it.
    Condition::all()
        .add(Column::StartedAt.lte(started_at))
        .add(Condition::any().add(Column::StartedAt.lt(started_at)).add(at_once))
}

fn wanted(filter: &CdrFilter) -> Condition {
    let talked_ms = filter.min_duration.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
    Condition::all()
        .add_option(filter.tenant.as_ref().map(|it| Column::Tenant.eq(it.as_str())))
        .add_option(filter.seen_by.map(|it| of_user(&it.to_string())))
        .add_option(filter.from.map(|it| Column::StartedAt.gte(it.date_time())))
        .add_option(filter.to.map(|it| Column::StartedAt.lt(it.date_time())))
        .add_option(filter.caller.as_ref().map(|it| is_one_of(&CALLER, it)))
        .add_option(filter.callee.as_ref().map(|it| is_one_of(&CALLEE, it)))
        .add_option(filter.number.as_ref().map(|it| is_one_of(&CALLER, it).add(is_one_of(&CALLEE, it))))
        .add_option(filter.user_id.map(|it| of_user(&it.to_string())))
        .add_option(filter.trunk.as_ref().map(|it| {
            let name = it.to_string();
            Condition::any().add(Column::TrunkIn.eq(name.as_str())).add(Column::TrunkOut.eq(name.as_str()))
        }))
        .add_option(filter.cause.map(|it| Column::Cause.eq(it.name())))
        .add_option(filter.answered.map(|it| Expr::col(Column::Answered).eq(it)))
        .add_option(filter.direction.map(|it| Column::Direction.eq(it.name())))
        .add_option(talked_ms.map(|it| Column::TalkMs.gte(it)))
        .add_option(filter.correlation_id.map(|it| Column::CorrelationId.eq(it.to_string())))
        .add_option(filter.call_id.map(|it| Column::CallId.eq(it.to_string())))
}

const CALLER: [Column; 2] = [Column::Caller, Column::CallerE164];
const CALLEE: [Column; 4] = [Column::Callee, Column::CalleeE164, Column::Dialled, Column::DialledE164];

fn is_one_of(columns: &[Column], number: &Number) -> Condition {
    columns.iter().fold(Condition::any(), |any, column| any.add(column.eq(number.reveal().as_str())))
}

/// He called, or was called.
fn of_user(user: &str) -> Condition {
    Condition::any().add(Column::CallerUserId.eq(user)).add(Column::CalleeUserId.eq(user))
}
