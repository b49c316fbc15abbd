//! What keeps calls alive: slots that survive actors, one generic shell, supervision, and the door.
//!
//! ```text
//!  sender ── Handle::send ──▶ Slot ◀── advance ── Shell ── perform ──▶ Ports ──▶ edges, media, ledger, bus, plan
//!                              ▲                    ▲
//!                  filed in a Directory     kept at work by a Supervisor, that by a Root, and that by the Node
//! ```
//!
//! * [`slot`], [`shell`], [`directory`], [`supervise`], [`root`]: how nothing that was accepted is lost. They know no
//!   calls.
//! * [`calls`]: the calls, legs and tracks of one node, and what their effects mean to the world; [`door`] lets them in.
//!   [`rooms`]: the same for conferences, participants and what they publish. [`part`]: how all of these are called.
//! * [`service`], [`node`]: everything else that runs for long, and the whole tree; [`tree`] shows it, [`drill`] breaks
//!   it on purpose.
//!
//! # Invariants
//! * An input that was accepted is handled, an effect that was decided is performed, whatever happens to any actor.
//! * The failure of one call, leg or track changes nothing for another, however often it fails.

mod auditor;
pub mod calls;
pub mod clock;
pub mod config;
pub mod directory;
pub mod door;
pub mod drill;
mod keeper;
pub mod node;
pub mod part;
pub mod ports;
pub mod rooms;
pub mod root;
pub mod service;
mod sharded;
pub mod shell;
pub mod slot;
pub mod supervise;
pub mod tree;
mod vitals;

pub use auditor::Auditor;
pub use calls::{Calls, Outside};
pub use clock::Clock;
pub use config::Config;
pub use node::Node;
pub use part::PartId;
pub use rooms::{Rooms, RoomsOutside};
pub use service::{Group, Service, ServiceError};
pub use tree::Tree;
