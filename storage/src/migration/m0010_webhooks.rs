//! Who is told of events by HTTP, and what is on its way there.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    boolean, integer, json_binary, small_integer_null, string_len, text, text_null, timestamp_with_time_zone,
    timestamp_with_time_zone_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [endpoints(), deliveries()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["webhook_deliveries", "webhook_endpoints"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn endpoints() -> TableCreateStatement {
    Table::create()
        .table("webhook_endpoints")
        .col(string_len("id", 48).primary_key())
        .col(string_len("tenant", 32))
        .col(text("url"))
        .col(string_len("format", 16))
        .col(text("hmac_key"))
        .col(text_null("old_hmac_key"))
        .col(timestamp_with_time_zone_null("old_hmac_key_until"))
        .col(json_binary("events"))
        .col(boolean("enabled"))
        .col(text_null("disabled_reason"))
        .col(integer("failures"))
        .col(timestamp_with_time_zone("created_at"))
        .to_owned()
}

fn deliveries() -> TableCreateStatement {
    Table::create()
        .table("webhook_deliveries")
        .col(string_len("id", 48).primary_key())
        .col(string_len("tenant", 32))
        .col(string_len("webhook_id", 48))
        .col(string_len("aggregate", 48))
        .col(integer("seq"))
        .col(text("event_type"))
        .col(text_null("payload"))
        .col(string_len("state", 16))
        .col(integer("attempts"))
        .col(timestamp_with_time_zone("since"))
        .col(timestamp_with_time_zone("next_at"))
        .col(timestamp_with_time_zone_null("leased_until"))
        .col(small_integer_null("last_status"))
        .col(text_null("last_error"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("delivered_at"))
        .foreign_key(
            ForeignKey::create()
                .from("webhook_deliveries", "webhook_id")
                .to("webhook_endpoints", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

fn indexes() -> [IndexCreateStatement; 5] {
    let index = |name, table| Index::create().name(name).table(table).to_owned();
    let deliveries = |name| index(name, "webhook_deliveries");
    let pending = || Expr::col("state").eq("pending");
    [
        index("webhook_endpoints_tenant", "webhook_endpoints").col("tenant").to_owned(),
        // An event goes to a webhook once, however often it is committed; and the next of a resource is found by it.
        deliveries("webhook_deliveries_once").col("webhook_id").col("aggregate").col("seq").unique().to_owned(),
        deliveries("webhook_deliveries_due").col("webhook_id").col("next_at").and_where(pending()).to_owned(),
        deliveries("webhook_deliveries_log").col("webhook_id").col("id").to_owned(),
        deliveries("webhook_deliveries_age").col("created_at").to_owned(),
    ]
}
