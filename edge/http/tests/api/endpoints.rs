//! Health, metrics, the operator's endpoints, and how connections are treated.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tandem_core::id::CallId;
use tandem_core::metric::Counter;
use tandem_http::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::log::Log;
use crate::world::{World, read, told};

const TOKEN: &str = "Authorization: Bearer s3cret\r\n";

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn start(may_break: bool, config: Config) -> Server {
    let World { address, stop, done, .. } = World::with(config, may_break);
    Server { address, stop: stop.unwrap(), done }
}

impl Server {
    async fn get(&self, path: &str, headers: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")).await
    }

    async fn post_break(&self, body: &str) -> (u16, Value) {
        let length = body.len();
        let head = "POST /api/v1/ops/break HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json";
        let (status, body) = self.send(&format!("{head}\r\n{TOKEN}Content-Length: {length}\r\n\r\n{body}")).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    async fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_need_no_token() {
    let server = start(false, Config::default());
    assert_eq!(server.get("/healthz", "").await, (200, String::from("ok\n")));
    let (status, body) = server.get("/readyz", "").await;
    assert_eq!(status, 503);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({"ready": false, "missing": ["draining"]}));
    let (status, body) = server.get("/metrics", "").await;
    assert!(status == 200 && body.contains("\ntandem_calls_started_total 1\n"), "{body}");
}

#[tokio::test]
async fn without_the_token_the_operator_s_endpoints_are_closed() {
    let server = start(true, Config::default());
    for headers in ["", "Authorization: Bearer wrong\r\n"] {
        let (status, body) = server.get("/api/v1/ops/calls", headers).await;
        assert_eq!(status, 401);
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"], "unauthorized");
    }
    assert_eq!(server.get("/api/v1/ops/calls", TOKEN).await, (200, String::from("[]")));
}

#[tokio::test]
async fn the_story_of_a_call_is_told_to_the_operator_and_to_nobody_else() {
    let (log, _guard) = Log::start();
    let server = start(false, Config::default());
    let (call, unread) = (told().call_id, CallId::from_uuid(Uuid::nil()));
    let unknown = call.to_string().replace('0', "1");
    for (call, headers, status, error, audited) in [
        (call.to_string(), "", 401, "unauthorized", "unauthorized"),
        (unknown, TOKEN, 404, "call_not_found", "not_found"),
        (String::from("1001"), TOKEN, 404, "call_not_found", "no_id"),
        (String::from("%FF"), TOKEN, 404, "call_not_found", "no_id"),
        (unread.to_string(), TOKEN, 503, "unavailable", "unavailable"),
    ] {
        let (seen, body) = server.get(&format!("/api/v1/ops/calls/{call}/trace"), headers).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((seen, body["error"].as_str()), (status, Some(error)), "{call}");
        assert!(log.takes(&["audit", "from=127.0.0.1", &format!("outcome=\"{audited}\"")]), "{call}");
    }
    let (status, body) = server.get(&format!("/api/v1/ops/calls/{call}/trace"), TOKEN).await;
    assert_eq!((status, serde_json::from_str(&body).ok()), (200, Some(told())), "{body}");
}

#[tokio::test]
async fn what_a_correlation_id_explains_is_told_to_the_operator_and_every_reading_is_audited() {
    let (log, _guard) = Log::start();
    let server = start(false, Config::default());
    let id = told().correlation_id.to_string();
    for (id, headers, status, audited) in [
        (id.clone(), "", 401, "unauthorized"),
        (id.replace('0', "1"), TOKEN, 404, "not_found"),
        (String::from("1001"), TOKEN, 404, "no_id"),
        (String::from("%FF"), TOKEN, 404, "no_id"),
    ] {
        let (seen, _) = server.get(&format!("/api/v1/ops/correlations/{id}"), headers).await;
        assert_eq!(seen, status, "{id}");
        assert!(log.takes(&["audit", "from=127.0.0.1", &format!("outcome=\"{audited}\"")]), "{id}");
    }
    let (status, body) = server.get(&format!("/api/v1/ops/correlations/{id}"), TOKEN).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let call = &body["calls"][0];
    assert_eq!((status, &body["correlation_id"], &call["is_over"]), (200, &json!(id), &json!(true)));
    assert_eq!((call["api"].as_array().unwrap().len(), call["sip"].as_array().unwrap().len()), (1, 0), "{body}");
    assert!(log.takes(&["audit", "outcome=\"read\"", &id]));
}

#[tokio::test]
async fn parts_are_broken_only_where_that_is_allowed_and_every_attempt_is_audited() {
    let (log, _guard) = Log::start();
    let server = start(true, Config::default());
    let request = |id: &str, how: &str| json!({"id": id, "how": how}).to_string();
    for (body, status, error, audited) in [
        (request("edges/sip.0", "panic"), 204, Value::Null, r#"what="edges/sip.0 panic" outcome="broken""#),
        (request("edges/sip.0", "hang"), 204, Value::Null, r#"what="edges/sip.0 hang" outcome="broken""#),
        (request("nobody", "kill"), 404, json!("part_not_found"), r#"what="nobody kill" outcome="part_not_found""#),
        (
            request("worker.0", "kill"),
            409,
            json!("break_unsupported"),
            r#"what="worker.0 kill" outcome="break_unsupported""#,
        ),
        (request("node", "melt"), 400, json!("validation_error"), r#"what=" " outcome="validation_error""#),
        (String::from("{"), 400, json!("validation_error"), r#"what=" " outcome="validation_error""#),
    ] {
        let (got, response) = server.post_break(&body).await;
        assert_eq!((got, &response["error"]), (status, &error), "{body}");
        assert!(log.takes(&["audit", r#"who="operator""#, audited]), "{body}");
    }
    let without_token = "POST /api/v1/ops/break HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(server.send(without_token).await.0, 401);
    assert!(log.takes(&["audit", r#"who="nobody""#, "/break", r#"outcome="unauthorized""#]));
    let server = start(false, Config::default());
    let (status, response) = server.post_break(&request("edges/sip.0", "kill")).await;
    assert_eq!((status, &response["error"]), (403, &json!("break_disabled")));
    assert!(response["message"].as_str().unwrap().contains("ops.allow_break"), "{response}");
    assert!(log.takes(&["audit", r#"what="edges/sip.0 kill" outcome="break_disabled""#]));
}

#[tokio::test]
async fn an_attempt_to_break_whose_body_never_comes_is_audited_too() {
    let (log, _guard) = Log::start();
    let server = start(true, Config { request_timeout: Duration::from_millis(500), ..Config::default() });
    let head = "POST /api/v1/ops/break HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    assert_eq!(server.send(&format!("{head}{TOKEN}Content-Length: 9\r\n\r\n")).await.0, 503);
    assert!(log.takes(&["audit", r#"what=" " outcome="timed_out""#]));
}

#[tokio::test]
async fn of_a_flood_without_the_token_all_is_counted_and_a_little_is_audited_without_what_it_asked_for() {
    let (log, _guard) = Log::start();
    let world = World::start();
    for _ in 0..100 {
        let (status, _) = read(world.request(Method::GET, "/api/v1/ops/calls/+493012345678/trace")).await;
        assert_eq!(status, 401);
    }
    let text = log.text();
    let audited: Vec<_> = text.lines().filter(|line| line.contains("audit")).collect();
    assert!((5..50).contains(&audited.len()), "{audited:?}");
    assert!(audited.iter().all(|line| line.contains("/api/v1/ops/calls/{call_id}/trace") && line.contains("hushed=")));
    assert!(!text.contains("3012345678"), "{text}");
    assert_eq!(world.metrics.counter(Counter::ApiRefused), 100);
}

#[tokio::test]
async fn the_tree_is_a_flat_list_with_what_the_contract_names() {
    let server = start(false, Config::default());
    assert_eq!(server.get("/api/v1/ops/tree", "").await.0, 401);
    let (status, body) = server.get("/api/v1/ops/tree", TOKEN).await;
    let service = json!([{"id": "edges/sip.0", "kind": "service", "name": "sip.0", "parent": "edges", "owner": null,
        "state": "running", "age_ms": 7, "restarts": 1, "inbox": 0}]);
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, service));
}

#[tokio::test]
async fn what_is_unknown_or_too_large_is_refused_in_json() {
    let server = start(true, Config { body_limit: 100, ..Config::default() });
    let (status, body) = server.get("/nothing", "").await;
    assert_eq!((status, body.contains("not_found")), (404, true));
    let (status, body) = server.get("/api/v1/ops/break", TOKEN).await;
    assert_eq!((status, body.contains("method_not_allowed")), (405, true));
    let large = json!({"id": "x".repeat(200), "how": "kill"}).to_string();
    assert_eq!(server.post_break(&large).await.0, 413);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_cut_off() {
    let server = start(false, Config { request_timeout: Duration::from_millis(50), ..Config::default() });
    let (status, _) = tokio::time::timeout(Duration::from_secs(5), async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTT").await.unwrap();
        let mut rest = Vec::new();
        (stream.read_to_end(&mut rest).await, ())
    })
    .await
    .expect("the server closes the connection");
    assert!(status.is_ok());
}

#[tokio::test]
async fn it_ends_when_told_to() {
    let server = start(false, Config::default());
    let _idle = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(server.get("/healthz", "").await.0, 200);
    server.stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.done).await.expect("it ends at once");
    assert!(ended.unwrap().is_ok());
}
