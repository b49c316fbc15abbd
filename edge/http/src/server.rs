//! Accepts connections: bounded in number and in life, each head of a request with a deadline.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tandem_core::network::Network;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::api::{Api, router};
use crate::auth::CameFrom;
use crate::config::Config;
use crate::proxies::client;
use crate::queues::Fullness;
use crate::stall::Impatient;

/// Pause after an accept that failed, usually for want of descriptors: without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a peer may take nothing of what is written to it.
const STALL: Duration = Duration::from_secs(30);

/// How long a connection may be used for one request after the other. Whoever has more to ask connects again; an event
/// stream is no request any more.
const LIFE: Duration = Duration::from_secs(300);

/// How long a connection is still listened to when it is to be closed: what was asked before we knew is answered.
const PARTING: Duration = Duration::from_millis(250);

/// Longest head of a request, in bytes.
const LONGEST_HEAD: usize = 32 << 10;

/// Serves until `until` is ready; requests in hand then have [`Config::request_timeout`] to finish, and event streams
/// are closed.
///
/// # Errors
/// When the listener cannot be used at all.
pub async fn serve(
    listener: std::net::TcpListener,
    api: Api,
    config: Config,
    until: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let clients = api.clients.clone();
    let permits = Arc::new(Semaphore::new(config.connections));
    let _fullness = Fullness::watched(&api, &config, permits.clone());
    let routes = router(api, &config);
    let trusted: Arc<[Network]> = config.trusted_proxies.clone().into();
    let (open, closing) = (TaskTracker::new(), CancellationToken::new());
    let _closed_with_us = closing.clone().drop_guard();
    let mut until = pin!(until);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = &mut until => break,
        };
        match accepted {
            Ok((stream, from, permit)) => {
                let (routes, trusted) = (routes.clone(), trusted.clone());
                let talk = converse(stream, from, routes, trusted, config.request_timeout, closing.clone());
                open.spawn(async move {
                    talk.await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    closing.cancel();
    open.close();
    let ended = async { tokio::join!(open.wait(), clients.close_streams()) };
    if timeout(config.request_timeout, ended).await.is_err() {
        warn!(left = open.len(), "requests cut off");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, from) = listener.accept().await?;
    Ok((stream, from, permit))
}

async fn converse(
    stream: TcpStream,
    from: SocketAddr,
    routes: Router,
    trusted: Arc<[Network]>,
    request_timeout: Duration,
    closing: CancellationToken,
) {
    let _broken = stream.set_nodelay(true);
    let routes = TowerToHyperService::new(routes);
    let with_source = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let client = client(&trusted, from.ip(), request.headers());
        request.extensions_mut().insert(CameFrom(client));
        // For routes of other edges that are mounted here.
        request.extensions_mut().insert(client);
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(request_timeout)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(Impatient::new(stream, STALL)), with_source)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = ended_or_old(&closing) => {
            connection.as_mut().graceful_shutdown();
            match timeout(request_timeout + STALL, connection).await {
                Ok(ended) => ended,
                Err(_late) => return debug!("connection cut off"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection broke");
    }
}

async fn ended_or_old(closing: &CancellationToken) {
    let _old = timeout(LIFE, closing.cancelled()).await;
    sleep(PARTING).await;
}
