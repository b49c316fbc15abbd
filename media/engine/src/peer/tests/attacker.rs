//! A far end that shook hands, and writes its SCTP by hand.

use super::*;

pub(super) struct Attacker {
    pub(super) side: Side,
    far: FarEnd,
    /// Ours, which its packets carry.
    tag: u32,
    /// Associations, whose own tags are their numbers.
    begun: u32,
    /// The number of its next chunk of data.
    pub(super) number: u32,
    pub(super) polled: Vec<(DataChannel, Bytes)>,
    /// Packets that came from our side.
    pub(super) packets: Vec<Bytes>,
}

impl Attacker {
    /// With an association that begins with this number.
    pub(super) fn new(number: u32) -> Self {
        let (side, far) = Side::with_data(TransportRole::Publisher).connect(Suite::Everything);
        let mut attacker = Self { side, far, tag: 0, begun: 1 << 20, number, polled: Vec::new(), packets: Vec::new() };
        attacker.begin();
        attacker
    }

    /// Begins an association, in the place of what there was.
    pub(super) fn begin(&mut self) {
        self.begun += 1;
        self.tag = 0;
        self.packets.clear();
        let _ = self.give(&[init(self.begun, self.number)]);
        let answer = self.packets.pop().unwrap();
        self.tag = u32::from_be_bytes(answer[16..20].try_into().unwrap());
        let at = (32..answer.len() - 4).step_by(4).find(|at| answer[*at..at + 2] == [0, 7]).unwrap();
        let len = usize::from(answer[at + 3]);
        let _ = self.give(&[chunk(10, 0, &answer[at + 4..at + len])]);
        assert_eq!(self.packets.pop().unwrap()[12], 11);
    }

    /// Opens a channel and says something on it, which arrives.
    pub(super) fn prove_alive(&mut self, id: u16) {
        self.polled.clear();
        let open = [&[3, 0, 1, 0, 0, 0, 0, 0, 0, 9, 0, 0], &b"_reliable"[..]].concat();
        let open = self.data(id, 0, 50, 3, &open);
        let message = self.data(id, 1, 53, 3, b"alive");
        let _ = self.give(&[open, message]);
        assert_eq!(self.polled, [(DataChannel::Reliable, Bytes::from_static(b"alive"))]);
    }

    /// A chunk of data with the next number. Flags: 1 ends, 2 begins, 4 has no order.
    pub(super) fn data(&mut self, id: u16, nth: u16, ppid: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let number = self.number;
        self.number = self.number.wrapping_add(1);
        let header = [&number.to_be_bytes()[..], &id.to_be_bytes(), &nth.to_be_bytes(), &ppid.to_be_bytes()];
        chunk(0, flags, &[&header.concat(), payload].concat())
    }

    /// A packet with these chunks goes to our side, and what it has to say comes back.
    pub(super) fn give(&mut self, chunks: &[Vec<u8>]) -> Received {
        let packet = packet(self.tag, &chunks.concat());
        self.give_payload(&packet)
    }

    pub(super) fn give_payload(&mut self, payload: &[u8]) -> Received {
        let mut datagram = self.far.record(ms(0), payload);
        self.give_datagram(&mut datagram)
    }

    pub(super) fn give_datagram(&mut self, datagram: &mut [u8]) -> Received {
        let received = self.side.peer.receive(ms(0), at(HERE), datagram);
        self.collect();
        received
    }

    /// Half a second passes, for those whose answers wait.
    pub(super) fn wait(&mut self) {
        self.side.peer.expire(ms(500));
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(message) = self.side.peer.poll_data(ms(0)) {
            self.polled.push(message);
        }
        while let Some((_, datagram)) = self.side.peer.poll_transmit() {
            self.far.take(ms(0), &datagram);
        }
        self.packets.extend(self.far.application.drain(..));
    }

    /// A good record, not given.
    pub(super) fn record(&mut self, payload: &[u8]) -> Vec<u8> {
        self.far.record(ms(0), payload)
    }
}

/// An INIT with a window and as many streams as there can be.
pub(super) fn init(tag: u32, number: u32) -> Vec<u8> {
    let body = [&tag.to_be_bytes()[..], &[0, 4, 0, 0, 0xff, 0xff, 0xff, 0xff], &number.to_be_bytes()].concat();
    chunk(1, 0, &body)
}

/// With its padding.
pub(super) fn chunk(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((body.len() as u16 + 4).to_be_bytes());
    chunk.extend(body);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// A packet with a good checksum.
pub(super) fn packet(tag: u32, chunks: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(chunks);
    let checksum = crc32c(&packet);
    packet[8..12].copy_from_slice(&checksum.to_le_bytes());
    packet
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
