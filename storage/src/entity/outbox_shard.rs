//! Shards of the outbox. Whoever relays one holds its row's lock.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_shards")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i16,
    /// When it was this shard's turn last.
    pub tried_at: Option<DateTimeUtc>,
    /// When the bus took something of it last.
    pub published_at: Option<DateTimeUtc>,
    /// Since when it fails; empty when the last try went well.
    pub failed_at: Option<DateTimeUtc>,
    /// Why.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    /// Who wants it to stand still.
    pub held_by: Option<String>,
    /// Until when, unless that is said again.
    pub held_until: Option<DateTimeUtc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
