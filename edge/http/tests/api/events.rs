//! Event streams: what is told, what comes again, who is cut.

use futures::SinkExt;
use reqwest::Method;
use serde_json::{Value, json};
use tandem_core::cause::Cause;
use tandem_core::event::FactBody;
use tandem_core::id::{CallId, Tenant};
use tandem_core::machine::Stamp;
use tandem_core::metric::{Counter, Gauge};
use tandem_core::ports::{ClientPort, EdgePort, Signal};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::player::answer;
use crate::world::{SOON, Socket, World, claims, closed, frame, read, user_id};

async fn kinds(socket: &mut Socket, count: usize) -> Vec<String> {
    let mut kinds = Vec::new();
    for _ in 0..count {
        kinds.push(frame(socket).await["type"].as_str().unwrap().to_owned());
    }
    kinds
}

#[tokio::test]
async fn a_caller_hears_of_his_call_from_its_first_fact_to_its_end() {
    let world = World::start();
    let mut tab = world.events(1, None).await;
    let snapshot = frame(&mut tab).await;
    assert_eq!((&snapshot["type"], &snapshot["calls"]), (&json!("snapshot"), &json!([])));
    let begun = world.initiate(1).await;
    let call: CallId = begun["call_id"].as_str().unwrap().parse().unwrap();
    let dialling = frame(&mut tab).await;
    assert_eq!((&dialling["type"], &dialling["id"]), (&json!("call.dialling"), &json!(format!("{call}.1"))));
    assert_eq!(dialling["call"]["status"], "initialized");
    assert_eq!(dialling["correlation_id"], dialling["call"]["correlation_id"]);
    world.player.ring(call);
    world.player.callee_answers(call);
    world.player.end(call, Cause::Normal);
    assert_eq!(kinds(&mut tab, 2).await, ["call.ringing", "call.answered"]);
    let ended = frame(&mut tab).await;
    assert_eq!((&ended["type"], &ended["call"]["cause"]), (&json!("call.ended"), &json!("normal")));
    assert_eq!(ended["call"]["duration"], json!(3.702));
}

#[tokio::test]
async fn every_tab_rings_one_takes_the_call_and_the_others_hear_of_it() {
    let world = World::start();
    let mut tabs = [world.events(1, None).await, world.events(1, None).await];
    let mut other = world.events(2, None).await;
    frame(&mut other).await;
    for tab in &mut tabs {
        frame(tab).await;
    }
    assert!(world.player.clients().is_there(&Tenant::default_tenant(), user_id(1)));
    assert!(!world.player.clients().is_there(&"acme".parse().unwrap(), user_id(1)));
    let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
    for tab in &mut tabs {
        let event = frame(tab).await;
        assert_eq!((&event["type"], &event["call"]["state"]), (&json!("call.incoming"), &json!("ringing")));
        assert_eq!(event["call"]["session_id"], json!(incoming.leg.to_string()));
        assert_eq!(event["call"]["peer"], json!({"number": "+4915112345678", "name": "Anna"}));
        assert!(event["call"]["sdp_offer"].as_str().unwrap().contains("m=audio"));
    }
    let mut late = world.events(1, None).await;
    assert!(frame(&mut late).await["calls"][0]["sdp_offer"].is_string(), "a tab that comes later can take it too");
    let path = format!("/api/v1/calls/{}/answer", incoming.call);
    assert_eq!(world.post(1, &path, json!({"sdp_answer": answer()})).await.0, 200);
    for tab in &mut tabs {
        let event = frame(tab).await;
        assert_eq!((&event["type"], event["call"].get("sdp_offer")), (&json!("call.answered"), None));
    }
    world.player.end(incoming.call, Cause::Normal);
    assert_eq!(kinds(&mut tabs[0], 1).await, ["call.ended"]);
    world.initiate(2).await;
    assert_eq!(frame(&mut other).await["type"], "call.dialling", "nothing of it went to anybody else");
}

