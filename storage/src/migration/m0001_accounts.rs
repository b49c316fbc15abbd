//! Tenants, users and their credentials.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string, string_len, string_null, timestamp_with_time_zone};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tenants = Table::create()
            .table("tenants")
            .col(string_len("id", 32).primary_key())
            .col(timestamp_with_time_zone("created_at"))
            .to_owned();
        let users = Table::create()
            .table("users")
            .col(string_len("id", 48).primary_key())
            .col(string_len("tenant", 32))
            .col(string("name"))
            .col(string_null("display_name"))
            .col(string("extension"))
            .col(string_null("password_hash"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(ForeignKey::create().from("users", "tenant").to("tenants", "id"))
            .to_owned();
        let devices = Table::create()
            .table("devices")
            .col(string_len("id", 48).primary_key())
            .col(string_len("tenant", 32))
            .col(string_len("user_id", 48))
            .col(string("extension"))
            .col(string("realm"))
            .col(string_len("ha1_md5", 32))
            .col(string_len("ha1_sha256", 64))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(
                ForeignKey::create().from("devices", "user_id").to("users", "id").on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        for table in [tenants, users, devices] {
            manager.create_table(table).await?;
        }
        for (name, table, second) in [
            ("users_name", "users", "name"),
            ("users_extension", "users", "extension"),
            ("devices_extension", "devices", "extension"),
        ] {
            let unique = Index::create().name(name).table(table).col("tenant").col(second).unique().to_owned();
            manager.create_index(unique).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["devices", "users", "tenants"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
