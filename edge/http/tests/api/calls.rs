//! The calls API: who calls, who answers, who ends it.

use reqwest::Method;
use serde_json::{Value, json};
use tandem_core::cause::Cause;
use tandem_core::id::{CallId, CorrelationId, LegId, Tenant};
use tandem_core::metric::Counter;
use tandem_core::ports::Signal;
use tandem_core::time::WallTime;
use tandem_http::{Direction, UserCall};
use uuid::Uuid;

use crate::player::{Plot, answer};
use crate::world::{World, frame, read, user_id};

fn error(body: &Value) -> &str {
    body["error"].as_str().unwrap_or_default()
}

fn call_of(body: &Value) -> CallId {
    body["call_id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_call_is_initiated_answered_talked_and_terminated() {
    let world = World::start();
    let begun = world.initiate(1).await;
    assert_eq!(begun["status"], "connecting");
    assert!(begun["sdp_offer"].as_str().unwrap().starts_with("v=0\r\n"));
    assert!(begun["start_time"].as_str().unwrap().ends_with('Z'));
    let (call, path) = (call_of(&begun), format!("/api/calls/{}", begun["call_id"].as_str().unwrap()));
    let body = json!({"sdp_answer": answer(), "session_id": begun["session_id"]});
    let (status, answered) = world.post(1, &format!("{path}/answer"), body.clone()).await;
    let expected = json!({"call_id": begun["call_id"], "session_id": begun["session_id"], "status": "connecting"});
    assert_eq!((status, answered), (200, expected));
    let leg: LegId = begun["session_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.player.told(leg), ["completed"]);
    let (status, refusal) = world.post(1, &format!("{path}/answer"), body).await;
    assert_eq!((status, error(&refusal)), (409, "call_already_active"));
    world.player.ring(call);
    assert_eq!(world.get(1, &path).await.1["state"], "ringing");
    world.player.callee_answers(call);
    let (_, talking) = world.get(1, &path).await;
    assert_eq!((&talking["status"], &talking["state"]), (&json!("active"), &json!("talking")));
    assert_eq!(talking["peer"], json!({"number": "102", "name": "Bob"}));
    assert_eq!(world.post(1, &format!("{path}/candidates"), json!({"candidates": [{}], "more": 1})).await.0, 204);

    let (status, over) = world.post(1, "/api/calls/terminate", json!({"call_id": call.to_string()})).await;
    // Fact 4 is the answer, fact 7 the end, 1.234 s between two facts.
    assert_eq!((status, &over["duration"], &over["status"]), (200, &json!(3.702), &json!("completed")));
    assert_eq!(world.player.told(leg), ["completed", "hung_up"]);
    let again = world.post(1, "/api/v1/calls/terminate", json!({"call_id": call.to_string()})).await;
    assert_eq!(again, (200, over));
    let (_, ended) = world.get(1, &path).await;
    assert_eq!((&ended["cause"], &ended["state"]), (&json!("normal"), &json!("ended")));
    let (status, refusal) = world.post(1, &format!("{path}/answer"), json!({"sdp_answer": answer()})).await;
    assert_eq!((status, error(&refusal)), (409, "call_ended"));
    world.initiate(1).await;
    assert_eq!(world.metrics.counter(Counter::ApiCallsInitiated), 2);
}

/// C14 to C19: status and body of every refusal.
#[tokio::test]
async fn what_cannot_be_initiated_is_refused_in_the_words_of_the_contract() {
    let world = World::start();
    let number = json!({"phone_number": "+493012345678"});
    for (plot, body, status, code, message) in [
        (Plot::Offer, json!({}), 400, "validation_error", Some("phone_number is required")),
        (Plot::Offer, json!({"phone_number": " "}), 400, "validation_error", Some("phone_number is required")),
        (Plot::Offer, json!({"phone_number": 7}), 400, "validation_error", None),
        (Plot::Offer, json!({"phone_number": "1\n2"}), 400, "validation_error", None),
        (Plot::Offer, json!({"phone_number": "sip:1@elsewhere"}), 400, "validation_error", None),
        (Plot::Refuse(Cause::InvalidNumber), number.clone(), 400, "validation_error", None),
        (Plot::Refuse(Cause::UnknownNumber), number.clone(), 404, "unknown_number", None),
        (Plot::Refuse(Cause::Unreachable), number.clone(), 409, "unreachable", None),
        (Plot::Refuse(Cause::Forbidden), number.clone(), 403, "forbidden", None),
        (Plot::Refuse(Cause::MediaLost), number.clone(), 503, "call_initiation_failed", None),
        (Plot::Closed(Cause::Overload), number.clone(), 503, "call_initiation_failed", None),
        (Plot::Closed(Cause::Shutdown), number.clone(), 503, "call_initiation_failed", None),
        (Plot::Closed(Cause::RateLimited), number.clone(), 429, "rate_limited", None),
        (Plot::Closed(Cause::Throttled), number.clone(), 503, "overload", None),
    ] {
        world.player.plot(plot);
        let request = world.request(Method::POST, "/api/calls/initiate").bearer_auth(world.token(1));
        let response = request.body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), status, "{plot:?} {body}");
        assert_eq!(response.headers().contains_key("retry-after"), [429, 503].contains(&status));
        let refusal: Value = response.json().await.unwrap();
        assert_eq!(error(&refusal), code);
        assert!(message.is_none_or(|message| refusal["message"] == message), "{refusal}");
    }
    assert_eq!(world.metrics.counter(Counter::ApiCallsFailed), 9);
    world.player.plot(Plot::Offer);
    world.initiate(1).await;
    let (status, refusal) = world.post(1, "/api/calls/initiate", number).await;
    assert_eq!((status, error(&refusal)), (409, "call_already_active"));
}

