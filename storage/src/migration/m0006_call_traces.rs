//! What happened in calls that are over.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{binary, string_len, timestamp_with_time_zone};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let traces = Table::create()
            .table("call_traces")
            .col(string_len("call_id", 48).primary_key())
            .col(string_len("tenant", 32))
            .col(string_len("correlation_id", 48))
            .col(timestamp_with_time_zone("ended_at"))
            .col(binary("body"))
            .to_owned();
        manager.create_table(traces).await?;
        // What is too old is found by it.
        let age = Index::create().name("call_traces_ended_at").table("call_traces").col("ended_at").to_owned();
        manager.create_index(age).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("call_traces").to_owned()).await
    }
}
