//! Events on their way to webhooks.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant: String,
    pub webhook_id: String,
    pub aggregate: String,
    pub seq: i32,
    #[sea_orm(column_type = "Text")]
    pub event_type: String,
    /// Of an event that is not in the history: a test. Others are read from there.
    #[sea_orm(column_type = "Text", nullable)]
    pub payload: Option<String>,
    pub state: String,
    pub attempts: i32,
    /// When it was queued, or asked for again.
    pub since: DateTimeUtc,
    pub next_at: DateTimeUtc,
    pub leased_until: Option<DateTimeUtc>,
    pub last_status: Option<i16>,
    #[sea_orm(column_type = "Text", nullable)]
    pub last_error: Option<String>,
    pub created_at: DateTimeUtc,
    pub delivered_at: Option<DateTimeUtc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
