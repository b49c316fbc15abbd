//! The first thing that somebody is told who comes in, or back.

use livekit_protocol::server_info::Edition;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{JoinResponse, ParticipantUpdate, ReconnectResponse, RoomUpdate, ServerInfo};
use tandem_core::room::signal::{Joined, Topology};

use super::{Dialect, participant, room};
use crate::version::{OURS, Version};

/// How often clients ping, in seconds. Some build a timer of it: it must not be zero.
const PING_INTERVAL: i32 = 5;

/// After how many seconds without a word from us they give up.
const PING_TIMEOUT: i32 = 15;

/// He is in.
pub(super) fn join(dialect: &Dialect, joined: &Joined) -> Response {
    let version = Version(dialect.client.protocol);
    let server = server(dialect);
    Response::Join(JoinResponse {
        room: Some(room(&joined.room)),
        participant: Some(participant(&joined.me)),
        other_participants: joined.others.iter().map(|it| participant(it)).collect(),
        server_version: server.version.clone(),
        server_info: Some(server),
        subscriber_primary: dialect.topology == Topology::Dual && version.has_subscriber_as_primary(),
        ping_interval: PING_INTERVAL,
        ping_timeout: PING_TIMEOUT,
        ..JoinResponse::default()
    })
}

/// He is back: everybody as he is now, himself too.
pub(super) fn resumed(dialect: &Dialect, joined: &Joined, last_message_seq: u32) -> Vec<Response> {
    let all = std::iter::once(&joined.me).chain(&joined.others);
    vec![
        Response::Reconnect(ReconnectResponse {
            server_info: Some(server(dialect)),
            last_message_seq,
            ..ReconnectResponse::default()
        }),
        Response::Update(ParticipantUpdate { participants: all.map(|it| participant(it)).collect() }),
        Response::RoomUpdate(RoomUpdate { room: Some(room(&joined.room)) }),
    ]
}

/// The server that clients are to take us for: they try RPC from 1.8 on, and find out about the rest by trying.
const LIKE: &str = "1.13.5";

fn server(dialect: &Dialect) -> ServerInfo {
    ServerInfo {
        edition: Edition::Standard.into(),
        version: LIKE.into(),
        protocol: OURS,
        node_id: format!("ND_{}", dialect.node.uuid().simple()),
        ..ServerInfo::default()
    }
}
