//! What is said while somebody is in.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{
    JoinRequest, LeaveRequest, MuteTrackRequest, Ping, PublishDataTrackRequest, SimulateScenario, TrickleRequest,
    UpdateParticipantMetadata, UpdateSubscription, UpdateTrackSettings, simulate_scenario,
};
use tandem_core::id::TrackId;
use tandem_core::machine::Refusal;
use tandem_core::room::sfu::{Quality, Speaker};
use tandem_core::room::signal::{Outcome, RoomRequest, RoomSignal, Showing, Then};
use tandem_core::room::view::LeaveReason;
use tandem_livekit::Config;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::client::Client;
use crate::world::{World, token, until, within};

const TRACK: &str = "TR_00000000000000000000000000000009";

fn track() -> TrackId {
    TrackId::from_uuid(Uuid::from_u128(9))
}

#[tokio::test]
async fn both_kinds_of_ping_are_answered() {
    let world = World::start().await;
    let (mut client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    client.say(Request::Ping(1)).await;
    client.say(Request::PingReq(Ping { timestamp: 42, rtt: 3 })).await;
    let pong = client.find(|it| if let Response::Pong(at) = it { Some(at) } else { None }).await;
    let answered = client.find(|it| if let Response::PongResp(it) = it { Some(it) } else { None }).await;
    assert!(pong > 1_700_000_000_000 && answered.timestamp >= pong);
    assert_eq!(answered.last_ping_timestamp, 42);
}

#[tokio::test]
async fn who_writes_json_is_answered_in_json() {
    let world = World::start().await;
    let (mut client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    client.socket.send(Message::Text(r#"{"pingReq":{"timestamp":"42","somethingNew":1}}"#.into())).await.unwrap();
    let answered = within("an answer in text", async {
        loop {
            if let Message::Text(text) = client.socket.next().await.unwrap().unwrap() {
                return text;
            }
        }
    });
    assert!(answered.await.contains(r#""lastPingTimestamp":"42""#));
}

#[tokio::test]
async fn requests_reach_the_participant_in_order() {
    let world = World::start().await;
    let (mut client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    client.say(Request::Trickle(TrickleRequest::default())).await;
    client.say(Request::Mute(MuteTrackRequest { sid: TRACK.into(), muted: true })).await;
    client.say(Request::Mute(MuteTrackRequest { sid: "nonsense".into(), muted: true })).await;
    client
        .say(Request::Subscription(UpdateSubscription { track_sids: vec![TRACK.into()], ..Default::default() }))
        .await;
    let shown = UpdateTrackSettings { track_sids: vec![TRACK.into()], width: 320, height: 180, ..Default::default() };
    client.say(Request::TrackSetting(shown)).await;
    let low = UpdateTrackSettings { track_sids: vec![TRACK.into()], ..Default::default() };
    client.say(Request::TrackSetting(low)).await;
    let attributes = HashMap::from([("a".into(), String::new())]);
    let update = UpdateParticipantMetadata {
        name: "A".into(),
        attributes: attributes.clone(),
        request_id: 5,
        ..Default::default()
    };
    client.say(Request::UpdateMetadata(update)).await;
    until("all requests", || world.requests().len() == 5).await;
    let showing = |quality, width, height| Showing { is_disabled: false, quality, width, height };
    let expected = [
        RoomRequest::Mute { track: track(), is_muted: true },
        RoomRequest::Subscribe { tracks: vec![track()], is_wanted: false },
        RoomRequest::Show { tracks: vec![track()], how: showing(None, 320, 180) },
        RoomRequest::Show { tracks: vec![track()], how: showing(Some(0), 0, 0) },
        RoomRequest::Describe {
            request: 5,
            metadata: None,
            name: Some("A".into()),
            attributes: attributes.into_iter().collect(),
        },
    ];
    assert_eq!(world.requests(), expected);
}

#[tokio::test]
async fn signals_reach_the_client_in_order_and_a_repeated_one_does_not() {
    use tandem_core::machine::Stamp;
    use tandem_core::ports::RoomEdgePort;
    let world = World::start().await;
    let (mut client, join) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    let me = world.participants()[0];
    let say = |signal| world.say(me, signal).unwrap();
    say(RoomSignal::Speakers([Speaker { participant: me, level: 0.5, is_active: true }].into()));
    say(RoomSignal::Muted { track: track(), is_muted: true });
    let again = Stamp { from: me, number: 3 };
    world.edge.signal(again, RoomSignal::Muted { track: track(), is_muted: true }).unwrap();
    say(RoomSignal::Quality(me, Quality::Poor));
    say(RoomSignal::SectionsNeeded { audio: 1, video: 2 });
    say(RoomSignal::Outcome { request: 5, outcome: Outcome::NotAllowed });
    let mut all = Vec::new();
    while all.len() < 5 {
        match client.next().await.unwrap() {
            Response::RefreshToken(_) => {}
            other => all.push(other),
        }
    }
    let sid = join.participant.unwrap().sid;
    assert!(matches!(&all[0], Response::SpeakersChanged(it) if it.speakers[0].sid == sid && it.speakers[0].active));
    assert!(matches!(&all[1], Response::Mute(it) if it.sid == TRACK && it.muted));
    assert!(matches!(&all[2], Response::ConnectionQuality(it) if it.updates[0].quality == 0));
    assert!(matches!(&all[3], Response::MediaSectionsRequirement(it) if (it.num_audios, it.num_videos) == (1, 2)));
    assert!(matches!(&all[4], Response::RequestResponse(it) if it.reason() == Reason::NotAllowed));
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let world = World::start().await;
    let (mut client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    client.say(Request::PublishDataTrackRequest(PublishDataTrackRequest::default())).await;
    let refused = client.find(|it| if let Response::RequestResponse(it) = it { Some(it) } else { None }).await;
    assert_eq!(refused.reason(), Reason::UnsupportedType);
}

#[tokio::test]
async fn who_leaves_is_let_go_and_was_not_cut() {
    let world = World::start().await;
    let (mut client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    client.say(Request::Leave(LeaveRequest::default())).await;
    while client.next().await.is_some() {}
    assert_eq!(world.requests(), [RoomRequest::Leave]);
    assert!(world.rooms.seen.lock().cuts.is_empty());
}

#[tokio::test]
async fn who_is_put_out_is_told_why_and_what_to_do() {
    for (reason, then, code, action) in [
        (LeaveReason::DuplicateIdentity, Then::StayAway, 2, 0),
        (LeaveReason::MediaLost, Then::Resume, 15, 1),
        (LeaveReason::Shutdown, Then::Rejoin, 3, 2),
    ] {
        let world = World::start().await;
        let request = JoinRequest {
            client_info: Some(livekit_protocol::ClientInfo { protocol: 17, ..Default::default() }),
            ..JoinRequest::default()
        };
        let (mut client, _) = Client::join(&world, &token("alice"), &request).await;
        world.say(world.participants()[0], RoomSignal::Left { reason, then }).unwrap();
        let leave = client.find(|it| if let Response::Leave(leave) = it { Some(leave) } else { None }).await;
        assert_eq!((leave.reason, leave.action, leave.can_reconnect), (code, action, then != Then::StayAway));
        assert!(client.next().await.is_none(), "and the socket is closed");
    }
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_nobody_waits_for_him() {
    let world = World::with(Config { signal_queue: 16, ..Config::default() }).await;
    let (client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    let me = world.participants()[0];
    let long: Arc<str> = "x".repeat(60_000).into();
    let room = Arc::new(tandem_core::room::view::RoomView { metadata: long, ..world.rooms.room().as_ref().clone() });
    let full = || world.say(me, RoomSignal::Room(room.clone())) == Err(Refusal::Full);
    until("the queue is full", full).await;
    until("he is cut", || world.rooms.seen.lock().cuts.contains(&me)).await;
    assert_eq!(world.say(me, RoomSignal::Room(room)), Ok(()), "what comes now is dropped");
    drop(client);
}

#[tokio::test]
async fn scenarios_of_client_tests_are_played() {
    let world = World::start().await;
    let play = async |scenario| {
        let (mut client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
        client.say(Request::Simulate(SimulateScenario { scenario: Some(scenario) })).await;
        let mut leave = None;
        while let Some(message) = client.next().await {
            if let Response::Leave(it) = message {
                leave = Some(it.action);
            }
        }
        leave
    };
    use simulate_scenario::Scenario;
    assert_eq!(play(Scenario::NodeFailure(true)).await, None);
    assert_eq!(play(Scenario::ServerLeave(true)).await, Some(0));
    assert_eq!(play(Scenario::LeaveRequestFullReconnect(true)).await, Some(2));
}
