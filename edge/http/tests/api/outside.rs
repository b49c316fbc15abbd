//! Tokens of an IAM, whose key server rotates, hangs, lies and goes away; and what is revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tandem_core::metric::Counter;
use tandem_http::config::Config;
use tandem_http::identity::{IdentityConfig, Insider, Issuer, NotMapped, Outsider, Outsiders};
use tokio_tungstenite::connect_async;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::world::{SOON, Socket, World, closed, frame, read, user_id};

const ISSUER: &str = "https://iam.example";

/// A key of the IAM.
struct Key {
    kid: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Key {
    fn new(kid: &'static str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let private = match algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
                EncodingKey::from_ec_der(pair.as_ref())
            }
            Algorithm::EdDSA => EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref()),
            _ => {
                let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                // PKCS#1 is what is left of PKCS#8 without its head.
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
        };
        Self { kid, algorithm, private }
    }

    fn public(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.kid.to_owned()), ..Header::new(self.algorithm) }
    }

    fn sign(&self, payload: &Value) -> String {
        encode(&self.header(), payload, &self.private).unwrap()
    }
}

/// What the key server answers at the moment.
#[derive(Clone)]
struct Answer(Arc<Mutex<ResponseTemplate>>, Arc<AtomicUsize>);

impl Respond for Answer {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        self.1.fetch_add(1, Relaxed);
        self.0.lock().clone()
    }
}

struct Iam {
    server: MockServer,
    answer: Answer,
}

impl Iam {
    async fn start(keys: &[&Key]) -> Self {
        let server = MockServer::start().await;
        let answer = Answer(Arc::new(Mutex::new(ResponseTemplate::new(500))), Arc::default());
        Mock::given(any()).respond_with(answer.clone()).mount(&server).await;
        let iam = Self { server, answer };
        iam.publishes(keys);
        iam
    }

    fn publishes(&self, keys: &[&Key]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
        self.answers(ResponseTemplate::new(200).set_body_json(json!({"keys": keys})));
    }

    fn answers(&self, answer: ResponseTemplate) {
        *self.answer.0.lock() = answer;
    }

    fn asked(&self) -> usize {
        self.answer.1.load(Relaxed)
    }

    /// Nothing is remembered, and keys are fetched again all the time.
    fn restless(&self) -> IdentityConfig {
        IdentityConfig {
            issuer: Some(ISSUER.to_owned()),
            jwks_url: Some(format!("{}/keys", self.server.uri())),
            audience: Some("tandem".to_owned()),
            cache: Duration::from_millis(20),
            decision: Duration::ZERO,
            ..IdentityConfig::default()
        }
    }

    /// Keys are fetched once, and when an unknown one comes.
    fn calm(&self) -> IdentityConfig {
        IdentityConfig { cache: Duration::from_secs(600), ..self.restless() }
    }
}

/// `user1` to `user9` are users here; `taken` would be one.
#[derive(Default)]
struct Known(AtomicUsize);

impl Outsiders for Known {
    fn insider<'a>(&'a self, who: &'a Outsider) -> BoxFuture<'a, Result<Insider, NotMapped>> {
        self.0.fetch_add(1, Relaxed);
        let name = who.subject.reveal();
        let user = match name.as_str() {
            "taken" => Err(NotMapped::Taken),
            "away" => Err(NotMapped::Unavailable),
            name => name.strip_prefix("user").and_then(|n| n.parse().ok()).ok_or(NotMapped::Unknown),
        };
        let insider = user.map(|n: u128| Insider {
            user_id: user_id(n),
            name: who.subject.clone(),
            extension: format!("100{n}").into(),
            display_name: None,
        });
        async move { insider }.boxed()
    }
}

