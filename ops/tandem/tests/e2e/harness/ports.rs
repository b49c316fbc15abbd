//! Free loopback ports. What is given out here is not given out again, and is below the kernel's own range.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The first of `count` ports in a row, even, all of them free over UDP and TCP.
pub fn block(count: u16) -> u16 {
    let count = count.next_multiple_of(2);
    for _ in 0..LAST {
        let first = start() + NEXT.fetch_add(count, Relaxed) % (LAST - FIRST - count);
        let first = FIRST + (first - FIRST) % (LAST - FIRST - count);
        let first = first.next_multiple_of(2);
        if (first..first + count).all(is_free) {
            return first;
        }
    }
    panic!("no {count} free ports in a row");
}

/// A loopback address with a free port, whose next port is free too.
pub fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, block(2)))
}

/// Test processes that run at the same time begin at different ends.
fn start() -> u16 {
    let share = u16::try_from(std::process::id() % 8).unwrap();
    FIRST + share * ((LAST - FIRST) / 8)
}

fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}
