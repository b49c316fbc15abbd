//! Indexes for what is too old: audit, registrations, and events that a webhook may not ask for any more.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let undelivered = Expr::col("state").ne("delivered");
        manager
            .create_index(
                Index::create()
                    .name("webhook_deliveries_undelivered")
                    .table("webhook_deliveries")
                    .col("aggregate")
                    .col("seq")
                    .and_where(undelivered)
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("audit_events_age").table("audit_events").col("at").to_owned())
            .await?;
        let expiry =
            Index::create().name("registrations_expires_at").table("registrations").col("expires_at").to_owned();
        manager.create_index(expiry).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table) in [
            ("registrations_expires_at", "registrations"),
            ("audit_events_age", "audit_events"),
            ("webhook_deliveries_undelivered", "webhook_deliveries"),
        ] {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        Ok(())
    }
}
