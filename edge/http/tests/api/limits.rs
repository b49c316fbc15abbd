//! Too many requests, and whose they are.

use std::num::NonZeroU32;

use reqwest::Method;
use reqwest::header::HOST;
use serde_json::{Value, json};
use tandem_core::audit::Action;
use tandem_core::id::Tenant;
use tandem_core::metric::Counter;
use tandem_core::tenancy::Tenants;
use tandem_http::config::Config;
use tandem_http::identity::Claims;

use crate::world::{World, claims, read, user_id};

/// One request a second: two at once, and a third within seconds is refused on whatever machine.
const SLOW: NonZeroU32 = NonZeroU32::MIN;

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait_and_others_are_not() {
    let world = World::with(Config { requests_per_second_user: SLOW, ..Config::default() }, false);
    // However slow the machine is, of so many some come within a second.
    let mut refused = 0;
    for _ in 0..50 {
        let response = world.request(Method::GET, "/api/v1/me").bearer_auth(world.token(1)).send().await.unwrap();
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
            assert_eq!(response.json::<Value>().await.unwrap()["error"], "rate_limited");
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(world.get(2, "/api/v1/me").await.0, 200);
    let acme: Tenant = "acme".parse().unwrap();
    let namesake = world.token_for(&Claims { tenant: acme, ..claims(1, world.clock.now().wall) });
    assert_eq!(read(world.request(Method::GET, "/api/v1/me").bearer_auth(namesake)).await.0, 200);
    assert_eq!(world.metrics.counter(Counter::ApiLimitedUser), refused);
    let noted = world.audit.of(Action::LimitHit);
    let (who, tenant, what, code) = &noted[0];
    assert_eq!((who, tenant.as_str()), (&user_id(1).to_string(), "default"));
    assert_eq!((what.as_str(), code.as_str()), ("GET /api/v1/me", "rate_limited"));
    assert!(noted.len() < 30, "a flood is not noted one by one: {}", noted.len());
}

#[tokio::test]
async fn an_event_stream_is_a_request_too() {
    let world = World::with(Config { requests_per_second_user: SLOW, ..Config::default() }, false);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(world.get(1, "/api/v1/events").await.0);
    }
    assert!(statuses.contains(&426) && statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn a_tenant_s_users_share_a_limit_that_is_not_another_tenant_s() {
    let world = World::with(Config { requests_per_second_tenant: SLOW, ..Config::default() }, false);
    let mut statuses = Vec::new();
    for user in 1..20 {
        statuses.push(world.get(user, "/api/v1/me").await.0);
    }
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    let other: Tenant = "acme".parse().unwrap();
    let token = world.token_for(&Claims { tenant: other, ..claims(1, world.clock.now().wall) });
    assert_eq!(read(world.request(Method::GET, "/api/v1/me").bearer_auth(token)).await.0, 200);
    assert!(world.metrics.counter(Counter::ApiLimitedTenant) > 0);
}

#[tokio::test]
async fn an_address_is_limited_before_anybody_is_known_and_who_watches_the_node_never_is() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let config = Config { requests_per_second_ip: SLOW, trusted_proxies, ..Config::default() };
    let world = World::with(config, false);
    let ask = async |path: &str, client: &str| {
        read(world.request(Method::GET, path).header("x-forwarded-for", client)).await.0
    };
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(ask("/api/v1/me", "192.0.2.1").await);
        assert_eq!(ask("/healthz", "192.0.2.1").await, 200);
        assert_eq!(ask("/metrics", "192.0.2.1").await, 200);
    }
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(ask("/api/v1/me", "192.0.2.2").await, 401, "another client behind the same proxy");
    assert!(world.metrics.counter(Counter::ApiLimitedAddress) > 0);
}

#[tokio::test]
async fn whose_user_signs_in_is_said_by_the_host_or_by_himself() {
    let world = World::start();
    let acme: Tenant = "acme".parse().unwrap();
    let sign_in = async |host: &str, tenant: Option<&str>, password: &str| {
        let mut body = json!({"username": "alice", "password": password});
        if let Some(tenant) = tenant {
            body["tenant"] = json!(tenant);
        }
        let request = world.request(Method::POST, "/api/v1/auth/login").header(HOST, host).body(body.to_string());
        let (status, body) = read(request).await;
        (status, body["error"].as_str().unwrap_or_default().to_owned())
    };
    world.tenants.set(Tenants::new([(String::from("acme.example"), acme.clone())], Default::default()));
    let (refused, ok) = ((401, String::from("invalid_credentials")), (200, String::new()));
    for (host, tenant, password, expected) in [
        ("acme.example", None, "other", &ok),
        ("ACME.example:7880", None, "other", &ok),
        ("acme.example", None, "s3cret", &refused),
        ("tandem.example", None, "s3cret", &ok),
        ("tandem.example", None, "other", &refused),
        ("tandem.example", Some("acme"), "other", &ok),
        ("acme.example", Some("default"), "s3cret", &ok),
        ("acme.example", Some("nobody"), "other", &refused),
    ] {
        assert_eq!(sign_in(host, tenant, password).await, *expected, "{host} {tenant:?} {password}");
    }
    assert_eq!(sign_in("x", Some("A!"), "other").await.0, 400);
    let last = world.audit.of(Action::SignInRefused).pop().unwrap();
    assert_eq!(last.1, "nobody");
    let admin = world.token_for(&Claims { tenant: acme.clone(), ..claims(9, world.clock.now().wall) });
    world.tenants.set(Tenants::new([(String::from("acme.example"), acme.clone())], [acme].into()));
    assert_eq!(sign_in("acme.example", None, "other").await, refused, "disabled");
    let call = json!({"phone_number": "102"}).to_string();
    let request = world.request(Method::POST, "/api/v1/calls/initiate").bearer_auth(admin).body(call);
    let (status, body) = read(request).await;
    assert_eq!((status, &body["error"]), (403, &json!("forbidden")));
    assert_eq!(sign_in("tandem.example", None, "s3cret").await, ok);
}
