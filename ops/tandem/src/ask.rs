//! Asks a running node over its HTTP port. One request without TLS to the operator's own machine: no client library
//! needed.

use std::io;
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
    match exchange(bind, &head("GET", path, token), "").await? {
        (200, body) => Ok(Some(serde_json::from_str(&body)?)),
        (404, _) => Ok(None),
        (401, _) => bail!(
            "the node at {bind} does not know the operator's token of this data folder: is this the node's working \
             directory, or its --config?"
        ),
        (503, body) => bail!("the node at {bind} cannot tell at the moment; ask again, and see its log: {body}"),
        (status, body) => bail!("the node refused with {status}: {body}"),
    }
}

/// Whether a question failed because nobody listens there.
pub(crate) fn is_nobody_there(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Status and body of what the node answers to a POST with this body.
///
/// # Errors
/// Nobody there, or no answer in time.
pub(crate) async fn post(bind: SocketAddr, token: &str, path: &str, body: &Value) -> Result<(u16, String)> {
    exchange(bind, &head("POST", path, token), &body.to_string()).await
}

fn head(method: &str, path: &str, token: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n")
}

async fn exchange(bind: SocketAddr, head: &str, body: &str) -> Result<(u16, String)> {
    let node = reachable(bind);
    let talk = async {
        let mut stream = TcpStream::connect(node).await?;
        let length = body.len();
        let more =
            format!("Host: {node}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}");
        stream.write_all(format!("{head}{more}\r\n\r\n{body}").as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        anyhow::Ok(response)
    };
    let answer = tokio::time::timeout(DEADLINE, talk).await;
    let answer = answer.with_context(|| format!("the node at http://{node} does not answer in time; see its log"))?;
    let answer = answer.with_context(|| format!("no node at http://{node}; does it run? (`tandem serve`)"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP response")?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).context("no HTTP response")?;
    Ok((status, body.to_owned()))
}

/// A node that listens everywhere listens here too.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = if bind.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bind.ip() };
    SocketAddr::new(ip, bind.port())
}
