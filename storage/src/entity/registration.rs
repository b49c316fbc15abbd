//! Contacts of devices, one per (tenant, extension, contact).

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "registrations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub extension: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub contact: String,
    pub user_id: String,
    pub device_id: String,
    #[sea_orm(column_type = "Text")]
    pub parameters: String,
    pub transport: String,
    pub local_address: String,
    pub remote_address: String,
    #[sea_orm(column_type = "Text")]
    pub sip_call_id: String,
    pub cseq: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub user_agent: Option<String>,
    pub expires_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub node_id: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
