//! Somebody in a conference, as a pure state machine: what he publishes and receives, and how he comes, stays and goes.
//!
//! ```text
//!  Asking ──Admitted──▶ Joined ──Connected──▶ Active ──Leave, Remove, silence, cut too long──▶ Ended
//!     └──Refused───────────┴── not connected in time ───────────────────────────────────────────▶
//!
//!  far end ── RoomRequest ──▶ participant ── RoomSignal ──▶ far end
//!  conference ── what others do ──▶   │ ── what he does ──▶ conference
//!                                     └── connections, tracks, wishes ──▶ media pool
//! ```
//!
//! His socket may go and come back: he stays for [`RESUME_WINDOW`], and his media is not touched meanwhile.
//!
//! # Invariants
//! * `Ended` is final; before it his tracks were ended and the conference was told, once.
//! * He receives a track only if he may and wants to; what he must not receive is not sent to him.
//! * What he is shown of himself and of others has versions that only rise.

mod downlink;
#[cfg(test)]
mod dual_tests;
mod formats;
mod input;
mod publishing;
mod receiving;
mod sections;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use smallvec::smallvec;

pub use input::{ParticipantInput, ParticipantKind, ParticipantOrder};

use crate::id::{ConferenceId, ParticipantId, TrackId};
use crate::machine::{Effects, Machine, Notice, Refusal, Rejected};
use crate::media::LocalMedia;
use crate::publication::PublicationInput;
use crate::room::description::Description;
use crate::room::sfu::{SfuCommand, SfuNews, TransportId, TransportRole};
use crate::room::signal::{Allowance, Join, JoinRefusal, Joined, Publish, RoomRequest, RoomSignal, Then};
use crate::room::view::{LeaveReason, ParticipantState, ParticipantView};
use crate::time::{Now, Timestamp};
use downlink::Downlink;
use receiving::TrackWish;
use sections::Sections;

/// How long somebody whose socket is gone keeps his place: all of the attempts of a client to come back.
pub const RESUME_WINDOW: Duration = Duration::from_secs(40);

/// How long a client may take until its connection stands.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    id: ParticipantId,
    birth: Arc<Birth>,
    state: State,
    signalling: Signalling,
    me: Arc<ParticipantView>,
    others: OrdMap<ParticipantId, Arc<ParticipantView>>,
    /// Of those who do not let everybody have everything.
    allowances: OrdMap<ParticipantId, Arc<Allowance>>,
    /// What he said of tracks.
    wishes: OrdMap<TrackId, TrackWish>,
    /// Tracks that no section was found for yet.
    announced: Vec<Arc<Publish>>,
    sections: Arc<Sections>,
    local: Option<Arc<LocalMedia>>,
    /// What he receives on the connection that we offer, when he has two.
    downlink: Arc<Downlink>,
    subscriber: Option<Arc<LocalMedia>>,
    /// An offer that came before our side was there.
    early_offer: Option<(u32, Arc<Description>)>,
    /// He was told to offer again and has not.
    is_asked: bool,
    /// The conference, as it was when he came.
    joined: Option<Arc<Joined>>,
}

/// What a participant begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// What he asked for.
    pub join: Arc<Join>,
    /// Where.
    pub conference: ConferenceId,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    New,
    Asking { answer_by: Timestamp },
    Joined { connect_by: Timestamp },
    Active,
    Ended,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signalling {
    Up,
    Down { until: Timestamp },
}

/// What a participant wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantEffect {
    /// Make a peer; [`ParticipantInput::MediaReady`] follows.
    OpenMedia(TransportRole),
    /// For the media pool.
    Media(SfuCommand),
    /// For the far end.
    Signal(RoomSignal),
    /// Start the actor of a track of his.
    OpenTrack(TrackId),
    /// For a track of his.
    TellTrack(TrackId, PublicationInput),
    /// For the conference.
    TellConference(ParticipantNews),
}

