//! Who comes in: a token, parameters, and what the room says to them, all before the WebSocket is upgraded.
//!
//! ```text
//!  GET /rtc/v1, /rtc ── token ── parameters ── join or resume ── first signal ──▶ 101 and the socket
//!                         401       400           404, 503       403, 503
//! ```

mod entrance;
mod params;
mod refusal;
mod ticket;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tandem_core::event::Context;
use tandem_core::room::signal::Topology;
use tokio::time::timeout;
use tracing::debug;

use crate::edge::{Livekit, RefusedJoin};
use crate::framing::LARGEST;
use crate::socket::{self, Call};
use crate::wires::{Line, Outgoing, Place};
use refusal::Turned;
use ticket::Ticket;

pub(crate) use entrance::Entered;
pub(crate) use params::Params;
pub(crate) use ticket::token;

/// How long a room may take to say whether somebody is in: clients give up after five seconds.
const ANSWER: Duration = Duration::from_secs(4);

/// The endpoints that are for participants.
pub(crate) fn routes() -> Router<Arc<Livekit>> {
    Router::new()
        .route("/rtc/v1", get(single))
        .route("/rtc/v1/validate", get(validate_single).options(may_ask))
        .route("/rtc", get(any))
        .route("/rtc/validate", get(validate_any).options(may_ask))
        .layer(map_response(open_to_all))
}

/// What browsers ask before they ask with a header.
async fn may_ask() -> StatusCode {
    StatusCode::OK
}

/// Pages of any origin may ask: what lets them in is the token.
pub(crate) async fn open_to_all(mut response: Response) -> Response {
    let any = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, any.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, any);
    response
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

type Address = Option<Extension<IpAddr>>;

async fn single(
    edge: State<Arc<Livekit>>,
    query: RawQuery,
    headers: HeaderMap,
    from: Address,
    upgrade: Upgrade,
) -> Response {
    let (from, topology) = (from.map(|it| it.0), Some(Topology::Single));
    enter(edge.0, query, &headers, from, upgrade, topology).await.unwrap_or_else(Turned::into_response)
}

async fn any(
    edge: State<Arc<Livekit>>,
    query: RawQuery,
    headers: HeaderMap,
    from: Address,
    upgrade: Upgrade,
) -> Response {
    enter(edge.0, query, &headers, from.map(|it| it.0), upgrade, None).await.unwrap_or_else(Turned::into_response)
}

async fn validate_single(edge: State<Arc<Livekit>>, query: RawQuery, headers: HeaderMap) -> Response {
    validate(&edge, query, &headers, Some(Topology::Single)).into_response()
}

async fn validate_any(edge: State<Arc<Livekit>>, query: RawQuery, headers: HeaderMap) -> Response {
    validate(&edge, query, &headers, None).into_response()
}

/// The same checks without coming in: browsers cannot see why an upgrade failed.
fn validate(
    edge: &Livekit,
    RawQuery(query): RawQuery,
    headers: &HeaderMap,
    topology: Option<Topology>,
) -> Result<(StatusCode, &'static str), Turned> {
    let query = query.unwrap_or_default();
    let ticket = Ticket::read(&edge.keys, token(headers, &query).as_deref())?;
    let params = Params::read(&query, topology)?;
    entrance::foresee(edge, &ticket, &params)?;
    Ok((StatusCode::OK, "success"))
}

async fn enter(
    edge: Arc<Livekit>,
    RawQuery(query): RawQuery,
    headers: &HeaderMap,
    from: Option<IpAddr>,
    upgrade: Upgrade,
    topology: Option<Topology>,
) -> Result<Response, Turned> {
    // Whoever asks for no WebSocket finds nothing here.
    let upgrade = upgrade.map_err(|_| Turned::NotFound)?;
    let query = query.unwrap_or_default();
    let ticket = Ticket::read(&edge.keys, token(headers, &query).as_deref())?;
    let params = Params::read(&query, topology)?;
    let permit = edge.places.clone().try_acquire_owned().map_err(|_| Turned::Overload)?;
    let context = entrance::context(&edge, &ticket);
    let admitted = admitted(&edge, &ticket, &params, &context).await;
    let (entered, first) = admitted.inspect_err(|turned| note(&edge, &ticket, context, from, *turned))?;
    debug!(client = params.client.name, is_resume = params.is_resume(), "signalling opened");
    let upgrade = upgrade.max_message_size(LARGEST).max_frame_size(LARGEST);
    let call = Call { bearer: ticket.bearer, params, entered, first };
    Ok(upgrade.on_upgrade(async move |socket| {
        socket::speak(edge, call, socket).await;
        drop(permit);
    }))
}

/// Comes in, with what the room says first.
async fn admitted(
    edge: &Livekit,
    ticket: &Ticket,
    params: &Params,
    context: &Context,
) -> Result<(Entered, Option<Outgoing>), Turned> {
    let mut entered = entrance::enter(edge, ticket, params, context)?;
    let first = match &mut entered {
        Entered::Line(line, place) => Some(first_signal(edge, line, place, params.is_resume()).await?),
        Entered::Stranger => None,
    };
    Ok((entered, first))
}

/// Tells of somebody for whom there was no seat.
fn note(edge: &Livekit, ticket: &Ticket, context: Context, from: Option<IpAddr>, turned: Turned) {
    if let Turned::Full { seats, origin } = turned {
        let (room, identity) = (ticket.room.clone(), ticket.identity.clone());
        (edge.refused)(RefusedJoin { context, room, identity, seats, origin, from });
    }
}

/// What the room says first.
async fn first_signal(edge: &Livekit, line: &mut Line, place: &Place, is_resume: bool) -> Result<Outgoing, Turned> {
    use tandem_core::room::signal::{RoomRequest, RoomSignal};
    match timeout(ANSWER, line.queue.recv()).await {
        Ok(Some(Outgoing::Signal(RoomSignal::Refused(refusal)))) => {
            edge.wires.abandon(line);
            Err(refusal.into())
        }
        Ok(Some(first)) => Ok(first),
        Ok(None) | Err(_) => {
            if !is_resume {
                let _gone = edge.rooms.request(place.participant, RoomRequest::Leave);
                edge.wires.abandon(line);
            }
            Err(Turned::Overload)
        }
    }
}
