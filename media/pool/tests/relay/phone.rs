//! A phone as far as media goes: a socket that speaks and hears.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tandem_core::media::LocalMedia;

/// See the module.
pub(crate) struct Phone {
    socket: UdpSocket,
    /// Where it was told to send.
    to: SocketAddr,
    ssrc: u32,
}

/// The header of a packet that it heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
}

impl Heard {
    /// Reads an RTP packet whose header is bare.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        assert!(bytes.len() > 12 && bytes[0] == 0x80, "{bytes:?}");
        Self {
            payload_type: bytes[1] & 0x7f,
            marker: bytes[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
            timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            ssrc: u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
        }
    }
}

/// An RTP packet.
pub(crate) fn packet(payload_type: u8, ssrc: u32, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(payload);
    bytes
}

impl Phone {
    pub(crate) fn new(local: &LocalMedia, ssrc: u32) -> Self {
        Self { socket: socket(), to: local.rtp, ssrc }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// From now on it sends from elsewhere than it signalled.
    pub(crate) fn move_to_another_port(&mut self) {
        self.socket = socket();
    }

    /// Packet `n` of its voice: 20 ms of µ-law.
    pub(crate) fn speak(&mut self, n: u16) {
        self.send(0, 100 + n, u32::from(n) * 160, &[0xff; 160]);
    }

    /// A key: `packets` packets, the last of which ends it after 100 ms.
    pub(crate) fn press(&mut self, code: u8, packets: u16) {
        for n in 1..=packets {
            let end = if n == packets { 0x80 } else { 0 };
            let [high, low] = (800 / packets * n + 800 % packets * (n / packets)).to_be_bytes();
            self.send(101, 100 + n, 0, &[code, end, high, low]);
        }
    }

    /// What it hears until that many packets came, or half a second none.
    pub(crate) fn hear(&mut self, count: usize) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut bytes = [0; 512];
        while heard.len() < count {
            let Ok(len) = self.socket.recv(&mut bytes) else { break };
            heard.push(Heard::read(&bytes[..len]));
        }
        heard
    }

    /// What has come already.
    pub(crate) fn hear_now(&mut self) -> usize {
        self.socket.set_nonblocking(true).unwrap();
        let count = std::iter::from_fn(|| self.socket.recv(&mut [0; 512]).ok()).count();
        self.socket.set_nonblocking(false).unwrap();
        count
    }

    fn send(&self, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) {
        let bytes = packet(payload_type, self.ssrc, sequence, timestamp, payload);
        self.socket.send_to(&bytes, self.to).unwrap();
    }
}

pub(crate) fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}
