//! Who did what, or was not let.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant: String,
    pub node_id: String,
    pub at: DateTimeUtc,
    pub who: String,
    pub from_address: Option<String>,
    pub action: String,
    pub what: Option<String>,
    pub outcome: String,
    pub correlation_id: Option<String>,
    pub hushed: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
