//! Free loopback ports that stay the server's own while it is down: none is given out twice by a program.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Below those that the kernel gives out by itself, and apart from those of the end-to-end tests.
const FIRST: u32 = 9_000;
const SPAN: u32 = 3_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The next one that nobody listens on. Programs that run at the same time begin at different places.
///
/// # Errors
/// There is none left.
pub(crate) fn free() -> io::Result<u16> {
    let first = std::process::id().wrapping_mul(97);
    for _ in 0..SPAN {
        let port = FIRST + first.wrapping_add(NEXT.fetch_add(1, Relaxed)) % SPAN;
        let port = u16::try_from(port).map_err(io::Error::other)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
