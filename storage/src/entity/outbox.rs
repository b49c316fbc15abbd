//! Events on their way to the bus. A row goes when the bus has its event.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub shard: i16,
    pub aggregate: String,
    pub seq: i32,
    pub created_at: DateTimeUtc,
    /// How often the bus refused this event, not how often it was away.
    pub attempts: i16,
    /// Set aside since then: refused too often.
    pub refused_at: Option<DateTimeUtc>,
    /// Why it was refused last.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
