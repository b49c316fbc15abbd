//! One time that a room is held, as a pure state machine: who is in it, who may come, and when it is over.
//!
//! ```text
//!  Open ── nobody for a while ──▶ Ended
//!    └── deleted, drained ──▶ Closing ── everybody is out ──▶ Ended
//! ```
//!
//! It counts seats; nobody else does. What participants show of themselves passes through here to all others.
//!
//! # Invariants
//! * There are never more seated participants than the limit, however many ask at once.
//! * Of two with the same identity the later one stays.
//! * `Ended` only when nobody is in it.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use smallvec::smallvec;

use crate::event::Context;
use crate::id::{ConferenceId, ParticipantId, TrackId};
use crate::machine::{Effects, Machine, Notice, Rejected};
use crate::participant::{ParticipantInput, ParticipantNews, ParticipantOrder};
use crate::ports::RoomOrder;
use crate::room::sfu::Speaker;
use crate::room::signal::{Allowance, Join, JoinRefusal, Joined, RoomWish};
use crate::room::view::{LeaveReason, LimitOrigin, ParticipantState, ParticipantView, RoomView, SeatLimit};
use crate::room::{RoomIdentity, RoomName};
use crate::time::{Now, Timestamp};

/// How long a room that nobody came to stays, unless told otherwise.
pub const EMPTY_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a room stays that everybody left, unless told otherwise.
pub const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long those who were put out may take to go.
const CLOSING: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Conference {
    id: ConferenceId,
    birth: Arc<Birth>,
    state: State,
    room: Arc<RoomView>,
    roster: OrdMap<ParticipantId, Member>,
    /// Tracks that somebody receives.
    received: OrdMap<TrackId, ()>,
}

/// What a conference begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// Ids.
    pub context: Context,
    /// Which room.
    pub name: RoomName,
    /// How it is to be.
    pub wish: RoomWish,
    /// How many may be in any room of this node.
    pub policy: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
struct Member {
    view: Arc<ParticipantView>,
    /// Who may receive what he publishes, when that is not everybody.
    allowance: Option<Arc<Allowance>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    New,
    /// `until`: when it ends if nobody comes.
    Open {
        until: Option<Timestamp>,
    },
    Closing {
        until: Timestamp,
    },
    Ended,
}

/// What can happen to a conference.
#[derive(Clone, Debug, PartialEq)]
pub enum ConferenceInput {
    /// Begin.
    Start,
    /// A participant has something to say.
    Participant(ParticipantId, ParticipantNews),
    /// A participant is gone, whether it was able to say so or not.
    ParticipantGone(ParticipantId),
    /// An administrator wants something.
    Order(RoomOrder),
    /// Who speaks.
    Speakers(Arc<[Speaker]>),
    /// The node stops.
    End,
    /// From the shell.
    Notice(Notice<ConferenceEffect, ConferenceKind>),
}

/// Kinds of inputs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConferenceKind {
    /// Somebody comes, of whom nothing is known yet.
    Asks(ParticipantId),
    /// Somebody changed: what is lost of it comes with his next change.
    Passing,
    /// Somebody left.
    Leaves(ParticipantId),
    /// The end.
    End,
}

/// What a conference wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum ConferenceEffect {
    /// For one participant.
    Tell(ParticipantId, Box<ParticipantInput>),
    /// For several.
    TellAll(Arc<[ParticipantId]>, Box<ParticipantInput>),
}

impl From<Notice<ConferenceEffect, ConferenceKind>> for ConferenceInput {
    fn from(notice: Notice<ConferenceEffect, ConferenceKind>) -> Self {
        Self::Notice(notice)
    }
}