/// A node that takes the IAM's tokens.
fn world(config: IdentityConfig) -> (World, Arc<Known>) {
    let known = Arc::new(Known::default());
    let outsiders = known.clone();
    let world = World::behind(Config::default(), true, |gate, clock, metrics| {
        let issuer = Issuer::new(&config, clock.clone(), metrics.clone()).unwrap().unwrap();
        let keeper = issuer.clone();
        tokio::spawn(async move { keeper.keep().await });
        gate.with_issuer(issuer, outsiders, tandem_core::id::Tenant::default_tenant())
    });
    (world, known)
}

/// What the IAM says of a user, for ten minutes.
fn payload(world: &World, user: &str) -> Value {
    let now = world.clock.now().wall.0 / 1_000_000;
    json!({
        "iss": ISSUER, "aud": ["account", "tandem"], "sub": user, "tenant": "default",
        "exp": now + 600, "nbf": now, "iat": now, "jti": format!("jti-of-{user}"), "sid": format!("sid-of-{user}"),
    })
}

async fn me(world: &World, token: &str) -> (u16, Value) {
    read(world.request(Method::GET, "/api/v1/me").bearer_auth(token)).await
}

/// Asks until the status is this.
async fn until_me(world: &World, token: &str, status: u16) {
    let asked = async { while me(world, token).await.0 != status {} };
    tokio::time::timeout(SOON, asked).await.unwrap_or_else(|_| panic!("never {status}"));
}

async fn until(what: impl Fn() -> bool) {
    let seen = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("in time");
}

async fn stream(world: &World, token: &str) -> Socket {
    let uri = format!("ws://{}/api/v1/events?access_token={token}", world.address);
    let mut socket = connect_async(uri).await.unwrap().0;
    frame(&mut socket).await;
    socket
}

#[tokio::test]
async fn tokens_of_each_allowed_algorithm_are_let_in_as_the_user_they_name() {
    let keys = [Key::new("e", Algorithm::ES256), Key::new("r", Algorithm::RS256), Key::new("d", Algorithm::EdDSA)];
    let iam = Iam::start(&keys.each_ref()).await;
    let (world, _) = world(iam.calm());
    for key in &keys {
        let (status, me) = me(&world, &key.sign(&payload(&world, "user1"))).await;
        assert_eq!((status, &me["extension"]), (200, &json!("1001")), "{:?}", key.algorithm);
    }
    assert_eq!(me(&world, &world.token(2)).await.1["extension"], "1002", "our own go on");
    assert_eq!(iam.asked(), 1);
}

