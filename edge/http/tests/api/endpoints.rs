//! Health, metrics, the operator's endpoints, and how connections are treated.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_http::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::log::Log;
use crate::world::World;

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
async fn parts_are_broken_only_where_that_is_allowed_and_every_attempt_is_audited() {
    let (log, _guard) = Log::start();
    let server = start(true, Config::default());
    let request = |id: &str, how: &str| json!({"id": id, "how": how}).to_string();
    for (body, status, error, audited) in [
        (request("edges/sip.0", "panic"), 204, Value::Null, r#"id="edges/sip.0" how="panic" outcome="broken""#),
        (request("edges/sip.0", "hang"), 204, Value::Null, r#"id="edges/sip.0" how="hang" outcome="broken""#),
        (request("nobody", "kill"), 404, json!("part_not_found"), r#"id="nobody" how="kill" outcome="part_not_found""#),
        (request("worker.0", "kill"), 409, json!("break_unsupported"), r#"how="kill" outcome="break_unsupported""#),
        (request("node", "melt"), 422, json!("invalid_body"), r#"id="" how="" outcome="invalid_body""#),
        (String::from("{"), 400, json!("invalid_body"), r#"id="" how="" outcome="invalid_body""#),
    ] {
        let (got, response) = server.post_break(&body).await;
        assert_eq!((got, &response["error"]), (status, &error), "{body}");
        assert!(log.takes(&["audit", r#"who="operator""#, audited]), "{body}");
    }
    assert_eq!(server.get("/api/v1/ops/break", "").await.0, 401);
    assert!(log.takes(&["audit", r#"who="nobody""#, "/ops/break", r#"outcome="unauthorized""#]));
    let server = start(false, Config::default());
    let (status, response) = server.post_break(&request("edges/sip.0", "kill")).await;
    assert_eq!((status, &response["error"]), (403, &json!("break_disabled")));
    assert!(response["message"].as_str().unwrap().contains("ops.allow_break"), "{response}");
    assert!(log.takes(&["audit", r#"id="edges/sip.0" how="kill" outcome="break_disabled""#]));
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
