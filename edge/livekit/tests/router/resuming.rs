//! Coming back.

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{JoinRequest, SyncState, TrackInfo, TrackPublishedResponse, UpdateSubscription};
use tandem_core::id::TrackId;
use tandem_core::room::signal::{RoomRequest, RoomSignal};
use uuid::Uuid;

use crate::client::{Client, query};
use crate::world::{World, token, until};

fn resume(sid: &str) -> JoinRequest {
    JoinRequest { reconnect: true, participant_sid: sid.into(), ..JoinRequest::default() }
}

async fn open(world: &World, identity: &str, sid: &str) -> Client {
    Client::open(world, &format!("/rtc/v1?{}", query(&token(identity), &resume(sid)))).await.unwrap()
}

#[tokio::test]
async fn who_comes_back_hears_that_first_and_then_how_everything_is() {
    let world = World::start().await;
    let (client, join) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    let _bob = Client::join(&world, &token("bob"), &JoinRequest::default()).await;
    drop(client);
    let alice = world.participants()[0];
    until("she is cut", || world.rooms.seen.lock().cuts.contains(&alice)).await;
    assert_eq!(world.say(alice, RoomSignal::Room(world.rooms.room())), Ok(()), "nobody is there to be told");
    let mut client = open(&world, "alice", &join.participant.unwrap().sid).await;
    assert!(matches!(client.next().await, Some(Response::Reconnect(it)) if it.server_info.is_some()));
    let Some(Response::Update(update)) = client.next().await else { panic!("everybody") };
    let identities: Vec<_> = update.participants.iter().map(|it| it.identity.as_str()).collect();
    assert_eq!(identities, ["alice", "bob"]);
    assert!(matches!(client.next().await, Some(Response::RoomUpdate(_))));
    let track = TrackInfo { sid: "TR_00000000000000000000000000000009".into(), ..TrackInfo::default() };
    let state = SyncState {
        publish_tracks: vec![TrackPublishedResponse { cid: "c".into(), track: Some(track) }],
        subscription: Some(UpdateSubscription {
            track_sids: vec!["TR_0000000000000000000000000000000a".into()],
            ..UpdateSubscription::default()
        }),
        ..SyncState::default()
    };
    client.say(Request::SyncState(state)).await;
    let id = |n| TrackId::from_uuid(Uuid::from_u128(n));
    let expected = RoomRequest::Sync { published: vec![id(9)], exceptions: vec![id(10)], disabled: Vec::new() };
    until("the state", || world.requests().contains(&expected)).await;
}

#[tokio::test]
async fn nobody_takes_the_place_of_another_or_of_nobody() {
    let world = World::start().await;
    let (_alice, join) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    let sid = join.participant.unwrap().sid;
    for (identity, sid) in
        [("bob", sid.as_str()), ("alice", "PA_00000000000000000000000000000001"), ("alice", ""), ("alice", "PA_x")]
    {
        let mut client = open(&world, identity, sid).await;
        let Some(Response::Leave(leave)) = client.next().await else { panic!("he is sent away") };
        assert_eq!((leave.reason, leave.action), (6, 2), "state mismatch: come anew");
        assert!(client.next().await.is_none());
    }
    assert!(world.rooms.seen.lock().cuts.is_empty(), "and she is still there");
}

#[tokio::test]
async fn a_second_socket_of_the_same_participant_takes_the_place_of_the_first() {
    let world = World::start().await;
    let (mut first, join) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    let mut second = open(&world, "alice", &join.participant.unwrap().sid).await;
    assert!(matches!(second.next().await, Some(Response::Reconnect(_))));
    while first.next().await.is_some() {}
    assert!(world.rooms.seen.lock().cuts.is_empty(), "he was never away");
    drop(second);
    until("he is away", || !world.rooms.seen.lock().cuts.is_empty()).await;
}

#[tokio::test]
async fn an_older_client_comes_back_by_its_query() {
    let world = World::start().await;
    let path = format!("/rtc?access_token={}&protocol=15", token("alice"));
    let mut client = Client::open(&world, &path).await.unwrap();
    let Some(Response::Join(join)) = client.next().await else { panic!("the first message is the join") };
    let back = format!("{path}&reconnect=1&sid={}", join.participant.unwrap().sid);
    let mut client = Client::open(&world, &back).await.unwrap();
    assert!(matches!(client.next().await, Some(Response::Reconnect(_))));
}
