//! The black box of one leg: what there must be to go on after its worker is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;
use tandem_core::id::{LegId, TrackId};
use tandem_core::media::{MediaCommand, TrackSpec};
use tandem_engine::Continuity;
use tandem_engine::peer::Kept;

use crate::pair::Pair;

/// The home of a leg that no worker carries.
const NOWHERE: usize = usize::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct BlackBox {
    pub(crate) leg: LegId,
    /// Names it where only a number fits. Never 0.
    pub(crate) serial: usize,
    pub(crate) carriage: Carriage,
    /// Written by the worker, per packet, without a lock.
    pub(crate) kept: Arc<Continuity>,
    wish: Mutex<Wish>,
    home: AtomicUsize,
    is_over: AtomicBool,
    /// It broke, and its leg does not know yet.
    is_untold: AtomicBool,
    must_hang: AtomicBool,
}

/// What its packets travel by.
#[derive(Debug)]
pub(crate) enum Carriage {
    /// Sockets of its own.
    Pair(Arc<Pair>),
    /// A WebRTC peer on its worker's port: what that one must not lose.
    Peer(Arc<Kept>),
}

/// What the control side wants of it.
#[derive(Clone, Debug, Default)]
struct Wish {
    spec: Option<TrackSpec>,
    bridge: Option<TrackId>,
    is_watched: bool,
}

impl BlackBox {
    pub(crate) fn new(leg: LegId, serial: usize, carriage: Carriage) -> Self {
        // Random from the start, as RFC 3550, 5.1 wants them; the sequence in its lower half, for a far end that missed the
        // first packets must not miss a rollover with them (RFC 3711, 3.3.1).
        let kept = Continuity::new(rand::random(), rand::random::<u16>() >> 1, rand::random());
        Self {
            leg,
            serial,
            carriage,
            kept: Arc::new(kept),
            wish: Mutex::default(),
            home: AtomicUsize::new(NOWHERE),
            is_over: AtomicBool::new(false),
            is_untold: AtomicBool::new(false),
            must_hang: AtomicBool::new(false),
        }
    }

    /// Takes note of a command.
    pub(crate) fn wish(&self, command: MediaCommand) {
        let mut wish = self.wish.lock();
        match command {
            MediaCommand::Attach { spec, .. } => wish.spec = Some(spec),
            MediaCommand::Bridge { to, .. } => wish.bridge = Some(to),
            MediaCommand::Detach { .. } => (wish.spec, wish.bridge) = (None, None),
            MediaCommand::Watch { .. } => wish.is_watched = true,
        }
    }

    /// All that an engine must be told, in order.
    pub(crate) fn commands(&self) -> [Option<MediaCommand>; 3] {
        let Wish { spec, bridge, is_watched } = self.wish.lock().clone();
        let track = TrackId::audio_of(self.leg);
        [
            Some(spec.map_or(MediaCommand::Detach { track }, |spec| MediaCommand::Attach { track, spec })),
            bridge.map(|to| MediaCommand::Bridge { track, to }),
            is_watched.then_some(MediaCommand::Watch { leg: self.leg }),
        ]
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.wish.lock().spec.is_some()
    }

    pub(crate) fn is_peer(&self) -> bool {
        matches!(self.carriage, Carriage::Peer(_))
    }

    /// Its own sockets.
    pub(crate) fn pair(&self) -> Option<&Arc<Pair>> {
        match &self.carriage {
            Carriage::Pair(pair) => Some(pair),
            Carriage::Peer(_) => None,
        }
    }

    /// Whether another worker may get it: it has something to carry, and sockets that can be taken along.
    pub(crate) fn may_move(&self) -> bool {
        !self.is_peer() && self.is_attached()
    }

    /// The worker that carries it.
    pub(crate) fn home(&self) -> Option<usize> {
        Some(self.home.load(SeqCst)).filter(|home| *home != NOWHERE)
    }

    pub(crate) fn move_to(&self, home: usize) {
        self.home.store(home, SeqCst);
    }

    /// Released, or broken: no worker touches it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    /// It broke: nobody touches it any more, and its leg must hear of it.
    pub(crate) fn break_off(&self) {
        self.is_untold.store(true, SeqCst);
        self.end();
    }

    /// Whether its leg must still hear that it broke.
    pub(crate) fn is_untold(&self) -> bool {
        self.is_untold.load(SeqCst)
    }

    pub(crate) fn told(&self) {
        self.is_untold.store(false, SeqCst);
    }

    /// For drills: its next packet hangs.
    pub(crate) fn ask_to_hang(&self) {
        self.must_hang.store(true, SeqCst);
    }

    pub(crate) fn must_hang(&self) -> bool {
        self.must_hang.load(std::sync::atomic::Ordering::Relaxed)
    }
}