impl Conference {
    /// A conference that nobody is in.
    #[must_use]
    pub fn new(id: ConferenceId, birth: Arc<Birth>, now: Now) -> Self {
        let wish = &birth.wish;
        let seconds = |timeout: Duration| u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX);
        let room = RoomView {
            conference: id,
            name: birth.name.clone(),
            metadata: wish.metadata.clone(),
            began: now.wall,
            limit: smallest(birth.policy, wish.seats, None),
            empty_timeout_s: seconds(wish.empty_timeout.unwrap_or(EMPTY_TIMEOUT)),
            departure_timeout_s: seconds(wish.departure_timeout.unwrap_or(DEPARTURE_TIMEOUT)),
            participants: 0,
            publishers: 0,
            is_recorded: false,
        };
        Self { id, birth, state: State::New, room: Arc::new(room), roster: OrdMap::new(), received: OrdMap::new() }
    }

    /// What it began with.
    #[must_use]
    pub const fn birth(&self) -> &Arc<Birth> {
        &self.birth
    }

    /// The room as others see it.
    #[must_use]
    pub const fn room(&self) -> &Arc<RoomView> {
        &self.room
    }

    /// Everybody who is in it, the hidden too, in the order in which they came.
    pub fn members(&self) -> impl Iterator<Item = &Arc<ParticipantView>> {
        self.roster.values().map(|member| &member.view)
    }

    /// Whether somebody may still come.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::New | State::Open { .. })
    }

    /// Name of its state, for views.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match self.state {
            State::New => "new",
            State::Open { until: None } => "open",
            State::Open { until: Some(_) } => "empty",
            State::Closing { .. } => "closing",
            State::Ended => "ended",
        }
    }

    // ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────

    fn asks(&mut self, now: Now, join: &Join) -> Effects<ConferenceEffect> {
        if !self.is_open() {
            return self.refuse(join.participant, JoinRefusal::NoRoom);
        }
        let double = self.find(&join.identity).filter(|it| it.id != join.participant).map(|it| it.id);
        let mut out = Effects::new();
        if let Some(double) = double {
            out.extend(self.forget(double));
            out.push(tell(double, ParticipantInput::Remove(LeaveReason::DuplicateIdentity)));
        }
        let limit = smallest(self.birth.policy, self.birth.wish.seats, join.wanted.seats);
        let is_seated = is_seated(join);
        if let Some(seats) = limit.seats.filter(|seats| is_seated && self.seated() >= *seats)
            && !self.roster.contains_key(&join.participant)
        {
            self.look_around(now);
            let origin = limit.origin;
            out.extend(self.refuse(join.participant, JoinRefusal::ParticipantLimit { seats, origin }));
            return out;
        }
        let me = Arc::new(ParticipantView::newcomer(join, now.wall));
        self.roster.insert(me.id, Member { view: me.clone(), allowance: None });
        self.state = State::Open { until: None };
        self.count();
        let others = self.roster.values().map(|it| &it.view).filter(|it| it.id != me.id && !it.permission.is_hidden);
        let joined = Joined { room: self.room.clone(), me: me.clone(), others: others.cloned().collect() };
        out.push(tell(me.id, ParticipantInput::Admitted(Arc::new(joined))));
        for (publisher, member) in &self.roster {
            if let Some(allowance) = &member.allowance {
                out.push(tell(me.id, ParticipantInput::Allowed(*publisher, allowance.clone())));
            }
        }
        out.extend(self.show(&me, Some(me.id)));
        out
    }

    fn refuse(&self, participant: ParticipantId, why: JoinRefusal) -> Effects<ConferenceEffect> {
        smallvec![tell(participant, ParticipantInput::Refused(why))]
    }

    /// Somebody is out; the others are told.
    fn leaves(
        &mut self,
        now: Now,
        id: ParticipantId,
        last: Option<&Arc<ParticipantView>>,
    ) -> Effects<ConferenceEffect> {
        let Some(member) = self.roster.get(&id).cloned() else { return Effects::new() };
        let out = match last {
            Some(last) => {
                self.roster.remove(&id);
                self.show(last, None)
            }
            None => self.forget_member(&member.view),
        };
        self.count();
        self.look_around(now);
        out
    }

    fn forget(&mut self, id: ParticipantId) -> Effects<ConferenceEffect> {
        let view = self.roster.get(&id).map(|it| it.view.clone());
        view.map_or_else(Effects::new, |view| self.forget_member(&view))
    }

    /// Takes somebody out of the roster who has not said goodbye, and says it for him.
    fn forget_member(&mut self, view: &Arc<ParticipantView>) -> Effects<ConferenceEffect> {
        self.roster.remove(&view.id);
        let mut gone = (**view).clone();
        gone.state = ParticipantState::Disconnected;
        gone.tracks.clear();
        gone.version += 1;
        self.show(&Arc::new(gone), None)
    }

    /// Ends when it may.
    fn look_around(&mut self, now: Now) {
        if !self.roster.is_empty() {
            return;
        }
        self.state = match self.state {
            State::Closing { .. } => State::Ended,
            State::Ended => State::Ended,
            State::New | State::Open { .. } => {
                let timeout = Duration::from_secs(self.room.departure_timeout_s.into());
                State::Open { until: Some(now.mono + timeout) }
            }
        };
    }

    fn close(&mut self, now: Now, reason: LeaveReason) -> Effects<ConferenceEffect> {
        if self.roster.is_empty() {
            self.state = State::Ended;
            return Effects::new();
        }
        self.state = State::Closing { until: now.mono + CLOSING };
        self.to_all(ParticipantInput::Remove(reason))
    }

    // ── what participants show each other ────────────────────────────────────────────────────────────────────────

    fn changed(&mut self, view: &Arc<ParticipantView>) -> Effects<ConferenceEffect> {
        match self.roster.get_mut(&view.id) {
            Some(member) if member.view.version < view.version => member.view = view.clone(),
            _ => return Effects::new(),
        }
        self.count();
        self.show(view, None)
    }

    fn allows(&mut self, publisher: ParticipantId, allowance: &Arc<Allowance>) -> Effects<ConferenceEffect> {
        let Some(member) = self.roster.get_mut(&publisher) else { return Effects::new() };
        member.allowance = (!allowance.all).then(|| allowance.clone());
        let all = self.everybody(|view| view.id != publisher);
        to_all(all, ParticipantInput::Allowed(publisher, allowance.clone()))
    }

    fn receives(&mut self, publisher: ParticipantId, track: TrackId) -> Effects<ConferenceEffect> {
        if self.received.insert(track, ()).is_some() {
            return Effects::new();
        }
        smallvec![tell(publisher, ParticipantInput::Received(track))]
    }

    /// Shows somebody to those who may see him: a hidden one only to himself.
    fn show(&self, view: &Arc<ParticipantView>, but: Option<ParticipantId>) -> Effects<ConferenceEffect> {
        let sees = |other: &ParticipantView| other.id == view.id || !view.permission.is_hidden;
        let all = self.everybody(|other| Some(other.id) != but && sees(other));
        to_all(all, ParticipantInput::Seen([view.clone()].into()))
    }

    fn everybody(&self, is_meant: impl Fn(&ParticipantView) -> bool) -> Arc<[ParticipantId]> {
        self.roster.values().filter(|it| is_meant(&it.view)).map(|it| it.view.id).collect()
    }

    fn to_all(&self, input: ParticipantInput) -> Effects<ConferenceEffect> {
        to_all(self.everybody(|_| true), input)
    }

    fn find(&self, identity: &RoomIdentity) -> Option<&Arc<ParticipantView>> {
        self.members().find(|it| it.identity == *identity)
    }

    fn seated(&self) -> u32 {
        let seated = self.members().filter(|it| !it.permission.is_hidden && !it.permission.is_recorder).count();
        u32::try_from(seated).unwrap_or(u32::MAX)
    }

    fn count(&mut self) {
        let visible = || self.roster.values().filter(|it| !it.view.permission.is_hidden);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (participants, publishers) = (visible().count(), visible().filter(|it| !it.view.tracks.is_empty()).count());
        let is_recorded = self.roster.values().any(|it| it.view.permission.is_recorder);
        let room = Arc::make_mut(&mut self.room);
        (room.participants, room.publishers) = (number(participants), number(publishers));
        room.is_recorded = is_recorded;
    }

    // ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────

    fn order(&mut self, now: Now, order: RoomOrder) -> Effects<ConferenceEffect> {
        match order {
            RoomOrder::Delete => self.close(now, LeaveReason::RoomDeleted),
            RoomOrder::SetMetadata(metadata) => {
                Arc::make_mut(&mut self.room).metadata = metadata;
                self.to_all(ParticipantInput::Room(self.room.clone()))
            }
            RoomOrder::Remove(identity) => self.tell(&identity, ParticipantInput::Remove(LeaveReason::Removed)),
            RoomOrder::Mute { identity, track, is_muted } => {
                self.tell(&identity, ParticipantInput::Order(ParticipantOrder::Mute { track, is_muted }))
            }
            RoomOrder::Update { identity, metadata, name, attributes, permission } => {
                let describe = ParticipantOrder::Describe { metadata, name, attributes };
                let mut out = self.tell(&identity, ParticipantInput::Order(describe));
                if let Some(permission) = permission {
                    out.extend(self.tell(&identity, ParticipantInput::Order(ParticipantOrder::Permit(permission))));
                }
                out
            }
            RoomOrder::Subscribe { identity, tracks, is_wanted } => {
                self.tell(&identity, ParticipantInput::Order(ParticipantOrder::Subscribe { tracks, is_wanted }))
            }
        }
    }

    fn tell(&self, identity: &RoomIdentity, input: ParticipantInput) -> Effects<ConferenceEffect> {
        self.find(identity).map(|it| tell(it.id, input)).into_iter().collect()
    }

    fn notice(
        &mut self,
        now: Now,
        notice: Notice<ConferenceEffect, ConferenceKind>,
    ) -> Result<Effects<ConferenceEffect>, Rejected> {
        Ok(match notice {
            Notice::Tick => match self.state {
                State::Open { until: Some(until) } | State::Closing { until } if until <= now.mono => {
                    self.state = State::Ended;
                    Effects::new()
                }
                _ => return Err(Rejected { input: "tick", state: self.state_name() }),
            },
            Notice::Recovered { lost: ConferenceKind::Asks(id) } => self.refuse(id, JoinRefusal::Overload),
            Notice::Recovered { lost: ConferenceKind::Leaves(id) } => self.leaves(now, id, None),
            Notice::Recovered { lost: ConferenceKind::Passing } => Effects::new(),
            Notice::Recovered { lost: ConferenceKind::End } => self.close(now, LeaveReason::Shutdown),
            // Those who are in it come in anew, to one that works.
            Notice::GivenUp => {
                let out = self.to_all(ParticipantInput::Remove(LeaveReason::StateMismatch));
                self.roster.clear();
                self.state = State::Ended;
                out
            }
            Notice::Refused { .. } => Effects::new(),
        })
    }
}