/// What a participant tells its conference.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantNews {
    /// He wants to come in. First news.
    Asks(Arc<Join>),
    /// He changed.
    Changed(Arc<ParticipantView>),
    /// Who may receive what he publishes.
    Allows(Arc<Allowance>),
    /// He receives a track of somebody.
    Receives {
        /// Whose.
        publisher: ParticipantId,
        /// Which.
        track: TrackId,
    },
    /// He is out. Last news; his state is [`ParticipantState::Disconnected`].
    Left(Arc<ParticipantView>),
}

/// How long the conference may take to let somebody in.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(5);

impl Participant {
    /// Somebody who has not asked yet.
    #[must_use]
    pub fn new(birth: Arc<Birth>, now: Now) -> Self {
        let join = &birth.join;
        let me = ParticipantView::newcomer(join, now.wall);
        Self {
            id: join.participant,
            birth,
            state: State::New,
            signalling: Signalling::Up,
            me: Arc::new(me),
            others: OrdMap::new(),
            allowances: OrdMap::new(),
            wishes: OrdMap::new(),
            announced: Vec::new(),
            sections: Arc::default(),
            local: None,
            downlink: Arc::default(),
            subscriber: None,
            early_offer: None,
            is_asked: false,
            joined: None,
        }
    }

    /// What it began with.
    #[must_use]
    pub const fn birth(&self) -> &Arc<Birth> {
        &self.birth
    }

    /// As others see him.
    #[must_use]
    pub const fn view(&self) -> &Arc<ParticipantView> {
        &self.me
    }

    /// Whether his far end may come back after a cut.
    #[must_use]
    pub const fn may_resume(&self) -> bool {
        matches!(self.state, State::Joined { .. } | State::Active)
    }

