//! Rooms as edges and the media pool reach them.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use tandem_core::conference::{Birth, Conference, ConferenceInput};
use tandem_core::event::Context;
use tandem_core::id::{ConferenceId, ParticipantId, Tenant};
use tandem_core::machine::Refusal;
use tandem_core::participant::{Birth as ParticipantBirth, Participant, ParticipantInput};
use tandem_core::ports::{Audience, RoomOrder, RoomPort, SfuListener};
use tandem_core::room::sfu::{SfuNews, Speakers, TransportId, TransportRole};
use tandem_core::room::signal::{Join, JoinRefusal, RoomRequest, RoomWish, Topology};
use tandem_core::room::view::{ParticipantView, RoomView};
use tandem_core::room::{RoomIdentity, RoomName};

use super::Rooms;
use crate::directory::Handle;

impl Rooms {
    fn admits(&self) -> Result<(), JoinRefusal> {
        if self.is_draining.load(SeqCst) {
            return Err(JoinRefusal::Shutdown);
        }
        let is_full = self.outside.get().is_none() || self.participants.len() >= self.policy.participants;
        if is_full { Err(JoinRefusal::Overload) } else { Ok(()) }
    }

    /// The conference of a room; if there is none, and `begin` says how, a new one.
    fn conference(
        &self,
        tenant: &Tenant,
        name: &RoomName,
        begin: Option<(ConferenceId, Birth)>,
    ) -> Option<Handle<Conference>> {
        let key = (tenant.clone(), name.clone());
        let mut names = self.names.lock();
        let found = names.get(&key).and_then(|id| self.conferences.find(*id));
        if let Some(found) = found.filter(|it| it.slot().view(Conference::is_open)) {
            return Some(found);
        }
        let (id, birth) = begin?;
        let conference = Conference::new(id, Arc::new(birth), self.clock.now());
        let handle = self.conferences.file(id, conference);
        handle.slot().notify(ConferenceInput::Start);
        names.insert(key, id);
        drop(names);
        self.conferences.staff(id);
        Some(handle)
    }

    fn birth(&self, context: &Context, name: &RoomName, wish: &RoomWish) -> Birth {
        Birth { context: context.clone(), name: name.clone(), wish: wish.clone(), policy: self.policy.seats }
    }
}

impl RoomPort for Rooms {
    fn join(&self, join: Join) -> Result<ConferenceId, JoinRefusal> {
        self.admits()?;
        let begin = join.may_create.then(|| (join.conference, self.birth(&join.context, &join.room, &join.wanted)));
        let conference = self.conference(&join.context.tenant, &join.room, begin).ok_or(JoinRefusal::NoRoom)?;
        let (id, conference) = (join.participant, conference.slot().id());
        let birth = ParticipantBirth { join: Arc::new(join), conference };
        let participant = self.participants.file(id, Participant::new(Arc::new(birth), self.clock.now()));
        participant.slot().notify(ParticipantInput::Start);
        self.participants.staff(id);
        Ok(conference)
    }

    fn request(&self, participant: ParticipantId, request: RoomRequest) -> Result<(), Refusal> {
        let participant = self.participants.find(participant).ok_or(Refusal::Gone)?;
        Ok(participant.send(ParticipantInput::Request(request))?)
    }

    fn cut(&self, participant: ParticipantId) {
        if let Some(participant) = self.participants.find(participant) {
            participant.slot().notify(ParticipantInput::Cut);
        }
    }

    fn resume(&self, tenant: &Tenant, identity: &RoomIdentity, participant: ParticipantId) -> Result<(), Refusal> {
        let participant = self.participants.find(participant).ok_or(Refusal::Gone)?;
        let is_his = participant.slot().view(|it| {
            let join = &it.birth().join;
            join.context.tenant == *tenant && join.identity == *identity && it.may_resume()
        });
        if !is_his {
            return Err(Refusal::Gone);
        }
        participant.slot().notify(ParticipantInput::Resume);
        Ok(())
    }

