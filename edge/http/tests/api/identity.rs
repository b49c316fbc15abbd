//! Signing in and out, tokens at the doors.

use reqwest::Method;
use serde_json::{Value, json};
use tandem_core::metric::Counter;

use crate::world::{World, read};

async fn post(world: &World, path: &str, body: Value) -> (u16, Value) {
    read(world.request(Method::POST, path).body(body.to_string())).await
}

#[tokio::test]
async fn whoever_has_the_password_gets_a_session_that_goes_on_once_a_token() {
    let world = World::start();
    let (status, session) =
        post(&world, "/api/v1/auth/login", json!({"username": "alice", "password": "s3cret"})).await;
    assert_eq!(status, 200);
    assert_eq!(session["token_type"], "Bearer");
    assert_eq!(session["expires_in"], 900);
    assert_eq!(session["user"]["extension"], "1001");
    let token = session["access_token"].as_str().unwrap();
    let (status, me) = read(world.request(Method::GET, "/api/v1/me").bearer_auth(token)).await;
    assert_eq!((status, &me), (200, &session["user"]));
    let used = json!({"refresh_token": session["refresh_token"]});
    assert_eq!(post(&world, "/api/v1/auth/refresh", used.clone()).await.0, 200);
    let (status, refusal) = post(&world, "/api/v1/auth/refresh", used).await;
    assert_eq!((status, &refusal["error"]), (401, &json!("invalid_refresh_token")));
    for token in ["refresh-1", "never was"] {
        assert_eq!(post(&world, "/api/v1/auth/logout", json!({"refresh_token": token})).await.0, 204);
    }
}

#[tokio::test]
async fn sign_ins_are_refused_in_the_words_of_the_contract() {
    let world = World::start();
    for (body, status, error) in [
        (json!({"username": "alice", "password": "wrong"}), 401, "invalid_credentials"),
        (json!({"username": "nobody", "password": "s3cret"}), 401, "invalid_credentials"),
        (json!({"username": "busy", "password": "s3cret"}), 503, "unavailable"),
        (json!({"username": "alice"}), 400, "validation_error"),
        (json!({"username": "", "password": "s3cret"}), 400, "validation_error"),
        (json!({"username": "alice", "password": "x".repeat(257)}), 400, "validation_error"),
    ] {
        let (got, refusal) = post(&world, "/api/v1/auth/login", body.clone()).await;
        assert_eq!((got, &refusal["error"]), (status, &json!(error)), "{body}");
    }
    assert_eq!(world.metrics.counter(Counter::SignInsFailed), 2);
}

#[tokio::test]
async fn an_eleventh_try_for_a_name_has_to_wait_and_others_do_not() {
    let world = World::start();
    let wrong = |name: &str| json!({"username": name, "password": "wrong"});
    for _ in 0..10 {
        assert_eq!(post(&world, "/api/v1/auth/login", wrong("alice")).await.0, 401);
    }
    let request = world.request(Method::POST, "/api/v1/auth/login").body(wrong(" ALICE ").to_string());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    assert_eq!(post(&world, "/api/v1/auth/login", wrong("bob")).await.0, 401);
    assert_eq!(world.metrics.counter(Counter::SignInsLimited), 1);
}

#[tokio::test]
async fn an_address_has_sixty_tries_whatever_the_names() {
    let world = World::start();
    let mut limited = 0;
    for n in 0..70 {
        let (status, _) =
            post(&world, "/api/v1/auth/login", json!({"username": format!("u{n}"), "password": "x"})).await;
        limited += usize::from(status == 429);
    }
    assert!((1..=10).contains(&limited), "{limited}");
}

#[tokio::test]
async fn every_door_is_closed_without_a_valid_token() {
    let world = World::start();
    let v1 = ["/calls", "/calls/initiate", "/calls/terminate", "/calls/x", "/calls/x/answer", "/me", "/ice-servers"];
    let old = ["", "/initiate", "/terminate", "/x", "/x/answer", "/x/reject", "/x/candidates"];
    let paths = v1.iter().map(|path| (format!("/api/v1{path}"), 401));
    let paths = paths.chain(old.iter().map(|path| (format!("/api/calls{path}"), 403)));
    let get =
        |path: &str| path.ends_with("/calls") || path.ends_with("/x") || path.contains("/me") || path.contains("ice");
    for (path, status) in paths.chain([(String::from("/api/v1/events"), 401)]) {
        let method = if get(&path) || path.contains("events") { Method::GET } else { Method::POST };
        for token in [None, Some("wrong"), Some("a.b.c")] {
            let request = world.request(method.clone(), &path);
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            let (got, refusal) = read(request).await;
            let refused = json!({"error": "unauthorized", "message": "Authentication required"});
            assert_eq!((got, refusal), (status, refused), "{path}");
        }
    }
    assert!(world.metrics.counter(Counter::ApiRefused) >= 45);
}

#[tokio::test]
async fn the_keys_are_public() {
    let world = World::start();
    let (status, keys) = read(world.request(Method::GET, "/.well-known/jwks.json")).await;
    assert_eq!((status, &keys["keys"][0]["kid"]), (200, &json!("k1")));
    assert!(keys["keys"][0].get("d").is_none());
}