    /// Name of its state, for views.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match (self.state, self.signalling) {
            (State::New, _) => "new",
            (State::Asking { .. }, _) => "asking",
            (State::Ended, _) => "ended",
            (_, Signalling::Down { .. }) => "cut",
            (State::Joined { .. }, _) => "joined",
            (State::Active, _) => "active",
        }
    }

    const fn transport(&self, role: TransportRole) -> TransportId {
        TransportId { participant: self.id, role }
    }

    // ── coming ───────────────────────────────────────────────────────────────────────────────────────────────────

    fn start(&mut self, now: Now) -> Effects<ParticipantEffect> {
        self.state = State::Asking { answer_by: now.mono + ADMISSION_TIMEOUT };
        smallvec![ParticipantEffect::TellConference(ParticipantNews::Asks(self.birth.join.clone()))]
    }

    fn admitted(&mut self, now: Now, joined: Arc<Joined>) -> Effects<ParticipantEffect> {
        self.state = State::Joined { connect_by: now.mono + CONNECT_TIMEOUT };
        self.others = joined.others.iter().map(|other| (other.id, other.clone())).collect();
        self.joined = Some(joined.clone());
        let mut out: Effects<_> = smallvec![
            ParticipantEffect::Signal(RoomSignal::Joined(joined)),
            ParticipantEffect::OpenMedia(TransportRole::Publisher),
        ];
        if self.is_dual() {
            out.push(ParticipantEffect::OpenMedia(TransportRole::Subscriber));
        }
        out
    }

    fn refused(&mut self, why: JoinRefusal) -> Effects<ParticipantEffect> {
        self.state = State::Ended;
        smallvec![ParticipantEffect::Signal(RoomSignal::Refused(why))]
    }

    fn connected(&mut self) -> Effects<ParticipantEffect> {
        self.state = State::Active;
        self.change(|me| me.state = ParticipantState::Active)
    }

    // ── going ────────────────────────────────────────────────────────────────────────────────────────────────────

    fn cut(&mut self, now: Now) -> Effects<ParticipantEffect> {
        if let Signalling::Up = self.signalling {
            self.signalling = Signalling::Down { until: now.mono + RESUME_WINDOW };
        }
        Effects::new()
    }

    fn resume(&mut self) -> Effects<ParticipantEffect> {
        self.signalling = Signalling::Up;
        self.is_asked = false;
        let Some(joined) = &self.joined else { return Effects::new() };
        let others = self.others.values().cloned().collect();
        let now = Joined { room: joined.room.clone(), me: self.me.clone(), others };
        let mut out = smallvec![ParticipantEffect::Signal(RoomSignal::Resumed(Arc::new(now)))];
        // An offer that he has not answered may never have reached him.
        if self.downlink.is_pending() {
            Arc::make_mut(&mut self.downlink).renew();
            self.reconsider(&mut out);
        }
        out
    }

    /// Ends, and tells whoever must know.
    fn end(&mut self, reason: LeaveReason, then: Option<Then>) -> Effects<ParticipantEffect> {
        let was = std::mem::replace(&mut self.state, State::Ended);
        let mut out: Effects<_> =
            self.me.tracks.iter().map(|track| ParticipantEffect::TellTrack(track.id, PublicationInput::End)).collect();
        if let Some(then) = then {
            out.push(match was {
                State::New | State::Asking { .. } => {
                    ParticipantEffect::Signal(RoomSignal::Refused(JoinRefusal::Overload))
                }
                _ => ParticipantEffect::Signal(RoomSignal::Left { reason, then }),
            });
        }
        let mut me = (*self.me).clone();
        me.state = ParticipantState::Disconnected;
        me.tracks.clear();
        me.left = Some(reason);
        me.version += 1;
        self.me = Arc::new(me);
        out.push(ParticipantEffect::TellConference(ParticipantNews::Left(self.me.clone())));
        out
    }

    /// He was put out.
    fn removed(&mut self, reason: LeaveReason) -> Effects<ParticipantEffect> {
        let then = match reason {
            LeaveReason::Shutdown | LeaveReason::MediaLost | LeaveReason::StateMismatch => Then::Rejoin,
            _ => Then::StayAway,
        };
        self.end(reason, Some(then))
    }

    // ── what happens to him ──────────────────────────────────────────────────────────────────────────────────────

    /// Changes what others see of him, and tells them.
    fn change(&mut self, change: impl FnOnce(&mut ParticipantView)) -> Effects<ParticipantEffect> {
        let mut me = (*self.me).clone();
        change(&mut me);
        me.version += 1;
        self.me = Arc::new(me);
        smallvec![ParticipantEffect::TellConference(ParticipantNews::Changed(self.me.clone()))]
    }

    /// Others came, changed or left; or he himself, as others see him.
    fn seen(&mut self, seen: &Arc<[Arc<ParticipantView>]>) -> Effects<ParticipantEffect> {
        let mut has_moved = false;
        for other in seen.iter().filter(|other| other.id != self.id) {
            let known = self.others.get(&other.id).cloned();
            if known.as_ref().is_some_and(|known| known.version >= other.version) {
                continue;
            }
            let before = known.as_ref().map_or(&[][..], |known| &known.tracks);
            has_moved |= !before.iter().map(|it| it.id).eq(other.tracks.iter().map(|it| it.id));
            for gone in before.iter().filter(|it| !other.tracks.iter().any(|its| its.id == it.id)) {
                self.wishes.remove(&gone.id);
            }
            if other.state == ParticipantState::Disconnected {
                self.others.remove(&other.id);
                self.allowances.remove(&other.id);
            } else {
                self.others.insert(other.id, other.clone());
            }
        }
        let mut out = smallvec![ParticipantEffect::Signal(RoomSignal::Participants(seen.clone()))];
        if has_moved {
            self.reconsider(&mut out);
        }
        out
    }

    fn news(&mut self, news: SfuNews) -> Effects<ParticipantEffect> {
        match (news, self.state) {
            (SfuNews::Connected(role), State::Joined { .. }) if self.is_decisive(role) => self.connected(),
            (SfuNews::Silent(_) | SfuNews::Broken(_), _) => self.removed(LeaveReason::MediaLost),
            (SfuNews::Started { track, layer, ssrc }, _) => self.started(track, layer, ssrc),
            (SfuNews::Quality(quality), _) => {
                smallvec![ParticipantEffect::Signal(RoomSignal::Quality(self.id, quality))]
            }
            (SfuNews::Connected(_), _) => Effects::new(),
        }
    }

    /// Whether he is in once this connection stands: the one on which he receives, for he may never publish.
    fn is_decisive(&self, role: TransportRole) -> bool {
        self.is_dual() == (role == TransportRole::Subscriber)
    }

    fn request(&mut self, request: RoomRequest) -> Effects<ParticipantEffect> {
        match request {
            RoomRequest::Offer { id, offer } => self.offered(id, &offer),
            RoomRequest::Answer { id, answer } => self.answered(id, &answer),
            RoomRequest::Publish(publish) => self.announce(publish),
            RoomRequest::Mute { track, is_muted } => self.mute(track, is_muted),
            RoomRequest::Subscribe { tracks, is_wanted } => self.subscribe(&tracks, is_wanted),
            RoomRequest::Show { tracks, how } => self.show(&tracks, how),
            RoomRequest::Allow(allowance) => {
                smallvec![ParticipantEffect::TellConference(ParticipantNews::Allows(allowance))]
            }
            RoomRequest::Describe { request, metadata, name, attributes } => {
                self.describe(Some(request), metadata, name, &attributes)
            }
            RoomRequest::Retouch { track, audio_features, size } => self.retouch(track, audio_features, size),
            RoomRequest::Sync { published, exceptions, disabled } => self.sync(&published, &exceptions, &disabled),
            RoomRequest::Leave => self.end(LeaveReason::Client, None),
        }
    }

    fn order(&mut self, order: ParticipantOrder) -> Effects<ParticipantEffect> {
        match order {
            ParticipantOrder::Mute { track, is_muted } => {
                let mut out = self.mute(track, is_muted);
                if !out.is_empty() {
                    out.push(ParticipantEffect::Signal(RoomSignal::Muted { track, is_muted }));
                }
                out
            }
            ParticipantOrder::Describe { metadata, name, attributes } => {
                self.describe(None, metadata, name, &attributes)
            }
            ParticipantOrder::Permit(permission) => self.permit(permission),
            ParticipantOrder::Subscribe { tracks, is_wanted } => self.subscribe(&tracks, is_wanted),
        }
    }

    fn notice(
        &mut self,
        now: Now,
        notice: Notice<ParticipantEffect, ParticipantKind>,
    ) -> Result<Effects<ParticipantEffect>, Rejected> {
        Ok(match notice {
            Notice::Tick => match self.next_deadline() {
                Some(due) if due <= now.mono => match (self.state, self.signalling) {
                    (_, Signalling::Down { until }) if until <= now.mono => {
                        self.end(LeaveReason::SignalLost, Some(Then::Rejoin))
                    }
                    _ => self.end(LeaveReason::JoinFailure, Some(Then::StayAway)),
                },
                _ => return Err(self.rejects("tick")),
            },
            // What the far end said is lost: it must come in anew, for nobody knows what it believes now.
            Notice::Recovered { lost: ParticipantKind::Vital } => self.removed(LeaveReason::StateMismatch),
            Notice::GivenUp => self.removed(LeaveReason::StateMismatch),
            Notice::Recovered { lost: ParticipantKind::Passing } => Effects::new(),
            Notice::Refused { effect, why } => self.port_refused(&effect, why),
        })
    }

    fn port_refused(&mut self, effect: &ParticipantEffect, why: Refusal) -> Effects<ParticipantEffect> {
        match (effect, why) {
            (ParticipantEffect::OpenMedia(_), _) => self.end(LeaveReason::JoinFailure, Some(Then::StayAway)),
            (ParticipantEffect::TellConference(ParticipantNews::Asks(_)), _) => self.refused(JoinRefusal::Overload),
            // Its edge has let go of it, or the conference has.
            (ParticipantEffect::TellConference(_) | ParticipantEffect::Signal(_), Refusal::Gone)
            | (ParticipantEffect::TellTrack(..), _) => Effects::new(),
            // A far end that does not read: the edge cuts it, and it comes back or not.
            (ParticipantEffect::Signal(_), Refusal::Full) => Effects::new(),
            (ParticipantEffect::Media(SfuCommand::StopReceiving { .. } | SfuCommand::StopSending { .. }), _) => {
                Effects::new()
            }
            (
                ParticipantEffect::Media(_)
                | ParticipantEffect::OpenTrack(_)
                | ParticipantEffect::Signal(_)
                | ParticipantEffect::TellConference(_),
                _,
            ) => self.removed(LeaveReason::MediaLost),
        }
    }

    const fn rejects(&self, input: &'static str) -> Rejected {
        Rejected { input, state: self.state_name() }
    }

    /// What holds after every input. Checked there in debug builds.
    pub fn check_invariants(&self) {
        debug_assert!(self.state != State::Ended || self.next_deadline().is_none(), "who left arms no timer");
        debug_assert!(self.announced.len() <= publishing::MAX_TRACKS, "announced tracks are bounded");
        debug_assert!(!self.others.contains_key(&self.id), "nobody is another of himself");
    }
}