#[tokio::test]
async fn of_calls_at_the_same_time_a_user_gets_one() {
    let world = World::start();
    let tries = (0..8).map(|_| world.post(1, "/api/calls/initiate", json!({"phone_number": "102"})));
    let done = futures::future::join_all(tries).await;
    let mut statuses: Vec<_> = done.iter().map(|(status, _)| *status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(world.player.opened(), 1);
    world.initiate(2).await;
}

#[tokio::test]
async fn a_key_does_it_once_however_often_it_comes() {
    let world = World::start();
    let ask = |key: &'static str, number: &'static str| {
        let request = world.request(Method::POST, "/api/v1/calls/initiate").bearer_auth(world.token(1));
        read(request.header("Idempotency-Key", key).body(json!({"phone_number": number}).to_string()))
    };
    let together = futures::future::join_all((0..5).map(|_| ask("k", "102"))).await;
    assert!(together.iter().all(|it| it == &together[0] && it.0 == 200), "{together:?}");
    assert_eq!(ask("k", "102").await, together[0]);
    let (status, refusal) = ask("k", "103").await;
    assert_eq!((status, error(&refusal)), (409, "idempotency_conflict"));
    assert_eq!(ask("other", "102").await.0, 409, "another key is another call");
    assert_eq!(world.player.opened(), 1);
    let of_another = world.request(Method::POST, "/api/v1/calls/initiate").bearer_auth(world.token(2));
    let of_another = of_another.header("Idempotency-Key", "k").body(json!({"phone_number": "9"}).to_string());
    assert_eq!(read(of_another).await.0, 200, "somebody else's key is another key");
    assert_eq!(ask("", "102").await.0, 400);
}

#[tokio::test]
async fn what_failed_may_be_tried_again_with_its_key() {
    let world = World::start();
    world.player.plot(Plot::Closed(Cause::Overload));
    let ask = || {
        let request = world.request(Method::POST, "/api/v1/calls/initiate").bearer_auth(world.token(1));
        read(request.header("Idempotency-Key", "k").body(json!({"phone_number": "102"}).to_string()))
    };
    assert_eq!(ask().await.0, 503);
    world.player.plot(Plot::Offer);
    assert_eq!(ask().await.0, 200);
}

#[tokio::test]
async fn a_session_description_that_is_of_no_use_leaves_the_call_to_be_answered() {
    let world = World::start();
    let begun = world.initiate(1).await;
    let path = format!("/api/calls/{}/answer", begun["call_id"].as_str().unwrap());
    for (sdp, code) in
        [("", "invalid_sdp"), ("v=0", "invalid_sdp"), (&*answer().replace("fingerprint", "x"), "invalid_sdp")]
    {
        let (status, refusal) = world.post(1, &path, json!({"sdp_answer": sdp})).await;
        assert_eq!((status, error(&refusal)), (400, code));
    }
    let other = LegId::from_uuid(Uuid::now_v7()).to_string();
    assert_eq!(world.post(1, &path, json!({"sdp_answer": answer(), "session_id": other})).await.0, 404);
    assert_eq!(world.post(1, &path, json!({"sdp_answer": answer(), "session_id": "x"})).await.0, 404);
    world.player.plot(Plot::Full);
    let (status, refusal) = world.post(1, &path, json!({"sdp_answer": answer()})).await;
    assert_eq!((status, error(&refusal)), (503, "call_initiation_failed"));
    let (status, refusal) = world.post(1, "/api/calls/terminate", json!({"call_id": begun["call_id"]})).await;
    assert_eq!((status, error(&refusal)), (503, "call_termination_failed"));
    world.player.plot(Plot::Offer);
    assert_eq!(world.post(1, &path, json!({"sdp_answer": answer()})).await.0, 200);
}

#[tokio::test]
async fn somebody_else_s_call_is_as_missing_as_one_that_never_was() {
    let world = World::start();
    let begun = world.initiate(1).await;
    let foreign = begun["call_id"].as_str().unwrap().to_owned();
    for id in [foreign, CallId::from_uuid(Uuid::now_v7()).to_string(), String::from("x"), String::from("%FF")] {
        let path = format!("/api/v1/calls/{id}");
        let missing = (404, json!({"error": "call_not_found", "message": "call not found"}));
        assert_eq!(world.get(2, &path).await, missing, "{id}");
        assert_eq!(world.post(2, &format!("{path}/answer"), json!({"sdp_answer": answer()})).await, missing);
        assert_eq!(world.post(2, &format!("{path}/reject"), json!({})).await, missing);
        assert_eq!(world.post(2, &format!("{path}/candidates"), json!({})).await, missing);
        assert_eq!(world.post(2, "/api/v1/calls/terminate", json!({"call_id": id})).await, missing);
    }
    assert_eq!(world.get(2, "/api/v1/calls").await.1["calls"], json!([]));
}

#[tokio::test]
async fn of_two_answers_the_first_wins() {
    let world = World::start();
    let mut tab = world.events(1, None).await;
    frame(&mut tab).await;
    let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
    let path = format!("/api/v1/calls/{}/answer", incoming.call);
    let answers = (0..4).map(|_| world.post(1, &path, json!({"sdp_answer": answer()})));
    let mut done = futures::future::join_all(answers).await;
    done.sort_by_key(|(status, _)| *status);
    assert_eq!((done[0].0, &done[0].1["status"]), (200, &json!("active")));
    assert!(done[1..].iter().all(|(status, body)| *status == 409 && error(body) == "call_already_active"), "{done:?}");
    let answers = world.player.told(incoming.leg).into_iter().filter(|input| *input == "answered");
    assert_eq!(answers.count(), 1);
    let (status, refusal) = world.post(1, &format!("/api/v1/calls/{}/reject", incoming.call), json!({})).await;
    assert_eq!((status, error(&refusal)), (409, "call_already_active"));
    let (status, over) = world.post(1, "/api/v1/calls/terminate", json!({"call_id": incoming.call.to_string()})).await;
    assert_eq!((status, &over["status"]), (200, &json!("completed")));
    assert_eq!(world.player.told(incoming.leg), ["ringing", "answered", "hung_up"]);
}

#[tokio::test]
async fn a_phone_that_was_faster_has_the_call_and_can_be_hung_up_from_the_page() {
    let world = World::start();
    let mut tab = world.events(1, None).await;
    frame(&mut tab).await;
    let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), true);
    world.player.answer(incoming.call, incoming.phone);
    world.player.signal(incoming.leg, incoming.call, Signal::Cancel(Cause::AnsweredElsewhere)).unwrap();
    let path = format!("/api/v1/calls/{}", incoming.call);
    let (status, refusal) = world.post(1, &format!("{path}/answer"), json!({"sdp_answer": answer()})).await;
    assert_eq!((status, error(&refusal)), (409, "call_already_active"));
    let (_, call) = world.get(1, &path).await;
    assert_eq!((&call["state"], &call["session_id"]), (&json!("talking"), &json!(incoming.phone.to_string())));
    world.initiate(1).await;
    let (status, _) = world.post(1, "/api/v1/calls/terminate", json!({"call_id": incoming.call.to_string()})).await;
    assert_eq!(status, 200);
    assert_eq!(world.player.told(incoming.phone), ["hang_up"]);
}

