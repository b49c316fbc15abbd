//! Who is connected how: for each participant its wire, which outlives its sockets.
//!
//! ```text
//!  machine ──signal(stamp)──▶ wire ── socket there? ── room in its queue? ──▶ socket
//!                               │ no: dropped, it      │ no: cut
//!                               │ will be told anew    ▼
//! ```
//!
//! # Invariants
//! * A wire has one socket at most; a new one takes the old one's place.
//! * What a stamp said once is not said again.
//! * Whoever comes back hears [`RoomSignal::Resumed`] first, whatever was said since he is there.

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use livekit_protocol::SignalResponse;
use tandem_core::id::{ConferenceId, ParticipantId};
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::room::sfu::{TransportId, TransportRole};
use tandem_core::room::signal::{RoomSignal, Topology};
use tokio::sync::{Notify, mpsc};

use wire::{Awaits, Socket};
pub(crate) use wire::{Owner, Wire};

/// What goes to a socket.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A signal of its participant.
    Signal(RoomSignal),
    /// An answer of the edge itself.
    Response(Box<SignalResponse>),
}

/// One socket's side of its wire.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) participant: ParticipantId,
    /// Tells it from other sockets of the participant.
    pub(crate) socket: u64,
    /// Ends when the wire has another socket, or is released.
    pub(crate) queue: mpsc::Receiver<Outgoing>,
    /// Says that it has to end at once.
    pub(crate) cut: Arc<Notify>,
}

/// All wires.
pub(crate) struct Wires {
    all: DashMap<ParticipantId, Wire>,
    sockets: AtomicU64,
    /// Signals that may wait for a socket.
    depth: usize,
}

impl Wires {
    pub(crate) fn new(depth: usize) -> Self {
        Self { all: DashMap::new(), sockets: AtomicU64::new(0), depth: depth.max(16) }
    }

    /// Files somebody new, with his socket.
    pub(crate) fn open(&self, participant: ParticipantId, owner: Owner, topology: Topology) -> Line {
        let (line, socket) = self.line(participant, Awaits::Nothing);
        self.all.insert(participant, Wire::new(owner, topology, socket));
        line
    }

    /// Gives somebody who is here another socket. `None`: he is not, or is not who he says.
    pub(crate) fn reopen(&self, participant: ParticipantId, owner: &Owner) -> Option<Line> {
        let (line, socket) = self.line(participant, Awaits::Resumed);
        let mut wire = self.all.get_mut(&participant).filter(|wire| wire.owner == *owner)?;
        wire.attach(socket);
        Some(line)
    }

    fn line(&self, participant: ParticipantId, awaits: Awaits) -> (Line, Socket) {
        let (sender, queue) = mpsc::channel(self.depth);
        let id = self.sockets.fetch_add(1, Ordering::Relaxed);
        let cut = Arc::new(Notify::new());
        (Line { participant, socket: id, queue, cut: cut.clone() }, Socket { id, queue: sender, cut, awaits })
    }

    /// Says something, unless it was said.
    pub(crate) fn signal(&self, stamp: Stamp<ParticipantId>, signal: RoomSignal) -> Result<(), Refusal> {
        match self.all.get_mut(&stamp.from) {
            Some(mut wire) => wire.signal(stamp.number, signal),
            None => Ok(()),
        }
    }

    /// An answer of the edge itself. Whether there was room for it on that socket.
    pub(crate) fn respond(&self, line: (ParticipantId, u64), response: SignalResponse) -> bool {
        let (participant, socket) = line;
        let Some(wire) = self.all.get(&participant) else { return false };
        let socket = wire.socket.as_ref().filter(|it| it.id == socket);
        socket.is_some_and(|it| it.queue.try_send(Outgoing::Response(Box::new(response))).is_ok())
    }

    /// Says that a socket is gone. Whether it was the participant's.
    pub(crate) fn close(&self, participant: ParticipantId, socket: u64) -> bool {
        let Some(mut wire) = self.all.get_mut(&participant) else { return false };
        let is_his = wire.last_socket == socket;
        if is_his {
            wire.detach();
        }
        is_his
    }

    /// Forgets somebody. What waits for his socket still goes out.
    pub(crate) fn release(&self, participant: ParticipantId) {
        self.all.remove(&participant);
    }

    /// Forgets somebody who was not let in.
    pub(crate) fn abandon(&self, line: &Line) {
        if let Entry::Occupied(wire) = self.all.entry(line.participant)
            && wire.get().last_socket == line.socket
        {
            wire.remove();
        }
    }

    /// The next number for a description of ours, with the connection's name.
    pub(crate) fn origin(&self, participant: ParticipantId) -> Option<tandem_sdp::Origin> {
        self.all.get_mut(&participant).map(|mut wire| wire.next_origin())
    }

    /// On which of his connections somebody receives.
    pub(crate) fn receiving(&self, participant: ParticipantId) -> Option<TransportId> {
        let role = match self.all.get(&participant)?.topology {
            Topology::Single => TransportRole::Publisher,
            Topology::Dual => TransportRole::Subscriber,
        };
        Some(TransportId { participant, role })
    }

    /// Files where somebody is, once it is known.
    pub(crate) fn place(&self, participant: ParticipantId, conference: ConferenceId) {
        if let Some(mut wire) = self.all.get_mut(&participant) {
            wire.conference = Some(conference);
        }
    }

    /// Where somebody is.
    pub(crate) fn conference(&self, participant: ParticipantId) -> Option<ConferenceId> {
        self.all.get(&participant)?.conference
    }
}

/// Closes its socket's side when it is dropped, and tells the participant: for a socket that ends in whatever way.
pub(crate) struct Place {
    pub(crate) wires: Arc<Wires>,
    pub(crate) rooms: Arc<dyn tandem_core::ports::RoomPort>,
    pub(crate) participant: ParticipantId,
    pub(crate) socket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.wires.close(self.participant, self.socket) {
            self.rooms.cut(self.participant);
        }
    }
}
