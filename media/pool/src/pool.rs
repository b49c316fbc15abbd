//! The pool as the control side sees it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;
use tandem_core::id::{LegId, TrackId};
use tandem_core::leg::LegInput;
use tandem_core::machine::Refusal;
use tandem_core::media::{LocalMedia, MediaCommand, MediaNews};
use tandem_core::metric::{Gauge, Metrics};
use tandem_core::ports::{CallPort, MediaPort};

use crate::black_box::BlackBox;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::directory::{Directory, Note};
use crate::pair::Pair;
use crate::ports::Ports;
use crate::seat::Seat;
use crate::worker::Worker;

/// See the crate. Shared as an `Arc`; the threads are brought by whoever supervises them.
pub struct Pool {
    pub(crate) config: Config,
    pub(crate) calls: Arc<dyn CallPort>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) seats: Vec<Seat>,
    ports: Ports,
    pub(crate) directory: Mutex<Directory>,
    serial: AtomicUsize,
    is_stopped: AtomicBool,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("workers", &self.seats.len()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool without threads: [`work`](Self::work) wants one for each of [`workers`](Self::workers). `calls` hears
    /// what legs have to say.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: Config, calls: Arc<dyn CallPort>, metrics: Arc<Metrics>) -> Result<Self, ConfigError> {
        config.check()?;
        let workers = config.worker_count();
        Ok(Self {
            calls,
            metrics,
            clock: Clock::start(),
            seats: (0..workers).map(|_| Seat::new(config.queue)).collect(),
            ports: Ports::new(&config),
            directory: Mutex::new(Directory::new(workers)),
            serial: AtomicUsize::new(1),
            is_stopped: AtomicBool::new(false),
            config,
        })
    }

    /// How many threads are wanted.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.seats.len()
    }

    /// Carries the legs of one worker until the pool is stopped, on the thread that calls it. Unwinds when something
    /// breaks that is no leg's fault alone; call it again then, on a new thread, and it goes on with the same sockets.
    /// A thread that still works for this worker, hung perhaps, is over from then on, and may wake to do no harm.
    ///
    /// # Errors
    /// The system has no epoll or no eventfd left. Try again later.
    pub fn work(&self, worker: usize) -> io::Result<()> {
        let Some(seat) = self.seats.get(worker) else { return Ok(()) };
        Worker::start(self, seat, worker)?.run()
    }

    /// Ends all workers: every [`work`](Self::work) returns within half a second.
    pub fn stop(&self) {
        self.is_stopped.store(true, SeqCst);
        self.seats.iter().for_each(Seat::wake);
    }

    /// Rises at least twice a second while the worker lives: for a watchdog. `None`: there is no such worker.
    #[must_use]
    pub fn turns(&self, worker: usize) -> Option<u64> {
        self.seats.get(worker).map(Seat::turns)
    }

    /// The worker broke too often. Its legs hear [`MediaNews::Broken`], and no other is put there.
    pub fn give_up(&self, worker: usize) {
        let lost = self.directory.lock().close_worker(worker);
        for lost in lost {
            lost.end();
            // Whom nobody can tell now ends by his own timers: there is no worker to try again.
            let _ = self.calls.tell_leg(lost.leg, LegInput::Media(MediaNews::Broken));
        }
    }

    /// For drills: the worker panics at its next turn.
    pub fn break_worker(&self, worker: usize) {
        if let Some(seat) = self.seats.get(worker) {
            seat.ask_to_break();
        }
    }

    /// For drills: the leg's next packet panics.
    pub fn break_leg(&self, leg: LegId) {
        if let Some(found) = self.directory.lock().find(leg) {
            found.make_fragile();
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(SeqCst)
    }

    fn local(&self, pair: &Pair) -> LocalMedia {
        let at = |port| SocketAddr::new(self.config.announced(), port);
        LocalMedia { rtp: at(pair.port()), rtcp: at(pair.port() + 1) }
    }

    /// Files the wish, and says who must look at it.
    fn plan(&self, owner: LegId, command: MediaCommand) -> Result<Vec<Note>, Refusal> {
        let mut directory = self.directory.lock();
        let found = directory.find(owner).filter(|found| !found.is_over()).cloned().ok_or(Refusal::Gone)?;
        if subject(&command) != TrackId::audio_of(owner) {
            return Err(Refusal::Gone);
        }
        let must_place = matches!(command, MediaCommand::Attach { .. } | MediaCommand::Bridge { .. });
        if let MediaCommand::Bridge { to, .. } = &command {
            directory.link(owner, leg_of(*to));
        }
        found.wish(command);
        let mut notes = if must_place { directory.unite(owner) } else { Vec::new() };
        if let Some(home) = found.home().filter(|_| notes.iter().all(|(_, other)| other.leg != owner)) {
            notes.push((home, found));
        } else if must_place && found.is_attached() && notes.is_empty() {
            return Err(Refusal::Full);
        }
        Ok(notes)
    }
}

impl MediaPort for Pool {
    fn open(&self, leg: LegId) -> Result<LocalMedia, Refusal> {
        {
            let directory = self.directory.lock();
            if let Some(found) = directory.find(leg) {
                return Ok(self.local(&found.pair));
            }
            if !directory.has_worker() {
                return Err(Refusal::Full);
            }
        }
        // Sockets are bound outside the lock.
        let pair = self.ports.take(self.clock.mono()).ok_or(Refusal::Full)?;
        let new = Arc::new(BlackBox::new(leg, self.serial.fetch_add(1, SeqCst), pair));
        let filed = self.directory.lock().file(new.clone());
        if Arc::ptr_eq(&filed, &new) {
            self.metrics.shift(Gauge::MediaPortsUsed, 1);
        } else {
            self.ports.give_back(self.clock.mono(), new.pair.clone());
        }
        Ok(self.local(&filed.pair))
    }

    fn command(&self, owner: LegId, command: MediaCommand) -> Result<(), Refusal> {
        let mut outcome = Ok(());
        for (worker, changed) in self.plan(owner, command)? {
            let Some(seat) = self.seats.get(worker) else { continue };
            // Legs that move along must not be lost because the one that was asked for is refused.
            if changed.leg == owner && changed.home() == Some(worker) {
                outcome = seat.note(changed);
            } else {
                seat.note_or_review(changed);
            }
        }
        outcome
    }

    fn release(&self, leg: LegId) {
        let Some(gone) = self.directory.lock().remove(leg) else { return };
        gone.end();
        self.metrics.shift(Gauge::MediaPortsUsed, -1);
        if let Some(seat) = gone.home().and_then(|home| self.seats.get(home)) {
            seat.note_or_review(gone.clone());
        }
        self.ports.give_back(self.clock.mono(), gone.pair.clone());
    }
}

/// The track that a command is about.
fn subject(command: &MediaCommand) -> TrackId {
    match command {
        MediaCommand::Attach { track, .. } | MediaCommand::Bridge { track, .. } | MediaCommand::Detach { track } => {
            *track
        }
        MediaCommand::Watch { leg } => TrackId::audio_of(*leg),
    }
}

/// The leg of an audio track: the inverse of [`TrackId::audio_of`].
fn leg_of(track: TrackId) -> LegId {
    LegId::from_uuid(track.uuid())
}
