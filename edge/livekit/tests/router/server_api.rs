//! What servers ask.

use livekit_protocol::data_packet::Value;
use livekit_protocol::{CreateRoomRequest, DataPacket, JoinRequest, Room};
use livekit_token::VideoGrants;
use prost::Message as _;
use serde_json::json;
use tandem_core::ports::RoomOrder;
use tandem_core::room::RoomIdentity;

use crate::client::Client;
use crate::world::{World, granted, name, token, until};

fn all() -> VideoGrants {
    let room = "room".into();
    VideoGrants { room_create: true, room_list: true, room_admin: true, room, ..VideoGrants::default() }
}

struct Api<'a> {
    world: &'a World,
    token: String,
}

impl Api<'_> {
    async fn ask(&self, method: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        self.of("livekit.RoomService", method, body).await
    }

    async fn of(&self, service: &str, method: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        let url = self.world.url(&format!("/twirp/{service}/{method}"));
        let request = reqwest::Client::new().post(url).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json;charset=UTF-8").body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }
}

async fn world_with_bob() -> (World, Client) {
    let world = World::start().await;
    let (bob, _) = Client::join(&world, &token("bob"), &JoinRequest::default()).await;
    (world, bob)
}

fn api(world: &World, grants: VideoGrants) -> Api<'_> {
    Api { world, token: granted("", grants) }
}

#[tokio::test]
async fn a_room_is_made_in_either_encoding() {
    let world = World::start().await;
    let api = api(&world, all());
    let request = json!({ "name": "talk", "emptyTimeout": 60, "max_participants": 7, "metadata": "m", "new": 1 });
    let (status, made) = api.ask("CreateRoom", request).await;
    assert_eq!((status, &made["name"], &made["metadata"]), (200, &json!("talk"), &json!("m")));
    let (made, wish) = world.rooms.seen.lock().created[0].clone();
    assert_eq!((made, wish.seats), (name("talk"), Some(7)));
    assert_eq!((wish.empty_timeout.unwrap().as_secs(), wish.departure_timeout.unwrap().as_secs()), (60, 20));

    let request = CreateRoomRequest { name: "other".into(), ..CreateRoomRequest::default() };
    let client = reqwest::Client::new().post(world.url("/twirp/livekit.RoomService/CreateRoom"));
    let client = client.bearer_auth(&api.token).header("content-type", "application/protobuf");
    let response = client.body(request.encode_to_vec()).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/protobuf");
    assert_eq!(Room::decode(response.bytes().await.unwrap()).unwrap().name, "other");
}

#[tokio::test]
async fn every_method_wants_its_grant() {
    let (world, _bob) = world_with_bob().await;
    let elsewhere = VideoGrants { room: "elsewhere".into(), ..all() };
    let no_create = VideoGrants { room_create: false, ..all() };
    let no_list = VideoGrants { room_list: false, ..all() };
    let cases = [
        ("CreateRoom", no_create.clone()),
        ("DeleteRoom", no_create),
        ("ListRooms", no_list),
        ("ListParticipants", elsewhere.clone()),
        ("GetParticipant", elsewhere.clone()),
        ("RemoveParticipant", elsewhere.clone()),
        ("MutePublishedTrack", elsewhere.clone()),
        ("UpdateParticipant", elsewhere.clone()),
        ("UpdateSubscriptions", elsewhere.clone()),
        ("SendData", elsewhere.clone()),
        ("UpdateRoomMetadata", elsewhere),
    ];
    for (method, grants) in cases {
        let (status, error) = api(&world, grants).ask(method, json!({ "room": "room", "name": "room" })).await;
        assert_eq!((status, &error["code"]), (403, &json!("permission_denied")), "{method}");
        let nobody = Api { world: &world, token: String::from("x") };
        let (status, error) = nobody.ask(method, json!({})).await;
        assert_eq!((status, &error["code"]), (401, &json!("unauthenticated")), "{method}");
    }
    assert!(world.rooms.seen.lock().orders.is_empty() && world.rooms.seen.lock().created.is_empty());
}

