//! The database: connections that write, connections that read. SQLite or PostgreSQL; nobody above knows which.

mod bounded;
mod postgres;
mod refusal;
mod sqlite;
mod url;

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr, RuntimeErr, SqlErr};
use tandem_core::metric::Metrics;

use crate::config::{Config, OutOfRange};
use crate::passwords::Passwords;
use crate::settled::Settled;

use bounded::Bounded;
pub(crate) use refusal::is_refusal;
pub use url::{DatabaseUrl, Engine};

/// How long several questions, or a transaction, may take.
const LATE: Duration = Duration::from_secs(60);

/// The database of a node. Clones of the connections inside are the same connections.
#[derive(Debug)]
pub struct Storage {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    /// On SQLite exactly one connection.
    pub(crate) writer: Bounded,
    pub(crate) reader: Bounded,
    /// For relays: they hold locks while they publish, and no commit may wait behind that.
    pub(crate) relay: DatabaseConnection,
    pub(crate) passwords: Passwords,
    pub(crate) settled: Settled,
}

/// What an engine opened.
struct Connections {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    relay: DatabaseConnection,
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
    /// The file that was to hold its password does not.
    #[error("no password in {path}")]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server does not know what we ask of it.
    #[error("PostgreSQL {found} is too old, it has to be {oldest} or later")]
    TooOld {
        /// Its `server_version_num`.
        found: String,
        /// The oldest major version.
        oldest: i32,
    },
    /// The schema cannot be brought up to date.
    #[error("schema not up to date")]
    Migrate(#[source] DbErr),
}

/// Why a question to the database has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database does not answer.
    #[error("database")]
    Database(#[source] DbErr),
    /// Something of that name, or in that place, is there already.
    #[error("there is one already")]
    Conflict,
    /// A row does not say what its table promises.
    #[error("row of {table} is damaged")]
    Damaged {
        /// Which table.
        table: &'static str,
    },
}

impl From<DbErr> for QueryError {
    fn from(error: DbErr) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Conflict,
            _ => Self::Database(error),
        }
    }
}

impl Storage {
    /// Opens the database, makes what is missing and brings the schema up to date. Several processes may do so at once;
    /// only the node itself opens a [`Ledger`](crate::Ledger) too. Waits for a PostgreSQL that is away, for as long as
    /// the configuration says.
    ///
    /// # Errors
    /// [`OpenError`]: what is in the way.
    pub async fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Self>, OpenError> {
        config.check()?;
        let folder = |source| OpenError::Folder { path: config.data_dir.clone(), source };
        make_private_folder(&config.data_dir).map_err(folder)?;
        let connections = match config.engine() {
            Engine::Sqlite => sqlite::open(config).await?,
            Engine::Postgres => postgres::open(config).await?,
        };
        Ok(Self::with(config, metrics, connections))
    }

    /// Opens a database that is there, to read it: makes nothing and leaves the schema as it is. Whatever writes fails.
    ///
    /// # Errors
    /// [`OpenError`]: what is in the way.
    pub async fn open_existing(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Self>, OpenError> {
        config.check()?;
        let connections = match config.engine() {
            Engine::Sqlite => sqlite::open_existing(config).await?,
            Engine::Postgres => postgres::open_existing(config).await?,
        };
        Ok(Self::with(config, metrics, connections))
    }

    fn with(config: &Config, metrics: Arc<Metrics>, connections: Connections) -> Arc<Self> {
        let Connections { writer, reader, relay } = connections;
        // Both ends have deadlines; this one is for a server that vanished without a word.
        let limit = config.acquire_timeout + config.statement_timeout.max(config.busy_timeout);
        let [writer, reader] = [writer, reader].map(|db| Bounded::new(db, limit));
        let (passwords, settled) = (Passwords::new(), Settled::default());
        Arc::new(Self { config: config.clone(), metrics, writer, reader, relay, passwords, settled })
    }
}

/// Several questions, or a transaction. A server that vanished says nothing for ever.
///
/// # Errors
/// Its own, or that there is no answer within [`LATE`].
pub(crate) async fn in_time<T, E: From<DbErr>>(asked: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(LATE, asked).await.unwrap_or_else(|_| Err(late().into()))
}

fn late() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(String::from("no answer in time")))
}

/// The data holds credentials' digests and who called whom: nobody else's to read.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