#[tokio::test]
async fn whatever_is_not_quite_a_token_of_the_issuer_is_refused() {
    let (ec, rsa, foreign) =
        (Key::new("e", Algorithm::ES256), Key::new("r", Algorithm::RS256), Key::new("e", Algorithm::ES256));
    let iam = Iam::start(&[&ec, &rsa]).await;
    let (world, _) = world(iam.calm());
    let good = payload(&world, "user1");
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        ec.sign(&changed)
    };
    let named = |header: Header, private: &EncodingKey| encode(&header, &good, private).unwrap();
    let hs = |kid: &str, secret: &[u8]| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        named(header, &EncodingKey::from_secret(secret))
    };
    let now = world.clock.now().wall.0 / 1_000_000;
    let token = ec.sign(&good);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let unsigned = |header: Value| {
        let part = |it: &Value| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, it.to_string());
        format!("{}.{}.{signature}", part(&header), part(&good))
    };
    let modulus = rsa.public()["n"].as_str().unwrap().to_owned();
    let table = [
        ("HS256 with the published modulus", hs("r", modulus.as_bytes())),
        ("HS256 with the published key", hs("r", rsa.public().to_string().as_bytes())),
        ("HS256 with the key of the curve", hs("e", ec.public().to_string().as_bytes())),
        ("none", unsigned(json!({"alg": "none", "kid": "e"}))),
        ("no algorithm", unsigned(json!({"kid": "e"}))),
        ("no key's name", unsigned(json!({"alg": "ES256"}))),
        ("RS256 by name of the other key", named(Header { kid: Some("e".to_owned()), ..rsa.header() }, &rsa.private)),
        ("RS384", named(Header { kid: Some("r".to_owned()), ..Header::new(Algorithm::RS384) }, &rsa.private)),
        ("PS256", named(Header { kid: Some("r".to_owned()), ..Header::new(Algorithm::PS256) }, &rsa.private)),
        ("somebody else's key", foreign.sign(&good)),
        ("a key that it brings along", {
            let jwk = serde_json::from_value(foreign.public()).unwrap();
            named(Header { jwk: Some(jwk), ..foreign.header() }, &foreign.private)
        }),
        ("something critical", {
            let crit = Some(vec!["b64".to_owned()]);
            named(Header { crit, ..ec.header() }, &ec.private)
        }),
        ("another audience", with("aud", json!("billing"))),
        ("no audience", with("aud", Value::Null)),
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("our issuer", with("iss", json!("tandem"))),
        ("two issuers", with("iss", json!([ISSUER, "tandem"]))),
        ("expired", with("exp", json!(now - 60))),
        ("an end as text", with("exp", json!((now + 600).to_string()))),
        ("no end", with("exp", Value::Null)),
        ("not yet", with("nbf", json!(now + 120))),
        ("no user", with("sub", Value::Null)),
        ("no tenant", with("tenant", Value::Null)),
        ("a tenant that is none", with("tenant", json!("../default"))),
        ("no signature", format!("{head}.")),
        ("half of one", token[..token.len() - 30].to_owned()),
        ("another's payload", {
            let other = ec.sign(&payload(&world, "user2"));
            let parts: Vec<_> = other.split('.').collect();
            format!("{}.{}.{signature}", parts[0], parts[1])
        }),
        ("longer than anything", with("more", json!("x".repeat(20_000)))),
    ];
    for (what, token) in table {
        let (status, refusal) = me(&world, &token).await;
        // The head of a request has its limit too.
        let is_refused = (status, &refusal["error"]) == (401, &json!("unauthorized")) || status == 431;
        assert!(is_refused, "{what}: {status} {refusal}");
    }
    assert_eq!(me(&world, &token).await.0, 200, "the table's own token is good");
    assert_eq!(me(&world, &with("exp", json!(now - 5))).await.0, 200, "clocks differ");
    assert!(iam.asked() <= 2, "once at the start, once for a key that nobody knows: {}", iam.asked());
}

#[tokio::test]
async fn somebody_who_is_no_user_here_is_told_so() {
    let key = Key::new("e", Algorithm::ES256);
    let iam = Iam::start(&[&key]).await;
    let (world, _) = world(iam.calm());
    for (subject, status, error) in
        [("stranger", 403, "forbidden"), ("taken", 403, "forbidden"), ("away", 503, "unavailable")]
    {
        let (got, refusal) = me(&world, &key.sign(&payload(&world, subject))).await;
        assert_eq!((got, &refusal["error"]), (status, &json!(error)), "{subject}");
    }
}

