//! The socket of all WebRTC peers of one worker.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use tracing::warn;

use crate::pair;

/// Bytes that the kernel is asked to keep for us: what thousands of voice streams send in some tenths of a second, for
/// as long as a worker is rebuilt.
const RECEIVE_BUFFER: usize = 8 * 1_024 * 1_024;

/// See the module.
#[derive(Debug)]
pub(crate) struct SharedPort {
    port: u16,
    socket: UdpSocket,
}

impl SharedPort {
    /// Port 0: any that is free.
    pub(crate) fn bind(address: IpAddr, port: u16) -> io::Result<Self> {
        let socket = pair::bind(address, port, RECEIVE_BUFFER)?;
        let granted = socket2::SockRef::from(&socket).recv_buffer_size()?;
        if granted < RECEIVE_BUFFER {
            warn!(port, granted, wanted = RECEIVE_BUFFER, "small buffer for WebRTC; raise net.core.rmem_max");
        }
        Ok(Self { port: socket.local_addr().as_ref().map_or(port, SocketAddr::port), socket })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }
}
