//! Our own address, as somebody else sees it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use dashmap::DashMap;
use tandem_core::location::Flow;

/// Far ends whose way is remembered. Above it the table starts anew.
const REMEMBERED: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    announce: Option<IpAddr>,
    /// The interface by which the system reaches an address.
    interfaces: DashMap<IpAddr, IpAddr>,
}

impl Addresses {
    pub(crate) fn new(announce: Option<IpAddr>) -> Self {
        Self { announce, interfaces: DashMap::new() }
    }

    /// Our address on this way.
    pub(crate) fn ours(&self, flow: &Flow) -> SocketAddr {
        let remote = flow.remote.ip().to_canonical();
        let ip = match self.announce {
            Some(announced) if !remote.is_loopback() => announced,
            _ if flow.local.ip().is_unspecified() => self.interface_to(remote),
            _ => flow.local.ip(),
        };
        SocketAddr::new(ip, flow.local.port())
    }

    fn interface_to(&self, remote: IpAddr) -> IpAddr {
        if let Some(known) = self.interfaces.get(&remote) {
            return *known;
        }
        if self.interfaces.len() >= REMEMBERED {
            self.interfaces.clear();
        }
        let ip = route_to(remote).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.interfaces.insert(remote, ip);
        ip
    }
}

/// Asks the system. Connecting a datagram socket sends nothing.
fn route_to(remote: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((remote, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::location::Transport;

    fn seen_by(announce: Option<&str>, local: &str, remote: &str) -> String {
        let flow = Flow {
            transport: Transport::Udp,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            connection: 0,
        };
        Addresses::new(announce.map(|it| it.parse().unwrap())).ours(&flow).to_string()
    }

    #[test]
    fn the_announced_address_is_for_others_than_this_machine() {
        assert_eq!(seen_by(Some("203.0.113.1"), "0.0.0.0:5060", "198.51.100.1:5060"), "203.0.113.1:5060");
        assert_eq!(seen_by(Some("203.0.113.1"), "0.0.0.0:5060", "127.0.0.1:5070"), "127.0.0.1:5060");
        assert_eq!(seen_by(None, "127.0.0.9:5060", "127.0.0.1:5070"), "127.0.0.9:5060");
        assert_eq!(seen_by(None, "[::]:5060", "[::1]:5070"), "[::1]:5060");
    }
}
