//! Messages on the data channels of rooms' connections: from and to whoever passes them on.

use bytes::Bytes;
use tandem_core::room::sfu::{DataChannel, SfuNews};
use tandem_core::time::Timestamp;

use super::Sfu;
use crate::peer::DataRefused;

impl Sfu {
    /// A place whose connection may have [messages](Self::poll_message).
    pub fn poll_talking(&mut self) -> Option<usize> {
        self.talking.pop_front()
    }

    /// The next message that came in at a place, until there is none.
    pub fn poll_message(&mut self, now: Timestamp, place: usize) -> Option<(DataChannel, Bytes)> {
        let message = self.transport(place)?.peer.poll_data(now);
        // What was polled makes room, which the far end is told.
        self.due.push_back(place);
        message
    }

    /// Sends a message to the connection at a place. `false`: it was dropped. Who does not take what is reliable is
    /// [`SfuNews::Broken`].
    pub fn send_message(&mut self, now: Timestamp, place: usize, channel: DataChannel, message: &Bytes) -> bool {
        let Some(transport) = self.transport(place) else { return false };
        let sent = transport.peer.send_data(now, channel, message);
        if sent == Err(DataRefused::Broken) {
            self.give_up(place);
        }
        self.due.push_back(place);
        sent.is_ok()
    }

    /// The far end said goodbye, or does what nobody should: its participant must know, once.
    pub(super) fn give_up(&mut self, place: usize) {
        let Some(transport) = self.transport(place) else { return };
        let (participant, role) = (transport.id.participant, transport.id.role);
        if !std::mem::replace(&mut transport.is_given_up, true) {
            self.news.push_back((participant, SfuNews::Broken(role)));
        }
    }
}
