//! One end of a media stream that numbers every packet it sends and notes every one that comes.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{SOON, eventually, ports};

/// One packet each; 160 samples at 8 kHz.
pub const PACKET_TIME: Duration = Duration::from_millis(20);

/// How long to wait for one packet before looking whether it is over.
pub(super) const MOMENT: Duration = Duration::from_millis(50);

/// How long packets may be on their way after the last was sent.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// See the module.
pub struct RtpEnd {
    /// Where it receives.
    pub address: SocketAddr,
    /// Where that arrives.
    pub socket: UdpSocket,
}

/// A stream under way, both directions.
pub struct Stream {
    stop: Halt,
    received: Arc<AtomicU32>,
    /// Longest time between two packets that came one after the other, in microseconds.
    gap: Arc<AtomicU32>,
    sender: JoinHandle<u32>,
    receiver: JoinHandle<Vec<Packet>>,
}

/// Stops both threads of a stream, at the latest when nobody has it any more.
struct Halt(Arc<AtomicBool>);

impl Drop for Halt {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What came and went.
pub struct Report {
    /// How many packets were sent: their numbers are 0..sent.
    pub sent: u32,
    /// In order of arrival.
    pub received: Vec<Packet>,
}

/// A packet that came.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The sender's own number, from the payload.
    pub number: u32,
    /// Whose it is, from the payload.
    pub mark: u32,
    /// From the header, as the others.
    pub sequence: u16,
    /// In samples.
    pub timestamp: u32,
    /// Whose it is.
    pub ssrc: u32,
}

/// A packet without sound.
pub struct Numbered([u8; 12 + 160]);

impl RtpEnd {
    /// Binds an even port whose odd neighbour is free.
    pub fn open() -> Self {
        let address = ports::address();
        Self { address, socket: UdpSocket::bind(address).unwrap() }
    }

    /// Its description: PCMU, nothing else.
    pub fn sdp(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
             a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
        )
    }

    /// Begins to send to where `sdp` wants it, and to note what comes.
    pub fn talk(self, sdp: &str) -> Stream {
        let to = destination(sdp);
        let own = self.socket.try_clone().unwrap();
        // A peer that has gone shows as an error here; the count of what came tells the rest.
        let send = move |packet: &[u8]| _ = own.send_to(packet, to);
        self.socket.set_read_timeout(Some(MOMENT)).unwrap();
        let mut buffer = [0; 2048];
        let receive = move || {
            let length = self.socket.recv(&mut buffer).ok()?;
            Packet::read(&buffer[..length])
        };
        Stream::begin(to.port().into(), send, receive)
    }
}

impl Stream {
    /// From now on gives `send` a packet every 20 ms, and notes whatever `receive` has within a [`MOMENT`].
    pub(super) fn begin(
        ssrc: u32,
        send: impl FnMut(&[u8]) + Send + 'static,
        receive: impl FnMut() -> Option<Packet> + Send + 'static,
    ) -> Self {
        let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let halt = stop.clone();
        let sender = std::thread::spawn(move || send_until(&halt, ssrc, send));
        let gap = Arc::new(AtomicU32::new(0));
        let (halt, count, longest) = (stop.clone(), received.clone(), gap.clone());
        let receiver = std::thread::spawn(move || receive_until(&halt, receive, &count, &longest));
        Self { stop: Halt(stop), received, gap, sender, receiver }
    }

    /// How many packets have come.
    pub fn received(&self) -> u32 {
        self.received.load(Relaxed)
    }

    /// The longest time between two packets so far.
    pub fn longest_gap(&self) -> Duration {
        Duration::from_micros(self.gap.load(Relaxed).into())
    }

    /// Waits until that many more packets have come.
    pub fn wait_for(&self, more: u32) {
        let enough = self.received() + more;
        eventually("packets", SOON, || (self.received() >= enough).then_some(()));
    }

    /// Ends both streams of a call: neither stops to listen before the other has stopped to send.
    pub fn finish(self, other: Self) -> (Report, Report) {
        self.stop.0.store(true, Relaxed);
        other.stop.0.store(true, Relaxed);
        (self.report(), other.report())
    }

