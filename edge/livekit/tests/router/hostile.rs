//! What no client would do.

use futures::SinkExt;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{JoinRequest, SessionDescription};
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::world::{World, token, until};

#[tokio::test]
async fn what_is_no_message_ends_the_socket_and_nobody_else_s() {
    let world = World::start().await;
    let (mut bob, _) = Client::join(&world, &token("bob"), &JoinRequest::default()).await;
    for frame in [
        Message::Binary(vec![0xff; 100].into()),
        Message::Text("{".into()),
        Message::Binary(vec![0; (2 << 20) + 1].into()),
    ] {
        let (mut mallory, _) = Client::join(&world, &token("mallory"), &JoinRequest::default()).await;
        // The far end may be gone before all of it is written.
        let _broken = mallory.socket.send(frame).await;
        while mallory.next().await.is_some() {}
    }
    until("all are cut", || world.rooms.seen.lock().cuts.len() == 3).await;
    bob.say(Request::Ping(1)).await;
    bob.find(|it| matches!(it, Response::Pong(_)).then_some(())).await;
}

#[tokio::test]
async fn a_description_that_cannot_be_read_is_the_end_of_who_sent_it() {
    let world = World::start().await;
    for sdp in ["", "v=0\r\n", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"] {
        let (mut client, _) = Client::join(&world, &token("mallory"), &JoinRequest::default()).await;
        let offer = SessionDescription { r#type: "offer".into(), sdp: sdp.into(), id: 1, ..Default::default() };
        client.say(Request::Offer(offer)).await;
        let leave = client.find(|it| if let Response::Leave(leave) = it { Some(leave) } else { None }).await;
        assert_eq!((leave.reason, leave.action), (7, 0), "{sdp}");
    }
    assert_eq!(world.requests(), []);
}

#[tokio::test]
async fn who_is_not_in_any_more_is_sent_to_come_anew() {
    let world = World::start().await;
    let (mut client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    world.rooms.seen.lock().joins.clear();
    client.say(Request::UpdateMetadata(Default::default())).await;
    let leave = client.find(|it| if let Response::Leave(leave) = it { Some(leave) } else { None }).await;
    assert_eq!((leave.reason, leave.action), (6, 2));
}
