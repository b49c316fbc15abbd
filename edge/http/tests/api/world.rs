//! A server on the wire, its users, and what stands behind it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tandem_actors::calls::CallView;
use tandem_actors::drill::How;
use tandem_actors::tree::{Kind, PartView};
use tandem_actors::{Auditor, Clock};
use tandem_core::audit::{Action, AuditEvent, AuditFilter};
use tandem_core::event::Fact;
use tandem_core::id::{CallId, CorrelationId, DeviceId, NodeId, Tenant, UserId};
use tandem_core::location::BindingChange;
use tandem_core::metric::{Counter, Metrics};
use tandem_core::ports::{LedgerPort, TenantPort};
use tandem_core::revocation::Revocation;
use tandem_core::tenancy::Tenants;
use tandem_core::time::WallTime;
use tandem_core::trace::{Entry, Story, Untraced, Way};
use tandem_http::config::Config;
use tandem_http::identity::{
    Accounts, Claims, Ended, Gate, Opened, Refreshed, Revocations, Revoker, Role, SigningKey, Tokens, Unavailable,
};
use tandem_http::{
    Api, AuditTrail, AuditUnavailable, BreakRefused, Clients, History, HistoryUnavailable, NotReady, Operator,
    OperatorToken, Page, SignIns, Traces, TracesUnavailable, UserCall, serve,
};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::cdrs::Written;
use crate::player::Player;
use crate::webhooks::Listed;

