//! Webhooks that take, refuse, hang, go away and come back, over a real database.

use std::time::Duration;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tandem_core::cause::Cause;
use tandem_core::event::{Context, Fact, FactBody};
use tandem_core::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
use tandem_core::pii::Pii;
use tandem_core::ports::LedgerPort;
use tandem_core::webhook::{Delivery, DeliveryState, Format};
use tandem_http::Webhooks;
use tandem_storage::{Bus, Config, Ledger, NewWebhook};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::webhooks::StoredWebhooks;

const SOON: Duration = Duration::from_secs(20);

struct Home {
    folder: tempfile::TempDir,
    storage: Arc<Storage>,
    ledger: Arc<Ledger>,
    clock: Clock,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let storage = Storage::open(&config, Arc::default()).await.unwrap();
        let ledger = Ledger::open(storage.clone(), Bus::new(64, Arc::default())).unwrap();
        Self { folder, storage, ledger, clock: Clock::start() }
    }

    async fn webhook(&self, url: String, events: &[&str]) -> WebhookId {
        let new = NewWebhook {
            tenant: Tenant::default_tenant(),
            url: url.into(),
            format: Format::Tandem,
            events: events.iter().map(|it| (*it).to_owned()).collect(),
            secret: Pii::new(String::from("whsec_test")),
        };
        self.storage.add_webhook(new, 20).await.unwrap().id
    }

    /// A call begins, is dialled, rings and ends: its facts are in the database.
    async fn call(&self, n: u128, facts: u32) {
        for number in 1..=facts {
            self.ledger.commit(&fact(n, number));
        }
        self.ledger.flush(SOON).await.unwrap();
    }

    fn engine(&self, config: WebhooksConfig) -> Running {
        self.engine_counted(config, Arc::default())
    }

    fn engine_counted(&self, config: WebhooksConfig, metrics: Arc<Metrics>) -> Running {
        let engine = WebhookEngine::new(self.storage.clone(), config, self.clock.clone(), metrics).unwrap();
        Running(tokio::spawn(async move { Arc::new(engine).run(CancellationToken::new()).await.unwrap() }))
    }

    async fn log(&self, webhook: WebhookId) -> Vec<Delivery> {
        let page = self.storage.deliveries(&Tenant::default_tenant(), webhook, None, None, 100).await.unwrap();
        page.deliveries
    }

    async fn until(&self, webhook: WebhookId, state: DeliveryState, count: usize) -> Vec<Delivery> {
        let seen = async {
            loop {
                let log = self.log(webhook).await;
                if log.iter().filter(|it| it.state == state).count() >= count {
                    return log;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, seen).await.unwrap_or_else(|_| panic!("never {count} {state:?}"))
    }
}

/// An engine that dies with its test.
struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn fact(call: u128, number: u32) -> Fact {
    let uuid = Uuid::from_u128(call);
    let context = Context {
        tenant: Tenant::default_tenant(),
        correlation_id: CorrelationId::from_uuid(uuid),
        node: NodeId::from_uuid(Uuid::from_u128(1)),
    };
    let body = FactBody::Ended { cause: Cause::Normal, by: tandem_core::event::Side::Caller };
    let body = if number == 1 { FactBody::Ringing { leg_id: LegId::from_uuid(uuid) } } else { body };
    let at = tandem_core::time::WallTime(1_790_000_000_000_000);
    Fact { context, call: CallId::from_uuid(uuid), number, at, caused_by: None, sdp: None, body }
}

/// Everything quick, and this machine allowed.
fn quick() -> WebhooksConfig {
    WebhooksConfig {
        allow_http: true,
        allow_private: true,
        timeout: Duration::from_millis(500),
        retry_first: Duration::from_millis(10),
        retry_longest: Duration::from_millis(50),
        poll: Duration::from_millis(10),
        ..WebhooksConfig::default()
    }
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn ids(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|it| it.headers["tandem-webhook-id"].to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_event_arrives_once_as_it_is_and_signed() {
    let (home, server) = (Home::new().await, server(ResponseTemplate::new(204)).await);
    let webhook = home.webhook(server.uri(), &[]).await;
    home.call(7, 3).await;
    // A commit that is repeated queues nothing again.
    home.call(7, 3).await;
    let _engine = home.engine(quick());
    let log = home.until(webhook, DeliveryState::Delivered, 3).await;
    assert_eq!(log.len(), 3);
    let requests = server.received_requests().await.unwrap();
    let call = CallId::from_uuid(Uuid::from_u128(7));
    assert_eq!(ids(&requests), [format!("{call}.1"), format!("{call}.2"), format!("{call}.3")]);
    let header = |name: &str| requests[0].headers[name].to_str().unwrap().to_owned();
    let signed =
        format!("{call}.1.{}.{}", header("tandem-webhook-timestamp"), String::from_utf8_lossy(&requests[0].body));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"whsec_test").unwrap();
    mac.update(signed.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header("tandem-webhook-signature"), format!("v1={hex}"));
    let event: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!((&event["type"], &event["seq"]), (&"tandem.call.ringing.v1".into(), &1.into()));
    assert_eq!(header("traceparent"), event["traceparent"].as_str().unwrap(), "the call's place in its trace");
    assert_eq!(header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!((log[0].last_status, log[0].attempts), (Some(204), 1));
}

#[tokio::test]
async fn only_what_is_wanted_is_sent() {
    let (home, server) = (Home::new().await, server(ResponseTemplate::new(200)).await);
    let ended = home.webhook(server.uri(), &["tandem.call.ended"]).await;
    let nothing = home.webhook(server.uri(), &["tandem.recording"]).await;
    home.call(7, 2).await;
    let _engine = home.engine(quick());
    assert_eq!(home.until(ended, DeliveryState::Delivered, 1).await.len(), 1);
    assert!(home.log(nothing).await.is_empty());
}

#[tokio::test]
async fn the_next_of_a_resource_waits_for_the_one_before_and_other_resources_do_not() {
    let home = Home::new().await;
    let server = MockServer::start().await;
    let stuck = format!("{}.1", CallId::from_uuid(Uuid::from_u128(1)));
    let (first, refusals) = (stuck.clone(), 3);
    let is_stuck = move |request: &Request| request.headers["tandem-webhook-id"] == first.as_str();
    let refuse = ResponseTemplate::new(500);
    Mock::given(is_stuck).respond_with(refuse).up_to_n_times(refusals).with_priority(1).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).with_priority(2).mount(&server).await;
    let webhook = home.webhook(server.uri(), &[]).await;
    home.call(1, 3).await;
    home.call(2, 3).await;
    let _engine = home.engine(quick());
    home.until(webhook, DeliveryState::Delivered, 6).await;
    let order = ids(&server.received_requests().await.unwrap());
    let of = |n: u128| {
        let prefix = CallId::from_uuid(Uuid::from_u128(n)).to_string();
        order
            .iter()
            .filter(move |id| id.starts_with(&prefix))
            .map(|id| id[id.len() - 1..].to_owned())
            .collect::<String>()
    };
    assert_eq!((of(1).as_str(), of(2).as_str()), ("111123", "123"), "{order:?}");
}

#[tokio::test]
async fn webhooks_that_hang_and_fail_slow_nobody_else() {
    let home = Home::new().await;
    let hangs = server(ResponseTemplate::new(200).set_delay(Duration::from_secs(600))).await;
    let (fails, takes) = (server(ResponseTemplate::new(500)).await, server(ResponseTemplate::new(200)).await);
    let hanging = home.webhook(hangs.uri(), &[]).await;
    let failing = home.webhook(fails.uri(), &[]).await;
    let taking = home.webhook(takes.uri(), &[]).await;
    for n in 1..=20 {
        home.call(n, 2).await;
    }
    // A request to the one that hangs would last longer than the test waits.
    let config = WebhooksConfig { timeout: Duration::from_secs(60), parallel: 20, ..quick() };
    let _engine = home.engine(config);
    home.until(taking, DeliveryState::Delivered, 40).await;
    assert!(
        home.log(hanging).await.iter().chain(&home.log(failing).await).all(|it| it.state == DeliveryState::Pending)
    );
    assert!(hangs.received_requests().await.unwrap().len() <= 8);
}

#[tokio::test]
async fn what_is_tried_for_too_long_is_dead_until_somebody_sends_it_again() {
    let home = Home::new().await;
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).up_to_n_times(1_000).mount(&server).await;
    let webhook = home.webhook(server.uri(), &[]).await;
    home.call(7, 2).await;
    let metrics = Arc::new(Metrics::default());
    let config = WebhooksConfig { give_up: Duration::from_millis(300), ..quick() };
    let _engine = home.engine_counted(config, metrics.clone());
    let log = home.until(webhook, DeliveryState::Dead, 2).await;
    assert_eq!((log[0].last_status, log[0].last_error.as_deref()), (Some(500), Some("it answered 500")));
    assert_eq!(metrics.counter(Counter::WebhookDeliveriesDead), 2);
    assert!(home.storage.list_webhooks(None).await.unwrap()[0].failures >= 2);
    server.reset().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let tenant = Tenant::default_tenant();
    assert_eq!(home.storage.redeliver_dead(&"other".parse().unwrap(), webhook).await.unwrap(), 0);
    assert!(!home.storage.redeliver(&"other".parse().unwrap(), webhook, log[0].id).await.unwrap());
    assert_eq!(home.storage.redeliver_dead(&tenant, webhook).await.unwrap(), 2);
    home.until(webhook, DeliveryState::Delivered, 2).await;
    assert!(home.storage.redeliver(&tenant, webhook, log[0].id).await.unwrap());
    let twice = async { while server.received_requests().await.unwrap().len() < 3 {} };
    timeout(SOON, twice).await.unwrap();
    assert_eq!(home.storage.list_webhooks(None).await.unwrap()[0].failures, 0);
}

#[tokio::test]
async fn who_answers_410_is_switched_off() {
    let (home, server) = (Home::new().await, server(ResponseTemplate::new(410)).await);
    let webhook = home.webhook(server.uri(), &[]).await;
    home.call(7, 2).await;
    let _engine = home.engine(quick());
    let off = async {
        loop {
            let webhook = home.storage.list_webhooks(None).await.unwrap().remove(0);
            if !webhook.enabled {
                return webhook;
            }
        }
    };
    let off = timeout(SOON, off).await.unwrap();
    assert_eq!(off.disabled_reason.as_deref(), Some("gone: it answered 410"));
    home.call(8, 1).await;
    assert_eq!(home.log(webhook).await.len(), 2, "nothing is queued for it any more");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_fails_rests_however_much_waits_for_it_and_is_given_everything_when_it_is_back() {
    let home = Home::new().await;
    let (fails, takes) = (server(ResponseTemplate::new(500)).await, server(ResponseTemplate::new(200)).await);
    let failing = home.webhook(fails.uri(), &[]).await;
    let taking = home.webhook(takes.uri(), &[]).await;
    for n in 1..=50 {
        home.call(n, 1).await;
    }
    let minute = Duration::from_secs(60);
    let engine = home.engine(WebhooksConfig { retry_first: minute, retry_longest: minute, ..quick() });
    home.until(taking, DeliveryState::Delivered, 50).await;
    let webhook = async |id| home.storage.webhook(&Tenant::default_tenant(), id).await.unwrap().unwrap();
    let rests = async { while !home.storage.due_webhooks(home.clock.now().wall).await.unwrap().is_empty() {} };
    timeout(SOON, rests).await.unwrap();
    let (now, lease) = (home.clock.now().wall, Duration::from_secs(1));
    assert!(!home.storage.claim_deliveries(failing, 1, now, lease).await.unwrap().is_empty(), "much waits for it");
    drop(engine);
    let asked = fails.received_requests().await.unwrap().len();
    assert!(asked <= 8 + 2, "{asked}: eight at a time until three have failed, then none");
    fails.reset().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&fails).await;
    let change = tandem_core::webhook::WebhookChange { enabled: Some(true), ..Default::default() };
    home.storage.change_webhook(&Tenant::default_tenant(), failing, change).await.unwrap();
    let _engine = home.engine(quick());
    // What was tried is tried again in a minute.
    home.until(failing, DeliveryState::Delivered, 50 - 10 - 1).await;
    assert_eq!(webhook(failing).await.failures, 0);
}

#[tokio::test]
async fn who_settles_late_changes_nothing() {
    let home = Home::new().await;
    let id = home.webhook(String::from("http://127.0.0.1:9/"), &[]).await;
    home.call(7, 1).await;
    let (now, lease) = (home.clock.now().wall, Duration::from_secs(1));
    let first = home.storage.claim_deliveries(id, 1, now, lease).await.unwrap().remove(0);
    let second = home.storage.claim_deliveries(id, 1, now + lease, lease).await.unwrap().remove(0);
    assert_eq!((first.attempts, second.attempts), (1, 2));
    let dead = Outcome::Failed { status: None, error: String::from("too slow"), next_at: None, gone: true };
    let settle = async |claimed: &Claimed, outcome: &Outcome| {
        home.storage.settle_delivery(id, claimed, outcome, |_| None).await.unwrap()
    };
    assert!(!settle(&first, &dead).await);
    let webhook = async || home.storage.webhook(&Tenant::default_tenant(), id).await.unwrap().unwrap();
    assert_eq!((webhook().await.enabled, webhook().await.failures), (true, 0), "its webhook neither");
    assert!(settle(&second, &Outcome::Delivered { status: 200 }).await);
    assert!(!settle(&second, &dead).await && !settle(&first, &dead).await);
    assert_eq!(home.log(id).await[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn what_waits_for_one_who_fails_for_too_long_is_given_up_together() {
    let home = Home::new().await;
    let id = home.webhook(String::from("http://127.0.0.1:9/"), &[]).await;
    for n in 1..=20 {
        home.call(n, 1).await;
    }
    let (now, minute) = (home.clock.now().wall, Duration::from_secs(60));
    for claimed in home.storage.claim_deliveries(id, 3, now, minute).await.unwrap() {
        assert_eq!(home.storage.give_up_deliveries(now + minute).await.unwrap(), 0, "it may be well again");
        let failed = Outcome::Failed { status: None, error: String::from("late"), next_at: Some(now), gone: false };
        let rest = |failures| quick().patience().rest(failures, now + minute);
        assert!(home.storage.settle_delivery(id, &claimed, &failed, rest).await.unwrap());
    }
    let before = tandem_core::time::WallTime(now.0 - 60_000_000);
    assert_eq!(home.storage.give_up_deliveries(before).await.unwrap(), 0, "not yet");
    assert_eq!(home.storage.give_up_deliveries(now + minute).await.unwrap(), 20);
    assert!(home.log(id).await.iter().all(|it| it.last_error.as_deref() == Some("it failed for too long")));
}

#[tokio::test]
async fn redirects_lead_nowhere_and_huge_answers_are_not_read() {
    let home = Home::new().await;
    let elsewhere = server(ResponseTemplate::new(200)).await;
    let redirects = server(ResponseTemplate::new(302).insert_header("location", elsewhere.uri())).await;
    let huge = server(ResponseTemplate::new(200).set_body_bytes(vec![0; 32 << 20])).await;
    let (moved, big) = (home.webhook(redirects.uri(), &[]).await, home.webhook(huge.uri(), &[]).await);
    home.call(7, 1).await;
    let _engine = home.engine(quick());
    home.until(big, DeliveryState::Delivered, 1).await;
    let tried = async { while home.log(moved).await[0].last_status != Some(302) {} };
    timeout(SOON, tried).await.unwrap();
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn addresses_that_are_not_public_are_not_connected_to() {
    let (home, server) = (Home::new().await, server(ResponseTemplate::new(200)).await);
    let by_address = home.webhook(server.uri(), &[]).await;
    let by_name = home.webhook(server.uri().replace("127.0.0.1", "localhost"), &[]).await;
    home.call(7, 1).await;
    let _engine = home.engine(WebhooksConfig { allow_private: false, ..quick() });
    for (webhook, why) in [(by_address, "not a public address"), (by_name, "no public address")] {
        let tried = async { while home.log(webhook).await[0].last_error.is_none() {} };
        timeout(SOON, tried).await.unwrap();
        let error = home.log(webhook).await[0].last_error.clone().unwrap();
        assert!(error.contains(why), "{error}");
    }
    let _engine = home.engine(WebhooksConfig { allow_http: false, ..quick() });
    let tried = async { while !home.log(by_name).await[0].last_error.as_ref().unwrap().contains("not https") {} };
    timeout(SOON, tried).await.unwrap();
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_node_that_dies_with_a_claim_leads_to_a_repetition() {
    let (home, server) = (Home::new().await, server(ResponseTemplate::new(200)).await);
    let webhook = home.webhook(server.uri(), &[]).await;
    home.call(7, 2).await;
    let now = home.clock.now().wall;
    let lease = Duration::from_millis(300);
    let claim = || home.storage.claim_deliveries(webhook, 8, now, lease);
    let (one, other) = tokio::join!(claim(), claim());
    assert_eq!(one.unwrap().len() + other.unwrap().len(), 1, "of two nodes one has it, and only the first of its call");
    assert!(claim().await.unwrap().is_empty());
    let _engines = [home.engine(quick()), home.engine(quick())];
    let log = home.until(webhook, DeliveryState::Delivered, 2).await;
    assert_eq!((log[0].attempts, log[1].attempts), (1, 2));
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn while_a_secret_changes_both_sign_and_nobody_is_shown_one() {
    let (home, server) = (Home::new().await, server(ResponseTemplate::new(200)).await);
    let webhook = home.webhook(server.uri(), &[]).await;
    let tenant = Tenant::default_tenant();
    let node = NodeId::from_uuid(Uuid::from_u128(1));
    let config = WebhooksConfig { secret_overlap: Duration::from_secs(3_600), ..quick() };
    let webhooks = StoredWebhooks { storage: home.storage.clone(), config, clock: home.clock.clone(), node };
    assert!(webhooks.rotate_secret(&tenant, webhook, Pii::new("whsec_new".to_owned())).await.unwrap());
    let target = home.storage.clone();
    webhooks.test(&tenant, webhook).await.unwrap();
    let due = target.due_webhooks(home.clock.now().wall).await.unwrap().remove(0);
    assert_eq!(due.secrets.iter().map(|it| it.reveal().as_str()).collect::<Vec<_>>(), ["whsec_new", "whsec_test"]);
    assert!(!format!("{due:?}").contains("whsec"));
    let later = home.clock.now().wall + Duration::from_secs(3_601);
    assert_eq!(target.due_webhooks(later).await.unwrap().remove(0).secrets.len(), 1);
    let _engine = home.engine(quick());
    let log = home.until(webhook, DeliveryState::Delivered, 1).await;
    assert_eq!(log[0].event_type, "tandem.webhook.test.v1");
    let request = server.received_requests().await.unwrap().remove(0);
    assert_eq!(request.headers["tandem-webhook-signature"].to_str().unwrap().matches("v1=").count(), 2);
    let schema = &tandem_core::contract::schemas()["tandem.webhook.test.v1"];
    let event = serde_json::from_slice(&request.body).unwrap();
    assert!(jsonschema::draft7::is_valid(schema, &event), "{event}");
    assert!(home.folder.path().exists());
}

#[tokio::test]
async fn urls_are_looked_at_before_they_are_taken() {
    let home = Home::new().await;
    let node = NodeId::from_uuid(Uuid::from_u128(1));
    let check = |config: WebhooksConfig, url: &str| {
        let webhooks = StoredWebhooks { storage: home.storage.clone(), config, clock: home.clock.clone(), node };
        webhooks.check_url(url).is_ok()
    };
    for good in ["https://hooks.example/a?b=c", "https://1.1.1.1:8443/"] {
        assert!(check(WebhooksConfig::default(), good), "{good}");
    }
    for bad in [
        "http://hooks.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.1.1/",
        "ftp://hooks.example/",
        "https://user:secret@hooks.example/",
        "https://",
        "hooks.example",
        "",
        "file:///etc/passwd",
        "https://0x7f.1/",
    ] {
        assert!(!check(WebhooksConfig::default(), bad), "{bad}");
    }
    assert!(check(quick(), "http://127.0.0.1:8080/"));
}