#[tokio::test]
async fn a_fact_and_a_signal_that_come_again_change_nothing() {
    let world = World::start();
    let mut tab = world.events(1, None).await;
    frame(&mut tab).await;
    let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
    let ringing = world.player.fact(incoming.call, FactBody::Ringing { leg_id: incoming.leg });
    let clients = world.player.clients();
    clients.hear(&ringing);
    let first = Stamp { from: incoming.leg, number: 1 };
    clients.signal(first, Signal::Invite(incoming.dial.clone())).unwrap();
    clients.signal(first, Signal::Cancel(Cause::Cancelled)).unwrap();
    assert_eq!(world.player.told(incoming.leg), ["ringing"]);
    let path = format!("/api/v1/calls/{}/answer", incoming.call);
    assert_eq!(world.post(1, &path, json!({"sdp_answer": answer()})).await.0, 200, "an old cancel does not end it");
    assert_eq!(kinds(&mut tab, 3).await, ["call.incoming", "call.ringing", "call.answered"]);
    world.player.end(incoming.call, Cause::Normal);
    assert_eq!(kinds(&mut tab, 1).await, ["call.ended"]);
    clients.release(incoming.leg);
    let next = Stamp { from: incoming.leg, number: 9 };
    assert!(clients.signal(next, Signal::Bye(Cause::Normal)).is_err());
    assert!(clients.signal(next, Signal::Invite(incoming.dial.clone())).is_err());
    assert!(!clients.carries(incoming.leg), "an invitation that comes after its leg leaves nothing behind");
}

#[tokio::test]
async fn the_offer_of_a_leg_that_is_gone_is_not_shown_any_more() {
    let world = World::start();
    let mut tab = world.events(1, None).await;
    frame(&mut tab).await;
    let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), true);
    assert!(frame(&mut tab).await["call"]["sdp_offer"].is_string());
    world.player.clients().release(incoming.leg);
    let mut late = world.events(1, None).await;
    let snapshot = frame(&mut late).await;
    assert_eq!(snapshot["calls"][0]["call_id"], json!(incoming.call.to_string()), "the phone rings on");
    assert_eq!(snapshot["calls"][0].get("sdp_offer"), None);
}

#[tokio::test]
async fn with_its_cursor_a_client_gets_what_it_missed_and_nothing_twice() {
    let world = World::start();
    let mut tab = world.events(1, None).await;
    let first = frame(&mut tab).await["cursor"].as_str().unwrap().to_owned();
    let begun = world.initiate(1).await;
    let call: CallId = begun["call_id"].as_str().unwrap().parse().unwrap();
    let seen = frame(&mut tab).await["cursor"].as_str().unwrap().to_owned();
    drop(tab);
    world.player.ring(call);
    world.player.end(call, Cause::Busy);
    let mut tab = world.events(1, Some(&seen)).await;
    let resumed = frame(&mut tab).await;
    assert_eq!((&resumed["type"], &resumed["cursor"]), (&json!("resumed"), &json!(seen)));
    assert_eq!(kinds(&mut tab, 2).await, ["call.ringing", "call.ended"]);
    let mut again = world.events(1, Some(&first)).await;
    assert_eq!(kinds(&mut again, 4).await, ["resumed", "call.dialling", "call.ringing", "call.ended"]);
    for strange in ["ffffffff-1", "x", "-", &format!("{first}9999"), "%00"] {
        let mut tab = world.events(1, Some(strange)).await;
        assert_eq!(kinds(&mut tab, 1).await, ["snapshot"], "{strange}");
    }
    // More than is kept.
    let mut busy = world.events(1, None).await;
    frame(&mut busy).await;
    for _ in 0..130 {
        let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
        world.player.end(incoming.call, Cause::Cancelled);
        assert_eq!(kinds(&mut busy, 2).await, ["call.incoming", "call.ended"]);
    }
    let mut tab = world.events(1, Some(&seen)).await;
    assert_eq!(kinds(&mut tab, 1).await, ["snapshot"]);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut_and_the_others_go_on() {
    let world = World::start();
    let mut slow = world.events(1, None).await;
    frame(&mut slow).await;
    let mut quick = world.events(1, None).await;
    frame(&mut quick).await;
    let reading = tokio::spawn(async move {
        let mut count = 0usize;
        while frame(&mut quick).await["type"] != "call.answered" {
            count += 1;
        }
        count
    });
    let mut told = 0;
    while world.metrics.counter(Counter::ClientsCut) == 0 {
        let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
        world.player.end(incoming.call, Cause::Cancelled);
        told += 2;
        assert!(told < 200_000, "nobody was cut");
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    }
    assert_eq!(closed(&mut slow).await, 4008);
    let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
    world.player.answer(incoming.call, incoming.leg);
    let count = tokio::time::timeout(SOON, reading).await.unwrap().unwrap();
    assert_eq!(count, told + 1);
}

#[tokio::test]
async fn the_oldest_of_too_many_streams_is_closed() {
    let world = World::start();
    let mut oldest = world.events(1, None).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        let mut tab = world.events(1, None).await;
        frame(&mut tab).await;
        others.push(tab);
    }
    assert_eq!(closed(&mut oldest).await, 4009);
    assert_eq!(world.metrics.gauge(Gauge::ClientsConnected), 20);
}

