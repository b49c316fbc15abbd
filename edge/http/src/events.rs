//! What happens to a user's calls, as it happens, over a WebSocket.
//!
//! ```text
//!  snapshot | resumed, what was missed ─▶ events ─▶ … ─▶ close: 4001 token expired, 4003 revoked, 4008 too slow,
//!                                                               4009 too many, 1001 shutdown, 1009 frame too large
//! ```

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use tandem_core::pii::Pii;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tracing::debug;
use utoipa::IntoParams;

use crate::api::Shared;
use crate::bearer::{Principal, token, verify};
use crate::clients::{Cut, Feed};
use crate::problem::{Door, ErrorBody, Problem};

/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(20);

/// How long one may say nothing at all.
const DEAD: Duration = Duration::from_secs(60);

/// How long a close may take: the last frames before it, and its answer.
const CLOSE: Duration = Duration::from_secs(5);

/// Largest frame of a client, in bytes. What is in it is ignored.
const LARGEST: usize = 4_096;

/// Largest frame that is even read to be refused.
const LARGEST_READ: usize = 65_536;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// For those who cannot set a header.
    #[param(value_type = Option<String>)]
    access_token: Option<Pii<String>>,
    /// Of the last frame that was read.
    cursor: Option<String>,
}

/// Events of one's own calls, over a WebSocket.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", security(("bearer" = [])), params(EventsQuery), responses(
    (status = 101, description = "Frames of JSON follow"),
    (status = 400, description = "`validation_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 426, description = "`upgrade_required`: no WebSocket was asked for", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody, headers(("Retry-After" = u64, description = "Seconds"))),
))]
pub(crate) async fn events(
    State(shared): State<Shared>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("access_token and cursor, once each"))?;
    let given = token(&headers).or(query.access_token.as_ref().map(|token| token.reveal().as_str()));
    let principal = verify(&shared, Door::Api, given).await?;
    shared.admit(&principal)?;
    let upgrade = upgrade.map_err(|_| Problem::UpgradeRequired)?;
    if !shared.api.clients.has_room(shared.config.streams) {
        return Err(Problem::Unavailable);
    }
    let upgrade = upgrade.max_message_size(LARGEST_READ).max_frame_size(LARGEST_READ);
    Ok(upgrade.on_upgrade(move |socket| speak(shared, principal, query.cursor, socket)))
}

/// Why we close a socket.
enum Close {
    Cut(Cut),
    Expired,
    Revoked,
    TooLarge,
}

async fn speak(shared: Shared, principal: Principal, cursor: Option<String>, socket: WebSocket) {
    let Feed { backlog, mut frames, mut cut, place } = shared.api.clients.open(&principal.key(), cursor.as_deref());
    debug!(user_id = %principal.user_id, "event stream opened");
    let left = principal.expires - shared.api.clients.clock.now().wall;
    let (mut sink, mut source) = socket.split();
    let write = async {
        for frame in backlog {
            sink.send(Message::Text(frame)).await?;
        }
        let mut pings = interval_at(Instant::now() + PING, PING);
        loop {
            let message = tokio::select! {
                frame = frames.recv() => match frame {
                    Some(frame) => Message::Text(frame),
                    None => return Ok::<_, axum::Error>(()),
                },
                _ = pings.tick() => Message::Ping(Default::default()),
            };
            sink.send(message).await?;
        }
    };
    let close = tokio::select! {
        biased;
        why = &mut cut => Some(Close::Cut(why.unwrap_or(Cut::Shutdown))),
        () = sleep(left) => Some(Close::Expired),
        () = shared.api.gate.revoked(principal.proven()) => Some(Close::Revoked),
        close = read(&mut source) => close,
        // Whoever cuts it also ends its frames.
        done = write => match done {
            Ok(()) => Some(Close::Cut(cut.await.unwrap_or(Cut::Shutdown))),
            Err(_) => None,
        },
    };
    drop(place);
    if let Some(close) = close {
        let (code, reason) = close.frame();
        debug!(user_id = %principal.user_id, code, "event stream closed");
        let _late = timeout(CLOSE, say_goodbye(sink, source, code, reason)).await;
    }
}

/// Until the client is gone (`None`) or has to go. What it says is ignored.
async fn read(source: &mut SplitStream<WebSocket>) -> Option<Close> {
    loop {
        match timeout(DEAD, source.next()).await {
            Ok(Some(Ok(Message::Close(_))) | None) | Err(_) => return None,
            Ok(Some(message)) => {
                if message.map_or(true, |message| message.into_data().len() > LARGEST) {
                    return Some(Close::TooLarge);
                }
            }
        }
    }
}

async fn say_goodbye(
    mut sink: SplitSink<WebSocket, Message>,
    mut source: SplitStream<WebSocket>,
    code: u16,
    reason: &'static str,
) {
    let close = CloseFrame { code, reason: reason.into() };
    if sink.send(Message::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_)) = source.next().await {}
    }
}

impl Close {
    const fn frame(&self) -> (u16, &'static str) {
        match self {
            Self::Cut(cut) => cut.close(),
            Self::Expired => (4001, "token expired"),
            Self::Revoked => (4003, "revoked"),
            Self::TooLarge => (1009, "frame too large"),
        }
    }
}