impl Machine for Conference {
    type Id = ConferenceId;
    type Input = ConferenceInput;
    type Kind = ConferenceKind;
    type Effect = ConferenceEffect;

    fn handle(&mut self, now: Now, input: ConferenceInput) -> Result<Effects<ConferenceEffect>, Rejected> {
        Ok(match (self.state, input) {
            (State::Ended, ConferenceInput::Participant(id, ParticipantNews::Asks(_))) => {
                self.refuse(id, JoinRefusal::NoRoom)
            }
            (State::Ended, _) => Effects::new(),
            (State::New, ConferenceInput::Start) => {
                let timeout = Duration::from_secs(self.room.empty_timeout_s.into());
                self.state = State::Open { until: Some(now.mono + timeout) };
                Effects::new()
            }
            (_, ConferenceInput::Start) => Effects::new(),
            (_, ConferenceInput::Participant(_, ParticipantNews::Asks(join))) => self.asks(now, &join),
            (_, ConferenceInput::Participant(_, ParticipantNews::Changed(view))) => self.changed(&view),
            (_, ConferenceInput::Participant(id, ParticipantNews::Allows(allowance))) => self.allows(id, &allowance),
            (_, ConferenceInput::Participant(_, ParticipantNews::Receives { publisher, track })) => {
                self.receives(publisher, track)
            }
            (_, ConferenceInput::Participant(id, ParticipantNews::Left(last))) => self.leaves(now, id, Some(&last)),
            (_, ConferenceInput::ParticipantGone(id)) => self.leaves(now, id, None),
            (_, ConferenceInput::Order(order)) => self.order(now, order),
            (_, ConferenceInput::Speakers(speakers)) => self.to_all(ParticipantInput::Speakers(speakers)),
            (_, ConferenceInput::End) => self.close(now, LeaveReason::Shutdown),
            (_, ConferenceInput::Notice(notice)) => self.notice(now, notice)?,
        })
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Open { until } => until,
            State::Closing { until } => Some(until),
            State::New | State::Ended => None,
        }
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn kind(input: &ConferenceInput) -> ConferenceKind {
        match input {
            ConferenceInput::Participant(id, ParticipantNews::Asks(_)) => ConferenceKind::Asks(*id),
            ConferenceInput::Participant(id, ParticipantNews::Left(_)) | ConferenceInput::ParticipantGone(id) => {
                ConferenceKind::Leaves(*id)
            }
            ConferenceInput::End | ConferenceInput::Order(RoomOrder::Delete) => ConferenceKind::End,
            _ => ConferenceKind::Passing,
        }
    }
}

/// The smallest limit, and whose it is.
fn smallest(policy: Option<u32>, room: Option<u32>, request: Option<u32>) -> SeatLimit {
    let told = [(policy, LimitOrigin::Policy), (room, LimitOrigin::Room), (request, LimitOrigin::Request)];
    let told = told.into_iter().filter_map(|(seats, origin)| Some((seats.filter(|it| *it > 0)?, origin)));
    let smallest = told.min_by_key(|(seats, _)| *seats);
    SeatLimit { seats: smallest.map(|(seats, _)| seats), origin: smallest.map_or(LimitOrigin::Policy, |(_, it)| it) }
}

const fn is_seated(join: &Join) -> bool {
    !join.permission.is_hidden && !join.permission.is_recorder
}

fn tell(to: ParticipantId, input: ParticipantInput) -> ConferenceEffect {
    ConferenceEffect::Tell(to, Box::new(input))
}

fn to_all(all: Arc<[ParticipantId]>, input: ParticipantInput) -> Effects<ConferenceEffect> {
    if all.is_empty() {
        return Effects::new();
    }
    smallvec![ConferenceEffect::TellAll(all, Box::new(input))]
}