#[tokio::test]
async fn rooms_and_participants_are_listed() {
    let (world, _bob) = world_with_bob().await;
    let api = api(&world, all());
    let (_, rooms) = api.ask("ListRooms", json!({})).await;
    assert_eq!((&rooms["rooms"][0]["name"], &rooms["rooms"][0]["numParticipants"]), (&json!("room"), &json!(1)));
    let (_, none) = api.ask("ListRooms", json!({ "names": ["x"] })).await;
    assert!(none.get("rooms").is_none_or(|it| it.as_array().unwrap().is_empty()));
    let (_, people) = api.ask("ListParticipants", json!({ "room": "room" })).await;
    assert_eq!(people["participants"][0]["identity"], "bob");
    let (status, bob) = api.ask("GetParticipant", json!({ "room": "room", "identity": "bob" })).await;
    assert_eq!((status, &bob["permission"]["canPublish"]), (200, &json!(true)));
    let (status, error) = api.ask("GetParticipant", json!({ "room": "room", "identity": "x" })).await;
    assert_eq!((status, &error["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn orders_reach_the_room() {
    let (world, _bob) = world_with_bob().await;
    let api = api(&world, all());
    let bob = || RoomIdentity::try_from(String::from("bob")).unwrap();
    api.ask("RemoveParticipant", json!({ "room": "room", "identity": "bob" })).await;
    let update = json!({ "room": "room", "identity": "bob", "name": "B", "attributes": { "a": "1" } });
    let (_, updated) = api.ask("UpdateParticipant", update).await;
    assert_eq!((&updated["name"], &updated["attributes"]["a"]), (&json!("B"), &json!("1")));
    let (_, room) = api.ask("UpdateRoomMetadata", json!({ "room": "room", "metadata": "new" })).await;
    assert_eq!(room["metadata"], "new");
    let (status, error) = api.ask("MutePublishedTrack", json!({ "room": "room", "identity": "bob" })).await;
    assert_eq!((status, &error["code"]), (412, &json!("failed_precondition")), "it does not unmute");
    api.ask("DeleteRoom", json!({ "room": "room" })).await;
    let orders: Vec<_> = world.rooms.seen.lock().orders.iter().map(|(_, it)| it.clone()).collect();
    let update = RoomOrder::Update {
        identity: bob(),
        metadata: None,
        name: Some("B".into()),
        attributes: [("a".into(), "1".into())].into(),
        permission: None,
    };
    assert_eq!(orders, [RoomOrder::Remove(bob()), update, RoomOrder::SetMetadata("new".into()), RoomOrder::Delete]);
}

#[tokio::test]
async fn data_of_a_server_has_no_sender() {
    let (world, _bob) = world_with_bob().await;
    let body =
        json!({ "room": "room", "data": "aGk=", "kind": "LOSSY", "topic": "t", "destinationIdentities": ["bob"] });
    let (status, _) = api(&world, all()).ask("SendData", body).await;
    assert_eq!(status, 200);
    until("it", || world.sfu.messages().len() == 1).await;
    let (to, bytes) = world.sfu.messages().remove(0);
    let packet = DataPacket::decode(bytes).unwrap();
    assert_eq!((to, packet.participant_identity.as_str()), (world.participants(), ""));
    assert!(matches!(packet.value, Some(Value::User(it)) if it.payload == b"hi" && it.topic.as_deref() == Some("t")));
}

#[tokio::test]
async fn what_is_not_there_says_so_in_twirps_words() {
    let (world, _bob) = world_with_bob().await;
    let api = api(&world, all());
    let code = |(status, error): (u16, serde_json::Value)| (status, error["code"].as_str().unwrap().to_owned());
    let of = |status, code: &str| (status, code.to_owned());
    assert_eq!(code(api.ask("PerformRpc", json!({})).await), of(501, "unimplemented"));
    assert_eq!(code(api.of("livekit.Egress", "ListEgress", json!({})).await), of(501, "unimplemented"));
    assert_eq!(code(api.ask("Nonsense", json!({})).await), of(404, "bad_route"));
    assert_eq!(code(api.of("x", "y", json!({})).await), of(404, "bad_route"));
    assert_eq!(code(api.ask("ListRooms", json!([])).await), of(400, "malformed"));
    assert_eq!(code(api.ask("CreateRoom", json!({ "name": "" })).await), of(400, "invalid_argument"));
    assert_eq!(code(api.ask("CreateRoom", json!({ "name": "x".repeat(2 << 20) })).await), of(400, "malformed"));
    let response = reqwest::get(world.url("/twirp/livekit.RoomService/ListRooms")).await.unwrap();
    assert_eq!(response.status(), 404, "only POST");
}
