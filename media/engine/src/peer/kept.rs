//! What a far end must not notice the loss of: the black box of one peer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::keys::Established;
use super::pairs::Pairs;

/// SSRCs in each direction. A browser has one at a time.
pub(super) const STREAMS: usize = 4;

/// Keys, addresses and numbers of a peer. Belongs above the engine: a peer that is built anew with it goes on without
/// another handshake, and repeats no nonce.
///
/// One peer at a time writes it; should there be a second, whose worker hung and woke, they still share no number. The
/// locks are taken when an address or the keys change, never per packet.
pub struct Kept {
    ufrag: String,
    password: Zeroizing<String>,
    established: Mutex<Option<Arc<Established>>>,
    is_connected: AtomicBool,
    pairs: Mutex<Pairs>,
    pub(super) received: Marks,
    pub(super) received_rtcp: Marks,
    pub(super) sent: Marks,
    /// SRTCP packets sent. One count for all of our SSRCs.
    pub(super) sent_rtcp: AtomicU64,
}

impl Kept {
    /// A peer that nobody has met. Both go into our description; they must be random and as long as RFC 8445, 5.3,
    /// wants: 4 and 22 characters at least.
    #[must_use]
    pub fn new(ufrag: String, password: String) -> Self {
        Self {
            ufrag,
            password: Zeroizing::new(password),
            established: Mutex::default(),
            is_connected: AtomicBool::default(),
            pairs: Mutex::default(),
            received: Marks::default(),
            received_rtcp: Marks::default(),
            sent: Marks::default(),
            sent_rtcp: AtomicU64::default(),
        }
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

    pub(super) fn pairs(&self) -> Pairs {
        self.pairs.lock().clone()
    }

    pub(super) fn keep_pairs(&self, pairs: &Pairs) {
        self.pairs.lock().clone_from(pairs);
    }

    pub(super) fn established(&self) -> Option<Arc<Established>> {
        self.established.lock().clone()
    }

    pub(super) fn establish(&self, established: Option<Arc<Established>>) {
        *self.established.lock() = established;
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
#[derive(Debug, Default)]
pub(super) struct Marks([Mark; STREAMS]);

#[derive(Debug, Default)]
struct Mark {
    /// The SSRC with a bit above it; 0: free.
    name: AtomicU64,
    /// The number behind the highest; 0: none.
    end: AtomicU64,
}

impl Marks {
    /// Notes a number, before its packet leaves or after it was authenticated. Gives the end that was there; `None`: the
    /// place is another stream's.
    ///
    /// Never goes back, and says who came first: a worker that was given up may yet wake.
    pub(super) fn raise(&self, place: usize, ssrc: u32, number: u64) -> Option<u64> {
        let mark = self.0.get(place)?;
        let name = 1 << 32 | u64::from(ssrc);
        let is_ours = mark.name.compare_exchange(0, name, Relaxed, Relaxed).map_or_else(|it| it == name, |_| true);
        is_ours.then(|| mark.end.fetch_max(number + 1, Relaxed))
    }

    /// Streams and their highest numbers, in the order of their places.
    pub(super) fn noted(&self) -> [Option<(u32, u64)>; STREAMS] {
        self.0.each_ref().map(|mark| {
            let (name, end) = (mark.name.load(Relaxed), mark.end.load(Relaxed));
            (name != 0).then_some(name as u32).zip(end.checked_sub(1))
        })
    }
}
