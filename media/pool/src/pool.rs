//! The pool as the control side sees it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;
use tandem_core::id::{CallId, LegId, TrackId};
use tandem_core::leg::LegInput;
use tandem_core::machine::Refusal;
use tandem_core::media::{Carrier, LocalMedia, MediaCommand, MediaNews, PeerDescription};
use tandem_core::metric::{Fill, Gauge, Metrics, Queue, Queues};
use tandem_core::pii::Pii;
use tandem_core::ports::{CallPort, DataPort, MediaPort, SfuListener};
use tandem_core::quality::MediaReport;
use tandem_core::trace::{TracePort, Untraced};
use tandem_engine::peer::{Identity, Kept, PeerError};

use crate::black_box::{BlackBox, Carriage};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::directory::{Directory, Note};
use crate::ports::Ports;
use crate::rooms::Nobody;
use crate::seat::Seat;
use crate::shared_port::SharedPort;
use crate::worker::{UNTOLD, Worker};

/// Of a user name fragment, by which a peer is found: 72 random bits are nobody else's.
pub(crate) const UFRAG_LEN: usize = 12;

/// Of a password: 144 random bits (RFC 8445, 5.3 wants 128).
pub(crate) const PASSWORD_LEN: usize = 24;

/// What both are made of (RFC 8839, 5.4).
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// See the crate. Shared as an `Arc`; the threads are brought by whoever supervises them.
pub struct Pool {
    pub(crate) config: Config,
    pub(crate) calls: Arc<dyn CallPort>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trace: Arc<dyn TracePort>,
    pub(crate) listener: Arc<dyn SfuListener>,
    pub(crate) data: Arc<dyn DataPort>,
    pub(crate) clock: Clock,
    pub(crate) seats: Vec<Seat>,
    /// One per worker.
    pub(crate) shared_ports: Vec<SharedPort>,
    pub(crate) identity: Arc<Identity>,
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

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is wrong with the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Somebody else has the port, or the address is not ours.
    #[error("media.first_peer_port: cannot bind UDP {address}")]
    Port {
        /// Which one.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is no certificate for WebRTC.
    #[error(transparent)]
    Identity(#[from] PeerError),
}

impl Pool {
    /// A pool without threads: [`work`](Self::work) wants one for each of [`workers`](Self::workers). `calls` hears
    /// what legs have to say.
    ///
    /// # Errors
    /// What is wrong with the configuration, or the port that cannot be bound.
    pub fn new(config: Config, calls: Arc<dyn CallPort>, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        config.check()?;
        let workers = config.worker_count();
        let shared_ports = (0..workers).map(|worker| shared_port(&config, worker)).collect::<Result<_, _>>()?;
        Ok(Self {
            calls,
            metrics,
            trace: Arc::new(Untraced),
            listener: Arc::new(Nobody),
            data: Arc::new(Nobody),
            clock: Clock::start(),
            seats: (0..workers).map(|_| Seat::new(config.queue)).collect(),
            shared_ports,
            identity: Arc::new(Identity::generate()?),
            ports: Ports::new(&config),
            directory: Mutex::new(Directory::new(workers)),
            serial: AtomicUsize::new(1),
            is_stopped: AtomicBool::new(false),
            config,
        })
    }

    /// Notes there what becomes of the media of a call. Nowhere unless told.
    #[must_use]
    pub fn traced(self, trace: Arc<dyn TracePort>) -> Self {
        Self { trace, ..self }
    }

    /// Tells `listener` what becomes of rooms, and gives `data` what participants send. Nobody hears it unless told.
    #[must_use]
    pub fn with_rooms(self, listener: Arc<dyn SfuListener>, data: Arc<dyn DataPort>) -> Self {
        Self { listener, data, ..self }
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
        self.seats.get(worker).into_iter().for_each(Seat::vacate);
        let lost = self.directory.lock().close_worker(worker);
        for lost in lost {
            lost.end();
            // Whom nobody can tell now ends by his own timers: there is no worker to try again.
            let _ = self.calls.tell_leg(lost.leg, LegInput::Media(MediaNews::Broken));
        }
        self.lose_rooms(worker);
    }

    /// For drills: the worker panics at its next turn.
    pub fn break_worker(&self, worker: usize) {
        if let Some(seat) = self.seats.get(worker) {
            seat.ask_to_break();
        }
    }

    /// For drills: the worker hangs in its next turn, until another thread has its place; then it wakes.
    pub fn hang_worker(&self, worker: usize) {
        if let Some(seat) = self.seats.get(worker) {
            seat.ask_to_hang();
        }
    }

    /// How many threads the worker has had. `None`: there is no such worker.
    #[must_use]
    pub fn threads(&self, worker: usize) -> Option<u64> {
        self.seats.get(worker).map(Seat::threads)
    }

    /// How many changes of legs the worker has not looked at yet.
    #[must_use]
    pub fn waiting(&self, worker: usize) -> usize {
        self.seats.get(worker).map_or(0, Seat::waiting)
    }

    /// For drills: the worker hangs the same way over the leg's next packet.
    pub fn hang_leg(&self, leg: LegId) {
        if let Some(found) = self.directory.lock().find(leg) {
            found.ask_to_hang();
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(SeqCst)
    }

    /// Where a leg receives media.
    fn local(&self, found: &BlackBox) -> LocalMedia {
        let at = |port| SocketAddr::new(self.config.announced(), port);
        match &found.carriage {
            Carriage::Pair(pair) => LocalMedia::pair(at(pair.port()), at(pair.port() + 1)),
            Carriage::Peer(kept) => {
                let port = found.home().and_then(|home| self.shared_ports.get(home)).map_or(0, SharedPort::port);
                let peer = PeerDescription {
                    ufrag: kept.ufrag().to_owned(),
                    password: Pii::new(kept.password().to_owned()),
                    fingerprint: self.identity.fingerprint(),
                    ssrc: Some(found.kept.ssrc()),
                };
                LocalMedia { peer: Some(Arc::new(peer)), ..LocalMedia::pair(at(port), at(port)) }
            }
        }
    }

    fn black_box(&self, leg: LegId, carriage: Carriage) -> Arc<BlackBox> {
        Arc::new(BlackBox::new(leg, self.next_serial(), carriage))
    }

    pub(crate) fn next_serial(&self) -> usize {
        self.serial.fetch_add(1, SeqCst)
    }

    fn open_pair(&self, leg: LegId) -> Result<LocalMedia, Refusal> {
        // Sockets are bound outside the lock.
        let pair = self.ports.take(self.clock.mono()).ok_or(Refusal::Full)?;
        let new = self.black_box(leg, Carriage::Pair(pair.clone()));
        let filed = self.directory.lock().file(new.clone());
        if Arc::ptr_eq(&filed, &new) {
            self.metrics.shift(Gauge::MediaPortsUsed, 1);
        } else {
            self.ports.give_back(self.clock.mono(), pair);
        }
        Ok(self.local(&filed))
    }

    fn open_peer(&self, leg: LegId, call: CallId) -> Result<LocalMedia, Refusal> {
        let kept = Arc::new(Kept::new(random_text(UFRAG_LEN), random_text(PASSWORD_LEN)));
        let new = self.black_box(leg, Carriage::Peer(kept));
        let filed = self.directory.lock().file_peer(new.clone(), call, self.config.peers_per_worker)?;
        if Arc::ptr_eq(&filed, &new) {
            self.metrics.shift(Gauge::PeersActive, 1);
            // Its far end may send before anything is attached.
            let seat = filed.home().and_then(|home| self.seats.get(home)).ok_or(Refusal::Full)?;
            if let Err(stuck) = seat.note(new) {
                MediaPort::release(self, leg);
                return Err(stuck);
            }
        }
        Ok(self.local(&filed))
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

impl Queues for Pool {
    fn queues(&self) -> Vec<(Queue, Fill)> {
        let of_seat = |seat: &Seat| {
            let news = Fill { depth: seat.untold(), capacity: UNTOLD };
            [(Queue::MediaNotes, seat.notes()), (Queue::MediaNews, news)]
        };
        self.seats.iter().flat_map(of_seat).collect()
    }
}

impl MediaPort for Pool {
    fn open(&self, leg: LegId, carrier: Carrier) -> Result<LocalMedia, Refusal> {
        {
            let directory = self.directory.lock();
            if let Some(found) = directory.find(leg) {
                return Ok(self.local(found));
            }
            if !directory.has_worker() {
                return Err(Refusal::Full);
            }
        }
        match carrier {
            Carrier::Rtp => self.open_pair(leg),
            Carrier::Peer(call) => self.open_peer(leg, call),
        }
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
        let gauge = if gone.is_peer() { Gauge::PeersActive } else { Gauge::MediaPortsUsed };
        self.metrics.shift(gauge, -1);
        if let Some(seat) = gone.home().and_then(|home| self.seats.get(home)) {
            seat.note_or_review(gone.clone());
        }
        if let Some(pair) = gone.pair() {
            self.ports.give_back(self.clock.mono(), pair.clone());
        }
    }

    fn report(&self, leg: LegId) -> Option<MediaReport> {
        let found = self.directory.lock().find(leg)?.clone();
        found.kept.report()
    }
}

fn shared_port(config: &Config, worker: usize) -> Result<SharedPort, StartError> {
    let address = SocketAddr::new(config.address, config.peer_port(worker));
    SharedPort::bind(address.ip(), address.port()).map_err(|source| StartError::Port { address, source })
}

pub(crate) fn random_text(len: usize) -> String {
    let chars = (0..len).filter_map(|_| ICE_CHARS.get(usize::from(rand::random::<u8>() % 64)));
    chars.map(|char| char::from(*char)).collect()
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
