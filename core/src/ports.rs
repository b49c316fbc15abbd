//! What the world must offer to the machines, and they to the world. Every method is synchronous, never waits, and says
//! so when it is full.

mod rooms;

use std::sync::Arc;

use crate::account::Account;
use crate::audit::AuditEvent;
use crate::call::NewCall;
use crate::cause::Cause;
use crate::event::{Context, Fact, Live};
use crate::id::{CallId, LegId, Tenant, TrackId, UserId};
use crate::leg::LegInput;
use crate::location::{Binding, BindingChange};
use crate::machine::{Refusal, Stamp};
use crate::media::{Carrier, LocalMedia, MediaCommand, MediaDescription};
use crate::party::{Party, Target};
use crate::quality::MediaReport;
use crate::routing::Query;
use crate::tenancy::Tenants;

pub use rooms::{Audience, DataPort, RoomEdgePort, RoomOrder, RoomPort, SfuListener, SfuPort};

/// What a leg wants said to its far end.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Call somebody. First command of an outgoing leg, and no other.
    Invite(Arc<Dial>),
    /// Tell the caller that it rings (180).
    Ring,
    /// Let the caller hear what comes before the answer (183 with a session description).
    Progress(Arc<MediaDescription>),
    /// Our offer to a caller that wants it at once ([`Negotiation::AtOnce`](crate::leg::Negotiation)). First command of
    /// such a leg, unless it is refused.
    Offer(Arc<MediaDescription>),
    /// Accept the caller (200): his offer's answer, or our offer if he made none.
    Answer(Arc<MediaDescription>),
    /// Refuse the caller, finally.
    Reject(Cause),
    /// Stop calling (CANCEL with Reason, or BYE if the answer was faster).
    Cancel(Cause),
    /// Hang up (BYE with Reason).
    Bye(Cause),
}

/// What an outgoing INVITE says.
#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    /// Ids; the correlation id goes out as `Session-ID` (RFC 7989).
    pub context: Context,
    /// Which call.
    pub call: CallId,
    /// Who calls, as the callee may see it.
    pub caller: Party,
    /// Whom, and where.
    pub target: Target,
    /// Our offer.
    pub offer: Arc<MediaDescription>,
    /// Max-Forwards of the request that caused this one, less one. 0..=69.
    pub max_forwards: u8,
}

/// A protocol edge: carries signals to the far ends of legs.
pub trait EdgePort: Send + Sync + 'static {
    /// Queues a signal. A repeated stamp is dropped.
    ///
    /// # Errors
    /// [`Refusal::Full`]: the edge is overloaded. [`Refusal::Gone`]: it knows no such leg any more.
    fn signal(&self, stamp: Stamp<LegId>, signal: Signal) -> Result<(), Refusal>;

    /// Lets go of whatever is filed under the leg. May be said twice, and for legs it never knew.
    fn release(&self, leg: LegId);
}

/// The media pool.
pub trait MediaPort: Send + Sync + 'static {
    /// Reserves a port pair or a peer for a leg. The second time for a leg it is what it was the first time.
    ///
    /// # Errors
    /// [`Refusal::Full`]: no ports or no worker left.
    fn open(&self, leg: LegId, carrier: Carrier) -> Result<LocalMedia, Refusal>;

    /// Queues a command for the worker of the leg or track. The same command means the same the second time.
    ///
    /// # Errors
    /// [`Refusal::Full`]: the worker is stuck. [`Refusal::Gone`]: the leg has no port pair.
    fn command(&self, owner: LegId, command: MediaCommand) -> Result<(), Refusal>;

    /// Lets go of the leg's port pair and all that is attached to it. May be said twice.
    fn release(&self, leg: LegId);

    /// How the leg's media has fared up to now; jitter as of a tenth of a second ago. `None`: there is no such leg, or
    /// it neither received nor sent anything yet. After [`release`](Self::release) it is gone.
    fn report(&self, leg: LegId) -> Option<MediaReport>;
}

/// The ledger's door: the journal.
pub trait LedgerPort: Send + Sync + 'static {
    /// Appends a fact to the journal: a buffered write, no wait, no SQL. Never refuses; a disk that is full closes the
    /// door to new calls and raises an alarm.
    fn commit(&self, fact: &Fact);

    /// Notes a binding; survives a restart, and unlike a fact may be lost in a crash.
    fn bind(&self, change: &BindingChange);

    /// Appends an event of the audit, as [`commit`](Self::commit) does a fact. Whoever calls it has damped it: the actors'
    /// `Auditor` does.
    fn audit(&self, event: &AuditEvent);
}

/// The bus, for what is worth something only now. Drops and counts when it is full.
pub trait BusPort: Send + Sync + 'static {
    /// Publishes at once.
    fn publish(&self, event: &Live);
}

/// Routing, from memory.
pub trait PlanPort: Send + Sync + 'static {
    /// Every way to the callee at once; they all ring.
    ///
    /// # Errors
    /// Why there is none.
    fn look_up(&self, query: &Query) -> Result<Vec<Target>, Cause>;
}

/// The actors, as edges and media see them: where news goes in.
pub trait CallPort: Send + Sync + 'static {
    /// Lets a call in. From here on its leg takes inputs.
    ///
    /// # Errors
    /// Why not: [`Cause::Overload`] at the limit, [`Cause::Shutdown`] while draining, [`Cause::RateLimited`] and
    /// [`Cause::Throttled`] for more calls a second than may begin: [`RETRY_AFTER`](crate::admission::RETRY_AFTER) tells
    /// when to try again.
    fn open_call(&self, call: NewCall) -> Result<(), Cause>;

    /// Tells a leg what happened.
    ///
    /// # Errors
    /// [`Refusal::Full`]: its inbox is full, shed load. [`Refusal::Gone`]: it has ended.
    fn tell_leg(&self, leg: LegId, input: LegInput) -> Result<(), Refusal>;

    /// A track is not carried any more: its worker was given up.
    ///
    /// # Errors
    /// As for [`tell_leg`](Self::tell_leg).
    fn track_lost(&self, track: TrackId) -> Result<(), Refusal>;
}

/// Credentials, from memory.
pub trait AccountPort: Send + Sync + 'static {
    /// The account of this tenant that signs with this user name.
    fn find(&self, tenant: &Tenant, user_name: &str) -> Option<Arc<Account>>;
}

/// Tenants, from memory.
pub trait TenantPort: Send + Sync + 'static {
    /// All of them, as they are now.
    fn tenants(&self) -> Arc<Tenants>;
}

/// Where devices can be reached, from memory.
pub trait LocationPort: Send + Sync + 'static {
    /// Every live contact of an account.
    fn contacts(&self, tenant: &Tenant, extension: &str) -> Vec<Arc<Binding>>;
}

/// Which users have a client open that can be called (a page, an app).
pub trait ClientPort: Send + Sync + 'static {
    /// Whether at least one is there now.
    fn is_there(&self, tenant: &Tenant, user: UserId) -> bool;
}
