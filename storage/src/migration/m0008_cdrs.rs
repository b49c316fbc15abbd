//! Billing records can be asked for: by whom, by which way, and page by page.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, json_binary_null, small_integer_null, string_len_null, string_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const TABLE: &str = "cdrs";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for column in columns() {
            manager.alter_table(Table::alter().table(TABLE).add_column(column).to_owned()).await?;
        }
        // What the records that there are can tell without their legs.
        let told = Query::update()
            .table(TABLE)
            .value("answered", Expr::col("answered_at").is_not_null())
            .value("billable_seconds", Expr::col("talk_ms").add(999).div(1_000))
            .value("caller_user_id", Expr::col("user_id"))
            .to_owned();
        manager.execute(told).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in indexes() {
            let name = index.get_index_spec().get_name().unwrap_or_default();
            manager.drop_index(Index::drop().name(name).table(TABLE).to_owned()).await?;
        }
        for column in columns() {
            let name = column.get_column_name();
            manager.alter_table(Table::alter().table(TABLE).drop_column(name).to_owned()).await?;
        }
        Ok(())
    }
}

fn columns() -> Vec<ColumnDef> {
    vec![
        string_len_null("direction", 16),
        boolean("answered").default(false).to_owned(),
        big_integer("billable_seconds").default(0).to_owned(),
        small_integer_null("sip_status"),
        string_len_null("caller_user_id", 48),
        string_null("caller_e164"),
        string_len_null("callee_user_id", 48),
        string_null("callee_e164"),
        string_null("dialled_e164"),
        string_null("trunk_in"),
        string_null("trunk_out"),
        json_binary_null("route"),
        json_binary_null("recording_ids"),
        json_binary_null("transfer"),
    ]
}

/// Pages go by the time of the start and, of equals, by the call. A tenant's, and those of one request, have theirs
/// among the indexes that archiving brings.
fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(TABLE).to_owned();
        for column in columns {
            index.col(*column);
        }
        index
    };
    vec![
        index("cdrs_started_at", &["started_at", "call_id"]),
        index("cdrs_caller_user", &["caller_user_id", "started_at", "call_id"]),
        index("cdrs_callee_user", &["callee_user_id", "started_at", "call_id"]),
    ]
}
