//! The black box of one connection of a room: what there must be to go on after its worker is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use parking_lot::Mutex;
use tandem_core::id::{ConferenceId, TrackId};
use tandem_core::media::PeerDescription;
use tandem_core::room::sfu::{Extensions, ReceiveSpec, SendSpec, TransportId, Wish};
use tandem_engine::peer::Kept;
use tandem_engine::sfu::{Bindings, Forwarded};

/// Streams whose numbers are remembered when they are sent no longer.
const REMEMBERED: usize = 16_384;

/// See the module.
#[derive(Debug)]
pub(crate) struct RoomBox {
    pub(crate) id: TransportId,
    pub(crate) conference: ConferenceId,
    /// Names it where only a number fits. Never 0, and no leg's.
    pub(crate) serial: usize,
    /// The worker that carries it, for good: its port cannot be exchanged.
    pub(crate) home: usize,
    pub(crate) kept: Arc<Kept>,
    pub(crate) bindings: Arc<Bindings>,
    wishes: Mutex<Wishes>,
    is_over: AtomicBool,
    /// It broke, and its participant does not know yet.
    is_untold: AtomicBool,
    /// It waits to be looked at already.
    is_noted: AtomicBool,
}

/// What the control side wants of it.
#[derive(Debug, Default)]
struct Wishes {
    remote: Option<(Arc<PeerDescription>, Extensions)>,
    taken: HashMap<TrackId, (Arc<ReceiveSpec>, bool)>,
    sent: HashMap<TrackId, (Arc<SendSpec>, Wish)>,
    /// By SSRC: whatever is sent under it goes on from there.
    forwarded: HashMap<u32, Arc<Forwarded>>,
    changed: Vec<Changed>,
}

/// What of it changed since it was looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Changed {
    Remote,
    Taken(TrackId),
    Sent(TrackId),
}

/// One thing that the engine must be told.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Connect(Arc<PeerDescription>, Extensions),
    TakeIn(TrackId, Arc<ReceiveSpec>, bool),
    LeaveOut(TrackId),
    Send(TrackId, Arc<SendSpec>, Wish, Arc<Forwarded>),
    StopSending(TrackId),
}

impl RoomBox {
    pub(crate) fn new(id: TransportId, conference: ConferenceId, serial: usize, home: usize, kept: Kept) -> Self {
        Self {
            id,
            conference,
            serial,
            home,
            kept: Arc::new(kept),
            bindings: Arc::default(),
            wishes: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_untold: AtomicBool::new(false),
            is_noted: AtomicBool::new(false),
        }
    }

    pub(crate) fn connect(&self, remote: Arc<PeerDescription>, extensions: Extensions) {
        let mut wishes = self.wishes.lock();
        wishes.remote = Some((remote, extensions));
        wishes.note(Changed::Remote);
    }

    pub(crate) fn take_in(&self, track: TrackId, spec: Arc<ReceiveSpec>) {
        let mut wishes = self.wishes.lock();
        let is_muted = wishes.taken.get(&track).is_some_and(|(_, is_muted)| *is_muted);
        wishes.taken.insert(track, (spec, is_muted));
        wishes.note(Changed::Taken(track));
    }

    pub(crate) fn mute(&self, track: TrackId, mute: bool) {
        let mut wishes = self.wishes.lock();
        if let Some((_, is_muted)) = wishes.taken.get_mut(&track) {
            *is_muted = mute;
            wishes.note(Changed::Taken(track));
        }
    }

    pub(crate) fn leave_out(&self, track: TrackId) {
        let mut wishes = self.wishes.lock();
        wishes.taken.remove(&track);
        wishes.note(Changed::Taken(track));
    }

    pub(crate) fn send(&self, track: TrackId, spec: Arc<SendSpec>, wish: Wish) {
        let mut wishes = self.wishes.lock();
        if wishes.forwarded.len() < REMEMBERED {
            wishes.forwarded.entry(spec.ssrc).or_default();
        }
        wishes.sent.insert(track, (spec, wish));
        wishes.note(Changed::Sent(track));
    }

    pub(crate) fn stop_sending(&self, track: TrackId) {
        let mut wishes = self.wishes.lock();
        wishes.sent.remove(&track);
        wishes.note(Changed::Sent(track));
    }

    /// What the engine must be told since the last time.
    pub(crate) fn take_orders(&self) -> Vec<Order> {
        self.is_noted.store(false, SeqCst);
        let mut wishes = self.wishes.lock();
        let changed = std::mem::take(&mut wishes.changed);
        changed.into_iter().filter_map(|changed| wishes.order(changed)).collect()
    }

    /// All that a new engine must be told.
    pub(crate) fn all_orders(&self) -> Vec<Order> {
        self.is_noted.store(false, SeqCst);
        let mut wishes = self.wishes.lock();
        wishes.changed.clear();
        let taken = wishes.taken.keys().map(|track| Changed::Taken(*track));
        let sent = wishes.sent.keys().map(|track| Changed::Sent(*track));
        let all = std::iter::once(Changed::Remote).chain(taken).chain(sent);
        all.filter_map(|changed| wishes.order(changed)).collect()
    }

    /// Tracks that come in on it.
    pub(crate) fn taken(&self) -> Vec<TrackId> {
        self.wishes.lock().taken.keys().copied().collect()
    }

    /// Gives whether it must be put into the queue: it is not there.
    pub(crate) fn note(&self) -> bool {
        !self.is_noted.swap(true, SeqCst)
    }

    /// It did not get into the queue.
    pub(crate) fn unnote(&self) {
        self.is_noted.store(false, SeqCst);
    }

    /// Released, or broken: no worker touches it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    /// It broke: nobody touches it any more, and its participant must hear of it.
    pub(crate) fn break_off(&self) {
        self.is_untold.store(true, SeqCst);
        self.end();
    }

    /// Whether its participant must still hear that it broke.
    pub(crate) fn is_untold(&self) -> bool {
        self.is_untold.load(SeqCst)
    }

    pub(crate) fn told(&self) {
        self.is_untold.store(false, SeqCst);
    }
}

impl Wishes {
    fn note(&mut self, changed: Changed) {
        if !self.changed.contains(&changed) {
            self.changed.push(changed);
        }
    }

    fn order(&self, changed: Changed) -> Option<Order> {
        Some(match changed {
            Changed::Remote => {
                let (remote, extensions) = self.remote.clone()?;
                Order::Connect(remote, extensions)
            }
            Changed::Taken(track) => match self.taken.get(&track) {
                Some((spec, is_muted)) => Order::TakeIn(track, spec.clone(), *is_muted),
                None => Order::LeaveOut(track),
            },
            Changed::Sent(track) => match self.sent.get(&track) {
                Some((spec, wish)) => Order::Send(track, spec.clone(), *wish, self.forwarded.get(&spec.ssrc)?.clone()),
                None => Order::StopSending(track),
            },
        })
    }
}
