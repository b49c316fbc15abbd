//! The database: one connection that writes, a few that read.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::{DatabaseConnection, DbErr, SqlxSqliteConnector, sqlx};
use sea_orm_migration::MigratorTrait;
use tandem_core::metric::Metrics;

use crate::config::{Config, OutOfRange};
use crate::migration::Migrations;
use crate::passwords::Passwords;
use crate::settled::Settled;

/// How long a reader waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages (4 KiB) in the write-ahead log before they are carried over into the file, with two syncs each time: SQLite's
/// own 1000 are full after a quarter of a second at 20,000 facts per second.
const WAL_PAGES: &str = "8000";
/// Page cache of the writer; negative means KiB. SQLite's own 2 MiB holds less than the indexes that a batch touches.
const WRITER_CACHE_KIB: &str = "-16384";

/// The database of a node. Clones of the connections inside are the same connections.
#[derive(Debug)]
pub struct Storage {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    /// Exactly one connection, so that writers of this process queue here and not in the database.
    pub(crate) writer: DatabaseConnection,
    pub(crate) reader: DatabaseConnection,
    pub(crate) passwords: Passwords,
    pub(crate) settled: Settled,
}

/// Why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A configured value is out of its range.
    #[error(transparent)]
    Config(#[from] OutOfRange),
    /// The data folder, or the database file in it, cannot be made.
    #[error("data folder {path} is not usable")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Why it is not.
        source: io::Error,
    },
    /// There is no database, and none was to be made.
    #[error("there is no database at {path}")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is no usable database where the configuration says.
    #[error("no database")]
    Connect(#[source] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("schema not up to date")]
    Migrate(#[source] DbErr),
}

/// Why a question to the database has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database does not answer.
    #[error("database")]
    Database(#[from] DbErr),
    /// A row does not say what its table promises.
    #[error("row of {table} is damaged")]
    Damaged {
        /// Which table.
        table: &'static str,
    },
}

impl Storage {
    /// Opens the database, makes what is missing and brings the schema up to date. Several processes may do so at once;
    /// only the node itself opens a [`Ledger`](crate::Ledger) too.
    ///
    /// # Errors
    /// [`OpenError`]: what is in the way.
    pub async fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Self>, OpenError> {
        config.check()?;
        let folder = |source| OpenError::Folder { path: config.data_dir.clone(), source };
        make_private_folder(&config.data_dir).map_err(folder)?;
        let options = connect_options(config).map_err(OpenError::Connect)?;
        make_private_file(options.get_filename()).map_err(folder)?;
        let writer = connect(options.clone().pragma("cache_size", WRITER_CACHE_KIB), 1).await?;
        Migrations::up(&writer, None).await.map_err(OpenError::Migrate)?;
        let reader = connect(options.read_only(true), config.readers).await?;
        Ok(Arc::new(Self {
            config: config.clone(),
            metrics,
            writer,
            reader,
            passwords: Passwords::new(),
            settled: Settled::default(),
        }))
    }

    /// Opens a database that is there, to read it: makes nothing and leaves the schema as it is. Whatever writes fails.
    ///
    /// # Errors
    /// [`OpenError`]: what is in the way.
    pub async fn open_existing(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Self>, OpenError> {
        config.check()?;
        let options = connect_options(config).map_err(OpenError::Connect)?.read_only(true);
        let path = std::path::absolute(options.get_filename()).unwrap_or_default();
        if !path.exists() {
            return Err(OpenError::Missing { path });
        }
        let reader = connect(options, config.readers).await?;
        let writer = reader.clone();
        Ok(Arc::new(Self {
            config: config.clone(),
            metrics,
            writer,
            reader,
            passwords: Passwords::new(),
            settled: Settled::default(),
        }))
    }
}

async fn connect(options: SqliteConnectOptions, connections: u32) -> Result<DatabaseConnection, OpenError> {
    let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
    let pool = pool.connect_with(options).await.map_err(OpenError::Connect)?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// What holds for every connection. `synchronous = NORMAL` may lose the last transactions with the machine's power,
/// never with the process, and never damages the file.
fn connect_options(config: &Config) -> Result<SqliteConnectOptions, sqlx::Error> {
    let options = match &config.database_url {
        Some(url) => url.parse()?,
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

/// The data holds credentials' digests and who called whom: nobody else's to read.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
