//! Asks a running node over its HTTP port. One GET without TLS to the operator's own machine: no client library needed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest time that an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The JSON at a path of the node that listens at `bind`.
///
/// # Errors
/// Nobody there, no answer in time, a refusal, or no JSON.
pub(crate) async fn get(bind: SocketAddr, token: &str, path: &str) -> Result<Value> {
    find(bind, token, path).await?.with_context(|| format!("the node has no {path}"))
}

/// The same; `None` when there is nothing.
///
/// # Errors
/// Nobody there, no answer in time, another refusal, or no JSON.
pub(crate) async fn find(bind: SocketAddr, token: &str, path: &str) -> Result<Option<Value>> {
    let text = tokio::time::timeout(DEADLINE, exchange(reachable(bind), token, path)).await.context("no answer")??;
    let (head, body) = text.split_once("\r\n\r\n").context("no HTTP response")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(Some(serde_json::from_str(body)?)),
        Some("404") => Ok(None),
        status => bail!("the node refused with {}: {body}", status.unwrap_or("nothing")),
    }
}

async fn exchange(node: SocketAddr, token: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(node).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

/// A node that listens everywhere listens here too.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = if bind.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bind.ip() };
    SocketAddr::new(ip, bind.port())
}
