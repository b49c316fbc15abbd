//! Facts and bindings that the database may not have yet: append-only files.
//!
//! ```text
//!  append ──one write(2)──▶ 000000000007.journal ──read──▶ writer ──committed──▶ release ──▶ file deleted
//!     └── disk full ──▶ waiting (memory, bounded) ──retry──▶ …
//! ```
//!
//! # Invariants
//! * An entry is in the kernel's hands when `append` returns: it survives `kill -9`. Nothing is synced: the machine's
//!   power is another matter.
//! * Entries are read in the order in which they were appended, and never torn.
//! * A segment is deleted only when everything in it was released.

mod frame;
mod poisoned;
mod segment;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tandem_core::audit::AuditEvent;
use tandem_core::event::Fact;
use tandem_core::location::BindingChange;
use tandem_core::metric::{Fill, Gauge, Metrics};
use tokio::sync::Notify;

use self::segment::Segment;
use crate::config::Config;
use crate::node::NodeIdError;

/// Between two looks of who waits for the database.
const LOOK: Duration = Duration::from_millis(50);

/// Something to be stored, as it is read.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    Fact(Box<Fact>),
    Binding(Box<BindingChange>),
    Audit(Box<AuditEvent>),
}

/// The same, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryRef<'a> {
    Fact(&'a Fact),
    Binding(&'a BindingChange),
    Audit(&'a AuditEvent),
}

/// Where the reader stands.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    segment: u64,
    offset: u64,
}

/// What [`Journal::read`] found.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    /// Frames taken, entries or not.
    pub(crate) frames: usize,
    /// Where the next batch begins.
    pub(crate) next: Position,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process writes it.
    #[error("the journal is in use by another process")]
    InUse,
    /// The folder or a file in it is unusable.
    #[error("journal folder {folder}")]
    Io {
        /// Which folder.
        folder: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// It cannot be said whose journal it is.
    #[error(transparent)]
    Node(#[from] NodeIdError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    segment_bytes: u64,
    waiting_bytes: usize,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Frames that were appended and not yet released.
    backlog: AtomicUsize,
    /// Frames that were released, ever.
    released: AtomicU64,
    is_writable: AtomicBool,
    arrived: Notify,
    /// Held as long as the journal is open.
    _lock: File,
}

#[derive(Debug)]
struct State {
    /// All that is on disk, the oldest first. The last one is written to.
    segments: VecDeque<Segment>,
    /// The last segment's file. `None` when it must not be written to any more.
    file: Option<File>,
    /// Frames that the disk did not take.
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    lost: u64,
}

impl Journal {
    /// Opens the journal, with whatever an earlier process left in it.
    pub(crate) fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Self, JournalError> {
        let folder = config.journal_dir();
        let failed = |source| JournalError::Io { folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::InUse,
            TryLockError::Error(source) => failed(source),
        })?;
        let mut segments = VecDeque::new();
        let mut backlog = 0;
        for number in segment::numbers(&folder).map_err(failed)? {
            let found = Segment::scan(&folder, number).map_err(failed)?;
            backlog += found.frames;
            segments.push_back(found.segment);
        }
        metrics.set(Gauge::JournalBacklog, i64::try_from(backlog).unwrap_or(i64::MAX));
        let state = State { segments, file: None, waiting: VecDeque::new(), waiting_bytes: 0, lost: 0 };
        Ok(Self {
            segment_bytes: config.segment_bytes,
            waiting_bytes: config.waiting_bytes,
            metrics,
            state: Mutex::new(state),
            backlog: AtomicUsize::new(backlog),
            released: AtomicU64::new(0),
            is_writable: AtomicBool::new(true),
            arrived: Notify::new(),
            folder,
            _lock: lock,
        })
    }

    /// Appends an entry: one write, no wait. What the disk does not take waits in memory for [`retry`](Self::retry).
    pub(crate) fn append(&self, entry: EntryRef<'_>) {
        let mut frame = vec![0; frame::HEAD];
        if serde_json::to_writer(&mut frame, &entry).is_err() || !frame::seal(&mut frame) {
            tracing::error!(length = frame.len(), "entry is too long for the journal and lost");
            return;
        }
        let mut state = self.state.lock();
        let is_kept = match state.waiting.is_empty().then(|| state.write(self, &frame)) {
            Some(Ok(())) => {
                self.arrived.notify_one();
                true
            }
            Some(Err(error)) => {
                self.is_writable.store(false, Relaxed);
                tracing::error!(%error, "journal takes nothing, entries wait in memory");
                state.wait(frame, self.waiting_bytes)
            }
            None => state.wait(frame, self.waiting_bytes),
        };
        if is_kept {
            self.shift_backlog(1);
        }
    }

    /// Tries again to write what the disk did not take.
    pub(crate) fn retry(&self) {
        let mut state = self.state.lock();
        while let Some(frame) = state.waiting.pop_front() {
            if state.write(self, &frame).is_err() {
                state.waiting.push_front(frame);
                return;
            }
            state.waiting_bytes -= frame.len();
            self.arrived.notify_one();
        }
        if !self.is_writable.swap(true, Relaxed) {
            tracing::warn!(lost = std::mem::take(&mut state.lost), "journal is written again");
        }
    }

    /// `false` while the disk takes nothing: no new call should be let in.
    pub(crate) fn is_writable(&self) -> bool {
        self.is_writable.load(Relaxed)
    }

    /// Bytes that the disk did not take yet.
    pub(crate) fn waiting(&self) -> Fill {
        Fill { depth: self.state.lock().waiting_bytes, capacity: self.waiting_bytes }
    }

    /// Frames that the database does not have yet.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog.load(Relaxed)
    }

    /// Waits for an entry that was appended since the last wait.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Up to `most` entries from a position on. None means that there are none now.
    pub(crate) fn read(&self, from: Position, most: usize) -> io::Result<Batch> {
        let mut next = from;
        loop {
            let Some((segment, is_last)) = self.segment_at(next) else { return Ok(Batch::empty(next)) };
            if segment.number > next.segment {
                next = Position { segment: segment.number, offset: 0 };
            }
            if next.offset < segment.len {
                let bytes = segment.read(&self.folder, next.offset)?;
                return Ok(self.decode(&bytes, most, &segment, next));
            }
            if is_last {
                return Ok(Batch::empty(next));
            }
            next = Position { segment: segment.number + 1, offset: 0 };
        }
    }

    /// Everything before a position is in the database: `frames` more than the last time.
    pub(crate) fn release(&self, before: Position, frames: usize) {
        self.shift_backlog(-i64::try_from(frames).unwrap_or(0));
        self.released.fetch_add(frames as u64, Relaxed);
        let done: Vec<Segment> = {
            let mut state = self.state.lock();
            let done = state.segments.partition_point(|it| it.number < before.segment);
            state.segments.drain(..done).collect()
        };
        // Without the lock: deleting a file takes milliseconds.
        done.iter().for_each(|segment| segment.remove(&self.folder));
    }

    /// Waits until the database has all that was appended by now.
    pub(crate) async fn caught_up(&self) {
        // In this order: what is released in between is waited for twice, and nothing is forgotten.
        let due = self.released.load(Relaxed) + self.backlog() as u64;
        while self.released.load(Relaxed) < due && self.backlog() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The first segment that is not before the position, and whether it is the one that is written to.
    fn segment_at(&self, position: Position) -> Option<(Segment, bool)> {
        let state = self.state.lock();
        let at = state.segments.partition_point(|it| it.number < position.segment);
        let Segment { number, len, is_damaged } = *state.segments.get(at)?;
        Some((Segment { number, len, is_damaged }, at + 1 == state.segments.len()))
    }

    fn decode(&self, bytes: &[u8], most: usize, segment: &Segment, from: Position) -> Batch {
        let mut batch = Batch::empty(from);
        let mut rest = bytes;
        while batch.frames < most {
            match frame::first(rest) {
                Ok((payload, behind)) => {
                    batch.frames += 1;
                    rest = behind;
                    match serde_json::from_slice(&storable(payload)) {
                        Ok(entry) => batch.entries.push(entry),
                        Err(_) => self.put_aside(segment.number, "journal entry is unknown here"),
                    }
                }
                // The part of a frame at the end of what was read belongs to the next batch.
                Err(frame::NoFrame::End | frame::NoFrame::Torn) if batch.frames > 0 => break,
                Err(_) => {
                    self.put_aside(segment.number, "journal was damaged while it was open");
                    batch.next.offset = segment.len;
                    return batch;
                }
            }
        }
        batch.next.offset += (bytes.len() - rest.len()) as u64;
        batch
    }

    fn put_aside(&self, number: u64, why: &'static str) {
        tracing::error!(segment = number, why, "journal segment will be kept aside");
        if let Some(segment) = self.state.lock().segments.iter_mut().find(|it| it.number == number) {
            segment.is_damaged = true;
        }
    }

    fn shift_backlog(&self, by: i64) {
        let step = usize::try_from(by.unsigned_abs()).unwrap_or(0);
        let change = |it: usize| Some(if by < 0 { it.saturating_sub(step) } else { it.saturating_add(step) });
        let _ = self.backlog.fetch_update(Relaxed, Relaxed, change);
        self.metrics.set(Gauge::JournalBacklog, i64::try_from(self.backlog()).unwrap_or(i64::MAX));
    }
}

impl State {
    /// All of the frame or nothing of it.
    fn write(&mut self, journal: &Journal, frame: &[u8]) -> io::Result<()> {
        if self.file.is_none() || self.segments.back().is_none_or(|it| it.len >= journal.segment_bytes) {
            self.roll(journal)?;
        }
        let (Some(file), Some(segment)) = (&mut self.file, self.segments.back_mut()) else {
            return Err(ErrorKind::NotFound.into());
        };
        let outcome = file.write(frame);
        if matches!(outcome, Ok(written) if written == frame.len()) {
            segment.len += frame.len() as u64;
            return Ok(());
        }
        // What is half there must go, or whatever follows it is unreadable.
        if file.set_len(segment.len).is_err() {
            self.file = None;
        }
        Err(outcome.err().unwrap_or_else(|| ErrorKind::StorageFull.into()))
    }

    fn roll(&mut self, journal: &Journal) -> io::Result<()> {
        let segment = Segment::new(self.segments.back().map_or(1, |it| it.number + 1));
        self.file = Some(segment.open(&journal.folder)?);
        self.segments.push_back(segment);
        Ok(())
    }

    /// `false` when there is no room left: the frame is lost.
    fn wait(&mut self, frame: Vec<u8>, limit: usize) -> bool {
        if self.waiting_bytes + frame.len() <= limit {
            self.waiting_bytes += frame.len();
            self.waiting.push_back(frame);
            return true;
        }
        if self.lost == 0 {
            tracing::error!(limit, "too much waits for the journal, entries are lost from here on");
        }
        self.lost += 1;
        false
    }
}

/// The text without NULs, which no text in PostgreSQL may have: as JSON writes them, and what stands for the unreadable.
/// Both are equally long, so this is the same wherever it is done.
fn storable(payload: &[u8]) -> Cow<'_, [u8]> {
    const NUL: &[u8] = b"\\u0000";
    const REPLACEMENT: &[u8] = b"\\ufffd";
    let Some(first) = payload.windows(NUL.len()).position(|it| it == NUL) else { return Cow::Borrowed(payload) };
    let mut clean = payload.to_vec();
    let mut at = first;
    while let Some(found) = clean.get_mut(at..at + NUL.len()) {
        if found == NUL {
            found.copy_from_slice(REPLACEMENT);
        }
        at += 1;
    }
    Cow::Owned(clean)
}

impl Batch {
    fn empty(next: Position) -> Self {
        Self { entries: Vec::new(), frames: 0, next }
    }
}

#[cfg(test)]
mod tests;
