//! The domains of tenants and whether they are enabled, what a user may do, and the audit.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, string, string_len, string_len_null, string_null, timestamp_with_time_zone,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column a statement: SQLite takes no more.
        let enabled = Table::alter().table("tenants").add_column(boolean("enabled").default(true).take()).take();
        let role = Table::alter().table("users").add_column(string_len("role", 16).default("user").take()).take();
        for change in [enabled, role] {
            manager.alter_table(change).await?;
        }
        for table in [domains(), audit_events()] {
            manager.create_table(table).await?;
        }
        for (name, second) in [("audit_events_at", "at"), ("audit_events_order", "id")] {
            let index = Index::create().name(name).table("audit_events").col("tenant").col(second).to_owned();
            manager.create_index(index).await?;
        }
        let of_tenant = Index::create().name("tenant_domains_tenant").table("tenant_domains").col("tenant").to_owned();
        manager.create_index(of_tenant).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["audit_events", "tenant_domains"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for (table, column) in [("users", "role"), ("tenants", "enabled")] {
            manager.alter_table(Table::alter().table(table).drop_column(column).take()).await?;
        }
        Ok(())
    }
}

fn domains() -> TableCreateStatement {
    Table::create()
        .table("tenant_domains")
        .col(string_len("domain", 253).primary_key())
        .col(string_len("tenant", 32))
        .col(timestamp_with_time_zone("created_at"))
        .foreign_key(
            ForeignKey::create()
                .from("tenant_domains", "tenant")
                .to("tenants", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

fn audit_events() -> TableCreateStatement {
    Table::create()
        .table("audit_events")
        .col(string_len("id", 48).primary_key())
        .col(string_len("tenant", 32))
        .col(string_len("node_id", 48))
        .col(timestamp_with_time_zone("at"))
        .col(string("who"))
        .col(string_len_null("from_address", 45))
        .col(string_len("action", 32))
        .col(string_null("what"))
        .col(string_len("outcome", 64))
        .col(string_len_null("correlation_id", 32))
        .col(big_integer("hushed"))
        .to_owned()
}
