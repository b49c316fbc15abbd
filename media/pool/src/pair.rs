//! The two sockets of a leg.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Type};
use tandem_engine::SocketKind;

/// Bytes that the kernel keeps for us per socket: what a voice stream sends in a second or two while a worker is
/// rebuilt, and no more, for there are thousands of sockets.
const RECEIVE_BUFFER: usize = 128 * 1_024;

/// Expedited forwarding (RFC 3246), as routers expect of voice.
const DSCP_EF: u32 = 46 << 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pair {
    port: u16,
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Pair {
    /// Binds an even port and the one above it.
    pub(crate) fn bind(address: IpAddr, port: u16) -> io::Result<Self> {
        Ok(Self { port, rtp: bind(address, port, RECEIVE_BUFFER)?, rtcp: bind(address, port + 1, RECEIVE_BUFFER)? })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The one for RTCP, or else the one for RTP.
    pub(crate) fn socket(&self, kind: SocketKind) -> &UdpSocket {
        match kind {
            SocketKind::Rtp | SocketKind::Peer => &self.rtp,
            SocketKind::Rtcp => &self.rtcp,
        }
    }

    /// Throws away what came for the leg that had it before.
    pub(crate) fn drain(&self) {
        // The receive buffer bounds it; so does this, against one who sends faster than we read.
        for socket in [&self.rtp, &self.rtcp] {
            for _ in 0..1_024 {
                if socket.recv_from(&mut [0]).is_err() {
                    break;
                }
            }
        }
    }
}

/// A socket for voice, which never blocks. The buffer may turn out smaller than wanted.
pub(crate) fn bind(address: IpAddr, port: u16, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(receive_buffer)?;
    match address {
        IpAddr::V4(_) => socket.set_tos_v4(DSCP_EF)?,
        IpAddr::V6(_) => socket.set_tclass_v6(DSCP_EF)?,
    }
    socket.bind(&SocketAddr::new(address, port).into())?;
    Ok(socket.into())
}