    fn audience(&self, from: ParticipantId, to: &[RoomIdentity]) -> Option<Audience> {
        let sender = self.participants.find(from)?;
        let (identity, may_send, conference) = sender.slot().view(|it| {
            let me = it.view();
            (me.identity.clone(), me.permission.can_publish_data, it.birth().conference)
        });
        let members: Vec<ParticipantId> = self.conferences.find(conference)?.slot().view(|it| {
            let is_meant = |view: &ParticipantView| view.id != from && (to.is_empty() || to.contains(&view.identity));
            it.members().filter(|view| is_meant(view)).map(|view| view.id).collect()
        });
        let transport = |participant: ParticipantId| {
            let topology = self.participants.find(participant)?.slot().view(|it| it.birth().join.topology);
            let role = match topology {
                Topology::Single => TransportRole::Publisher,
                Topology::Dual => TransportRole::Subscriber,
            };
            Some(TransportId { participant, role })
        };
        Some(Audience { identity, may_send, to: members.into_iter().filter_map(transport).collect() })
    }

    fn create(
        &self,
        conference: ConferenceId,
        context: Context,
        name: RoomName,
        wish: RoomWish,
    ) -> Result<Arc<RoomView>, JoinRefusal> {
        self.admits()?;
        let begin = (conference, self.birth(&context, &name, &wish));
        let found = self.conference(&context.tenant, &name, Some(begin)).ok_or(JoinRefusal::Overload)?;
        Ok(found.slot().view(|it| it.room().clone()))
    }

    fn rooms(&self, tenant: &Tenant) -> Vec<Arc<RoomView>> {
        let room = |it: &Conference| (it.birth().context.tenant == *tenant && it.is_open()).then(|| it.room().clone());
        self.conferences.slots().filter_map(|slot| slot.view(room)).collect()
    }

    fn participants(&self, tenant: &Tenant, name: &RoomName) -> Option<Vec<Arc<ParticipantView>>> {
        let conference = self.conference(tenant, name, None)?;
        Some(conference.slot().view(|it| it.members().cloned().collect()))
    }

    fn order(&self, tenant: &Tenant, name: &RoomName, order: RoomOrder) -> Result<(), Refusal> {
        let conference = self.conference(tenant, name, None).ok_or(Refusal::Gone)?;
        let is_possible = conference.slot().view(|it| is_possible(it, &order));
        if !is_possible {
            return Err(Refusal::Gone);
        }
        conference.slot().notify(ConferenceInput::Order(order));
        Ok(())
    }
}

/// Whether the participant, and the track, that an order is about is there.
fn is_possible(conference: &Conference, order: &RoomOrder) -> bool {
    let find = |identity: &RoomIdentity| conference.members().find(|it| it.identity == *identity);
    match order {
        RoomOrder::Delete | RoomOrder::SetMetadata(_) => true,
        RoomOrder::Remove(identity) | RoomOrder::Update { identity, .. } | RoomOrder::Subscribe { identity, .. } => {
            find(identity).is_some()
        }
        RoomOrder::Mute { identity, track, .. } => {
            find(identity).is_some_and(|it| it.tracks.iter().any(|its| its.id == *track))
        }
    }
}

impl SfuListener for Rooms {
    fn news(&self, participant: ParticipantId, news: SfuNews) -> Result<(), Refusal> {
        let participant = self.participants.find(participant).ok_or(Refusal::Gone)?;
        if let SfuNews::Silent(_) | SfuNews::Broken(_) = news {
            participant.slot().notify(ParticipantInput::News(news)); // said once, and it ends him
            return Ok(());
        }
        Ok(participant.send(ParticipantInput::News(news))?)
    }

    fn speakers(&self, speakers: Speakers) {
        if let Some(conference) = self.conferences.find(speakers.conference) {
            // The next ones come in a moment.
            let _dropped = conference.send(ConferenceInput::Speakers(speakers.changed.into()));
        }
    }
}
