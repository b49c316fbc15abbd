//! One participant's wire.

use std::sync::Arc;

use tandem_core::id::{ConferenceId, Tenant};
use tandem_core::machine::Refusal;
use tandem_core::room::RoomIdentity;
use tandem_core::room::signal::{RoomSignal, Topology};
use tandem_sdp::Origin;
use tokio::sync::{Notify, mpsc};

use super::Outgoing;

/// Whose a wire is: only he comes back to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    pub(crate) tenant: Tenant,
    pub(crate) identity: RoomIdentity,
}

/// See the module above.
pub(crate) struct Wire {
    pub(super) owner: Owner,
    pub(super) topology: Topology,
    pub(super) conference: Option<ConferenceId>,
    pub(super) socket: Option<Socket>,
    /// The newest socket, even when it is closed.
    pub(super) last_socket: u64,
    /// The highest number that was said.
    said: Option<u64>,
    origin: Origin,
}

/// Where signals go.
pub(super) struct Socket {
    pub(super) id: u64,
    pub(super) queue: mpsc::Sender<Outgoing>,
    pub(super) cut: Arc<Notify>,
    pub(super) awaits: Awaits,
}

/// What a socket must hear before anything else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Awaits {
    Nothing,
    /// What its participant missed.
    Resumed,
}

impl Wire {
    pub(super) fn new(owner: Owner, topology: Topology, socket: Socket) -> Self {
        // Any number that fits what other ends take (RFC 3264, 5).
        let origin = Origin { id: rand::random::<u64>() >> 2, version: 0 };
        let last_socket = socket.id;
        Self { owner, topology, conference: None, socket: Some(socket), last_socket, said: None, origin }
    }

    /// A new socket, in the place of an old one.
    pub(super) fn attach(&mut self, socket: Socket) {
        self.last_socket = socket.id;
        if let Some(old) = self.socket.replace(socket) {
            old.cut.notify_one();
        }
    }

    /// The socket is closed, or has to be.
    pub(super) fn detach(&mut self) {
        if let Some(old) = self.socket.take() {
            old.cut.notify_one();
        }
    }

    pub(super) fn signal(&mut self, number: u64, signal: RoomSignal) -> Result<(), Refusal> {
        if self.said.is_some_and(|said| number <= said) {
            return Ok(());
        }
        self.said = Some(number);
        let Some(socket) = &mut self.socket else { return Ok(()) };
        let is_first = matches!(signal, RoomSignal::Resumed(_) | RoomSignal::Left { .. } | RoomSignal::Refused(_));
        if socket.awaits == Awaits::Resumed && !is_first {
            return Ok(());
        }
        socket.awaits = Awaits::Nothing;
        if let Err(mpsc::error::TrySendError::Full(_)) = socket.queue.try_send(Outgoing::Signal(signal)) {
            self.detach();
            return Err(Refusal::Full);
        }
        Ok(())
    }

    pub(super) const fn next_origin(&mut self) -> Origin {
        self.origin.version += 1;
        self.origin
    }
}
