//! Where a request came from when it came through a proxy: only a trusted one is believed.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use tandem_core::network::Network;

const HEADER: &str = "x-forwarded-for";

/// The client of a request: the last address that no trusted proxy has, read from the nearest hop on. What a stranger
/// writes into the header is never looked at.
pub(crate) fn client(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all(HEADER).iter().filter_map(|line| line.to_str().ok()).collect();
    let mut client = peer;
    for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// With or without a port, as proxies write it.
fn address(hop: &str) -> Option<IpAddr> {
    hop.trim_matches(['[', ']']).parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|it| it.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        let headers = lines.iter().map(|line| (HEADER.parse().unwrap(), line.parse().unwrap())).collect();
        client(&trusted, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        for (peer, lines, from) in [
            ("10.0.0.1", vec!["192.0.2.1"], "192.0.2.1"),
            ("::1", vec!["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", vec!["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", vec!["203.0.113.9", "192.0.2.1:4711"], "192.0.2.1"),
            ("10.0.0.1", vec!["10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1", vec!["192.0.2.1, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("192.0.2.7", vec!["10.0.0.1"], "192.0.2.7"),
        ] {
            assert_eq!(of(peer, &lines), from, "{peer} {lines:?}");
        }
    }
}
