//! A pool with threads that are brought back when they die, and a call side that remembers what it was told.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tandem_core::call::NewCall;
use tandem_core::cause::Cause;
use tandem_core::id::{CallId, ConferenceId, LegId, ParticipantId, TrackId};
use tandem_core::leg::LegInput;
use tandem_core::machine::Refusal;
use tandem_core::media::{Carrier, Codec, Direction, LocalMedia, MediaCommand, MediaDescription, MediaNews, TrackSpec};
use tandem_core::metric::Metrics;
use tandem_core::ports::{CallPort, DataPort, MediaPort};
use tandem_core::room::sfu::DataChannel;
use tandem_media::{Config, Pool};
use uuid::Uuid;

use crate::browser::Browser;
use crate::phone::Phone;
use crate::rooms::Listener;

pub(crate) fn leg(n: usize) -> LegId {
    LegId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

pub(crate) fn track(n: usize) -> TrackId {
    TrackId::audio_of(leg(n))
}

pub(crate) fn call(n: usize) -> CallId {
    CallId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

/// The call side.
#[derive(Default)]
pub(crate) struct Calls {
    news: Mutex<Vec<(LegId, MediaNews)>>,
    refusals: AtomicUsize,
}

impl Calls {
    pub(crate) fn news(&self) -> Vec<(LegId, MediaNews)> {
        self.news.lock().clone()
    }

    /// The next so many inputs find the inbox full.
    pub(crate) fn refuse_next(&self, count: usize) {
        self.refusals.store(count, SeqCst);
    }
}

impl CallPort for Calls {
    fn open_call(&self, _: NewCall) -> Result<(), Cause> {
        Err(Cause::Shutdown)
    }

    fn tell_leg(&self, leg: LegId, input: LegInput) -> Result<(), Refusal> {
        if self.refusals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Refusal::Full);
        }
        let LegInput::Media(news) = input else { panic!("{}", input.name()) };
        self.news.lock().push((leg, news));
        Ok(())
    }

    fn track_lost(&self, _: TrackId) -> Result<(), Refusal> {
        Err(Refusal::Gone)
    }
}

/// Who takes no data in.
struct Deaf;

impl DataPort for Deaf {
    fn received(&self, _: ConferenceId, _: ParticipantId, _: DataChannel, _: Bytes) -> Result<(), Refusal> {
        Err(Refusal::Full)
    }
}

/// See the module.
pub(crate) struct World {
    pub(crate) pool: Arc<Pool>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) metrics: Arc<Metrics>,
    threads: Vec<JoinHandle<()>>,
}

impl World {
    pub(crate) fn start(config: Config) -> Self {
        let mut world = Self::without_threads(config);
        world.threads = (0..world.pool.workers())
            .map(|worker| {
                let pool = world.pool.clone();
                std::thread::spawn(
                    move || {
                        while catch_unwind(AssertUnwindSafe(|| pool.work(worker).unwrap())).is_err() {}
                    },
                )
            })
            .collect();
        world
    }

    pub(crate) fn without_threads(config: Config) -> Self {
        let calls = Arc::new(Calls::default());
        let metrics = Arc::new(Metrics::default());
        let listener = Arc::new(Listener::default());
        let pool = Pool::new(config, calls.clone(), metrics.clone()).unwrap();
        let pool = Arc::new(pool.with_rooms(listener.clone(), Arc::new(Deaf)));
        Self { pool, calls, listener, metrics, threads: Vec::new() }
    }

    pub(crate) fn local(&self, n: usize) -> LocalMedia {
        self.pool.open(leg(n), Carrier::Rtp).unwrap()
    }

    pub(crate) fn phone(&self, n: usize) -> Phone {
        Phone::new(&self.local(n), n as u32 + 1)
    }

    /// A browser that was given our description, and has said nothing yet.
    pub(crate) fn browser(&self, n: usize, of: CallId) -> Browser {
        Browser::new(&self.pool.open(leg(n), Carrier::Peer(of)).unwrap(), n as u32 + 1)
    }

    /// Takes in a browser's description.
    pub(crate) fn attach_browser(&self, n: usize, of: CallId, browser: &Browser) {
        let local = MediaDescription::basic(&self.pool.open(leg(n), Carrier::Peer(of)).unwrap());
        let spec = TrackSpec { leg: leg(n), local: Arc::new(local), remote: Arc::new(browser.description()) };
        self.pool.command(leg(n), MediaCommand::Attach { track: track(n), spec }).unwrap();
    }

    pub(crate) fn spec(&self, n: usize, phone: &Phone, event: u8, direction: Direction) -> TrackSpec {
        let local = MediaDescription::basic(&self.local(n));
        let rtp = phone.address();
        let rtcp = SocketAddr::new(rtp.ip(), rtp.port().wrapping_add(1));
        let renumber = |codec: &Codec| match codec.is_telephone_event() {
            true => Codec { payload_type: event, ..codec.clone() },
            false => codec.clone(),
        };
        let codecs = local.codecs.iter().map(renumber).collect();
        let remote = MediaDescription { rtp, rtcp, codecs, direction, ..local.clone() };
        TrackSpec { leg: leg(n), local: Arc::new(local), remote: Arc::new(remote) }
    }

    /// Attaches a phone that numbers telephone events so.
    pub(crate) fn attach(&self, n: usize, phone: &Phone, event: u8) {
        self.attach_with(n, phone, event, Direction::SendRecv);
    }

    pub(crate) fn attach_with(&self, n: usize, phone: &Phone, event: u8, direction: Direction) {
        let spec = self.spec(n, phone, event, direction);
        self.pool.command(leg(n), MediaCommand::Attach { track: track(n), spec }).unwrap();
    }

    pub(crate) fn bridge(&self, from: usize, to: usize) {
        self.pool.command(leg(from), MediaCommand::Bridge { track: track(from), to: track(to) }).unwrap();
    }

    /// Until the workers have seen what they were told.
    pub(crate) fn settle(&self) {
        let turns = |worker| self.pool.turns(worker).unwrap();
        let before: Vec<u64> = (0..self.pool.workers()).map(turns).collect();
        self.until(|| before.iter().enumerate().all(|(worker, before)| turns(worker) >= before + 2));
    }

    pub(crate) fn has_a_thread_returned(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    pub(crate) fn until(&self, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(5), "it never came to that");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.pool.stop();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}
