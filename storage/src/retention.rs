//! What is too old goes, a bounded number of rows at a time; billing records into an archive first, if there is one.
//!
//! ```text
//!  cdrs that are too old ──read──▶ <archive_dir>/cdrs-….jsonl.gz.part ──fsync──▶ ….jsonl.gz ──fsync──▶ deleted
//! ```
//!
//! # Invariants
//! * No event goes that is on its way to the bus or to a webhook, or that a webhook was not given, or of a call that is
//!   not closed.
//! * No transaction is open while a file is written: a disk that hangs keeps nobody from the database.
//! * A record is deleted only when the file that has it is on the disk. A crash in between leaves it in two files, never
//!   in none.
//! * Of nodes that share a database, one archives at a time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{DbBackend, DbErr, Iterable as _, QueryOrder, QuerySelect, RuntimeErr, TransactionTrait};
use sqlx::{Connection as _, PgConnection};
use tandem_core::metric::Counter;
use tandem_core::time::WallTime;
use tandem_core::webhook::DeliveryState;
use uuid::Uuid;

use crate::database::{QueryError, Storage, in_time, make_private_folder};
use crate::entity::{audit_event, call, cdr, event, leg, outbox, registration, webhook_delivery};

/// Rows of a table that one call of [`Storage::retain`] deletes: some milliseconds of a writer's time.
const AT_ONCE: u64 = 500;

/// Whoever archives has it: "archive" in ASCII.
const LOCK: i64 = 0x61_72_63_68_69_76_65;

/// How long a registration stays that is over. The node that has it deletes it at once; this is for nodes that never
/// came back.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3_600);

/// What [`Storage::retain`] deleted. It was all that is too old when each is less than 500.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retired {
    /// Rows of the history of events.
    pub events: u64,
    /// Calls, each with its legs.
    pub calls: u64,
    /// Billing records.
    pub cdrs: u64,
    /// Rows of the audit.
    pub audits: u64,
    /// Registrations that were over a day ago, whosever they were.
    pub registrations: u64,
}

/// Why something that is too old stays.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The database does not delete it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The archive does not take it.
    #[error("archive {path}")]
    Archive {
        /// The file, or the folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl From<DbErr> for RetentionError {
    fn from(error: DbErr) -> Self {
        Self::Query(error.into())
    }
}

impl Retired {
    /// Whether another call may find more.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.rows().iter().any(|rows| *rows >= AT_ONCE)
    }

    const fn rows(&self) -> [u64; 5] {
        [self.events, self.calls, self.cdrs, self.audits, self.registrations]
    }
}

impl Storage {
    /// Deletes what the configuration says is too old now: up to 500 rows of each table.
    ///
    /// # Errors
    /// [`RetentionError`]; what was deleted before it stays deleted.
    pub async fn retain(&self, now: WallTime) -> Result<Retired, RetentionError> {
        let mut retired = Retired::default();
        if let Some(keep) = self.config.keep_events {
            retired.events = self.retire_events(before(now, keep)).await?;
        }
        if let Some(keep) = self.config.keep_calls {
            retired.calls = in_time(self.retire_calls(before(now, keep))).await?;
        }
        if let Some(keep) = self.config.keep_cdrs {
            retired.cdrs = self.retire_cdrs(before(now, keep)).await?;
        }
        if let Some(keep) = self.config.keep_audit {
            retired.audits = self.retire_audits(before(now, keep)).await?;
        }
        retired.registrations = self.retire_registrations(before(now, FORGOTTEN)).await?;
        self.metrics.add(Counter::RowsRetired, retired.rows().iter().sum());
        Ok(retired)
    }

    async fn retire_events(&self, before: WallTime) -> Result<u64, DbErr> {
        use event::Column;
        let place = || Expr::tuple([Expr::col(Column::Aggregate), Expr::col(Column::Seq)]);
        let is_of = |column| Expr::col((event::Entity, column));
        let waiting = Query::select()
            .expr(Expr::val(1))
            .from(outbox::Entity)
            .and_where(is_of(Column::Aggregate).equals((outbox::Entity, outbox::Column::Aggregate)))
            .and_where(is_of(Column::Seq).equals((outbox::Entity, outbox::Column::Seq)))
            .to_owned();
        let open = Query::select()
            .expr(Expr::val(1))
            .from(call::Entity)
            .and_where(is_of(Column::Aggregate).equals((call::Entity, call::Column::Id)))
            .and_where(Expr::col((call::Entity, call::Column::Closed)).not())
            .to_owned();
        // One that was given up may be asked for again, for as long as the log of deliveries has it.
        let undelivered = Query::select()
            .expr(Expr::val(1))
            .from(webhook_delivery::Entity)
            .and_where(is_of(Column::Aggregate).equals((webhook_delivery::Entity, webhook_delivery::Column::Aggregate)))
            .and_where(is_of(Column::Seq).equals((webhook_delivery::Entity, webhook_delivery::Column::Seq)))
            // Literally, as the index has it: PostgreSQL does not find a parameter in it.
            .and_where(Expr::cust(format!("webhook_deliveries.state <> '{}'", DeliveryState::Delivered.name())))
            .to_owned();
        let old = Query::select()
            .columns([Column::Aggregate, Column::Seq])
            .from(event::Entity)
            .and_where(Expr::col(Column::CreatedAt).lt(before.date_time()))
            .and_where(Expr::exists(waiting).not())
            .and_where(Expr::exists(undelivered).not())
            .and_where(Expr::exists(open).not())
            .limit(AT_ONCE)
            .to_owned();
        let old = event::Entity::delete_many().filter(place().in_subquery(old));
        Ok(old.exec(&self.writer).await?.rows_affected)
    }

