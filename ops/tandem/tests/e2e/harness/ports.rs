//! Free loopback ports. What is given out here is not given out again, and is below the kernel's own range.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const FIRST: u32 = 12_000;
const SPAN: u32 = 20_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The first of `count` ports in a row, even, all of them free over UDP and TCP. Each is given out once a round, and a
/// round is longer than any two tests that run at the same time.
pub fn block(count: u16) -> u16 {
    let count = u32::from(count).next_multiple_of(2);
    for _ in 0..SPAN {
        let place = (start() + NEXT.fetch_add(count, Relaxed)) % SPAN;
        let ports = FIRST + place..FIRST + place + count;
        if place + count <= SPAN && ports.clone().all(is_free) {
            return u16::try_from(ports.start).unwrap();
        }
    }
    panic!("no {count} free ports in a row");
}

/// A loopback address with a free port, whose next port is free too.
pub fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, block(2)))
}

/// Test processes that run at the same time begin at different ends.
fn start() -> u32 {
    std::process::id() % 8 * (SPAN / 8)
}

fn is_free(port: u32) -> bool {
    let address = (Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap());
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}
