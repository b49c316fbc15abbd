//! Calls, their legs and their billing records.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, integer, json_binary, small_integer, small_integer_null, string, string_len, string_len_null,
    string_null, text_null, timestamp_with_time_zone, timestamp_with_time_zone_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [calls(), legs(), cdrs()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["cdrs", "legs", "calls"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn calls() -> TableCreateStatement {
    Table::create()
        .table("calls")
        .col(string_len("id", 48).primary_key())
        .col(string_len("tenant", 32))
        .col(string_len("correlation_id", 32))
        .col(string_len("node_id", 48))
        .col(string_len("session_id", 255))
        .col(string_len("status", 16))
        .col(string("caller"))
        .col(string_null("callee"))
        .col(string("dialled"))
        .col(timestamp_with_time_zone("started_at"))
        .col(timestamp_with_time_zone_null("ringing_at"))
        .col(timestamp_with_time_zone_null("answered_at"))
        .col(timestamp_with_time_zone_null("ended_at"))
        .col(string_len_null("cause", 32))
        .col(text_null("sdp_offer"))
        .col(text_null("sdp_answer"))
        .col(integer("last_fact"))
        .col(boolean("closed"))
        .to_owned()
}

fn legs() -> TableCreateStatement {
    Table::create()
        .table("legs")
        .col(string_len("id", 48).primary_key())
        .col(string_len("tenant", 32))
        .col(string_len("call_id", 48))
        .col(string_len("side", 8))
        .col(string("number"))
        .col(string_null("name"))
        .col(string_len_null("user_id", 48))
        .col(string_len_null("device_id", 48))
        .col(string_null("trunk"))
        .col(timestamp_with_time_zone("started_at"))
        .col(timestamp_with_time_zone_null("answered_at"))
        .col(timestamp_with_time_zone_null("ended_at"))
        .col(string_len_null("cause", 32))
        .col(small_integer_null("sip_status"))
        .to_owned()
}

fn cdrs() -> TableCreateStatement {
    Table::create()
        .table("cdrs")
        .col(string_len("call_id", 48).primary_key())
        .col(string_len("tenant", 32))
        .col(string_len("correlation_id", 32))
        .col(string_len("node_id", 48))
        .col(string_len_null("user_id", 48))
        .col(string_len_null("device_id", 48))
        .col(string("caller"))
        .col(string_null("callee"))
        .col(string("dialled"))
        .col(timestamp_with_time_zone("started_at"))
        .col(timestamp_with_time_zone_null("ringing_at"))
        .col(timestamp_with_time_zone_null("answered_at"))
        .col(timestamp_with_time_zone("ended_at"))
        .col(big_integer("talk_ms"))
        .col(string_len("cause", 32))
        .col(small_integer("q850"))
        .col(string_len("ended_by", 8))
        .col(json_binary("legs"))
        .to_owned()
}

fn indexes() -> [IndexCreateStatement; 4] {
    let index = |name, table| Index::create().name(name).table(table).to_owned();
    [
        index("calls_session_id", "calls").col("session_id").to_owned(),
        index("calls_started_at", "calls").col("started_at").to_owned(),
        index("calls_open", "calls").col("node_id").and_where(Expr::col("closed").not()).to_owned(),
        index("legs_call_id", "legs").col("call_id").to_owned(),
    ]
}
