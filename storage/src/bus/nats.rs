//! The connection to NATS: made for ever, looked at again after each break.
//!
//! ```text
//!  connect ──▶ (away: goes on in the background)
//!     │ connected
//!     ▼
//!  version ≥ 2.11 ──▶ JetStream enabled ──▶ streams as they should be ──▶ ready, until the next break
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::AccountErrorKind;
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use tandem_core::metric::{Gauge, Metrics};
use tokio::sync::{Mutex, watch};

use super::BusConfig;
use crate::database::{QueryError, Storage};
use crate::stream::{self, StreamError};

/// How long a start waits for a server, to say at once when it is too old.
const FIRST: Duration = Duration::from_secs(3);
/// One try to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// Deadline of everything that is asked of a server. A new leader of a stream is there after some five seconds.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// Between two looks at whether the server is there.
const PING: Duration = Duration::from_secs(10);
/// Messages on their way to the socket.
const OUT: usize = 4_096;
/// Messages that a subscription of ours may be behind; more are dropped.
const IN: usize = 4_096;

/// Why facts cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no file with credentials where the configuration says, or it holds none.
    #[error("no credentials for NATS in {path}")]
    Credentials {
        /// Where they were looked for.
        path: PathBuf,
        /// Why they cannot be read.
        source: std::io::Error,
    },
    /// The configuration names no server that could be tried.
    #[error("NATS cannot be tried")]
    Connect(#[from] async_nats::ConnectError),
    /// No server is connected.
    #[error("NATS is away")]
    Away,
    /// The server does not know what we ask of it.
    #[error("the NATS server is version {found}: 2.11 or later is needed")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The server has no JetStream, or not for us.
    #[error("the NATS server has JetStream not enabled (`jetstream` in its configuration), or not for this account")]
    NoJetStream,
    /// JetStream does not answer.
    #[error("JetStream does not answer")]
    Silent(#[source] async_nats::Error),
    /// A stream is not as it has to be.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The database does not say whether there is a history.
    #[error(transparent)]
    Database(#[from] QueryError),
}

/// NATS with JetStream.
#[derive(Debug)]
pub(crate) struct Nats {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    pub(crate) config: BusConfig,
    /// How often it was connected.
    connections: watch::Receiver<u64>,
    /// Which of these was found in order.
    checked: Mutex<u64>,
    /// Something was not in order since.
    is_doubted: AtomicBool,
    /// When the stream of state was made that was found last.
    state_made: parking_lot::Mutex<Option<i128>>,
}

impl Nats {
    /// Connects, or goes on trying. A server that is there and cannot serve is an error.
    pub(crate) async fn connect(config: &BusConfig, metrics: Arc<Metrics>) -> Result<Self, BusError> {
        let (up, mut connections) = watch::channel(0);
        let mut options = ConnectOptions::new()
            .name("tandem")
            .no_echo()
            .retry_on_initial_connect()
            .connection_timeout(CONNECT)
            .request_timeout(Some(ANSWER))
            .ping_interval(PING)
            .client_capacity(OUT)
            .subscription_capacity(IN)
            .reconnect_delay_callback(|tries| Duration::from_millis(50 << tries.min(6)))
            .event_callback(move |event| {
                heard(&event, &up, &metrics);
                std::future::ready(())
            });
        if let Some(path) = &config.credentials {
            let missing = |source| BusError::Credentials { path: path.clone(), source };
            options = options.credentials_file(path).await.map_err(missing)?;
        }
        let servers = config.servers().unwrap_or_default();
        let client = named(options, &servers).connect(servers).await?;
        let jetstream = jetstream::ContextBuilder::new().timeout(ANSWER).ack_timeout(ANSWER).build(client.clone());
        let is_up = tokio::time::timeout(FIRST, connections.wait_for(|it| *it > 0)).await.is_ok();
        let (config, checked, is_doubted) = (config.clone(), Mutex::default(), AtomicBool::default());
        let state_made = parking_lot::Mutex::default();
        let nats = Self { client, jetstream, config, connections, checked, is_doubted, state_made };
        if is_up {
            match nats.check_server().await {
                Err(error @ (BusError::TooOld { .. } | BusError::NoJetStream)) => return Err(error),
                // It may be in order by and by, like one that is away.
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "NATS is not ready"),
                Ok(()) => {}
            }
        } else {
            tracing::warn!("NATS is away: facts wait in the outbox");
        }
        Ok(nats)
    }

    /// Says whether facts can be published, and sees to it that they can.
    pub(crate) async fn ready(&self, storage: &Storage) -> Result<(), BusError> {
        if self.client.connection_state() != State::Connected {
            return Err(BusError::Away);
        }
        let connection = *self.connections.borrow();
        let mut checked = self.checked.lock().await;
        if self.is_doubted.swap(false, Relaxed) {
            *checked = 0;
        }
        if *checked != connection {
            self.check_server().await?;
            stream::declare(self, storage).await?;
            *checked = connection;
        }
        Ok(())
    }

    /// The streams are looked at again before the next batch. Does not wait for a look that is under way.
    pub(crate) fn look_again(&self) {
        self.is_doubted.store(true, Relaxed);
    }

    /// The stream of state is there, and was made then.
    pub(crate) fn state_is_of(&self, made: i128) {
        *self.state_made.lock() = Some(made);
    }

    /// Which stream of state it is: another one than before is empty.
    pub(super) fn state_made(&self) -> Option<i128> {
        *self.state_made.lock()
    }

    pub(crate) async fn check_server(&self) -> Result<(), BusError> {
        if !self.client.is_server_compatible(2, 11, 0) {
            return Err(BusError::TooOld { found: self.client.server_info().version });
        }
        match self.jetstream.query_account().await.map_err(|error| (error.kind(), error)) {
            Ok(_) => Ok(()),
            Err((AccountErrorKind::JetStream(error), _))
                if [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT]
                    .contains(&error.error_code()) =>
            {
                Err(BusError::NoJetStream)
            }
            // One that has it, and no leader yet, does not answer either.
            Err((AccountErrorKind::JetStreamUnavailable, _)) if !self.client.server_info().jetstream => {
                Err(BusError::NoJetStream)
            }
            Err((_, error)) => Err(BusError::Silent(error.into())),
        }
    }
}

/// With what the URLs say of who connects, which the client leaves out: that of the first which says it.
fn named(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match servers.iter().find_map(|it| Some((it.username()?, it.password()))) {
        Some((user, Some(password))) => options.user_and_password(plain(user), plain(password)),
        Some((token, None)) => options.token(plain(token)),
        None => options,
    }
}

fn heard(event: &Event, up: &watch::Sender<u64>, metrics: &Metrics) {
    match event {
        Event::Connected => {
            up.send_modify(|it| *it += 1);
            metrics.set(Gauge::BusConnected, 1);
            tracing::info!("NATS is connected");
        }
        Event::Disconnected | Event::Closed => {
            metrics.set(Gauge::BusConnected, 0);
            tracing::warn!("NATS is away");
        }
        Event::LameDuckMode | Event::Draining => {}
        Event::SlowConsumer(_) => tracing::warn!("events of other nodes came faster than they could be taken"),
        Event::ServerError(error) => tracing::error!(%error, "NATS refuses something"),
        // Whoever waits for it is told; a server that is away says so with every try.
        Event::ClientError(error) => tracing::debug!(%error, "NATS connection"),
    }
}
