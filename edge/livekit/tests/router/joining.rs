//! Coming in.

use livekit_protocol::client_info::Sdk;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{AddTrackRequest, ClientInfo, ConnectionSettings, JoinRequest, SessionDescription};
use livekit_token::VideoGrants;
use tandem_core::room::signal::{JoinRefusal, RoomRequest, Topology};
use tandem_core::room::view::LimitOrigin;
use tandem_livekit::Config;

use crate::client::{Client, query};
use crate::world::{World, granted, token, until};

const OFFER: &str = include_str!("../../../sdp/tests/fixtures/chromium-156-room-offer.sdp");

fn request() -> JoinRequest {
    let info = ClientInfo { sdk: Sdk::Js.into(), protocol: 17, client_protocol: 2, ..ClientInfo::default() };
    let settings = ConnectionSettings { auto_subscribe: true, ..ConnectionSettings::default() };
    JoinRequest { client_info: Some(info), connection_settings: Some(settings), ..JoinRequest::default() }
}

#[tokio::test]
async fn who_comes_in_is_told_where_he_is_and_then_gets_a_token_and_the_answer_to_his_offer() {
    let world = World::start().await;
    let offer = SessionDescription { r#type: "offer".into(), sdp: OFFER.into(), id: 7, ..Default::default() };
    let track = AddTrackRequest { cid: "c".into(), source: 2, ..AddTrackRequest::default() };
    let request = JoinRequest { publisher_offer: Some(offer), add_track_requests: vec![track], ..request() };
    let (mut client, join) = Client::join(&world, &token("alice"), &request).await;
    let (room, me) = (join.room.unwrap(), join.participant.unwrap());
    assert!(room.sid.starts_with("RM_") && me.sid.starts_with("PA_") && room.name == "room");
    assert_eq!((me.identity.as_str(), me.state, me.joined_at), ("alice", 1, 1_700_000_000));
    assert_eq!((join.ping_interval, join.ping_timeout, join.subscriber_primary), (5, 15, false));
    assert_eq!(join.server_info.unwrap().protocol, 17);
    let token = client.find(|it| if let Response::RefreshToken(token) = it { Some(token) } else { None }).await;
    assert!(token.split('.').count() == 3, "a token");
    // The queue and the clock are read as they come: the answer may be first.
    let world_requests = || world.requests();
    until("the offer", || world_requests().len() == 2).await;
    assert!(matches!(&world.requests()[0], RoomRequest::Publish(it) if &*it.cid == "c" && &*it.stream == "camera"));
    assert!(matches!(&world.requests()[1], RoomRequest::Offer { id: 7, .. }));
    let joins = world.rooms.seen.lock().joins.clone();
    assert_eq!((joins[0].topology, joins[0].auto_subscribe, joins[0].client_protocol), (Topology::Single, true, 2));
}

#[tokio::test]
async fn an_answer_has_the_number_of_its_offer_and_our_candidate() {
    let world = World::start().await;
    let offer = SessionDescription { r#type: "offer".into(), sdp: OFFER.into(), id: 7, ..Default::default() };
    let request = JoinRequest { publisher_offer: Some(offer), ..request() };
    let (mut client, _) = Client::join(&world, &token("alice"), &request).await;
    let answer = client.find(|it| if let Response::Answer(answer) = it { Some(answer) } else { None }).await;
    assert_eq!((answer.id, answer.r#type.as_str()), (7, "answer"));
    assert!(answer.sdp.contains("a=candidate:1 1 udp 2130706431 192.0.2.5 7882 typ host\r\n"));
    assert!(answer.sdp.contains("a=group:BUNDLE 0 1 2 3 4\r\n") && answer.sdp.contains("a=setup:passive\r\n"));
}

#[tokio::test]
async fn an_older_client_has_two_connections() {
    let world = World::start().await;
    let path = format!("/rtc?access_token={}&protocol=15&sdk=go&auto_subscribe=0", token("alice"));
    let mut client = Client::open(&world, &path).await.unwrap();
    let Some(Response::Join(join)) = client.next().await else { panic!("the first message is the join") };
    assert!(join.subscriber_primary);
    let joins = world.rooms.seen.lock().joins.clone();
    assert_eq!((joins[0].topology, joins[0].auto_subscribe), (Topology::Dual, false));
}

#[tokio::test]
async fn who_may_not_come_in_is_told_before_the_upgrade() {
    let world = World::start().await;
    let no_join = granted("alice", VideoGrants { room: "room".into(), room_list: true, ..VideoGrants::default() });
    let long = granted("alice", VideoGrants { room_join: true, room: "r".repeat(257), ..VideoGrants::default() });
    let cases = [
        (String::from("/rtc/v1"), 401, "invalid or missing access token"),
        (format!("/rtc/v1?access_token={no_join}"), 401, "permissions denied: the token does not allow to join"),
        (format!("/rtc/v1?access_token={}", token("alice")), 400, "join_request is missing"),
        (format!("/rtc?access_token={long}"), 400, "room: 1 to 256 characters"),
    ];
    for (path, status, text) in cases {
        let refused = Client::open(&world, &path).await.err();
        assert_eq!(refused, Some((status, text.to_owned())), "{path}");
        let validate = path.replace("/rtc/v1", "/rtc/v1/validate").replace("/rtc?", "/rtc/validate?");
        let response = reqwest::get(world.url(&validate)).await.unwrap();
        assert_eq!(response.status(), status, "{validate}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.text().await.unwrap(), text);
    }
    assert_eq!(world.participants(), []);
}

#[tokio::test]
async fn a_room_that_refuses_says_why() {
    let world = World::start().await;
    let full = JoinRefusal::ParticipantLimit { seats: 50, origin: LimitOrigin::Room };
    let path = format!("/rtc/v1?{}", query(&token("alice"), &request()));
    for (refusal, status, text) in [
        (full, 403, "the room is full: 50 participants (room)"),
        (JoinRefusal::NoRoom, 404, "requested room does not exist"),
        (JoinRefusal::Overload, 503, "the server is at its limit, try again later"),
        (JoinRefusal::Shutdown, 503, "the server is shutting down"),
    ] {
        *world.rooms.refusal.lock() = Some(refusal);
        assert_eq!(Client::open(&world, &path).await.err(), Some((status, text.to_owned())));
    }
    let noted = world.refused.lock().clone();
    let [noted] = noted.as_slice() else { panic!("who found no seat is noted, nobody else") };
    assert_eq!((noted.identity.as_str(), noted.seats, noted.origin), ("alice", 50, LimitOrigin::Room));
}

#[tokio::test]
async fn validation_foresees_and_a_plain_request_finds_nothing() {
    let world = World::with(Config { auto_create: false, ..Config::default() }).await;
    let get = async |path: &str| {
        let url = world.url(&format!("{path}?{}", query(&token("alice"), &request())));
        let response = reqwest::get(url).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/rtc/v1/validate").await, (404, "requested room does not exist".into()));
    assert_eq!(get("/rtc/v1").await, (404, "not found".into()));
    let _somebody = Client::join(&world, &token("bob"), &request()).await;
    assert_eq!(get("/rtc/v1/validate").await, (200, "success".into()));
    assert_eq!(get("/rtc/validate").await, (200, "success".into()));
}

#[tokio::test]
async fn there_are_no_more_sockets_than_places() {
    let world = World::with(Config { connections: 1, ..Config::default() }).await;
    let (client, _) = Client::join(&world, &token("alice"), &request()).await;
    let path = format!("/rtc/v1?{}", query(&token("bob"), &request()));
    assert_eq!(Client::open(&world, &path).await.err().map(|it| it.0), Some(503));
    drop(client);
    until("the place is free", || !world.rooms.seen.lock().cuts.is_empty()).await;
    let mut again = Err((0, String::new()));
    for _ in 0..500 {
        again = Client::open(&world, &path).await;
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(again.is_ok());
}
