//! Where webhooks may lead: not into networks that only we can reach. Looked at where a name becomes an address, so that
//! a name which changes its mind between two looks leads nowhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Names that are looked up at a time. One that a name server keeps waiting occupies a thread until the system gives up,
/// which nothing can shorten: the next ones wait, and their requests end in time without having begun.
const LOOK_UPS: usize = 16;

/// Resolves names, to public addresses only unless others are allowed.
pub(super) struct Names {
    free: Arc<Semaphore>,
    allow_private: bool,
}

impl Names {
    pub(super) fn new(allow_private: bool) -> Self {
        Self { free: Arc::new(Semaphore::new(LOOK_UPS)), allow_private }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (free, allow_private) = (self.free.clone(), self.allow_private);
        Box::pin(async move {
            let mut found = bounded(free, move || Ok((name.as_str(), 0).to_socket_addrs()?.collect())).await?;
            found.retain(|address| allow_private || is_public(address.ip()));
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "no public address").into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Holds a place for as long as the look-up lasts, also when nobody waits for it any more.
async fn bounded(
    free: Arc<Semaphore>,
    look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let place = free.acquire_owned().await.map_err(io::Error::other)?;
    let lasting = spawn_blocking(move || {
        let found = look_up();
        drop(place);
        found
    });
    lasting.await.map_err(io::Error::other)?
}

/// Whether a host that is written as an address is a public one; a name is looked at when it is resolved.
pub(super) fn may_be_public(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.trim_matches(['[', ']']).parse().map_or(!host.is_empty(), is_public)
}

pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// IANA's registry of special addresses, but for those that are anycast services.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

/// Only what is global unicast; what has an IPv4 address in it is as that one is.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        (0x64, 0xff9b) => (c, d, e, f) == (0, 0, 0, 0) && v4(g, h),
        (0x2002, _) => v4(b, c),
        (0x2001, 0..=0x1ff | 0xdb8) => false,
        (0x2000..=0x3fff, _) => a != 0x3fff,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn only_addresses_that_anybody_can_reach_are_public() {
        for public in ["1.1.1.1", "93.184.216.34", "100.63.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn a_host_that_is_an_address_is_looked_at_however_it_is_written() {
        let may = |url: &str| may_be_public(&reqwest::Url::parse(url).unwrap());
        assert!(may("https://hooks.example/x") && may("https://1.1.1.1/") && may("https://[2606:4700::1111]/"));
        for private in ["https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://[::1]/", "https://0/"]
        {
            assert!(!may(private), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_leads_nowhere() {
        let resolve = |allow_private| Names::new(allow_private).resolve("localhost".parse().unwrap());
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.is_ok());
    }

    #[tokio::test]
    async fn look_ups_that_nobody_waits_for_any_more_keep_their_places_until_they_end() {
        let names = Names::new(true);
        let end = Arc::new(Barrier::new(LOOK_UPS + 1));
        let hangs = || {
            let end = end.clone();
            move || {
                end.wait();
                Ok(Vec::new())
            }
        };
        for _ in 0..LOOK_UPS {
            let request = bounded(names.free.clone(), hangs());
            assert!(timeout(Duration::from_millis(10), request).await.is_err(), "its deadline");
        }
        assert_eq!(names.free.available_permits(), 0);
        let next = tokio::spawn(names.resolve("localhost".parse().unwrap()));
        spawn_blocking(move || end.wait()).await.unwrap();
        assert!(timeout(Duration::from_secs(20), next).await.unwrap().unwrap().is_ok(), "it waited for a place");
    }
}
