//! The state machine of native clients, as it is published.

use std::time::Duration;

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::{AddTrackRequest, ReconnectReason};
use livekit_signaling::{SignalClient, SignalError, SignalOptions};
use tandem_core::room::signal::{RoomRequest, Topology};

use crate::world::{World, token, until, within};

fn options(is_single: bool) -> SignalOptions {
    let mut options = SignalOptions::default();
    options.auto_subscribe = true;
    options.single_peer_connection = is_single;
    options.connect_timeout = Duration::from_secs(20);
    options.region_failover = false;
    options
}

#[tokio::test]
async fn it_connects_publishes_and_comes_back_with_one_connection_and_with_two() {
    for (is_single, topology) in [(true, Topology::Single), (false, Topology::Dual)] {
        let world = World::start().await;
        let url = world.url("").replace("http", "ws");
        let token = token("alice");
        let connect = SignalClient::connect(&url, &token, options(is_single), None);
        let (client, join, _events) = within("connecting", connect).await.unwrap();
        assert_eq!(join.participant.unwrap().identity, "alice");
        assert_eq!(client.is_single_pc_mode_active(), is_single);
        assert_eq!(world.rooms.seen.lock().joins[0].topology, topology);
        let track = AddTrackRequest { cid: "c".into(), ..AddTrackRequest::default() };
        client.send(Request::AddTrack(track)).await;
        let is_published = |it: &RoomRequest| matches!(it, RoomRequest::Publish(it) if &*it.cid == "c");
        until("the track", || world.requests().iter().any(is_published)).await;
        let restart = client.restart(ReconnectReason::RrSignalDisconnected);
        assert!(within("coming back", restart).await.unwrap().server_info.is_some());
        client.set_reconnected().await;
        client.close().await;
    }
}

#[tokio::test]
async fn a_bad_token_is_final_for_it() {
    let world = World::start().await;
    let url = world.url("").replace("http", "ws");
    let refused = within("connecting", SignalClient::connect(&url, "a.b.c", options(true), None)).await;
    assert!(matches!(refused, Err(SignalError::Client(status, _)) if status.as_u16() == 401));
}
