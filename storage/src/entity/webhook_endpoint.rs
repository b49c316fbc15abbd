//! Where somebody outside wants to be told of events. The secret is in clear: requests are signed with it.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_endpoints")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub tenant: String,
    #[sea_orm(column_type = "Text")]
    pub url: String,
    pub format: String,
    #[sea_orm(column_type = "Text")]
    pub hmac_key: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub old_hmac_key: Option<String>,
    pub old_hmac_key_until: Option<DateTimeUtc>,
    #[sea_orm(column_type = "JsonBinary")]
    pub events: Json,
    pub enabled: bool,
    #[sea_orm(column_type = "Text", nullable)]
    pub disabled_reason: Option<String>,
    pub failures: i32,
    /// It fails: nothing is sent before then.
    pub rests_until: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("webhook_endpoint").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
