//! Which node keeps a registration, and indexes for what is asked most and for what is too old.
//!
//! No table is partitioned, and every one that grows can be: on PostgreSQL `cdrs`, `calls`, `call_traces` and `events`
//! by ranges of their (first) key. Ids begin with the time of their making (UUIDv7), so a range of ids is a range of
//! time, and a primary key that holds the partition's key is what PostgreSQL wants of one. docs/adr/0008-one-schema-two-engines.md has the steps.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_len_null;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Name, table, columns.
const INDEXES: [(&str, &str, &[&str]); 7] = [
    // A tenant's records by time, and what is too old.
    ("cdrs_tenant_started_at", "cdrs", &["tenant", "started_at"]),
    ("cdrs_ended_at", "cdrs", &["ended_at"]),
    // What is too old of the history.
    ("events_created_at", "events", &["created_at"]),
    // A user's.
    ("cdrs_user_id_started_at", "cdrs", &["user_id", "started_at"]),
    // One id explains a call.
    ("cdrs_correlation_id", "cdrs", &["correlation_id"]),
    ("calls_correlation_id", "calls", &["correlation_id"]),
    ("call_traces_correlation_id", "call_traces", &["correlation_id"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let whose = Table::alter().table("registrations").add_column(string_len_null("node_id", 48)).to_owned();
        manager.alter_table(whose).await?;
        for (name, table, columns) in INDEXES {
            let mut index = Index::create().name(name).table(table).to_owned();
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, _) in INDEXES {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("registrations").drop_column("node_id").to_owned()).await
    }
}
