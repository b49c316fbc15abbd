//! What a far end must not notice the loss of: the black box of one peer.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tandem_core::room::sfu::TransportRole;
use zeroize::Zeroizing;

use super::data::KeptData;
use super::dtls::Handshake;
use super::keys::Established;
use super::numbers::SentMark;
use super::pairs::Pairs;

/// How many streams a peer may have in each direction at the same time, and how many are remembered when others came in
/// their place.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    present: usize,
    retired: usize,
}

/// In a call a browser has one stream. More are retired than a page begins in a long call.
const OF_CALL: Capacity = Capacity { present: 4, retired: 64 };

/// In a room: two microphones, three layers of a camera and of a screen, each with its retransmissions, and as many
/// again while they change.
const OF_ROOM: Capacity = Capacity { present: 32, retired: 1_024 };

/// Nothing is sent that way.
const NOTHING: Capacity = Capacity { present: 0, retired: 0 };

/// Streams that a peer of a room was ever sent: as many tracks as may come and go while it is there.
const SENT: usize = 16_384;

/// Keys, addresses and numbers of a peer. Belongs above the engine: a peer that is built anew with it goes on without
/// another handshake, in the middle of one too, and repeats no nonce.
///
/// One peer at a time writes it; should there be a second, whose worker hung and woke, they still share no number. The
/// locks are taken when an address or the keys change, never per packet.
pub struct Kept {
    ufrag: String,
    password: Zeroizing<String>,
    /// A handshake that is under way, with the address that the last of it came from. Gone while a step of it is taken:
    /// one that breaks or hangs over it does not come back.
    handshake: Mutex<Option<(Box<Handshake>, SocketAddr)>>,
    established: Mutex<Option<Arc<Established>>>,
    /// `None`: a peer without data channels.
    data: Option<Box<KeptData>>,
    is_connected: AtomicBool,
    pairs: Mutex<Pairs>,
    pub(super) received: Marks,
    pub(super) received_rtcp: Marks,
    pub(super) sent: Marks,
    /// SRTCP packets sent. One count for all of our SSRCs.
    pub(super) sent_rtcp: AtomicU64,
    /// Streams with [`Numbers`](super::Numbers) of their own. None is ever forgotten: the next that has its SSRC goes on.
    sent_streams: Mutex<HashMap<u32, Arc<SentMark>>>,
}

impl Kept {
    /// A peer that nobody has met. Both go into our description; they must be random and as long as RFC 8445, 5.3,
    /// wants: 4 and 22 characters at least.
    #[must_use]
    pub fn new(ufrag: String, password: String) -> Self {
        Self::sized(ufrag, password, OF_CALL, OF_CALL)
    }

    /// The same for a peer of a room, that receives many streams. What it is sent goes out by
    /// [`Peer::seal_numbered`](super::Peer::seal_numbered) only.
    #[must_use]
    pub fn of_room(ufrag: String, password: String) -> Self {
        Self::sized(ufrag, password, OF_ROOM, NOTHING)
    }

    fn sized(ufrag: String, password: String, received: Capacity, sent: Capacity) -> Self {
        Self {
            ufrag,
            password: Zeroizing::new(password),
            handshake: Mutex::default(),
            established: Mutex::default(),
            data: None,
            is_connected: AtomicBool::default(),
            pairs: Mutex::default(),
            received: Marks::new(received),
            received_rtcp: Marks::new(received),
            sent: Marks::new(sent),
            sent_rtcp: AtomicU64::default(),
            sent_streams: Mutex::default(),
        }
    }

    /// With data channels: those that the far end opens on a publisher's connection, our own on a subscriber's.
    #[must_use]
    pub fn with_data(self, role: TransportRole) -> Self {
        Self { data: Some(Box::new(KeptData::new(role))), ..self }
    }

