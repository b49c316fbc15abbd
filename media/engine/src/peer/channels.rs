//! Data channels of one association: which stream is which, and how they are opened in band (RFC 8832).
//!
//! # Invariants
//! * There are never more than [`LIMIT`]; a stream belongs to one channel at most.
//! * A channel is sent on once the far end is known to have it.

use bytes::{Bytes, BytesMut};
use rtc_datachannel::data_channel::DataChannel as Rtc;
use rtc_datachannel::message::Message;
use rtc_datachannel::message::message_channel_ack::DataChannelAck;
use rtc_datachannel::message::message_channel_open::{CHANNEL_PRIORITY_NORMAL, ChannelType, DataChannelOpen};
use rtc_sctp::ReliabilityType;
use rtc_shared::marshal::{Marshal, Unmarshal};
use tandem_core::room::sfu::DataChannel;

/// Channels that a far end may have. A client of a room has three.
pub(super) const LIMIT: usize = 16;

/// Our channels with the ids of their streams: a DTLS server has the odd ones (RFC 8832, 6).
const OURS: [(DataChannel, u16); 3] = [(DataChannel::Reliable, 1), (DataChannel::Lossy, 3), (DataChannel::Tracks, 5)];

/// Message types (RFC 8832, 8.2.1).
const ACK: u8 = 2;
const OPEN: u8 = 3;

/// One channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Channel {
    /// Of its stream, in both directions.
    pub(super) id: u16,
    /// `None`: it has a label that means nothing here, and what comes on it is dropped.
    pub(super) kind: Option<DataChannel>,
    /// How lasting and in what order messages are.
    how: ChannelType,
    /// Repetitions, or milliseconds, as `how` wants it.
    limit: u32,
    /// The far end opened it, or took note that we did.
    pub(super) is_open: bool,
}

impl Channel {
    /// What the library wants to know of its stream: whether order is none, and how much is repeated.
    pub(super) fn reliability(&self) -> (bool, ReliabilityType, u32) {
        let (is_unordered, kind) = Rtc::get_reliability_params(self.how);
        (is_unordered, kind, self.limit)
    }

    /// The message that opens it. `None`: it cannot be written.
    pub(super) fn opening(&self) -> Option<Bytes> {
        let open = DataChannelOpen {
            channel_type: self.how,
            priority: CHANNEL_PRIORITY_NORMAL,
            reliability_parameter: self.limit,
            label: self.kind.map_or("", label_of).into(),
            protocol: Vec::new(),
        };
        Message::DataChannelOpen(open).marshal().ok().map(BytesMut::freeze)
    }
}

/// A message about channels.
#[derive(Debug)]
pub(super) enum Control {
    /// The far end opens this one.
    Open(Channel),
    /// The far end took note of one of ours.
    Acknowledged,
}

impl Control {
    /// Reads a message that came on a stream. `None`: it is none.
    pub(super) fn read(id: u16, mut message: &[u8]) -> Option<Self> {
        // The library has messages of its own under other numbers, and reads them unchecked.
        if !matches!(message.first(), Some(&(ACK | OPEN))) {
            return None;
        }
        match Message::unmarshal(&mut message).ok()? {
            Message::DataChannelOpen(open) => Some(Self::Open(Channel {
                id,
                kind: kind_of(&open.label),
                how: open.channel_type,
                limit: open.reliability_parameter,
                is_open: true,
            })),
            Message::DataChannelAck(_) => Some(Self::Acknowledged),
            _ => None,
        }
    }

    /// What tells the far end that its channel is taken note of. `None`: it cannot be written.
    pub(super) fn acknowledgement() -> Option<Bytes> {
        Message::DataChannelAck(DataChannelAck {}).marshal().ok().map(BytesMut::freeze)
    }
}

/// All channels of a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Channels(Vec<Channel>);

impl Channels {
    /// The three that we open.
    pub(super) fn ours() -> Self {
        let lossy = ChannelType::PartialReliableRexmitUnordered;
        let channel = |(kind, id)| {
            let how = if kind == DataChannel::Reliable { ChannelType::Reliable } else { lossy };
            Channel { id, kind: Some(kind), how, limit: 0, is_open: false }
        };
        Self(OURS.map(channel).into())
    }

    /// Takes one in, in the place of what was on its stream. `false`: there are too many.
    pub(super) fn add(&mut self, channel: Channel) -> bool {
        self.remove(channel.id);
        let has_room = self.0.len() < LIMIT;
        if has_room {
            self.0.push(channel);
        }
        has_room
    }

    /// `true`: there was one on that stream.
    pub(super) fn remove(&mut self, id: u16) -> bool {
        let before = self.0.len();
        self.0.retain(|channel| channel.id != id);
        self.0.len() < before
    }

    /// Notes that the far end has it. `true`: that is new.
    pub(super) fn open(&mut self, id: u16) -> bool {
        let waits = self.0.iter_mut().find(|channel| channel.id == id && !channel.is_open);
        waits.map(|channel| channel.is_open = true).is_some()
    }

    /// The channel on a stream.
    pub(super) fn on(&self, id: u16) -> Option<&Channel> {
        self.0.iter().find(|channel| channel.id == id)
    }

    /// The one to send on.
    pub(super) fn find(&self, kind: DataChannel) -> Option<&Channel> {
        self.0.iter().find(|channel| channel.kind == Some(kind) && channel.is_open)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

const fn label_of(kind: DataChannel) -> &'static str {
    match kind {
        DataChannel::Reliable => "_reliable",
        DataChannel::Lossy => "_lossy",
        DataChannel::Tracks => "_data_track",
    }
}

fn kind_of(label: &[u8]) -> Option<DataChannel> {
    OURS.map(|(kind, _)| kind).into_iter().find(|kind| label_of(*kind).as_bytes() == label)
}
