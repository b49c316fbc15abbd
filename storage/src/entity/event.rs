//! Everything that happened, one row per event, never changed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub aggregate: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i32,
    pub tenant: String,
    pub correlation_id: Option<String>,
    pub event_type: String,
    pub subject: String,
    #[sea_orm(column_type = "Text")]
    pub payload: String,
    pub created_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