impl Machine for Participant {
    type Id = ParticipantId;
    type Input = ParticipantInput;
    type Kind = ParticipantKind;
    type Effect = ParticipantEffect;

    fn handle(&mut self, now: Now, input: ParticipantInput) -> Result<Effects<ParticipantEffect>, Rejected> {
        let is_in = matches!(self.state, State::Joined { .. } | State::Active);
        let out = match (self.state, input) {
            (State::Ended, _) => Effects::new(),
            (State::New, ParticipantInput::Start) => self.start(now),
            (State::Asking { .. }, ParticipantInput::Admitted(joined)) => self.admitted(now, joined),
            (State::Asking { .. }, ParticipantInput::Refused(why)) => self.refused(why),
            (_, ParticipantInput::Notice(notice)) => self.notice(now, notice)?,
            (_, ParticipantInput::Remove(reason)) => self.removed(reason),
            (_, ParticipantInput::Cut) => self.cut(now),
            (_, ParticipantInput::MediaReady(role, local)) if is_in => self.ready(role, local),
            (_, ParticipantInput::Request(request)) if is_in => self.request(request),
            (_, ParticipantInput::Resume) if is_in => self.resume(),
            (_, ParticipantInput::News(news)) if is_in => self.news(news),
            (_, ParticipantInput::Seen(seen)) if is_in => self.seen(&seen),
            (_, ParticipantInput::Allowed(publisher, allowance)) if is_in => self.allowed(publisher, allowance),
            (_, ParticipantInput::Room(room)) if is_in => {
                if let Some(joined) = &self.joined {
                    self.joined = Some(Arc::new(Joined { room: room.clone(), ..(**joined).clone() }));
                }
                smallvec![ParticipantEffect::Signal(RoomSignal::Room(room))]
            }
            (_, ParticipantInput::Received(track)) if is_in => {
                smallvec![ParticipantEffect::Signal(RoomSignal::TrackSubscribed(track))]
            }
            (_, ParticipantInput::Speakers(speakers)) if is_in => {
                smallvec![ParticipantEffect::Signal(RoomSignal::Speakers(speakers))]
            }
            (_, ParticipantInput::Order(order)) if is_in => self.order(order),
            (_, ParticipantInput::TrackLost(track)) if is_in => self.lost(track),
            (_, input) => return Err(self.rejects(input.name())),
        };
        self.check_invariants();
        Ok(out)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let of_state = match self.state {
            State::Asking { answer_by: due } | State::Joined { connect_by: due } => Some(due),
            State::New | State::Active => None,
            State::Ended => return None,
        };
        let of_signalling = match self.signalling {
            Signalling::Up => None,
            Signalling::Down { until } => Some(until),
        };
        of_state.into_iter().chain(of_signalling).min()
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn kind(input: &ParticipantInput) -> ParticipantKind {
        input.kind()
    }
}
