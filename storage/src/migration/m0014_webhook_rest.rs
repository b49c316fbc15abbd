//! Until when a webhook that fails is left alone.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::timestamp_with_time_zone_null;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const TABLE: &str = "webhook_endpoints";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rest = timestamp_with_time_zone_null("rests_until");
        manager.alter_table(Table::alter().table(TABLE).add_column(rest).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(TABLE).drop_column("rests_until").to_owned()).await
    }
}
