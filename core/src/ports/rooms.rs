//! What rooms need of the world, and it of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::Context;
use crate::id::{ConferenceId, ParticipantId, Tenant, TrackId};
use crate::machine::{Refusal, Stamp};
use crate::media::LocalMedia;
use crate::room::sfu::{DataChannel, DataOut, SfuCommand, SfuNews, Speakers, TransportId};
use crate::room::signal::{Join, JoinRefusal, RoomRequest, RoomSignal, RoomWish};
use crate::room::view::{ParticipantView, Permission, RoomView};
use crate::room::{RoomIdentity, RoomName};

/// The edge that speaks to participants.
pub trait RoomEdgePort: Send + Sync + 'static {
    /// Queues a signal. A repeated stamp is dropped; so is everything while nobody is there to be told, for who comes
    /// back is told all anew ([`RoomSignal::Resumed`]).
    ///
    /// # Errors
    /// [`Refusal::Full`]: the far end does not read. Its participant is to be cut.
    fn signal(&self, stamp: Stamp<ParticipantId>, signal: RoomSignal) -> Result<(), Refusal>;

    /// Lets go of whatever is filed under the participant. May be said twice.
    fn release(&self, participant: ParticipantId);
}

/// The media pool, for rooms. A conference lives on one worker.
pub trait SfuPort: Send + Sync + 'static {
    /// Makes a peer. The second time for a transport it is what it was the first time.
    ///
    /// # Errors
    /// [`Refusal::Full`]: no worker has room.
    fn open(&self, conference: ConferenceId, transport: TransportId) -> Result<LocalMedia, Refusal>;

    /// Queues a command for the worker of the conference.
    ///
    /// # Errors
    /// [`Refusal::Full`]: the worker is stuck. [`Refusal::Gone`]: the transport that it is about is not there.
    fn command(&self, conference: ConferenceId, command: SfuCommand) -> Result<(), Refusal>;

    /// Sends data. Per receiver a bounded number of bytes waits; of the lossy channels what does not fit is dropped, a
    /// receiver that does not take what is reliable is cut ([`SfuNews::Broken`]).
    ///
    /// # Errors
    /// [`Refusal::Full`]: the worker is stuck, nothing was sent.
    fn send(&self, conference: ConferenceId, data: DataOut) -> Result<(), Refusal>;

    /// Lets go of a peer and of all that is received from it and sent to it. May be said twice.
    fn release(&self, transport: TransportId);
}

/// Who hears what the media pool has to say of rooms: the actors. Said from media threads: never waits.
pub trait SfuListener: Send + Sync + 'static {
    /// Of one participant.
    ///
    /// # Errors
    /// As for [`CallPort::tell_leg`](super::CallPort::tell_leg).
    fn news(&self, participant: ParticipantId, news: SfuNews) -> Result<(), Refusal>;

    /// Who speaks. May be dropped.
    fn speakers(&self, speakers: Speakers);
}

/// Who takes in data of participants: the edge. Said from media threads: never waits.
pub trait DataPort: Send + Sync + 'static {
    /// A message came in.
    ///
    /// # Errors
    /// [`Refusal::Full`]: it is dropped and counted, which on the reliable channel cuts its sender.
    fn received(
        &self,
        conference: ConferenceId,
        from: ParticipantId,
        channel: DataChannel,
        bytes: Bytes,
    ) -> Result<(), Refusal>;
}

/// The actors of rooms, as edges see them.
pub trait RoomPort: Send + Sync + 'static {
    /// Wants to come in. Filed at once; what became of it is the first signal to its edge.
    ///
    /// # Errors
    /// [`JoinRefusal::Overload`], [`JoinRefusal::Shutdown`] and [`JoinRefusal::NoRoom`] at once; seats are the
    /// conference's to refuse.
    fn join(&self, join: Join) -> Result<ConferenceId, JoinRefusal>;

    /// Tells a participant what its far end says.
    ///
    /// # Errors
    /// [`Refusal::Full`]: its inbox is full, cut it. [`Refusal::Gone`]: it has left.
    fn request(&self, participant: ParticipantId, request: RoomRequest) -> Result<(), Refusal>;

    /// Its signalling was cut: it has some time to come back.
    fn cut(&self, participant: ParticipantId);

    /// Its signalling is back: [`RoomSignal::Resumed`] follows.
    ///
    /// # Errors
    /// [`Refusal::Gone`]: it has left, or was never there.
    fn resume(&self, tenant: &Tenant, identity: &RoomIdentity, participant: ParticipantId) -> Result<(), Refusal>;

    /// Whom data of a participant may reach: all others, or those that it names. `None`: it is not there.
    fn audience(&self, from: ParticipantId, to: &[RoomIdentity]) -> Option<Audience>;

    /// Makes a room, with this id if there is none under that name yet, or gives what there is.
    ///
    /// # Errors
    /// As for [`join`](Self::join).
    fn create(
        &self,
        conference: ConferenceId,
        context: Context,
        name: RoomName,
        wish: RoomWish,
    ) -> Result<Arc<RoomView>, JoinRefusal>;

    /// Every room that is held.
    fn rooms(&self, tenant: &Tenant) -> Vec<Arc<RoomView>>;

    /// Everybody in a room, the hidden too. `None`: it is not held.
    fn participants(&self, tenant: &Tenant, name: &RoomName) -> Option<Vec<Arc<ParticipantView>>>;

    /// Whoever may, wants something of a room.
    ///
    /// # Errors
    /// [`Refusal::Gone`]: there is no such room, or no such participant or track in it.
    fn order(&self, tenant: &Tenant, name: &RoomName, order: RoomOrder) -> Result<(), Refusal>;
}

/// Whom a message reaches, and as whose it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Audience {
    /// The sender's name for others.
    pub identity: RoomIdentity,
    /// Whether he may send at all.
    pub may_send: bool,
    /// The connections on which the others receive.
    pub to: Arc<[TransportId]>,
}

/// What an administrator wants of a room.
#[derive(Clone, Debug, PartialEq)]
pub enum RoomOrder {
    /// End it.
    Delete,
    /// Change its free text.
    SetMetadata(Arc<str>),
    /// Put somebody out.
    Remove(RoomIdentity),
    /// Mute or unmute a track of somebody.
    Mute {
        /// Whose.
        identity: RoomIdentity,
        /// Which.
        track: TrackId,
        /// Or unmute.
        is_muted: bool,
    },
    /// Change what others see of somebody, or what he may do. Attributes with an empty value are deleted.
    Update {
        /// Whom.
        identity: RoomIdentity,
        /// Free text, if it is to change.
        metadata: Option<Arc<str>>,
        /// His name, if it is to change.
        name: Option<Arc<str>>,
        /// Pairs that are to change.
        attributes: BTreeMap<String, String>,
        /// What he may do, if it is to change.
        permission: Option<Permission>,
    },
    /// Let somebody receive tracks, or no longer.
    Subscribe {
        /// Whom.
        identity: RoomIdentity,
        /// Which.
        tracks: Vec<TrackId>,
        /// Or no longer.
        is_wanted: bool,
    },
}
