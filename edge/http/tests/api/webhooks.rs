//! Webhooks over the API: whose they are, what is asked of them, what is told.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tandem_core::id::{DeliveryId, Tenant, WebhookId};
use tandem_core::pii::Pii;
use tandem_core::time::WallTime;
use tandem_core::webhook::{Delivery, DeliveryState, Webhook, WebhookChange};
use tandem_http::identity::{Claims, Role};
use tandem_http::{DeliveryPage, NewWebhook, WebhookRefused, Webhooks};
use uuid::Uuid;

use crate::world::{World, claims, read};

/// Webhooks in a list; three of a tenant at most. Each has three deliveries, the last of them dead.
#[derive(Default)]
pub(crate) struct Listed(Mutex<BTreeMap<WebhookId, Webhook>>);

type Answer<'a, T> = BoxFuture<'a, Result<T, WebhookRefused>>;

impl Listed {
    fn of(&self, tenant: &Tenant, id: WebhookId) -> Option<Webhook> {
        self.0.lock().get(&id).filter(|it| it.tenant == *tenant).cloned()
    }
}

fn now<'a, T: Send + 'a>(answer: T) -> Answer<'a, T> {
    async { Ok(answer) }.boxed()
}

impl Webhooks for Listed {
    fn check_url(&self, url: &str) -> Result<(), &'static str> {
        if url.starts_with("https://") { Ok(()) } else { Err("it has to begin with https://") }
    }

    fn add(&self, new: NewWebhook) -> Answer<'_, Webhook> {
        if self.0.lock().len() >= 3 {
            return async { Err(WebhookRefused::TooMany) }.boxed();
        }
        let webhook = Webhook {
            id: WebhookId::from_uuid(Uuid::now_v7()),
            tenant: new.tenant,
            url: new.url,
            format: new.format,
            events: new.events,
            enabled: true,
            disabled_reason: None,
            failures: 0,
            created_at: WallTime(1_790_000_000_000_000),
        };
        self.0.lock().insert(webhook.id, webhook.clone());
        now(webhook)
    }

    fn list<'a>(&'a self, tenant: &'a Tenant) -> Answer<'a, Vec<Webhook>> {
        now(self.0.lock().values().filter(|it| it.tenant == *tenant).cloned().collect())
    }

    fn find<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> Answer<'a, Option<Webhook>> {
        now(self.of(tenant, id))
    }

    fn change<'a>(&'a self, tenant: &'a Tenant, id: WebhookId, change: WebhookChange) -> Answer<'a, Option<Webhook>> {
        let Some(mut webhook) = self.of(tenant, id) else { return now(None) };
        webhook.url = change.url.unwrap_or(webhook.url);
        webhook.events = change.events.unwrap_or(webhook.events);
        webhook.enabled = change.enabled.unwrap_or(webhook.enabled);
        self.0.lock().insert(id, webhook.clone());
        now(Some(webhook))
    }

    fn remove<'a>(&'a self, tenant: &'a Tenant, id: WebhookId) -> Answer<'a, bool> {
        now(self.of(tenant, id).is_some_and(|_| self.0.lock().remove(&id).is_some()))
    }

    fn rotate_secret<'a>(&'a self, tenant: &'a Tenant, id: WebhookId, _: Pii<String>) -> Answer<'a, bool> {
        now(self.of(tenant, id).is_some())
    }

    fn test<'a>(&'a self, _: &'a Tenant, _: WebhookId) -> Answer<'a, DeliveryId> {
        now(DeliveryId::from_uuid(Uuid::from_u128(9)))
    }

    fn deliveries<'a>(
        &'a self,
        _: &'a Tenant,
        id: WebhookId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: u8,
    ) -> Answer<'a, DeliveryPage> {
        let states = [(3, DeliveryState::Dead), (2, DeliveryState::Delivered), (1, DeliveryState::Pending)];
        let all = states.into_iter().map(|(n, state)| delivery(id, n, state));
        let mut deliveries: Vec<_> = all
            .filter(|it| state.is_none_or(|state| it.state == state) && before.is_none_or(|before| it.id < before))
            .collect();
        let more = deliveries.len() > usize::from(limit);
        deliveries.truncate(limit.into());
        now(DeliveryPage { deliveries, more })
    }

    fn redeliver<'a>(&'a self, tenant: &'a Tenant, id: WebhookId, delivery: DeliveryId) -> Answer<'a, bool> {
        now(self.of(tenant, id).is_some() && delivery.uuid().as_u128() <= 3)
    }

    fn redeliver_dead<'a>(&'a self, _: &'a Tenant, _: WebhookId) -> Answer<'a, u64> {
        now(1)
    }
}

