//! Billing records, one per call.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "cdrs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub call_id: String,
    pub tenant: String,
    pub correlation_id: String,
    pub node_id: String,
    pub user_id: Option<String>,
    pub device_id: Option<String>,
    pub caller: String,
    pub callee: Option<String>,
    pub dialled: String,
    pub started_at: DateTimeUtc,
    pub ringing_at: Option<DateTimeUtc>,
    pub answered_at: Option<DateTimeUtc>,
    pub ended_at: DateTimeUtc,
    pub talk_ms: i64,
    pub cause: String,
    pub q850: i16,
    pub ended_by: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub legs: Json,
    pub direction: Option<String>,
    pub answered: bool,
    pub billable_seconds: i64,
    pub sip_status: Option<i16>,
    pub caller_user_id: Option<String>,
    pub caller_e164: Option<String>,
    pub callee_user_id: Option<String>,
    pub callee_e164: Option<String>,
    pub dialled_e164: Option<String>,
    pub trunk_in: Option<String>,
    pub trunk_out: Option<String>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub route: Option<Json>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub recording_ids: Option<Json>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub transfer: Option<Json>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
