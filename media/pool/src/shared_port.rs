//! The socket of all WebRTC peers of one worker.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use tracing::warn;

use crate::pair;

/// Bytes that the kernel is asked to keep for us: what thousands of voice streams send in some tenths of a second, for
/// as long as a worker is rebuilt.
const RECEIVE_BUFFER: usize = 8 * 1_024 * 1_024;

/// The same on the way out: a burst of frames to hundreds of receivers.
const SEND_BUFFER: usize = 4 * 1_024 * 1_024;

/// Bytes of one read: what the network joined from datagrams of one size and sender.
pub(crate) const JOINED: usize = 64 * 1_024;

/// Reads of one system call.
pub(crate) const READS: usize = 16;

/// See the module. The kernel may join datagrams when it receives, and part them when it sends.
#[derive(Debug)]
pub(crate) struct SharedPort {
    port: u16,
    socket: UdpSocket,
    state: UdpSocketState,
}

/// What one read brought: datagrams of `stride` bytes each, the last perhaps of fewer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    pub(crate) from: SocketAddr,
    /// Where it lies.
    pub(crate) begin: usize,
    pub(crate) len: usize,
    pub(crate) stride: usize,
}

impl Joined {
    /// Before the first read.
    pub(crate) const NOTHING: Self =
        Self { from: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0), begin: 0, len: 0, stride: 1 };
}

impl SharedPort {
    /// Port 0: any that is free.
    pub(crate) fn bind(address: IpAddr, port: u16) -> io::Result<Self> {
        let socket = pair::bind(address, port, RECEIVE_BUFFER)?;
        socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER)?;
        let granted = socket2::SockRef::from(&socket).recv_buffer_size()?;
        if granted < RECEIVE_BUFFER {
            warn!(port, granted, wanted = RECEIVE_BUFFER, "small buffer for WebRTC; raise net.core.rmem_max");
        }
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { port: socket.local_addr().as_ref().map_or(port, SocketAddr::port), socket, state })
    }

    /// Reads what there is into a batch of [`READS`] times [`JOINED`] bytes. Gives how many reads there were.
    pub(crate) fn receive(&self, batch: &mut [u8], found: &mut [Joined; READS]) -> io::Result<usize> {
        let mut chunks = batch.chunks_mut(JOINED);
        let mut buffers: [IoSliceMut<'_>; READS] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let mut metas = [RecvMeta::default(); READS];
        let count = self.state.recv((&self.socket).into(), &mut buffers, &mut metas)?;
        for (nth, (meta, found)) in metas.iter().zip(found).take(count).enumerate() {
            *found = Joined { from: meta.addr, begin: nth * JOINED, len: meta.len, stride: meta.stride.max(1) };
        }
        Ok(count)
    }

    /// How many datagrams the kernel parts at a time.
    pub(crate) fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends datagrams of one size, the last perhaps smaller. Of the ordinary class of service, all of them: runs cannot
    /// have another, and packets of one connection must not overtake each other.
    pub(crate) fn send(&self, contents: &[u8], destination: SocketAddr, segment: usize) -> io::Result<()> {
        let segment_size = Some(segment).filter(|segment| *segment < contents.len());
        let run = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send((&self.socket).into(), &run)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }
}
