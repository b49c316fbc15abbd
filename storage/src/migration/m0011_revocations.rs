//! Who somebody from outside is here, and what was taken back before its time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string_len, timestamp_with_time_zone};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [external_identities(), revocations()] {
            manager.create_table(table).await?;
        }
        let index = |name, table, column| Index::create().name(name).table(table).col(column).to_owned();
        manager.create_index(index("external_identities_user_id", "external_identities", "user_id")).await?;
        // What has ended is found by it.
        manager.create_index(index("revocations_until", "revocations", "until")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["revocations", "external_identities"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn external_identities() -> TableCreateStatement {
    Table::create()
        .table("external_identities")
        .col(string_len("tenant", 32))
        .col(string_len("issuer", 255))
        .col(string_len("subject", 256))
        .col(string_len("user_id", 48))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("tenant").col("issuer").col("subject"))
        .foreign_key(
            ForeignKey::create()
                .from("external_identities", "user_id")
                .to("users", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

fn revocations() -> TableCreateStatement {
    Table::create()
        .table("revocations")
        .col(string_len("tenant", 32))
        .col(string_len("kind", 16))
        .col(string_len("value", 256))
        .col(timestamp_with_time_zone("until"))
        .col(timestamp_with_time_zone("created_at"))
        .primary_key(Index::create().col("tenant").col("kind").col("value"))
        .to_owned()
}