#[tokio::test]
async fn keys_rotate_under_open_streams() {
    let (old, new) = (Key::new("old", Algorithm::ES256), Key::new("new", Algorithm::RS256));
    let iam = Iam::start(&[&old]).await;
    let config = IdentityConfig { unknown_kid_refresh: Duration::ZERO, ..iam.calm() };
    let (world, _) = world(config);
    let (before, after) = (old.sign(&payload(&world, "user1")), new.sign(&payload(&world, "user2")));
    let mut early = stream(&world, &before).await;
    assert_eq!(me(&world, &after).await.0, 401);
    iam.publishes(&[&old, &new]);
    assert_eq!(me(&world, &after).await.0, 200, "an unknown key is looked for at once");
    assert_eq!(me(&world, &before).await.0, 200, "both hold");
    iam.publishes(&[&new]);
    let unknown = Key::new("unknown", Algorithm::ES256).sign(&payload(&world, "user3"));
    assert_eq!(me(&world, &unknown).await.0, 401);
    assert_eq!(me(&world, &before).await.0, 401, "the old key is gone");
    world.initiate(1).await;
    assert_eq!(frame(&mut early).await["type"], "call.dialling", "his stream and his calls go on");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_the_server_once() {
    let key = Key::new("e", Algorithm::ES256);
    let iam = Iam::start(&[&key]).await;
    let config = IdentityConfig { unknown_kid_refresh: Duration::from_secs(3_600), ..iam.calm() };
    let (world, _) = world(config);
    assert_eq!(me(&world, &key.sign(&payload(&world, "user1"))).await.0, 200);
    let bad = Key::new("x", Algorithm::ES256);
    let flood = (0..50).map(|n| {
        let header = Header { kid: Some(format!("kid{n}")), ..Header::new(Algorithm::ES256) };
        let token = encode(&header, &payload(&world, "user1"), &bad.private).unwrap();
        let world = &world;
        async move { assert_eq!(me(world, &token).await.0, 401) }
    });
    futures::future::join_all(flood).await;
    assert_eq!(iam.asked(), 1, "the fetch at the start was one within the hour");
}

#[tokio::test]
async fn whatever_the_key_server_answers_the_last_good_keys_go_on() {
    let key = Key::new("e", Algorithm::ES256);
    let iam = Iam::start(&[&key]).await;
    let config = IdentityConfig { fetch_timeout: Duration::from_millis(100), ..iam.restless() };
    let (world, _) = world(config);
    let token = key.sign(&payload(&world, "user1"));
    assert_eq!(me(&world, &token).await.0, 200);
    let ok = || ResponseTemplate::new(200);
    for (what, answer) in [
        ("500", ResponseTemplate::new(500)),
        ("hangs", ok().set_delay(Duration::from_secs(60))),
        ("garbage", ok().set_body_string("\0{[")),
        ("no keys", ok().set_body_string(r#"{"keys": []}"#)),
        ("keys that are none", ok().set_body_string(r#"{"keys": [7, {}, {"kty": "oct", "k": "AAAA", "kid": "e"}]}"#)),
        ("a huge body", ok().set_body_bytes(vec![b' '; 1 << 20])),
        ("elsewhere", ResponseTemplate::new(302).insert_header("location", "/other")),
    ] {
        iam.answers(answer);
        let failed = world.metrics.counter(Counter::IssuerKeyFetchesFailed);
        until(|| world.metrics.counter(Counter::IssuerKeyFetchesFailed) > failed + 1).await;
        assert_eq!(me(&world, &token).await.0, 200, "{what}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_longer_than_the_stale_window_is_not_believed_any_more_and_then_again() {
    let key = Key::new("e", Algorithm::ES256);
    let iam = Iam::start(&[&key]).await;
    let (world, _) = world(IdentityConfig { stale: Duration::from_millis(200), ..iam.restless() });
    let token = key.sign(&payload(&world, "user1"));
    until_me(&world, &token, 200).await;
    iam.answers(ResponseTemplate::new(500));
    until_me(&world, &token, 503).await;
    assert_eq!(me(&world, &world.token(1)).await.0, 200, "our own need nobody");
    iam.publishes(&[&key]);
    until_me(&world, &token, 200).await;
}

#[tokio::test]
async fn a_server_that_comes_late_is_waited_for() {
    let key = Key::new("e", Algorithm::ES256);
    let iam = Iam::start(&[]).await;
    iam.answers(ResponseTemplate::new(503));
    let (world, _) = world(iam.restless());
    let token = key.sign(&payload(&world, "user1"));
    assert_eq!(me(&world, &token).await.0, 503);
    iam.publishes(&[&key]);
    until_me(&world, &token, 200).await;
}

#[tokio::test]
async fn a_decision_is_remembered_for_a_while_and_not_beyond() {
    let key = Key::new("e", Algorithm::ES256);
    let iam = Iam::start(&[&key]).await;
    let (remembering, known) = world(IdentityConfig { decision: Duration::from_secs(600), ..iam.calm() });
    let token = key.sign(&payload(&remembering, "user1"));
    for _ in 0..5 {
        assert_eq!(me(&remembering, &token).await.0, 200);
    }
    assert_eq!(known.0.load(Relaxed), 1);
    let (forgetting, known) = world(iam.calm());
    for _ in 0..5 {
        assert_eq!(me(&forgetting, &token).await.0, 200);
    }
    assert_eq!(known.0.load(Relaxed), 5);
}

/// The operator takes something back.
async fn revoke(world: &World, body: &Value) -> (u16, Value) {
    let request = world.request(Method::POST, "/api/v1/ops/revocations").bearer_auth("s3cret");
    read(request.body(body.to_string())).await
}

#[tokio::test]
async fn what_is_revoked_is_refused_at_once_and_its_streams_are_closed() {
    let key = Key::new("e", Algorithm::ES256);
    let iam = Iam::start(&[&key]).await;
    // Also what is remembered as good.
    let (world, _) = world(IdentityConfig { decision: Duration::from_secs(600), ..iam.calm() });
    let until = (world.clock.now().wall + Duration::from_secs(3_600)).rfc3339();
    let tokens = ["user1", "user2"].map(|user| key.sign(&payload(&world, user)));
    let mut streams = [stream(&world, &tokens[0]).await, stream(&world, &tokens[1]).await];
    assert_eq!(revoke(&world, &json!({"token": "jti-of-user1", "until": until})).await.0, 204);
    assert_eq!((me(&world, &tokens[0]).await.0, me(&world, &tokens[1]).await.0), (401, 200));
    assert_eq!(closed(&mut streams[0]).await, 4003);
    assert_eq!(revoke(&world, &json!({"user_id": user_id(2), "until": until})).await.0, 204);
    assert_eq!(closed(&mut streams[1]).await, 4003);
    assert_eq!(me(&world, &tokens[1]).await.0, 401);
    // Our own tokens as well: of this user, and of another's device.
    assert_eq!(me(&world, &world.token(2)).await.0, 401);
    let mut third = stream(&world, &world.token(3)).await;
    let begun = world.initiate(3).await;
    assert_eq!(frame(&mut third).await["call"]["call_id"], begun["call_id"]);
    let device = crate::world::claims(3, world.clock.now().wall).device_id;
    assert_eq!(revoke(&world, &json!({"device_id": device, "until": until})).await.0, 204);
    assert_eq!(closed(&mut third).await, 4003);
    assert_eq!(me(&world, &world.token(3)).await.0, 401);
    let leg = begun["session_id"].as_str().unwrap().parse().unwrap();
    assert!(!world.player.told(leg).contains(&"hung_up"), "his call goes on");
    assert_eq!(world.revocations.len(), 3);
}

#[tokio::test]
async fn a_revocation_that_makes_no_sense_is_refused() {
    let world = World::start();
    let now = world.clock.now().wall;
    let (until, past) = ((now + Duration::from_secs(60)).rfc3339(), "2020-01-01T00:00:00Z");
    let far = (now + Duration::from_secs(401 * 86_400)).rfc3339();
    for body in [
        json!({"until": until}),
        json!({"token": "a", "user_id": user_id(1), "until": until}),
        json!({"token": "", "until": until}),
        json!({"token": "x".repeat(257), "until": until}),
        json!({"token": "a"}),
        json!({"token": "a", "until": past}),
        json!({"token": "a", "until": far}),
        json!({"token": "a", "until": until, "tenant": "No Tenant"}),
        json!({"token": "a", "until": until, "why": "because"}),
        json!({"user_id": "call_7", "until": until}),
    ] {
        let (status, refusal) = revoke(&world, &body).await;
        assert_eq!((status, &refusal["error"]), (400, &json!("validation_error")), "{body}");
    }
    let request = world.request(Method::POST, "/api/v1/ops/revocations").bearer_auth(world.token(1));
    assert_eq!(read(request.body(json!({"token": "a", "until": until}).to_string())).await.0, 401);
    assert!(world.revocations.is_empty());
}
