//! One open event stream, from the side of those who fill it.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use tandem_core::metric::{Fill, Gauge};
use tokio::sync::{mpsc, oneshot};

use super::{Clients, UserKey};

/// How many frames may wait for a reader.
pub(super) const BEHIND: usize = 64;

/// Why we close a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// Its reader is more than [`BEHIND`] frames behind.
    TooSlow,
    /// Its user opened too many others since.
    TooMany,
    /// The node ends.
    Shutdown,
}

/// Where a stream is filled.
pub(super) struct Stream {
    pub(super) id: u64,
    frames: mpsc::Sender<Utf8Bytes>,
    cut: oneshot::Sender<Cut>,
}

/// Where a stream is emptied.
pub(crate) struct Feed {
    /// What comes first: a snapshot, or what was missed.
    pub(crate) backlog: Vec<Utf8Bytes>,
    /// What comes then.
    pub(crate) frames: mpsc::Receiver<Utf8Bytes>,
    /// Says when it is to end.
    pub(crate) cut: oneshot::Receiver<Cut>,
    /// Kept for as long as the stream is open.
    pub(crate) place: Place,
}

/// A place among the open streams.
pub(crate) struct Place {
    clients: Arc<Clients>,
    user: UserKey,
    id: u64,
}

impl Stream {
    pub(super) fn open(clients: &Arc<Clients>, user: &UserKey, id: u64, backlog: Vec<Utf8Bytes>) -> (Self, Feed) {
        clients.metrics.shift(Gauge::ClientsConnected, 1);
        let (frames, emptied) = mpsc::channel(BEHIND);
        let (cut, told) = oneshot::channel();
        let place = Place { clients: clients.clone(), user: user.clone(), id };
        (Self { id, frames, cut }, Feed { backlog, frames: emptied, cut: told, place })
    }

    /// Whether there was room.
    pub(super) fn push(&self, frame: &Utf8Bytes) -> bool {
        !matches!(self.frames.try_send(frame.clone()), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Frames that wait for the reader.
    pub(super) fn waiting(&self) -> Fill {
        Fill { depth: BEHIND - self.frames.capacity().min(BEHIND), capacity: BEHIND }
    }

    pub(super) fn cut(self, why: Cut) {
        let _gone = self.cut.send(why);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.left(&self.user, self.id);
        self.clients.metrics.shift(Gauge::ClientsConnected, -1);
    }
}

impl Cut {
    /// Code and reason of the close frame.
    pub(crate) const fn close(self) -> (u16, &'static str) {
        match self {
            Self::TooSlow => (4008, "too slow"),
            Self::TooMany => (4009, "too many"),
            Self::Shutdown => (1001, "shutdown"),
        }
    }
}