    /// By which packets for this peer are told from others.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// What checks are authenticated with.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Whether there are keys, and the far end's certificate is the one that its description named.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Relaxed)
    }

    /// Where media goes.
    #[must_use]
    pub fn nominated(&self) -> Option<SocketAddr> {
        self.pairs.lock().selected()
    }

    /// What must be remembered of a stream that is sent. `None`: there were too many.
    pub(super) fn sent_stream(&self, ssrc: u32) -> Option<Arc<SentMark>> {
        let mut streams = self.sent_streams.lock();
        if streams.len() >= SENT && !streams.contains_key(&ssrc) {
            return None;
        }
        Some(streams.entry(ssrc).or_insert_with(|| Arc::new(SentMark::new(ssrc))).clone())
    }

    /// The number behind the highest one of a stream that is received; 0: none came.
    pub(super) fn received_end(&self, ssrc: u32) -> u64 {
        let present = self.received.noted().flatten().find(|(known, _)| *known == ssrc).map(|(_, highest)| highest + 1);
        present.or_else(|| self.received.retired(ssrc).map(|highest| highest + 1)).unwrap_or(0)
    }

    pub(super) fn pairs(&self) -> Pairs {
        self.pairs.lock().clone()
    }

    pub(super) fn keep_pairs(&self, pairs: &Pairs) {
        self.pairs.lock().clone_from(pairs);
    }

    pub(super) fn is_shaking(&self) -> bool {
        self.handshake.lock().is_some()
    }

    pub(super) fn take_handshake(&self) -> Option<(Box<Handshake>, SocketAddr)> {
        self.handshake.lock().take()
    }

    pub(super) fn keep_handshake(&self, handshake: Box<Handshake>, from: SocketAddr) {
        *self.handshake.lock() = Some((handshake, from));
    }

    pub(super) fn established(&self) -> Option<Arc<Established>> {
        self.established.lock().clone()
    }

    pub(super) fn establish(&self, established: Option<Arc<Established>>) {
        *self.established.lock() = established;
    }

    pub(super) fn data(&self) -> Option<&KeptData> {
        self.data.as_deref()
    }

    pub(super) fn connect(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Relaxed);
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// The highest index of each stream.
#[derive(Debug)]
pub(super) struct Marks {
    present: Box<[Mark]>,
    may_retire: usize,
    /// Streams that had to make room for others, with the number behind their highest; the oldest first. One that comes
    /// back goes on there, so nothing of it can be played again.
    retired: Mutex<VecDeque<(u32, u64)>>,
}

#[derive(Debug, Default)]
struct Mark {
    /// The SSRC with a bit above it; 0: free.
    name: AtomicU64,
    /// The number behind the highest; 0: none.
    end: AtomicU64,
}

impl Marks {
    fn new(capacity: Capacity) -> Self {
        let present = (0..capacity.present).map(|_| Mark::default()).collect();
        Self { present, may_retire: capacity.retired, retired: Mutex::default() }
    }

    /// Notes a number, before its packet leaves or after it was authenticated. Gives the end that was there; `None`: the
    /// place is another stream's.
    ///
    /// Never goes back, and says who came first: a worker that was given up may yet wake.
    pub(super) fn raise(&self, place: usize, ssrc: u32, number: u64) -> Option<u64> {
        let mark = self.present.get(place)?;
        let name = 1 << 32 | u64::from(ssrc);
        let is_ours = mark.name.compare_exchange(0, name, Relaxed, Relaxed).map_or_else(|it| it == name, |_| true);
        is_ours.then(|| mark.end.fetch_max(number + 1, Relaxed))
    }

    /// Gives a place to another stream. Only for streams that are received: of those that are sent no number may be
    /// forgotten.
    pub(super) fn replace(&self, place: usize, ssrc: u32) {
        let Some(mark) = self.present.get(place) else { return };
        let mut retired = self.retired.lock();
        let end = retired.iter().find(|(known, _)| *known == ssrc).map_or(0, |(_, end)| *end);
        retired.retain(|(known, _)| *known != ssrc);
        retired.push_back((mark.name.load(Relaxed) as u32, mark.end.load(Relaxed)));
        // Nobody's in between: a worker that should be dead may look.
        mark.name.store(1 << 33, Relaxed);
        mark.end.store(end, Relaxed);
        mark.name.store(1 << 32 | u64::from(ssrc), Relaxed);
    }

    /// Whether one more stream may make room: whose place was taken before must not be forgotten, or its packets could
    /// come again.
    pub(super) fn may_retire(&self) -> bool {
        self.retired.lock().len() < self.may_retire
    }

    /// The highest number of a stream that had to make room.
    pub(super) fn retired(&self, ssrc: u32) -> Option<u64> {
        let retired = self.retired.lock();
        retired.iter().find(|(known, _)| *known == ssrc).and_then(|(_, end)| end.checked_sub(1))
    }

    /// Streams and their highest numbers, in the order of their places.
    pub(super) fn noted(&self) -> impl Iterator<Item = Option<(u32, u64)>> {
        self.present.iter().map(|mark| {
            let (name, end) = (mark.name.load(Relaxed), mark.end.load(Relaxed));
            (name != 0).then_some(name as u32).zip(end.checked_sub(1))
        })
    }
}
