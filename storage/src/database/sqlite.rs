//! SQLite: one file of this node's, one connection that writes, a few that read.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sea_orm::{DatabaseConnection, SqlxSqliteConnector};
use sea_orm_migration::MigratorTrait;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Connections, OpenError};
use crate::config::Config;
use crate::migration::Migrations;

/// Pages (4 KiB) in the write-ahead log before they are carried over into the file, with two syncs each time: SQLite's
/// own 1000 are full after a quarter of a second at 20,000 facts per second.
const WAL_PAGES: &str = "8000";
/// Page cache of the writer; negative means KiB. SQLite's own 2 MiB holds less than the indexes that a batch touches.
const WRITER_CACHE_KIB: &str = "-16384";

/// Makes what is missing and brings the schema up to date.
pub(super) async fn open(config: &Config) -> Result<Connections, OpenError> {
    let options = options(config)?;
    let path = options.get_filename();
    make_private_file(path).map_err(|source| OpenError::Folder { path: config.data_dir.clone(), source })?;
    // Exactly one, so that writers of this process queue here and not in the database.
    let writer = connect(config, options.clone().pragma("cache_size", WRITER_CACHE_KIB), 1).await?;
    Migrations::up(&writer, None).await.map_err(OpenError::Migrate)?;
    let reader = connect(config, options.read_only(true), config.readers).await?;
    Ok(Connections { relay: writer.clone(), writer, reader })
}

/// Makes nothing and changes nothing.
pub(super) async fn open_existing(config: &Config) -> Result<Connections, OpenError> {
    let options = options(config)?.read_only(true);
    let path = std::path::absolute(options.get_filename()).unwrap_or_default();
    if !path.exists() {
        return Err(OpenError::Missing { path });
    }
    let reader = connect(config, options, config.readers).await?;
    Ok(Connections { writer: reader.clone(), relay: reader.clone(), reader })
}

async fn connect(config: &Config, options: SqliteConnectOptions, most: u32) -> Result<DatabaseConnection, OpenError> {
    let pool = SqlitePoolOptions::new().max_connections(most).acquire_timeout(config.acquire_timeout);
    let pool = pool.connect_with(options).await.map_err(OpenError::Connect)?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// What holds for every connection. `synchronous = NORMAL` may lose the last transactions with the machine's power,
/// never with the process, and never damages the file.
fn options(config: &Config) -> Result<SqliteConnectOptions, OpenError> {
    let options = match &config.database_url {
        Some(url) => url.reveal().parse().map_err(OpenError::Connect)?,
        None => SqliteConnectOptions::new().filename(config.data_dir.join("tandem.db")),
    };
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(config.busy_timeout)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .disable_statement_logging())
}

/// SQLite would let everybody read it; the files that it makes beside this one take after it.
fn make_private_file(path: &Path) -> io::Result<()> {
    File::options().create(true).append(true).mode(0o600).open(path).map(drop)
}