#[tokio::test]
async fn whoever_declines_does_so_for_all_his_clients_and_may_say_it_twice() {
    let world = World::start();
    for (path, body) in [("reject", json!({})), ("terminate", json!({}))] {
        let mut tab = world.events(1, None).await;
        frame(&mut tab).await;
        let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
        let id = incoming.call.to_string();
        let (path, body) = match path {
            "reject" => (format!("/api/v1/calls/{id}/reject"), body),
            _ => (String::from("/api/v1/calls/terminate"), json!({"call_id": id})),
        };
        for _ in 0..2 {
            let (status, over) = world.post(1, &path, body.clone()).await;
            assert_eq!((status, &over["status"]), (200, &json!("failed")));
        }
        assert_eq!(world.player.told(incoming.leg), ["ringing", "refused"]);
        assert_eq!(world.get(1, &format!("/api/v1/calls/{id}")).await.1["cause"], "declined");
    }
}

#[tokio::test]
async fn a_call_that_rings_is_given_up_by_its_caller() {
    let world = World::start();
    let begun = world.initiate(1).await;
    world.player.ring(call_of(&begun));
    let (status, over) = world.post(1, "/api/calls/terminate", json!({"call_id": begun["call_id"]})).await;
    assert_eq!((status, &over["duration"], &over["status"]), (200, &json!(0.0), &json!("completed")));
    let own = format!("/api/calls/{}/reject", begun["call_id"].as_str().unwrap());
    assert_eq!(world.post(1, &own, json!({})).await.0, 404, "nobody declines his own call");
}

