//! A far end with data channels, made of the library's own SCTP over [`FarEnd`].

use rtc_datachannel::message::Message;
use rtc_datachannel::message::message_channel_ack::DataChannelAck;
use rtc_datachannel::message::message_channel_open::{ChannelType, DataChannelOpen};
use rtc_sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppid, ReliabilityType, ServerConfig, TransportConfig,
};
use rtc_shared::TransportProtocol;
use rtc_shared::marshal::{Marshal, Unmarshal};

use super::*;

const THERE: &str = "192.0.2.99:9";

/// Ids of the streams of a client's channels.
pub(super) const IDS: [(u16, &str); 3] = [(0, "_reliable"), (2, "_lossy"), (4, "_data_track")];

/// What came on a stream.
pub(super) type Message_ = (u16, Ppid, Vec<u8>);

pub(super) struct Page {
    pub(super) far: FarEnd,
    pub(super) now: Timestamp,
    endpoint: Endpoint,
    handle: AssociationHandle,
    pub(super) association: Association,
    /// Id and whether its messages have no order and are not repeated.
    channels: Vec<(u16, bool)>,
    pub(super) received: Vec<Message_>,
    /// What the peer had to give.
    pub(super) polled: Vec<(DataChannel, Bytes)>,
    /// Channels that the peer opened.
    pub(super) opened: Vec<(u16, DataChannelOpen)>,
    pub(super) acknowledged: Vec<u16>,
    /// Associations that the peer began in the place of ours.
    pub(super) restarts: usize,
    pub(super) lost: usize,
    /// Numbers of records that the peer sent.
    pub(super) numbers: Vec<u64>,
    pub(super) was_closed: bool,
}

impl Page {
    /// Connected to a peer with data channels, and its association is up.
    pub(super) fn connected(role: TransportRole) -> (Side, Self) {
        let (side, far) = Side::with_data(role).connect(Suite::Everything);
        let mut page = Self::new(far);
        let mut side = side;
        page.settle(&mut side);
        assert!(!page.association.is_handshaking());
        (side, page)
    }

    /// The same, with the three channels of a client.
    pub(super) fn open() -> (Side, Self) {
        let (mut side, mut page) = Self::connected(TransportRole::Publisher);
        for (id, label) in IDS {
            page.open_channel(id, label);
        }
        page.settle(&mut side);
        assert_eq!(page.acknowledged.len(), 3);
        (side, page)
    }

    pub(super) fn new(far: FarEnd) -> Self {
        let server = Arc::new(ServerConfig::new(TransportConfig::default()));
        let mut endpoint =
            Endpoint::new(at(HERE), TransportProtocol::UDP, Arc::new(EndpointConfig::new()), Some(server));
        let (handle, association) = endpoint.connect(far.instant(ms(0)), ClientConfig::default(), at(THERE)).unwrap();
        Self {
            far,
            now: ms(0),
            endpoint,
            handle,
            association,
            channels: Vec::new(),
            received: Vec::new(),
            polled: Vec::new(),
            opened: Vec::new(),
            acknowledged: Vec::new(),
            restarts: 0,
            lost: 0,
            numbers: Vec::new(),
            was_closed: false,
        }
    }

    pub(super) fn open_channel(&mut self, id: u16, label: &str) {
        let is_lossy = label != "_reliable";
        let open = DataChannelOpen {
            channel_type: if is_lossy { ChannelType::PartialReliableRexmitUnordered } else { ChannelType::Reliable },
            priority: 256,
            reliability_parameter: 0,
            label: label.into(),
            protocol: Vec::new(),
        };
        self.channels.push((id, is_lossy));
        self.association.open_stream(id, Ppid::Binary).unwrap();
        self.write(id, Ppid::Dcep, &Message::DataChannelOpen(open).marshal().unwrap());
        self.reliability(id, is_lossy);
    }

    fn reliability(&mut self, id: u16, is_lossy: bool) {
        let kind = if is_lossy { ReliabilityType::Rexmit } else { ReliabilityType::Reliable };
        self.association.stream(id).unwrap().set_reliability_params(is_lossy, kind, 0).unwrap();
    }

    pub(super) fn write(&mut self, id: u16, ppid: Ppid, message: &[u8]) {
        let now = self.instant();
        let written = self.association.stream(id).unwrap().write_with_ppi(now, message, ppid);
        assert_eq!(written, Ok(message.len()));
    }

    pub(super) fn send(&mut self, id: u16, message: &[u8]) {
        self.write(id, Ppid::Binary, message);
    }

    pub(super) fn instant(&self) -> Instant {
        self.far.instant(self.now)
    }

    /// Everything that either side has to say, without time passing or loss.
    pub(super) fn settle(&mut self, side: &mut Side) {
        self.exchange(side, |_, _| false);
    }

    /// Some time passes.
    pub(super) fn wait(&mut self, side: &mut Side, time: Duration) {
        self.wait_with_loss(side, time, |_, _| false);
    }