    async fn retire_calls(&self, before: WallTime) -> Result<u64, DbErr> {
        let closed = call::Entity::find().select_only().column(call::Column::Id).filter(call::Column::Closed.eq(true));
        let closed = closed.filter(call::Column::StartedAt.lt(before.date_time())).limit(AT_ONCE);
        let ids: Vec<String> = closed.into_tuple().all(&self.reader).await?;
        let transaction = self.writer.begin().await?;
        leg::Entity::delete_many().filter(leg::Column::CallId.is_in(&ids)).exec(&transaction).await?;
        let calls = call::Entity::delete_many().filter(call::Column::Id.is_in(&ids)).exec(&transaction).await?;
        transaction.commit().await?;
        Ok(calls.rows_affected)
    }

    async fn retire_audits(&self, before: WallTime) -> Result<u64, DbErr> {
        use audit_event::{Column, Entity};
        let old = Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(Expr::col(Column::At).lt(before.date_time()))
            .limit(AT_ONCE)
            .to_owned();
        let old = Entity::delete_many().filter(Column::Id.in_subquery(old));
        Ok(old.exec(&self.writer).await?.rows_affected)
    }

    async fn retire_registrations(&self, before: WallTime) -> Result<u64, DbErr> {
        use registration::{Column, Entity};
        let key = [Column::Tenant, Column::Extension, Column::Contact];
        let is_over = || Expr::col(Column::ExpiresAt).lt(before.date_time());
        let over = Query::select().columns(key).from(Entity).and_where(is_over()).limit(AT_ONCE).to_owned();
        let over = Entity::delete_many().filter(Expr::tuple(key.map(Expr::col)).in_subquery(over));
        // Again: a phone may have come back meanwhile.
        Ok(over.filter(is_over()).exec(&self.writer).await?.rows_affected)
    }

    async fn retire_cdrs(&self, before: WallTime) -> Result<u64, RetentionError> {
        let Some(alone) = self.alone().await? else { return Ok(0) };
        let old = cdr::Entity::find().filter(cdr::Column::EndedAt.lt(before.date_time()));
        // As JSON, whatever columns there are: an archive has the row, not our idea of it.
        let mut rows = old.order_by_asc(cdr::Column::EndedAt).limit(AT_ONCE).into_json().all(&self.reader).await?;
        rows.iter_mut().for_each(unfold);
        let ids = rows.iter().filter_map(|row| row.get("call_id")?.as_str().map(str::to_owned));
        let ids: Vec<String> = ids.collect();
        if ids.is_empty() {
            return Ok(0);
        }
        if let Some(folder) = &self.config.archive_dir {
            let name = format!("cdrs-{}-{}.jsonl.gz", before.date_time().format("%Y%m%d"), Uuid::now_v7().simple());
            let (folder, path) = (folder.clone(), folder.join(name));
            let failed = |source| RetentionError::Archive { path: path.clone(), source };
            let file = path.clone();
            let written = tokio::task::spawn_blocking(move || archive(&folder, &file, &rows)).await;
            written.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)?;
        }
        let deleted = cdr::Entity::delete_many().filter(cdr::Column::CallId.is_in(ids)).exec(&self.writer).await?;
        alone.let_go().await;
        Ok(deleted.rows_affected)
    }

    /// Nobody else archives while this lives; `None` when somebody does.
    async fn alone(&self) -> Result<Option<Alone>, DbErr> {
        if self.writer.get_database_backend() != DbBackend::Postgres {
            return Ok(Some(Alone(None)));
        }
        let ask = async {
            // Not the pool's any more: the lock must go with it, however this ends.
            let mut connection = self.writer.get_postgres_connection_pool().acquire().await?.detach();
            let lock = format!("SELECT pg_try_advisory_lock({LOCK})");
            let is_ours: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(lock)).fetch_one(&mut connection).await?;
            Ok(is_ours.then_some(Alone(Some(connection))))
        };
        in_time(async { ask.await.map_err(|error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into()))) })
            .await
    }
}

/// The right to archive: a connection that has the lock. SQLite has one node, which has it anyway.
struct Alone(Option<PgConnection>);

impl Alone {
    /// In good order; else the server notices that the connection is gone.
    async fn let_go(self) {
        if let Some(connection) = self.0 {
            let _ = in_time(async { Ok::<_, DbErr>(connection.close().await.ok()) }).await;
        }
    }
}

fn before(now: WallTime, keep: Duration) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX)))
}

/// SQLite has JSON as text.
fn unfold(row: &mut Json) {
    for column in cdr::Column::iter().filter(|it| *it.def().get_column_type() == ColumnType::JsonBinary) {
        if let Some(value) = row.get_mut(column.as_str())
            && let Some(json) = value.as_str().and_then(|text| serde_json::from_str(text).ok())
        {
            *value = json;
        }
    }
}

/// Writes rows to a file that nobody has seen before it is whole.
fn archive(folder: &Path, path: &Path, rows: &[Json]) -> io::Result<()> {
    make_private_folder(folder)?;
    let part = path.with_extension("part");
    let file = File::options().create_new(true).write(true).mode(0o600).open(&part)?;
    let mut packer = GzEncoder::new(file, Compression::default());
    for row in rows {
        serde_json::to_writer(&mut packer, row)?;
        packer.write_all(b"\n")?;
    }
    packer.finish()?.sync_all()?;
    fs::rename(&part, path)?;
    File::open(folder)?.sync_all()
}
