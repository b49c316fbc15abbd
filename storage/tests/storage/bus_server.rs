//! Servers that cannot be what a node needs.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use tandem_core::id::NodeId;
use tandem_storage::{Bus, BusConfig, BusError};
use tandem_testbed::nats::Nats;

async fn connect(url: String) -> Result<(), BusError> {
    let config = BusConfig { nats_url: Some(url.into()), ..BusConfig::default() };
    let node = NodeId::from_uuid(uuid::Uuid::from_u128(1));
    Bus::connect(&config, node, 16, std::sync::Arc::default()).await.map(drop)
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_and_its_version_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let info = r#"{"server_id":"A","server_name":"old","version":"2.9.10","go":"go1.19","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"proto":1,"jetstream":true}"#;
            let _ = write!(stream, "INFO {info}\r\n");
            // Its answer to the client's PING.
            let _ = write!(stream, "PONG\r\n");
            std::thread::sleep(Duration::from_secs(30));
        }
    });
    let error = connect(format!("nats://user:secret@127.0.0.1:{port}")).await.unwrap_err();
    assert!(matches!(&error, BusError::TooOld { found } if found == "2.9.10"), "{error:?}");
    assert!(error.to_string().contains("2.11") && !format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn a_server_without_jetstream_is_not_ready() {
    let nats = Nats::without_jetstream().unwrap();
    assert!(matches!(connect(nats.url()).await, Err(BusError::NoJetStream)));
}
