//! Where devices can be reached.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, string_len, text, text_null, timestamp_with_time_zone};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let registrations = Table::create()
            .table("registrations")
            .col(string_len("tenant", 32))
            .col(string("extension"))
            .col(text("contact"))
            .col(string_len("user_id", 48))
            .col(string_len("device_id", 48))
            .col(text("parameters"))
            .col(string_len("transport", 8))
            .col(string_len("local_address", 64))
            .col(string_len("remote_address", 64))
            .col(text("sip_call_id"))
            .col(big_integer("cseq"))
            .col(text_null("user_agent"))
            .col(timestamp_with_time_zone("expires_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .primary_key(Index::create().col("tenant").col("extension").col("contact"))
            .to_owned();
        manager.create_table(registrations).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("registrations").to_owned()).await
    }
}