    /// The same; the datagrams that either side sends are numbered, and some are lost. The first argument is whether it
    /// is ours.
    pub(super) fn wait_with_loss(
        &mut self,
        side: &mut Side,
        time: Duration,
        mut is_lost: impl FnMut(bool, usize) -> bool,
    ) {
        let end = self.now + time;
        let mut count = 0;
        while self.now < end {
            self.now = self.now + Duration::from_millis(100);
            side.peer.expire(self.now);
            let instant = self.instant();
            self.association.handle_timeout(instant);
            self.exchange(side, |is_ours, _| {
                count += 1;
                is_lost(is_ours, count)
            });
        }
    }

    fn exchange(&mut self, side: &mut Side, mut is_lost: impl FnMut(bool, usize) -> bool) {
        let mut count = 0;
        loop {
            let sent = self.datagrams();
            let mut got = 0;
            for mut datagram in sent.iter().cloned() {
                count += 1;
                if !is_lost(false, count) {
                    let _ = self.give(side, &mut datagram);
                }
            }
            while let Some((to, datagram)) = side.peer.poll_transmit() {
                assert_eq!(to, at(HERE));
                got += 1;
                count += 1;
                self.note(&datagram);
                if !is_lost(true, count) {
                    self.take(&datagram);
                }
            }
            if sent.len() + got == 0 {
                break;
            }
        }
    }

    /// Records with what it has to say.
    pub(super) fn datagrams(&mut self) -> Vec<Vec<u8>> {
        let instant = self.instant();
        let mut packets = Vec::new();
        while let Some(transmit) = self.association.poll_transmit(instant) {
            if let Payload::RawEncode(more) = transmit.message {
                packets.extend(more);
            }
        }
        packets.iter().map(|packet| self.far.record(self.now, packet)).collect()
    }

    /// A datagram for the peer.
    pub(super) fn give(&mut self, side: &mut Side, datagram: &mut [u8]) -> Received {
        let received = side.peer.receive(self.now, at(HERE), datagram);
        self.was_closed |= received == Received::Closed;
        while let Some(message) = side.peer.poll_data(self.now) {
            self.polled.push(message);
        }
        received
    }

    fn note(&mut self, datagram: &[u8]) {
        if let [21 | 23, _, _, 0, 1, number @ ..] = datagram {
            let number = [&[0, 0], &number[..6]].concat();
            self.numbers.push(u64::from_be_bytes(number.try_into().unwrap()));
        }
    }

    /// A datagram from the peer.
    pub(super) fn take(&mut self, datagram: &[u8]) {
        self.far.take(self.now, datagram);
        while let Some(packet) = self.far.application.pop_front() {
            let instant = self.instant();
            match self.endpoint.handle(instant, at(THERE), None, packet) {
                Some((handle, DatagramEvent::NewAssociation(association))) => {
                    // As RFC 9260, 5.2.2, has it: the streams are what they were.
                    (self.handle, self.association) = (handle, association);
                    self.restarts += 1;
                    for (id, is_lossy) in self.channels.clone() {
                        self.association.open_stream(id, Ppid::Binary).unwrap();
                        self.reliability(id, is_lossy);
                    }
                }
                Some((handle, DatagramEvent::AssociationEvent(event))) if handle == self.handle => {
                    self.association.handle_event(event);
                }
                _ => {}
            }
            self.read();
        }
    }

    fn read(&mut self) {
        while let Some(event) = self.association.poll() {
            self.lost += usize::from(matches!(event, Event::AssociationLost { .. }));
        }
        while self.association.accept_stream().is_some() {}
        for id in self.association.stream_ids() {
            while let Some(chunks) = self.association.stream(id).ok().and_then(|mut it| it.read_sctp().ok()).flatten() {
                let (ppid, message) = (chunks.ppi, chunks.to_payload(1 << 20).unwrap().to_vec());
                if ppid != Ppid::Dcep {
                    self.received.push((id, ppid, message));
                    continue;
                }
                match Message::unmarshal(&mut &message[..]).unwrap() {
                    Message::DataChannelAck(_) => self.acknowledged.push(id),
                    Message::DataChannelOpen(open) => {
                        let is_lossy = open.channel_type != ChannelType::Reliable;
                        self.opened.push((id, open));
                        if !self.channels.contains(&(id, is_lossy)) {
                            self.channels.push((id, is_lossy));
                        }
                        self.reliability(id, is_lossy);
                        self.write(id, Ppid::Dcep, &Message::DataChannelAck(DataChannelAck {}).marshal().unwrap());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// What came on a channel.
    pub(super) fn on(&self, id: u16) -> Vec<&[u8]> {
        self.received.iter().filter(|it| it.0 == id).map(|it| &it.2[..]).collect()
    }

    /// What came to the peer on a channel.
    pub(super) fn polled_on(&self, kind: DataChannel) -> Vec<&[u8]> {
        self.polled.iter().filter(|it| it.0 == kind).map(|it| &it.1[..]).collect()
    }
}
