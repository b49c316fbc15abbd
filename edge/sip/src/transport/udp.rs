//! Datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tandem_core::location::{Flow, Transport};
use tokio::net::UdpSocket;

/// What a datagram can hold.
const LARGEST: usize = 65_535;

/// Pause after an error of the socket, so that one that stays does not take a core.
const PAUSE: Duration = Duration::from_millis(10);

/// Takes what goes to an address.
pub type Wire = Arc<dyn Fn(SocketAddr, &Bytes) + Send + Sync>;

/// A place for datagrams.
pub(crate) struct UdpEnd {
    way: Way,
    local: SocketAddr,
}

enum Way {
    Socket(UdpSocket),
    /// No socket: somebody else carries what is sent, and gives what comes to the border himself.
    Wire(Wire),
}

impl UdpEnd {
    /// Binds with large buffers: at 40,000 messages/s the system's own hold a few milliseconds.
    pub(crate) fn bind(address: SocketAddr, buffer: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_recv_buffer_size(buffer)?;
        socket.set_send_buffer_size(buffer)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(address))?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { way: Way::Socket(socket), local })
    }

    /// Without a socket.
    pub(crate) fn wired(local: SocketAddr, wire: Wire) -> Self {
        Self { way: Way::Wire(wire), local }
    }

    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Reads for ever. May be dropped and begun again: the socket stays.
    pub(crate) async fn run(&self, deliver: impl Fn(Flow, Bytes)) {
        let Way::Socket(socket) = &self.way else { return std::future::pending().await };
        let mut buffer = vec![0; LARGEST];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((length, remote)) => {
                    let flow = Flow { transport: Transport::Udp, local: self.local, remote, connection: 0 };
                    deliver(flow, Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default()));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Sends, or does not: datagrams may be lost.
    pub(crate) fn send(&self, remote: SocketAddr, bytes: &Bytes) -> bool {
        match &self.way {
            Way::Socket(socket) => socket.try_send_to(bytes, remote).is_ok(),
            Way::Wire(wire) => {
                wire(remote, bytes);
                true
            }
        }
    }
}
