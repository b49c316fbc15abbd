//! Facts on their way out.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_pk_auto, integer, string, string_len, text, timestamp_with_time_zone, timestamp_with_time_zone_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let outbox = Table::create()
            .table("outbox")
            .col(big_pk_auto("id"))
            .col(string_len("tenant", 32))
            .col(string_len("aggregate", 48))
            .col(integer("seq"))
            .col(string_len("correlation_id", 32))
            .col(string("event_type"))
            .col(string("subject"))
            .col(text("payload"))
            .col(text("fact"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone_null("published_at"))
            .to_owned();
        manager.create_table(outbox).await?;
        let once = Index::create().name("outbox_once").table("outbox").col("aggregate").col("seq").unique().to_owned();
        let unpublished = Index::create()
            .name("outbox_unpublished")
            .table("outbox")
            .col("id")
            .and_where(Expr::col("published_at").is_null())
            .to_owned();
        manager.create_index(once).await?;
        manager.create_index(unpublished).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("outbox").to_owned()).await
    }
}