fn delivery(webhook_id: WebhookId, n: u128, state: DeliveryState) -> Delivery {
    let at = WallTime(1_790_000_000_000_000);
    Delivery {
        id: DeliveryId::from_uuid(Uuid::from_u128(n)),
        webhook_id,
        event_id: format!("call_x.{n}"),
        event_type: "tandem.call.ended.v1".to_owned(),
        state,
        attempts: 1,
        next_at: at,
        last_status: Some(500),
        last_error: None,
        created_at: at,
        delivered_at: None,
    }
}

/// Somebody in a tenant.
fn token(world: &World, tenant: &str, role: Role) -> String {
    let tenant = tenant.parse().unwrap();
    world.token_for(&Claims { tenant, role, ..claims(1, world.clock.now().wall) })
}

async fn ask(world: &World, token: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = world.request(method, &format!("/api/v1/webhooks{path}")).bearer_auth(token);
    read(match body {
        Some(body) => request.body(body.to_string()),
        None => request,
    })
    .await
}

#[tokio::test]
async fn an_administrator_adds_changes_looks_at_and_removes_a_webhook() {
    let world = World::start();
    let admin = token(&world, "default", Role::Admin);
    let new = json!({"url": "https://hooks.example/a", "events": ["tandem.call"]});
    let (status, added) = ask(&world, &admin, Method::POST, "", Some(new)).await;
    assert_eq!(status, 201, "{added}");
    let secret = added["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 70, "{secret}");
    let path = format!("/{}", added["id"].as_str().unwrap());
    let (status, found) = ask(&world, &admin, Method::GET, &path, None).await;
    let expected = json!({
        "id": added["id"], "url": "https://hooks.example/a", "format": "tandem", "events": ["tandem.call"],
        "enabled": true, "disabled_reason": null, "failures": 0, "created_at": added["created_at"],
    });
    assert_eq!((status, &found), (200, &expected), "the secret is told once");
    assert_eq!(ask(&world, &admin, Method::GET, "", None).await, (200, json!({"webhooks": [expected]})));
    let change = json!({"enabled": false, "events": []});
    let (status, changed) = ask(&world, &admin, Method::PATCH, &path, Some(change)).await;
    assert_eq!((status, &changed["enabled"], &changed["events"]), (200, &json!(false), &json!([])));
    let (status, rotated) = ask(&world, &admin, Method::POST, &format!("{path}/rotate_secret"), None).await;
    assert_eq!(status, 200);
    assert_ne!(rotated["secret"], added["secret"]);
    assert_eq!(ask(&world, &admin, Method::POST, &format!("{path}/test"), None).await.0, 202);
    assert_eq!(ask(&world, &admin, Method::DELETE, &path, None).await.0, 204);
    assert_eq!(ask(&world, &admin, Method::GET, &path, None).await.0, 404);
}

#[tokio::test]
async fn the_log_is_paged_and_what_is_in_it_is_sent_again() {
    let world = World::start();
    let admin = token(&world, "default", Role::Admin);
    let added = ask(&world, &admin, Method::POST, "", Some(json!({"url": "https://hooks.example/"}))).await.1;
    let path = format!("/{}", added["id"].as_str().unwrap());
    let log = format!("{path}/deliveries");
    let (status, page) = ask(&world, &admin, Method::GET, &format!("{log}?limit=2"), None).await;
    assert_eq!((status, page["deliveries"].as_array().unwrap().len()), (200, 2));
    assert_eq!((&page["deliveries"][0]["state"], &page["deliveries"][0]["next_at"]), (&json!("dead"), &Value::Null));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = ask(&world, &admin, Method::GET, &format!("{log}?cursor={cursor}"), None).await.1;
    assert_eq!((rest["deliveries"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let dead = ask(&world, &admin, Method::GET, &format!("{log}?state=dead"), None).await.1;
    let id = dead["deliveries"][0]["id"].as_str().unwrap();
    assert_eq!(ask(&world, &admin, Method::POST, &format!("{log}/{id}/redeliver"), None).await.0, 202);
    let unknown = DeliveryId::from_uuid(Uuid::from_u128(99));
    assert_eq!(ask(&world, &admin, Method::POST, &format!("{log}/{unknown}/redeliver"), None).await.0, 404);
    let (status, again) = ask(&world, &admin, Method::POST, &format!("{path}/redeliver_dead"), None).await;
    assert_eq!((status, again), (202, json!({"deliveries": 1})));
    for bad in ["limit=0", "limit=101", "limit=x", "state=lost", "cursor=call_7", "limit=1&limit=2"] {
        assert_eq!(ask(&world, &admin, Method::GET, &format!("{log}?{bad}"), None).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn users_have_no_webhooks_and_another_tenants_are_not_there() {
    let world = World::start();
    let (admin, user) = (token(&world, "default", Role::Admin), token(&world, "default", Role::User));
    let other = token(&world, "other", Role::Admin);
    let added = ask(&world, &admin, Method::POST, "", Some(json!({"url": "https://hooks.example/"}))).await.1;
    let theirs = format!("/{}", added["id"].as_str().unwrap());
    let never = format!("/{}", WebhookId::from_uuid(Uuid::from_u128(1)));
    let delivery = DeliveryId::from_uuid(Uuid::from_u128(1));
    for (method, rest) in [
        (Method::GET, String::new()),
        (Method::PATCH, String::new()),
        (Method::DELETE, String::new()),
        (Method::POST, "/test".to_owned()),
        (Method::POST, "/rotate_secret".to_owned()),
        (Method::GET, "/deliveries".to_owned()),
        (Method::POST, "/redeliver_dead".to_owned()),
        (Method::POST, format!("/deliveries/{delivery}/redeliver")),
    ] {
        let body = (method == Method::PATCH).then(|| json!({}));
        let (status, refusal) = ask(&world, &user, method.clone(), &format!("{theirs}{rest}"), body.clone()).await;
        assert_eq!((status, &refusal["error"]), (403, &json!("forbidden")), "{method} {rest}");
        let foreign = ask(&world, &other, method.clone(), &format!("{theirs}{rest}"), body.clone()).await;
        assert_eq!((foreign.0, &foreign.1["error"]), (404, &json!("webhook_not_found")), "{method} {rest}");
        assert_eq!(foreign, ask(&world, &other, method.clone(), &format!("{never}{rest}"), body.clone()).await);
        assert_eq!(ask(&world, &admin, method.clone(), &format!("/nonsense{rest}"), body).await.0, 404);
    }
    assert_eq!(ask(&world, &other, Method::GET, "", None).await, (200, json!({"webhooks": []})));
    assert_eq!(ask(&world, "no token", Method::GET, "", None).await.0, 401);
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused() {
    let world = World::start();
    let admin = token(&world, "default", Role::Admin);
    let url = "https://hooks.example/";
    for body in [
        json!({}),
        json!({"url": "http://hooks.example/"}),
        json!({"url": format!("{url}{}", "x".repeat(2_048))}),
        json!({"url": url, "format": "other"}),
        json!({"url": url, "events": ["Tandem Call"]}),
        json!({"url": url, "events": [""]}),
        json!({"url": url, "events": vec!["a"; 33]}),
        json!({"url": url, "secret": "mine"}),
    ] {
        let (status, refusal) = ask(&world, &admin, Method::POST, "", Some(body.clone())).await;
        assert_eq!((status, &refusal["error"]), (400, &json!("validation_error")), "{body}");
    }
    for _ in 0..3 {
        assert_eq!(ask(&world, &admin, Method::POST, "", Some(json!({"url": url}))).await.0, 201);
    }
    let (status, refusal) = ask(&world, &admin, Method::POST, "", Some(json!({"url": url}))).await;
    assert_eq!((status, &refusal["error"]), (409, &json!("conflict")));
}
