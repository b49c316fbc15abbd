//! Messages between participants.

use std::time::Duration;

use livekit_protocol::data_packet::Value;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use livekit_protocol::{DataChannelReceiveState, DataPacket, JoinRequest, SyncState, UserPacket};
use prost::Message as _;
use tandem_core::id::ParticipantId;
use tandem_core::machine::Refusal;
use tandem_core::ports::DataPort;
use tandem_core::room::sfu::DataChannel;
use tandem_livekit::Config;

use crate::client::{Client, query};
use crate::world::{World, token, until};

fn packet(text: &str, sequence: u32, to: &[&str]) -> DataPacket {
    let user = UserPacket { payload: text.into(), ..UserPacket::default() };
    DataPacket {
        // He says that he is somebody else.
        participant_identity: "admin".into(),
        participant_sid: "PA_1".into(),
        destination_identities: to.iter().map(|it| (*it).to_owned()).collect(),
        value: Some(Value::User(user)),
        sequence,
        ..DataPacket::default()
    }
}

async fn three() -> (World, [ParticipantId; 3], Vec<Client>) {
    let world = World::start().await;
    let mut clients = Vec::new();
    for identity in ["alice", "bob", "carol"] {
        clients.push(Client::join(&world, &token(identity), &JoinRequest::default()).await.0);
    }
    let ids = world.participants().try_into().unwrap();
    (world, ids, clients)
}

fn send(world: &World, from: ParticipantId, channel: DataChannel, packet: &DataPacket) -> Result<(), Refusal> {
    world.edge.received(world.conference(), from, channel, packet.encode_to_vec().into())
}

fn text(packet: &DataPacket) -> &str {
    match &packet.value {
        Some(Value::User(user)) => std::str::from_utf8(&user.payload).unwrap(),
        _ => "",
    }
}

#[tokio::test]
async fn a_message_reaches_all_others_or_those_it_names_as_of_who_sent_it() {
    let (world, [alice, bob, carol], _clients) = three().await;
    send(&world, alice, DataChannel::Lossy, &packet("all", 0, &[])).unwrap();
    send(&world, bob, DataChannel::Reliable, &packet("one", 1, &["carol", "nobody"])).unwrap();
    until("both", || world.sfu.messages().len() == 2).await;
    let [(to_all, first), (to_one, second)] = world.sfu.messages().try_into().unwrap();
    assert_eq!((to_all, to_one), (vec![bob, carol], vec![carol]));
    let (first, second) = (DataPacket::decode(first).unwrap(), DataPacket::decode(second).unwrap());
    assert_eq!((first.participant_identity.as_str(), text(&first)), ("alice", "all"));
    assert_eq!((second.participant_identity.as_str(), text(&second), second.sequence), ("bob", "one", 1));
    assert_eq!(first.participant_sid, format!("PA_{}", alice.uuid().simple()));
}

#[tokio::test]
async fn what_is_no_message_of_somebody_who_may_goes_nowhere() {
    let (world, [alice, bob, _], _clients) = three().await;
    world.rooms.silenced.lock().push(bob);
    let conference = world.conference();
    world.edge.received(conference, alice, DataChannel::Reliable, vec![0xff; 20].into()).unwrap();
    world.edge.received(conference, alice, DataChannel::Tracks, packet("x", 0, &[]).encode_to_vec().into()).unwrap();
    send(&world, bob, DataChannel::Reliable, &packet("not allowed", 1, &[])).unwrap();
    send(&world, alice, DataChannel::Reliable, &packet("a", 1, &[])).unwrap();
    send(&world, alice, DataChannel::Reliable, &packet("a", 1, &[])).unwrap();
    send(&world, alice, DataChannel::Reliable, &packet("b", 2, &[])).unwrap();
    send(&world, alice, DataChannel::Reliable, &packet("end", 3, &[])).unwrap();
    until("the last", || {
        world.sfu.messages().iter().any(|(_, it)| text(&DataPacket::decode(it.clone()).unwrap()) == "end")
    })
    .await;
    assert_eq!(world.sfu.messages().len(), 3, "each once");
}

#[tokio::test]
async fn a_worker_that_is_stuck_gets_what_must_not_be_lost_later() {
    let (world, [alice, ..], _clients) = three().await;
    *world.sfu.stuck.lock() = 3;
    send(&world, alice, DataChannel::Reliable, &packet("a", 1, &[])).unwrap();
    until("it", || world.sfu.messages().len() == 1).await;
    *world.sfu.stuck.lock() = 1;
    send(&world, alice, DataChannel::Lossy, &packet("lost", 0, &[])).unwrap();
    send(&world, alice, DataChannel::Lossy, &packet("b", 0, &[])).unwrap();
    until("the next", || world.sfu.messages().len() == 2).await;
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let world = World::with(Config { data_queue: 16, ..Config::default() }).await;
    let (_client, _) = Client::join(&world, &token("alice"), &JoinRequest::default()).await;
    let alice = world.participants()[0];
    let full = || (0..10_000).any(|_| send(&world, alice, DataChannel::Lossy, &packet("x", 0, &[])).is_err());
    assert!(full(), "nothing runs between the pushes");
}

#[tokio::test]
async fn who_comes_back_gets_what_he_missed_and_is_told_what_we_have_of_him() {
    let (world, [alice, bob, _], _clients) = three().await;
    for n in 1..=3 {
        send(&world, alice, DataChannel::Reliable, &packet(&format!("a{n}"), n, &["bob"])).unwrap();
    }
    send(&world, bob, DataChannel::Reliable, &packet("b", 9, &["carol"])).unwrap();
    until("all", || world.sfu.messages().len() == 4).await;
    let sid = |it: ParticipantId| format!("PA_{}", it.uuid().simple());
    let request = JoinRequest { reconnect: true, participant_sid: sid(bob), ..JoinRequest::default() };
    let mut back = Client::open(&world, &format!("/rtc/v1?{}", query(&token("bob"), &request))).await.unwrap();
    assert!(matches!(back.next().await, Some(Response::Reconnect(it)) if it.last_message_seq == 9));
    let seen = DataChannelReceiveState { publisher_sid: sid(alice), last_seq: 1 };
    let state = SyncState { datachannel_receive_states: vec![seen], ..SyncState::default() };
    back.say(Request::SyncState(state)).await;
    until("two again", || world.sfu.messages().len() == 6).await;
    let again: Vec<_> = world.sfu.messages().split_off(4);
    assert!(again.iter().all(|(to, _)| *to == [bob]));
    let texts: Vec<_> = again.iter().map(|(_, it)| text(&DataPacket::decode(it.clone()).unwrap()).to_owned()).collect();
    assert_eq!(texts, ["a2", "a3"]);
    tokio::time::sleep(Duration::from_millis(1)).await;
}
