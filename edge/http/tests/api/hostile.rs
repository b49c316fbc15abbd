//! Bodies that nobody should send, and what must not be logged.

use proptest::prelude::*;
use reqwest::Method;
use serde_json::json;
use tandem_core::id::Tenant;

use crate::log::Log;
use crate::player::answer;
use crate::world::{World, frame, read, user_id};

const ROUTES: [&str; 7] = [
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/api/v1/calls/initiate",
    "/api/v1/calls/terminate",
    "/api/v1/calls/call_00000000000000000000000000000007/answer",
    "/api/v1/calls/call_00000000000000000000000000000007/candidates",
];

#[tokio::test]
async fn bodies_that_are_no_json_too_large_or_say_too_much_are_refused_in_json() {
    let world = World::start();
    let large = format!("\"{}\"", "x".repeat(70_000));
    for route in ROUTES {
        for (body, status, error) in [
            ("", 400, "validation_error"),
            ("{", 400, "validation_error"),
            ("[]", 400, "validation_error"),
            ("[\"102\"]", 400, "validation_error"),
            ("\u{0}", 400, "validation_error"),
            (&large, 413, "payload_too_large"),
        ] {
            let request = world.request(Method::POST, route).bearer_auth(world.token(1)).body(body.to_owned());
            let (got, refusal) = read(request).await;
            assert_eq!((got, refusal["error"].as_str()), (status, Some(error)), "{route} {body:.9}");
        }
        let (status, refusal) = read(world.request(Method::PATCH, route).bearer_auth(world.token(1))).await;
        assert_eq!((status, refusal["error"].as_str()), (405, Some("method_not_allowed")), "{route}");
    }
    let more = json!({"phone_number": "102", "more": 1});
    let (status, refusal) = world.post(1, "/api/v1/calls/initiate", more).await;
    assert_eq!((status, refusal["error"].as_str()), (400, Some("validation_error")));
    assert_eq!(world.get(1, "/api/v1/nothing").await.1["error"], "not_found");
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        ".{0,80}",
        "(sip:)?[0-9+*#]{0,12}(@[a-z.:\\[\\]0-9]{0,12})?",
        "call_[0-9a-f]{32}",
        Just(answer()),
        "v=0(\r\n[a-z]=.{0,30}){0,8}",
    ];
    let field = prop::sample::select(vec![
        "phone_number",
        "call_id",
        "sdp_answer",
        "session_id",
        "candidates",
        "username",
        "password",
        "refresh_token",
    ]);
    let value = prop_oneof![
        text.prop_map(|text| json!(text)),
        Just(json!(null)),
        any::<i64>().prop_map(|n| json!(n)),
        Just(json!([{}]))
    ];
    let object = prop::collection::btree_map(field, value, 0..3).prop_map(|it| json!(it).to_string().into_bytes());
    prop_oneof![3 => object, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn no_body_ever_breaks_anything() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = runtime.block_on(async { World::start() });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let requests = (prop::sample::select(ROUTES.to_vec()), body(), prop::option::of("[ -~]{0,20}"));
    runner
        .run(&requests, |(route, body, key)| {
            let request = world.request(Method::POST, route).bearer_auth(world.token(1)).body(body);
            let request = match key {
                Some(key) => request.header("Idempotency-Key", key),
                None => request,
            };
            let (status, _) = runtime.block_on(read(request));
            prop_assert!(status < 500, "{status}");
            Ok(())
        })
        .unwrap();
}

/// C26: what is logged, at which level; and no token, number or name ever.
#[test]
fn the_log_tells_what_was_done_by_its_ids_and_no_secret() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).with_ansi(false);
    // One thread: the log is this thread's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = tracing::subscriber::with_default(subscriber.finish(), || {
        runtime.block_on(async {
            let world = World::start();
            let mut tab = world.events(1, Some("c-u-r-s-o-r")).await;
            frame(&mut tab).await;
            let login = world.request(Method::POST, "/api/v1/auth/login");
            read(login.body(json!({"username": "alice", "password": "s3cret"}).to_string())).await;
            let (_, begun) = world.post(1, "/api/calls/initiate", json!({"phone_number": "+493012345678"})).await;
            world.post(1, "/api/calls/terminate", json!({"call_id": begun["call_id"]})).await;
            world.player.incoming(&Tenant::default_tenant(), user_id(1), false);
            read(world.request(Method::GET, "/api/calls").bearer_auth("st0len")).await;
            world.token(1)
        })
    });
    let text = log.text();
    let ours: Vec<_> = text.lines().filter(|line| line.contains("tandem_http")).collect();
    for (level, words) in [
        (" INFO ", "call initiated call_id=call_"),
        (" INFO ", "call terminated call_id=call_"),
        (" WARN ", "request refused"),
        ("DEBUG ", "signed in"),
        ("DEBUG ", "event stream opened"),
    ] {
        assert!(ours.iter().any(|line| line.contains(level) && line.contains(words)), "{level}{words} in\n{text}");
    }
    assert!(ours.iter().any(|line| line.contains("call initiated") && line.contains("correlation_id=")));
    let (head, _) = token.split_once('.').unwrap();
    for secret in
        [head, "access_token", "c-u-r-s-o-r", "s3cret", "st0len", "3012345678", "15112345678", "refresh-1", "alice"]
    {
        assert!(!ours.iter().any(|line| line.contains(secret)), "{secret} in\n{text}");
    }
}
