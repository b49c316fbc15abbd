//! One open socket: what comes in becomes requests, what its wire has becomes frames.
//!
//! ```text
//!  frames ──read──▶ request ──▶ RoomPort                 ping ──▶ pong, through the queue
//!  frames ◀─write── response ◀── queue of the wire       every 10 s a ping, every 5 min a new token
//! ```
//!
//! # Invariants
//! * The first frame is what the room said first.
//! * However it ends, its participant hears of it, unless another socket has taken its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use livekit_protocol::SignalResponse;
use livekit_protocol::signal_response::Message as Response;
use tandem_core::id::{ConferenceId, ParticipantId};
use tokio::time::{Instant, interval_at, timeout};
use tracing::debug;

use crate::door::{Entered, Params};
use crate::edge::Livekit;
use crate::framing::{self, Framing};
use crate::keys::Bearer;
use crate::request::{self, Verdict};
use crate::response::{self, Dialect};
use crate::wires::{Line, Outgoing};

/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(10);

/// How long one may say nothing at all. Clients ping every five seconds.
const DEAD: Duration = Duration::from_secs(30);

/// How often a client gets a new token: before half the life of the last one is over.
const REFRESH: Duration = Duration::from_secs(300);

/// How long one frame may take to be written, and a close to be answered.
const CLOSE: Duration = Duration::from_secs(5);

/// Somebody who is connected.
pub(crate) struct Call {
    pub(crate) bearer: Bearer,
    pub(crate) params: Params,
    pub(crate) entered: Entered,
    /// What the room said.
    pub(crate) first: Option<Outgoing>,
}

/// What both directions of a socket know.
pub(crate) struct Talk<'a> {
    pub(crate) edge: &'a Livekit,
    pub(crate) participant: ParticipantId,
    /// Where he is.
    pub(crate) conference: Option<ConferenceId>,
    pub(crate) socket: u64,
    pub(crate) dialect: Dialect,
    is_text: AtomicBool,
}

impl Talk<'_> {
    /// Answers by itself. Whether there was room.
    pub(crate) fn respond(&self, response: Response) -> bool {
        let response = SignalResponse { message: Some(response) };
        self.edge.wires.respond((self.participant, self.socket), response)
    }

    fn framing(&self) -> Framing {
        if self.is_text.load(Ordering::Relaxed) { Framing::Text } else { Framing::Binary }
    }
}

/// Talks until one of the two sides is done.
pub(crate) async fn speak(edge: Arc<Livekit>, call: Call, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    let Call { bearer, params, entered, first } = call;
    let Entered::Line(line, place) = entered else {
        let leave = SignalResponse { message: Some(Response::Leave(response::come_anew(&params.client))) };
        if let Some(frame) = framing::write(&leave, Framing::Binary) {
            let _gone = timeout(CLOSE, sink.send(frame)).await;
        }
        let _late = timeout(CLOSE, say_goodbye(sink, source)).await;
        return;
    };
    let Line { participant, socket, queue, cut } = line;
    let talk = Talk {
        edge: &edge,
        participant,
        conference: edge.wires.conference(participant),
        socket,
        dialect: Dialect { client: params.client.clone(), topology: params.topology, node: edge.node },
        is_text: AtomicBool::new(false),
    };
    let opening = request::opening(&params);
    let read = async {
        for request in opening {
            request::carry_out(&talk, request)?;
        }
        read(&talk, &mut source).await
    };
    let write = write(&talk, &bearer, first, queue, &mut sink);
    // What was read last is still answered: a leave, or a mistake, has its answer in the queue.
    let parting = tokio::select! {
        biased;
        () = cut.notified() => Parting::Cut,
        parting = write => parting,
        verdict = read => match verdict {
            Err(Verdict::Leave(leave)) => Parting::With(leave),
            Err(Verdict::Close) | Ok(()) => Parting::Close,
        },
    };
    debug!(participant_id = %participant, ?parting, "signalling closed");
    if let Parting::With(leave) = &parting {
        let response = SignalResponse { message: Some(Response::Leave(leave.clone())) };
        if let Some(frame) = framing::write(&response, talk.framing()) {
            let _gone = timeout(CLOSE, sink.send(frame)).await;
        }
    }
    drop(place);
    if !matches!(parting, Parting::Cut) {
        let _late = timeout(CLOSE, say_goodbye(sink, source)).await;
    }
}

