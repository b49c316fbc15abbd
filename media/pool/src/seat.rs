//! The place of one worker: what its threads, one after the other, share with the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use crossbeam_queue::ArrayQueue;
use mio::Waker;
use parking_lot::Mutex;
use tandem_core::machine::Refusal;
use tandem_core::metric::Fill;
use tandem_core::room::sfu::DataOut;

use crate::black_box::BlackBox;
use crate::room_box::RoomBox;

/// Messages that wait for the worker: it takes them many times a second.
const DATA: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Boxes that changed.
    notes: ArrayQueue<Arc<BlackBox>>,
    /// Connections of rooms that changed, each once.
    room_notes: ArrayQueue<Arc<RoomBox>>,
    /// Messages of rooms that are to be sent.
    data: ArrayQueue<DataOut>,
    waker: Mutex<Option<Waker>>,
    /// A wake is under way: no need for another.
    is_woken: AtomicBool,
    /// All boxes must be looked at: a note found no room.
    must_review: AtomicBool,
    /// For drills: the worker panics.
    must_break: AtomicBool,
    /// For drills: the worker hangs.
    must_hang: AtomicBool,
    /// Which thread has the seat. One with an older number is over, even if it wakes.
    generation: AtomicU64,
    /// Serial of the box whose step is under way, 0 for none: found here after a panic or a hang.
    touching: AtomicUsize,
    turns: AtomicU64,
    /// News that the worker could not tell yet.
    untold: AtomicUsize,
}

impl Seat {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            notes: ArrayQueue::new(capacity),
            room_notes: ArrayQueue::new(capacity),
            data: ArrayQueue::new(DATA),
            waker: Mutex::new(None),
            is_woken: AtomicBool::new(false),
            must_review: AtomicBool::new(false),
            must_break: AtomicBool::new(false),
            must_hang: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            touching: AtomicUsize::new(0),
            turns: AtomicU64::new(0),
            untold: AtomicUsize::new(0),
        }
    }

    /// A thread sits down: every earlier one is over. Gives its number, and the serial of the box that the last one
    /// did not come back from.
    pub(crate) fn occupy(&self, waker: Waker) -> (u64, usize) {
        let generation = self.generation.fetch_add(1, SeqCst) + 1;
        *self.waker.lock() = Some(waker);
        self.is_woken.store(false, SeqCst);
        (generation, self.touching.swap(0, SeqCst))
    }

    /// Nobody sits here any more.
    pub(crate) fn vacate(&self) {
        self.generation.fetch_add(1, SeqCst);
    }

    /// How many threads it has had.
    pub(crate) fn threads(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// How many changes wait to be looked at.
    pub(crate) fn waiting(&self) -> usize {
        self.notes.len() + self.room_notes.len()
    }

    pub(crate) fn is_held_by(&self, generation: u64) -> bool {
        self.generation.load(SeqCst) == generation
    }

    /// Tells the worker that a box changed.
    pub(crate) fn note(&self, changed: Arc<BlackBox>) -> Result<(), Refusal> {
        self.notes.push(changed).map_err(|_| Refusal::Full)?;
        self.wake();
        Ok(())
    }

    /// The same, where nobody can be refused.
    pub(crate) fn note_or_review(&self, changed: Arc<BlackBox>) {
        if self.note(changed).is_err() {
            self.must_review.store(true, SeqCst);
            self.wake();
        }
    }

    /// Tells the worker that a connection of a room changed.
    pub(crate) fn note_room(&self, changed: &Arc<RoomBox>) -> Result<(), Refusal> {
        if changed.note() && self.room_notes.push(changed.clone()).is_err() {
            changed.unnote();
            return Err(Refusal::Full);
        }
        self.wake();
        Ok(())
    }

    /// The same, where nobody can be refused.
    pub(crate) fn note_room_or_review(&self, changed: &Arc<RoomBox>) {
        if self.note_room(changed).is_err() {
            self.must_review.store(true, SeqCst);
            self.wake();
        }
    }

    /// Gives the worker a message to send.
    pub(crate) fn post(&self, data: DataOut) -> Result<(), Refusal> {
        self.data.push(data).map_err(|_| Refusal::Full)?;
        self.wake();
        Ok(())
    }

    /// A message for this thread to send. One that is over takes nothing from its successor.
    pub(crate) fn next_data(&self, generation: u64) -> Option<DataOut> {
        self.is_held_by(generation).then(|| self.data.pop()).flatten()
    }

    /// The same for a connection of a room.
    pub(crate) fn next_room_note(&self, generation: u64) -> Option<Arc<RoomBox>> {
        if !self.is_held_by(generation) {
            return None;
        }
        let note = self.room_notes.pop()?;
        if self.is_held_by(generation) {
            return Some(note);
        }
        note.unnote();
        self.note_room_or_review(&note);
        None
    }

    pub(crate) fn ask_to_break(&self) {
        self.must_break.store(true, SeqCst);
        self.wake();
    }

    pub(crate) fn ask_to_hang(&self) {
        self.must_hang.store(true, SeqCst);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        if self.is_woken.swap(true, SeqCst) {
            return;
        }
        // Without a thread the note waits for the next one; a wake that failed is made up for by the next tick.
        if let Some(Err(_)) = self.waker.lock().as_ref().map(Waker::wake) {
            self.is_woken.store(false, SeqCst);
        }
    }

    /// The worker begins another turn: wakes count anew.
    pub(crate) fn turn(&self) {
        self.turns.fetch_add(1, SeqCst);
        self.is_woken.store(false, SeqCst);
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(SeqCst)
    }

    /// A note for this thread. One that is over takes nothing from its successor.
    pub(crate) fn next_note(&self, generation: u64) -> Option<Arc<BlackBox>> {
        if !self.is_held_by(generation) {
            return None;
        }
        let note = self.notes.pop()?;
        if self.is_held_by(generation) {
            return Some(note);
        }
        self.note_or_review(note);
        None
    }

    /// Notes that wait.
    pub(crate) fn notes(&self) -> Fill {
        Fill { depth: self.notes.len(), capacity: self.notes.capacity() }
    }

    /// News that wait for room in an inbox, as of the last turn.
    pub(crate) fn untold(&self) -> usize {
        self.untold.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn note_untold(&self, count: usize) {
        self.untold.store(count, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn takes_review(&self, generation: u64) -> bool {
        if !self.is_held_by(generation) || !self.must_review.swap(false, SeqCst) {
            return false;
        }
        let is_ours = self.is_held_by(generation);
        if !is_ours {
            self.must_review.store(true, SeqCst);
        }
        is_ours
    }

    pub(crate) fn takes_hang(&self) -> bool {
        self.must_hang.swap(false, SeqCst)
    }

    pub(crate) fn takes_break(&self) -> bool {
        self.must_break.swap(false, SeqCst)
    }

    /// The worker is about to touch this box; 0: it came back from it. A thread that is over leaves no mark.
    pub(crate) fn touch(&self, generation: u64, serial: usize) {
        if self.is_held_by(generation) {
            self.touching.store(serial, std::sync::atomic::Ordering::Release);
        }
    }
}
