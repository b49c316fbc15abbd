//! PostgreSQL: a server that nodes share, and that may be away.
//!
//! ```text
//!  answers? ──no──▶ back-off, up to `connect_timeout` ──▶ error
//!     │yes
//!  new enough? ──▶ lock ──▶ migrations ──▶ unlock ──▶ pools, that find the server again by themselves
//! ```
//!
//! # Invariants
//! * Of nodes that start at once, one at a time changes the schema.
//! * A connection that broke is replaced: the pools ask each one before they hand it out.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, SqlxPostgresConnector, Statement};
use sea_orm_migration::MigratorTrait;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep, timeout};

use super::{Connections, OpenError};
use crate::config::Config;
use crate::migration::Migrations;
use crate::relay::RELAYS;
use crate::time::Waits;

/// The oldest server that its makers still care for.
const OLDEST: i32 = 140_000;

/// One try to connect.
const TRY: Duration = Duration::from_secs(5);

/// Whoever changes the schema has it: "tandem" in ASCII.
const LOCK: i64 = 0x74_61_6e_64_65_6d;

/// Between two tries to get the lock.
const LOCK_LOOK: Duration = Duration::from_millis(250);

/// The server looks after connections whose other end may be gone, so that what a dead node has locked is free within
/// half a minute. One that sits in a transaction for a minute is a bug or half dead.
const HYGIENE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("idle_in_transaction_session_timeout", "60000"),
];

/// Waits for the server and brings the schema up to date.
pub(super) async fn open(config: &Config) -> Result<Connections, OpenError> {
    let options = options(config)?;
    answering(config, &options).await?;
    migrate(&options).await?;
    let statement_timeout = config.statement_timeout.as_millis().to_string();
    let options = options.options([("statement_timeout", &statement_timeout)]);
    let writer = pool(config, options.clone(), config.writers);
    let relay = pool(config, options.clone(), RELAYS);
    let reader = pool(config, read_only(options), config.readers);
    Ok(Connections { writer, reader, relay })
}

/// Changes nothing.
pub(super) async fn open_existing(config: &Config) -> Result<Connections, OpenError> {
    let options = options(config)?;
    check(&options).await?;
    let reader = pool(config, read_only(options), config.readers);
    Ok(Connections { writer: reader.clone(), relay: reader.clone(), reader })
}

fn options(config: &Config) -> Result<PgConnectOptions, OpenError> {
    let url = config.database_url.as_ref().map(|it| it.reveal()).unwrap_or_default();
    let mut options: PgConnectOptions = url.parse().map_err(OpenError::Connect)?;
    if options.get_application_name().is_none() {
        options = options.application_name("tandem");
    }
    if let Some(path) = &config.database_password_file {
        let read = std::fs::read_to_string(path);
        let password = read.map_err(|source| OpenError::PasswordFile { path: path.clone(), source })?;
        options = options.password(password.trim_end_matches(['\r', '\n']));
    }
    Ok(options.options(HYGIENE).disable_statement_logging())
}

fn read_only(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("default_transaction_read_only", "on")])
}

/// Connects when it is first asked.
fn pool(config: &Config, options: PgConnectOptions, most: u32) -> DatabaseConnection {
    let pool = PgPoolOptions::new().max_connections(most).acquire_timeout(config.acquire_timeout);
    // Without it, a connection to a server that vanished would keep its place for as long as TCP hopes: a quarter of an
    // hour.
    let pool = pool.after_release(|connection, _| {
        Box::pin(async move {
            let late = Err(sqlx::Error::Io(ErrorKind::TimedOut.into()));
            timeout(TRY, connection.ping()).await.unwrap_or(late).map(|()| true)
        })
    });
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_lazy_with(options))
}

/// Returns when the server answers, and is one that we know.
async fn answering(config: &Config, options: &PgConnectOptions) -> Result<(), OpenError> {
    let (deadline, mut waits) = (Instant::now() + config.connect_timeout, Waits::new());
    loop {
        let error = match check(options).await {
            Err(error) if may_pass(&error) && Instant::now() < deadline => error,
            outcome => return outcome,
        };
        let (wait, left_s) = (waits.after_failure(), (deadline - Instant::now()).as_secs());
        let why = error.source().map(ToString::to_string);
        tracing::warn!(why, left_s, "database does not answer, tried again");
        sleep(wait.min(deadline - Instant::now())).await;
    }
}

async fn check(options: &PgConnectOptions) -> Result<(), OpenError> {
    let ask = async {
        let mut connection = options.connect().await?;
        let version: String = sqlx::query_scalar("SHOW server_version_num").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(version)
    };
    let late = Err(sqlx::Error::Io(ErrorKind::TimedOut.into()));
    let version = timeout(TRY, ask).await.unwrap_or(late).map_err(OpenError::Connect)?;
    match version.parse::<i32>() {
        Ok(version) if version >= OLDEST => Ok(()),
        _ => Err(OpenError::TooOld { found: version, oldest: OLDEST / 10_000 }),
    }
}

/// Whether it is worth another try. A wrong password, a certificate that nobody vouches for, or a database that does not
/// exist is not; a server that is away, starts, or is full is.
fn may_pass(error: &OpenError) -> bool {
    match error {
        OpenError::Connect(sqlx::Error::Database(refusal)) => {
            refusal.code().is_some_and(|code| ["57", "53", "08"].iter().any(|class| code.starts_with(class)))
        }
        // What TLS does not take comes as invalid data.
        OpenError::Connect(sqlx::Error::Io(error)) => error.kind() != ErrorKind::InvalidData,
        OpenError::Connect(sqlx::Error::Protocol(_)) => true,
        _ => false,
    }
}

async fn migrate(options: &PgConnectOptions) -> Result<(), OpenError> {
    // Exactly one connection: the lock is its, and gone with it. It has no deadline: an index may take its time.
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await;
    let db = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.map_err(OpenError::Connect)?);
    let mut is_said = false;
    while !try_lock(&db).await.map_err(OpenError::Migrate)? {
        if !std::mem::replace(&mut is_said, true) {
            tracing::info!("another node brings the schema up to date, waiting for it");
        }
        sleep(LOCK_LOOK).await;
    }
    let outcome = Migrations::up(&db, None).await.map_err(OpenError::Migrate);
    // Its end frees the lock, too.
    let _ = db.close().await;
    outcome
}

async fn try_lock(db: &DatabaseConnection) -> Result<bool, sea_orm::DbErr> {
    let ask = Statement::from_string(db.get_database_backend(), format!("SELECT pg_try_advisory_lock({LOCK})"));
    db.query_one_raw(ask).await?.map_or(Ok(false), |row| row.try_get_by_index(0))
}