#[tokio::test]
async fn where_no_client_is_there_nothing_rings() {
    let world = World::start();
    let incoming = world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
    assert_eq!(world.player.told(incoming.leg), ["refused"]);
    assert!(!world.player.clients().carries(incoming.leg));
    assert_eq!(world.get(1, &format!("/api/v1/calls/{}", incoming.call)).await.1["cause"], "unreachable");
}

#[tokio::test]
async fn live_calls_come_before_stored_ones_page_by_page() {
    let world = World::start();
    let stored = |n: u128| UserCall {
        call_id: CallId::from_uuid(Uuid::from_u128(n)),
        session_id: LegId::from_uuid(Uuid::from_u128(n)),
        correlation_id: CorrelationId::from_uuid(Uuid::from_u128(n)),
        direction: Direction::Incoming,
        peer: String::from("+4930").into(),
        peer_name: None,
        is_dialled: true,
        started_at: WallTime(1_000_000),
        ringing_at: None,
        answered_at: Some(WallTime(2_000_000)),
        ended_at: Some(WallTime(3_500_000)),
        cause: Some(Cause::Normal),
        talked: None,
        sdp_offer: None,
    };
    world.history.0.lock().extend((1..=5).map(stored));
    let begun = world.initiate(1).await;
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let (status, page) = world.get(1, &format!("/api/v1/calls?limit=2{cursor}")).await;
        assert_eq!(status, 200);
        ids.extend(page["calls"].as_array().unwrap().iter().map(|call| call["call_id"].clone()));
        cursor = page["next_cursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    let mut expected = vec![begun["call_id"].clone()];
    expected.extend((1..=5).rev().map(|n| json!(CallId::from_uuid(Uuid::from_u128(n)).to_string())));
    assert_eq!((ids, cursor.as_str()), (expected, ""));
    let (status, over) = world
        .post(1, "/api/calls/terminate", json!({"call_id": CallId::from_uuid(Uuid::from_u128(3)).to_string()}))
        .await;
    assert_eq!((status, &over["duration"]), (200, &json!(1.5)));
    for wrong in ["limit=0", "limit=101", "limit=x", "cursor=x"] {
        let (status, refusal) = world.get(1, &format!("/api/v1/calls?{wrong}")).await;
        assert_eq!((status, error(&refusal)), (400, "validation_error"), "{wrong}");
    }
}

#[tokio::test]
async fn ice_servers_are_those_of_the_configuration() {
    let world = World::start();
    assert_eq!(world.get(1, "/api/v1/ice-servers").await, (200, json!({"ice_servers": []})));
}