#[tokio::test]
async fn a_stream_ends_with_its_token_with_the_node_and_with_a_frame_that_is_too_large() {
    let mut world = World::start();
    let expiring = {
        let mut claims = claims(1, world.clock.now().wall);
        claims.expires = world.clock.now().wall + std::time::Duration::from_secs(1);
        world.token_for(&claims)
    };
    let uri = format!("ws://{}/api/v1/events?access_token={expiring}", world.address);
    let (mut expiring, _) = connect_async(uri).await.unwrap();
    let mut talkative = world.events(1, None).await;
    talkative.send(Message::text("x".repeat(4_096))).await.unwrap();
    talkative.send(Message::text("x".repeat(4_097))).await.unwrap();
    assert_eq!(closed(&mut talkative).await, 1009);
    let mut huge = world.events(1, None).await;
    huge.send(Message::text("x".repeat(100_000))).await.unwrap();
    assert_eq!(closed(&mut huge).await, 1009);
    assert_eq!(closed(&mut expiring).await, 4001);
    let mut last = world.events(1, None).await;
    frame(&mut last).await;
    world.stop.take().unwrap().send(()).unwrap();
    assert_eq!(closed(&mut last).await, 1001);
    drop(last);
    tokio::time::timeout(SOON, &mut world.done).await.unwrap().unwrap().unwrap();
    assert_eq!(world.metrics.gauge(Gauge::ClientsConnected), 0);
}

#[tokio::test]
async fn a_stream_is_refused_before_the_upgrade() {
    let world = World::start();
    for query in ["", "?access_token=wrong", "?access_token=a&access_token=b"] {
        let uri = format!("ws://{}/api/v1/events{query}", world.address);
        let Err(Error::Http(response)) = connect_async(uri).await else { panic!("{query}") };
        assert!(matches!(response.status().as_u16(), 400 | 401), "{query}");
        let body: Value = serde_json::from_slice(response.body().as_deref().unwrap()).unwrap();
        assert!(body["error"].is_string());
    }
    let (status, body) = read(world.request(Method::GET, "/api/v1/events").bearer_auth(world.token(1))).await;
    assert_eq!((status, &body["error"]), (426, &json!("upgrade_required")));
    let world = World::with(tandem_http::config::Config { streams: 0, ..Default::default() }, true);
    let uri = format!("ws://{}/api/v1/events?access_token={}", world.address, world.token(1));
    let Err(Error::Http(response)) = connect_async(uri).await else { panic!("let in") };
    assert_eq!(response.status(), 503);
}