/// How a socket ends.
#[derive(Debug)]
enum Parting {
    /// Another took its place, or it does not read.
    Cut,
    /// It is closed.
    Close,
    /// It is told why.
    With(livekit_protocol::LeaveRequest),
}

async fn write(
    talk: &Talk<'_>,
    bearer: &Bearer,
    first: Option<Outgoing>,
    mut queue: tokio::sync::mpsc::Receiver<Outgoing>,
    sink: &mut SplitSink<WebSocket, Message>,
) -> Parting {
    if let Some(first) = first
        && let Err(parting) = put(talk, first, sink).await
    {
        return parting;
    }
    let mut pings = interval_at(Instant::now() + PING, PING);
    let mut tokens = interval_at(Instant::now(), REFRESH);
    loop {
        let put = tokio::select! {
            outgoing = queue.recv() => match outgoing {
                Some(outgoing) => put(talk, outgoing, sink).await,
                // Its participant is released: all that there was to say is said.
                None => Err(Parting::Close),
            },
            _ = tokens.tick() => match talk.edge.keys.refreshed(&bearer.claims) {
                Some(token) => send(talk, Response::RefreshToken(token), sink).await,
                None => Ok(()),
            },
            _ = pings.tick() => frame(Message::Ping(Vec::new().into()), sink).await,
        };
        if let Err(parting) = put {
            return parting;
        }
    }
}

async fn put(talk: &Talk<'_>, outgoing: Outgoing, sink: &mut SplitSink<WebSocket, Message>) -> Result<(), Parting> {
    let signal = match outgoing {
        Outgoing::Response(response) => return message(talk, &response, sink).await,
        Outgoing::Signal(signal) => signal,
    };
    let said = response::of_signal(talk, signal);
    for response in said.responses {
        send(talk, response, sink).await?;
    }
    if said.is_last { Err(Parting::Close) } else { Ok(()) }
}

async fn send(talk: &Talk<'_>, response: Response, sink: &mut SplitSink<WebSocket, Message>) -> Result<(), Parting> {
    message(talk, &SignalResponse { message: Some(response) }, sink).await
}

async fn message(
    talk: &Talk<'_>,
    response: &SignalResponse,
    sink: &mut SplitSink<WebSocket, Message>,
) -> Result<(), Parting> {
    let written = framing::write(response, talk.framing()).ok_or(Parting::Close)?;
    frame(written, sink).await
}

async fn frame(frame: Message, sink: &mut SplitSink<WebSocket, Message>) -> Result<(), Parting> {
    match timeout(DEAD, sink.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Parting::Cut),
    }
}

/// Until the client is gone.
async fn read(talk: &Talk<'_>, source: &mut SplitStream<WebSocket>) -> Result<(), Verdict> {
    loop {
        let Ok(Some(Ok(frame))) = timeout(DEAD, source.next()).await else { return Ok(()) };
        if matches!(frame, Message::Close(_)) {
            return Ok(());
        }
        match framing::read(&frame) {
            None => {}
            Some(Ok((request, framing))) => {
                talk.is_text.store(framing == Framing::Text, Ordering::Relaxed);
                request::carry_out(talk, request)?;
            }
            Some(Err(error)) => {
                debug!(participant_id = %talk.participant, %error, "message not understood");
                return Err(Verdict::Close);
            }
        }
    }
}

async fn say_goodbye(mut sink: SplitSink<WebSocket, Message>, mut source: SplitStream<WebSocket>) {
    let close = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    if sink.send(Message::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_)) = source.next().await {}
    }
}
