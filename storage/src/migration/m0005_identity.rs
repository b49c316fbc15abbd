//! Signing keys, sign-ins that can be refreshed, and the way from a user to his calls.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    binary, integer_uniq, string_len, string_len_uniq, timestamp_with_time_zone, timestamp_with_time_zone_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [signing_keys(), sessions()] {
            manager.create_table(table).await?;
        }
        for (name, column) in [("sessions_user_id", "user_id"), ("sessions_expires_at", "expires_at")] {
            manager.create_index(Index::create().name(name).table("sessions").col(column).to_owned()).await?;
        }
        // Read in its own order for a page of a user's history. Legs of trunks are nobody's.
        let history = Index::create()
            .name("legs_user_id")
            .table("legs")
            .col("user_id")
            .col("call_id")
            .and_where(Expr::col("user_id").is_not_null())
            .to_owned();
        manager.create_index(history).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("legs_user_id").table("legs").to_owned()).await?;
        for table in ["sessions", "signing_keys"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn signing_keys() -> TableCreateStatement {
    Table::create()
        .table("signing_keys")
        .col(string_len("kid", 32).primary_key())
        .col(integer_uniq("generation"))
        .col(binary("pkcs8"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("retired_at"))
        .to_owned()
}

fn sessions() -> TableCreateStatement {
    Table::create()
        .table("sessions")
        .col(string_len("id", 48).primary_key())
        .col(string_len("tenant", 32))
        .col(string_len("user_id", 48))
        .col(string_len_uniq("family_hash", 64))
        .col(string_len("refresh_hash", 64))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .col(timestamp_with_time_zone_null("revoked_at"))
        .foreign_key(
            ForeignKey::create().from("sessions", "user_id").to("users", "id").on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}