    fn report(self) -> Report {
        Report { sent: self.sender.join().unwrap(), received: self.receiver.join().unwrap() }
    }
}

impl Report {
    /// That from the first packet on that came, every one of `sent` came, once, in one unbroken stream.
    pub fn assert_nothing_lost(&self, sent: u32) {
        let first = self.received.first().unwrap_or_else(|| panic!("nothing came of {sent}"));
        assert!(first.number < sent / 2, "the first {} of {sent} did not come", first.number);
        let numbers: Vec<u32> = self.received.iter().map(|it| it.number).collect();
        let missing: Vec<u32> = (first.number..sent).filter(|it| !numbers.contains(it)).collect();
        assert!(missing.is_empty(), "lost of {sent}: {missing:?}");
        assert_eq!(numbers.len(), (sent - first.number) as usize, "some came twice");
        for pair in self.received.windows(2) {
            let [a, b] = pair else { continue };
            let step = b.number.wrapping_sub(a.number);
            assert_eq!(a.ssrc, b.ssrc, "{a:?} {b:?}");
            assert_eq!(u32::from(b.sequence.wrapping_sub(a.sequence)), step & 0xffff, "{a:?} {b:?}");
            assert_eq!(b.timestamp.wrapping_sub(a.timestamp), step.wrapping_mul(160), "{a:?} {b:?}");
        }
    }
}

fn send_until(stop: &AtomicBool, ssrc: u32, mut send: impl FnMut(&[u8])) -> u32 {
    let begin = Instant::now();
    let mut number: u32 = 0;
    let mut packet = Numbered::of(ssrc);
    while !stop.load(Relaxed) {
        send(packet.number(number));
        number += 1;
        std::thread::sleep((begin + PACKET_TIME * number).saturating_duration_since(Instant::now()));
    }
    number
}

fn receive_until(
    stop: &AtomicBool,
    mut receive: impl FnMut() -> Option<Packet>,
    count: &AtomicU32,
    longest: &AtomicU32,
) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut last = Instant::now();
    while !stop.load(Relaxed) || last.elapsed() < STRAGGLERS {
        let Some(packet) = receive() else { continue };
        let gap = u32::try_from(last.elapsed().as_micros()).unwrap_or(u32::MAX);
        last = Instant::now();
        packets.push(packet);
        // The first one waits for nobody.
        if count.fetch_add(1, Relaxed) > 0 {
            longest.fetch_max(gap, Relaxed);
        }
    }
    packets
}

impl Numbered {
    /// Of one stream.
    pub fn of(ssrc: u32) -> Self {
        Self::marked(ssrc, u32::MAX)
    }

    /// Of one stream, whose packets say so in their payload.
    pub fn marked(ssrc: u32, mark: u32) -> Self {
        let mut packet = [0xff; 12 + 160];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        packet[16..20].copy_from_slice(&mark.to_be_bytes());
        Self(packet)
    }

    /// The packet with this number, of PCMU: in the payload too, because whoever relays it may number anew.
    pub fn number(&mut self, number: u32) -> &[u8] {
        self.0[2..4].copy_from_slice(&u16::try_from(number & 0xffff).unwrap().to_be_bytes());
        self.0[4..8].copy_from_slice(&number.wrapping_mul(160).to_be_bytes());
        self.0[12..16].copy_from_slice(&number.to_be_bytes());
        &self.0
    }
}

impl Packet {
    /// Of a [`Numbered`] one, or of anything else that is long enough.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let sequence = u16::try_from(word(0)? & 0xffff).ok()?;
        Some(Self { number: word(12)?, mark: word(16)?, sequence, timestamp: word(4)?, ssrc: word(8)? })
    }
}

/// Where a description wants RTP.
pub fn destination(sdp: &str) -> SocketAddr {
    let word = |line: &str, place: usize| {
        let found = sdp.lines().find_map(|it| it.strip_prefix(line)?.split(' ').nth(place));
        found.unwrap_or_else(|| panic!("no {line} in\n{sdp}")).trim().to_owned()
    };
    SocketAddr::new(word("c=IN IP4 ", 0).parse().unwrap(), word("m=audio ", 0).parse().unwrap())
}
