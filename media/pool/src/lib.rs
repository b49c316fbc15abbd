//! The media pool: worker threads around the packet engine, and above them what must outlive a worker.
//!
//! ```text
//!  actors ── MediaPort ──▶ Pool ── note: «this leg changed» ──▶ worker 0 ─ engine ─ epoll
//!                           │                                   worker 1 ─ engine ─ epoll
//!                     black boxes, one per leg: sockets or keys, wishes, what the far end must not notice the loss of
//! ```
//!
//! **Commands are wishes.** A command changes the leg's black box and leaves a note in the worker's queue; the worker
//! brings its engine in line with the box. So a repeated command, a worker that is rebuilt and a leg that moves to
//! another worker are all the same thing, and nothing has to be replayed.
//!
//! **A call lives on one worker.** Legs get a worker when something is attached to them. When two legs on different
//! workers are bridged, those of the one side move to the worker of the other, the same way in which a worker is
//! rebuilt: the far ends notice nothing. That happens at most once per call, before it talks, and in return no packet
//! ever crosses a thread: no queue, no lock and no shared sequence number on its way.
//!
//! **A WebRTC peer stays where it was opened.** Its port is its worker's, and cannot be exchanged: so the call's id says
//! which worker all peers of that call live on, from the start, and legs with ports of their own move there.
//!
//! **A panic costs a leg, not a worker; a dead worker costs milliseconds.** Each step of one leg is caught. What gets
//! through unwinds out of [`Pool::work`]; whoever supervises calls it again on a new thread, where it goes on with the
//! same sockets, in which packets have waited meanwhile.
//!
//! # Invariants
//! * Nothing is allocated or locked per packet; locks are taken on the control path and when an address changes.
//! * A worker that hung and wakes after it was replaced sends nothing: its generation is over.
//! * The leg that a worker died over is not taken in again.

mod black_box;
mod clock;
mod config;
mod directory;
mod pair;
mod pool;
mod ports;
mod room_box;
mod rooms;
mod seat;
mod shared_port;
mod worker;

pub use config::{Config, ConfigError};
pub use pool::{Pool, StartError};