/// How long anything may take that takes milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) player: Arc<Player>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) history: Arc<Stored>,
    pub(crate) records: Arc<Written>,
    pub(crate) audit: Arc<Noted>,
    pub(crate) tenants: Arc<Domains>,
    pub(crate) revocations: Arc<Revocations>,
    tokens: Arc<Tokens>,
    http: reqwest::Client,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) done: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl World {
    pub(crate) fn start() -> Self {
        Self::with(Config::default(), true)
    }

    pub(crate) fn with(config: Config, may_break: bool) -> Self {
        Self::behind(config, may_break, |gate, _, _| gate)
    }

    /// With another gate than the one for our own tokens.
    pub(crate) fn behind(
        config: Config,
        may_break: bool,
        gate: impl FnOnce(Gate, &Clock, &Arc<Metrics>) -> Gate,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, clock, player) = (Arc::new(Metrics::default()), Clock::start(), Arc::new(Player::default()));
        metrics.count(Counter::CallsStarted);
        let node = NodeId::from_uuid(Uuid::from_u128(1));
        let clients = Clients::new(player.clone(), node, clock.clone(), metrics.clone(), Arc::new(Untraced));
        player.join(clients.clone());
        let tokens = Arc::new(Tokens::new(vec![key()]).unwrap());
        let sign_ins = SignIns::new(Arc::new(Users::default()), tokens.clone(), clock.clone(), metrics.clone());
        let revocations = Arc::new(Revocations::default());
        let own = Gate::new(tokens.clone(), revocations.clone(), clock.clone(), metrics.clone());
        let gate = Arc::new(gate(own, &clock, &metrics));
        let history = Arc::new(Stored::default());
        let records = Arc::new(Written::default());
        let (audit, tenants) = (Arc::new(Noted::default()), Arc::new(Domains::default()));
        let api = Api {
            beside: axum::Router::new(),
            metrics: metrics.clone(),
            operator: Arc::new(Node),
            token: OperatorToken::new(String::from("s3cret")),
            may_break,
            clients,
            sign_ins: Arc::new(sign_ins),
            gate,
            revoker: Arc::new(InMemory(revocations.clone())),
            webhooks: Arc::new(Listed::default()),
            history: history.clone(),
            records: records.clone(),
            traces: Arc::new(Told),
            tenants: tenants.clone(),
            auditor: Arc::new(Auditor::new(audit.clone(), node, clock.clone())),
            audit: audit.clone(),
            domains: Arc::from([String::from("tandem.example")]),
            ring_timeout: tandem_core::leg::RING_TIMEOUT,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let done = tokio::spawn(serve(listener, api, config, async { drop(stopped.await) }));
        let http = reqwest::Client::new();
        let stop = Some(stop);
        Self {
            address,
            player,
            metrics,
            clock,
            history,
            records,
            audit,
            tenants,
            revocations,
            tokens,
            http,
            stop,
            done,
        }
    }

    /// An access token of a user.
    pub(crate) fn token(&self, user: u128) -> String {
        self.tokens.issue(&claims(user, self.clock.now().wall), self.clock.now().wall).unwrap()
    }

    pub(crate) fn token_for(&self, claims: &Claims) -> String {
        self.tokens.issue(claims, self.clock.now().wall).unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address)).timeout(SOON)
    }

    pub(crate) async fn get(&self, user: u128, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path).bearer_auth(self.token(user))).await
    }

    pub(crate) async fn post(&self, user: u128, path: &str, body: Value) -> (u16, Value) {
        read(self.request(Method::POST, path).bearer_auth(self.token(user)).body(body.to_string())).await
    }

    pub(crate) async fn initiate(&self, user: u128) -> Value {
        let (status, body) = self.post(user, "/api/calls/initiate", json!({"phone_number": "102"})).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Opens an event stream.
    pub(crate) async fn events(&self, user: u128, cursor: Option<&str>) -> Socket {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let token = self.token(user);
        let uri = format!("ws://{}/api/v1/events?access_token={token}{cursor}", self.address);
        tokio_tungstenite::connect_async(uri).await.unwrap().0
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// The next frame of JSON.
pub(crate) async fn frame(socket: &mut Socket) -> Value {
    loop {
        match tokio::time::timeout(SOON, socket.next()).await.expect("a frame").expect("no end").expect("no error") {
            Message::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Reads on until it is closed; gives the code.
pub(crate) async fn closed(socket: &mut Socket) -> u16 {
    loop {
        match tokio::time::timeout(SOON, socket.next()).await.expect("a frame").expect("a close") {
            Ok(Message::Close(Some(close))) => return close.code.into(),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn user_id(user: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(user))
}

pub(crate) fn claims(user: u128, now: tandem_core::time::WallTime) -> Claims {
    opened(user).claims(now)
}

fn opened(user: u128) -> Opened {
    Opened {
        tenant: Tenant::default_tenant(),
        user_id: user_id(user),
        device_id: DeviceId::from_uuid(Uuid::from_u128(100 + user)),
        name: format!("user{user}").into(),
        extension: format!("100{user}").into(),
        display_name: Some(format!("User {user}").into()),
        role: Role::User,
        refresh_token: format!("refresh-{user}").into(),
    }
}

pub(crate) fn key() -> SigningKey {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    SigningKey { kid: String::from("k1"), pkcs8: pair.as_ref().to_vec() }
}

/// The audit, in memory.
#[derive(Default)]
pub(crate) struct Noted(Mutex<Vec<AuditEvent>>);

impl Noted {
    /// What was noted of an action: who, whose matter, what and its outcome.
    pub(crate) fn of(&self, action: Action) -> Vec<(String, String, String, String)> {
        let events = self.0.lock();
        let of = events.iter().filter(|event| event.deed.action == action).map(|event| &event.deed);
        let told = of.map(|deed| {
            let what = deed.what.clone().unwrap_or_default();
            (deed.who.to_string(), deed.tenant.to_string(), what, deed.outcome.to_string())
        });
        told.collect()
    }
}

impl LedgerPort for Noted {
    fn commit(&self, _: &Fact) {}

    fn bind(&self, _: &BindingChange) {}

    fn audit(&self, event: &AuditEvent) {
        self.0.lock().push(event.clone());
    }
}

impl AuditTrail for Noted {
    fn read<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<Vec<AuditEvent>, AuditUnavailable>> {
        let mut found = self.0.lock().clone();
        found.retain(|event| filter.tenant.as_ref().is_none_or(|tenant| event.deed.tenant == *tenant));
        found.retain(|event| filter.action.is_none_or(|action| event.deed.action == action));
        found.retain(|event| filter.who.as_ref().is_none_or(|who| event.deed.who == *who));
        found.retain(|event| filter.from.is_none_or(|from| event.at >= from));
        found.retain(|event| filter.to.is_none_or(|to| event.at < to));
        found.retain(|event| filter.before.is_none_or(|before| event.id < before));
        found.reverse();
        found.truncate(filter.limit as usize);
        async move { Ok(found) }.boxed()
    }
}

/// Tenants and their domains.
#[derive(Default)]
pub(crate) struct Domains(Mutex<Arc<Tenants>>);

impl Domains {
    pub(crate) fn set(&self, tenants: Tenants) {
        *self.0.lock() = Arc::new(tenants);
    }
}

impl TenantPort for Domains {
    fn tenants(&self) -> Arc<Tenants> {
        self.0.lock().clone()
    }
}

/// `alice` with her password, and nobody else.
#[derive(Default)]
struct Users {
    used: Mutex<bool>,
}

impl Accounts for Users {
    fn sign_in<'a>(
        &'a self,
        tenant: &'a Tenant,
        name: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<Option<Opened>, Unavailable>> {
        let answer = match (name, password) {
            ("alice", "s3cret") if *tenant == Tenant::default_tenant() => Ok(Some(opened(1))),
            ("alice", "other") if tenant.as_str() == "acme" => {
                Ok(Some(Opened { tenant: tenant.clone(), role: Role::Admin, ..opened(9) }))
            }
            ("busy", _) => Err(Unavailable),
            _ => Ok(None),
        };
        async move { answer }.boxed()
    }

    fn refresh<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Refreshed, Unavailable>> {
        let Opened { tenant, user_id, device_id, .. } = opened(1);
        let answer = match token {
            "refresh-1" if std::mem::replace(&mut *self.used.lock(), true) => {
                Refreshed::Reused(Ended { tenant, user_id, device_id })
            }
            "refresh-1" => Refreshed::GoesOn(opened(1)),
            _ => Refreshed::Unknown,
        };
        async move { Ok(answer) }.boxed()
    }

    fn sign_out<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Ended>, Unavailable>> {
        let Opened { tenant, user_id, device_id, .. } = opened(1);
        let ended = (token == "refresh-1").then_some(Ended { tenant, user_id, device_id });
        async move { Ok(ended) }.boxed()
    }
}

/// Revokes on this node and nowhere else.
struct InMemory(Arc<Revocations>);

impl Revoker for InMemory {
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), Unavailable>> {
        self.0.apply([revocation.clone()]);
        async { Ok(()) }.boxed()
    }
}

/// What was stored of user 1.
#[derive(Default)]
pub(crate) struct Stored(pub(crate) Mutex<Vec<UserCall>>);

impl History for Stored {
    fn page<'a>(
        &'a self,
        _: &'a Tenant,
        user: UserId,
        before: Option<CallId>,
        limit: u8,
    ) -> BoxFuture<'a, Result<Page, HistoryUnavailable>> {
        let mut calls: Vec<_> = if user == user_id(1) { self.0.lock().clone() } else { Vec::new() };
        calls.retain(|call| before.is_none_or(|before| call.call_id < before));
        calls.sort_by_key(|call| std::cmp::Reverse(call.call_id));
        let more = calls.len() > usize::from(limit);
        calls.truncate(limit.into());
        async move { Ok(Page { calls, more }) }.boxed()
    }

    fn find<'a>(
        &'a self,
        _: &'a Tenant,
        user: UserId,
        call: CallId,
    ) -> BoxFuture<'a, Result<Option<UserCall>, HistoryUnavailable>> {
        let found = self.0.lock().iter().find(|it| it.call_id == call && user == user_id(1)).cloned();
        async move { Ok(found) }.boxed()
    }
}

/// A node that drains and has one service and one media thread.
struct Node;

impl Operator for Node {
    fn not_ready(&self) -> Vec<NotReady> {
        vec!["draining"]
    }

    fn calls(&self) -> Vec<CallView> {
        Vec::new()
    }

    fn tree(&self) -> Vec<PartView> {
        let (id, name) = (String::from("edges/sip.0"), String::from("sip.0"));
        let (parent, state) = (Some(String::from("edges")), String::from("running"));
        vec![PartView { id, kind: Kind::Service, name, parent, owner: None, state, age_ms: 7, restarts: 1, inbox: 0 }]
    }

    fn break_part(&self, id: &str, how: How) -> Result<(), BreakRefused> {
        match (id, how) {
            ("edges/sip.0", _) => Ok(()),
            ("worker.0", How::Kill) => Err(BreakRefused::Unsupported),
            _ => Err(BreakRefused::Unknown),
        }
    }
}

/// One call whose story is known, and one that cannot be asked for.
pub(crate) struct Told;

/// The call that has a story.
pub(crate) fn told() -> Story {
    let at = WallTime(1_700_000_000_000_000);
    let (call_id, correlation_id) =
        (CallId::from_uuid(Uuid::from_u128(77)), CorrelationId::from_uuid(Uuid::from_u128(7)));
    let entries = vec![Entry::of_api(at, Way::In, "POST initiate 102", None)];
    Story { call_id, tenant: Tenant::default_tenant(), correlation_id, is_over: true, dropped: 0, entries }
}

impl Traces for Told {
    fn story(&self, call: CallId) -> BoxFuture<'_, Result<Option<Story>, TracesUnavailable>> {
        let story = if call.uuid().is_nil() { Err(TracesUnavailable) } else { Ok(Some(told())) };
        async move { story.map(|story| story.filter(|story| story.call_id == call)) }.boxed()
    }

    fn correlated(&self, id: CorrelationId) -> BoxFuture<'_, Result<Vec<Story>, TracesUnavailable>> {
        async move { Ok(Some(told()).into_iter().filter(|story| story.correlation_id == id).collect()) }.boxed()
    }
}
