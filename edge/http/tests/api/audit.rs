//! What is noted of requests, and who reads it.

use reqwest::Method;
use serde_json::{Value, json};
use tandem_core::audit::Action;
use tandem_core::id::Tenant;
use tandem_http::identity::{Claims, Role};

use crate::world::{World, claims, read, user_id};

const OPERATOR: &str = "s3cret";

/// The token of an administrator of a tenant.
fn admin(world: &World, tenant: &str) -> String {
    let tenant: Tenant = tenant.parse().unwrap();
    world.token_for(&Claims { tenant, role: Role::Admin, ..claims(5, world.clock.now().wall) })
}

async fn audit(world: &World, token: &str, query: &str) -> (u16, Value) {
    read(world.request(Method::GET, &format!("/api/v1/audit{query}")).bearer_auth(token)).await
}

fn actions(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn signing_in_and_out_and_every_failure_is_noted_with_who_it_was() {
    let world = World::start();
    let post = async |path: &str, body: Value| read(world.request(Method::POST, path).body(body.to_string())).await.0;
    assert_eq!(post("/api/v1/auth/login", json!({"username": "alice", "password": "s3cret"})).await, 200);
    assert_eq!(post("/api/v1/auth/login", json!({"username": "alice", "password": "wrong"})).await, 401);
    assert_eq!(post("/api/v1/auth/refresh", json!({"refresh_token": "stolen"})).await, 401);
    assert_eq!(post("/api/v1/auth/logout", json!({"refresh_token": "refresh-1"})).await, 204);
    assert_eq!(post("/api/v1/auth/logout", json!({"refresh_token": "never was"})).await, 204);
    let (user, session) = (user_id(1).to_string(), String::from("dev_00000000000000000000000000000065"));
    let of = |action| world.audit.of(action);
    let default = || String::from("default");
    assert_eq!(of(Action::SignIn), [(user.clone(), default(), session.clone(), String::from("password"))]);
    assert_eq!(of(Action::SignOut), [(user, default(), session, String::from("ended"))]);
    let refused: Vec<_> = of(Action::SignInRefused).into_iter().map(|(who, .., outcome)| (who, outcome)).collect();
    let nobody = |outcome: &str| (String::from("nobody"), outcome.to_owned());
    assert_eq!(refused, [nobody("invalid_credentials"), nobody("invalid_refresh_token")]);
    assert_eq!(of(Action::RequestRefused), [], "noted once");
}

#[tokio::test]
async fn a_refused_request_is_noted_by_its_route_and_under_him_who_asked() {
    let world = World::start();
    for (path, token) in [("/api/v1/calls/call_secret", None), ("/api/calls", Some("x"))] {
        let request = world.request(Method::GET, path);
        read(if let Some(token) = token { request.bearer_auth(token) } else { request }).await;
    }
    assert_eq!(world.get(1, "/api/v1/audit").await.0, 403);
    assert_eq!(read(world.request(Method::GET, "/api/v1/ops/tree")).await.0, 401);
    let (nobody, default) = (String::from("nobody"), String::from("default"));
    let refused = |who: &str, tenant: &str, what: &str, code: &str| {
        (who.to_owned(), tenant.to_owned(), what.to_owned(), code.to_owned())
    };
    assert_eq!(
        world.audit.of(Action::RequestRefused),
        [
            refused(&nobody, &default, "GET /api/v1/calls/{call_id}", "unauthorized"),
            refused(&nobody, &default, "GET /api/calls", "unauthorized"),
            refused(&user_id(1).to_string(), &default, "GET /api/v1/audit", "forbidden"),
            refused(&nobody, "operator", "GET /api/v1/ops/tree", "unauthorized"),
        ]
    );
}

#[tokio::test]
async fn an_administrator_reads_what_is_his_tenant_s_and_the_operator_all() {
    let world = World::start();
    for (tenant, times) in [("acme", 3), ("default", 2)] {
        let tenant: Tenant = tenant.parse().unwrap();
        let user = world.token_for(&Claims { tenant, ..claims(7, world.clock.now().wall) });
        for _ in 0..times {
            assert_eq!(audit(&world, &user, "").await.0, 403);
        }
    }
    let (acme, default) = (admin(&world, "acme"), admin(&world, "default"));
    let (status, page) = audit(&world, &acme, "").await;
    assert_eq!((status, actions(&page)), (200, vec!["request_refused"; 3]));
    assert!(page["events"].as_array().unwrap().iter().all(|event| event["tenant"] == "acme"), "{page}");
    assert_eq!(page["events"][0]["from"], "127.0.0.1");
    assert_eq!(actions(&audit(&world, &acme, "?action=audit_read").await.1), ["audit_read"], "its reading is noted");
    assert_eq!(actions(&audit(&world, &default, "").await.1), ["request_refused"; 2]);
    let operators = async |query: &str| {
        read(world.request(Method::GET, &format!("/api/v1/ops/audit{query}")).bearer_auth(OPERATOR)).await
    };
    let (status, page) = operators("?action=request_refused").await;
    assert_eq!((status, actions(&page).len()), (200, 5));
    assert_eq!(actions(&operators("?tenant=acme&action=request_refused").await.1).len(), 3);
    assert_eq!(operators("?tenant=A!").await.0, 400);
}

#[tokio::test]
async fn pages_follow_each_other_and_filters_that_say_nothing_are_refused() {
    let world = World::start();
    let token = admin(&world, "default");
    for _ in 0..5 {
        assert_eq!(audit(&world, &token, "?action=sign_in").await.0, 200);
    }
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    for left in [3, 1] {
        let (_, page) = audit(&world, &token, &format!("?action=audit_read&limit=2{cursor}")).await;
        seen.extend(page["events"].as_array().unwrap().iter().map(|event| event["id"].clone()));
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_else(|| panic!("{left} are left")));
    }
    seen.sort_by_key(|id| id.to_string());
    seen.dedup();
    assert_eq!(seen.len(), 4);
    let none = audit(&world, &token, "?to=2001-01-01T00:00:00Z").await.1;
    assert_eq!((actions(&none), &none["next_cursor"]), (vec![], &Value::Null));
    assert!(!actions(&audit(&world, &token, "?from=2001-01-01T00:00:00%2B02:00&limit=1000").await.1).is_empty());
    for wrong in
        ["action=x", "who=alice", "from=yesterday", "to=1", "limit=0", "limit=1001", "cursor=call_1", "limit=1&limit=2"]
    {
        assert_eq!(audit(&world, &token, &format!("?{wrong}")).await.0, 400, "{wrong}");
    }
}
