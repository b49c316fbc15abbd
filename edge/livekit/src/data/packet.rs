//! One message, as far as we look into it.

use bytes::{Bytes, BytesMut};
use livekit_protocol::DataPacket;
use livekit_protocol::data_packet::{Kind, Value};
use prost::Message;
use tandem_core::id::ParticipantId;
use tandem_core::room::RoomIdentity;
use tandem_core::room::sfu::DataChannel;

use crate::sid;

/// What it says of its way.
pub(super) struct Packet {
    /// To whom; empty: to all others.
    pub(super) to: Vec<String>,
    /// Of reliable ones; 0: none.
    pub(super) sequence: u32,
}

impl Packet {
    /// Reads a message. `None`: it is none, or goes nowhere. Frames of data tracks are not passed on yet.
    #[expect(deprecated, reason = "older clients address users by it")]
    pub(super) fn read(bytes: &[u8], channel: DataChannel) -> Option<Self> {
        if channel == DataChannel::Tracks {
            return None;
        }
        let packet = DataPacket::decode(bytes).ok()?;
        let to = match packet.value {
            Some(Value::User(user)) if packet.destination_identities.is_empty() => user.destination_identities,
            // Who speaks only we say.
            Some(Value::Speaker(_)) => return None,
            _ => packet.destination_identities,
        };
        Some(Self { to, sequence: packet.sequence })
    }
}

/// The message with its sender and kind, which are ours to say.
#[expect(deprecated, reason = "older clients look at it")]
pub(super) fn signed(bytes: &Bytes, from: ParticipantId, identity: &RoomIdentity, channel: DataChannel) -> Bytes {
    let kind = if channel == DataChannel::Reliable { Kind::Reliable } else { Kind::Lossy };
    let words = DataPacket {
        kind: kind.into(),
        participant_identity: identity.to_string(),
        participant_sid: sid::participant(from),
        ..DataPacket::default()
    };
    let mut out = BytesMut::with_capacity(bytes.len() + words.encoded_len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(&words.encode_to_vec());
    out.freeze()
}
