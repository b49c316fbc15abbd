//! The edge of browsers: legs whose far end is a client of the API, and what its users are told of their calls.
//!
//! ```text
//!  legs ── signal ─▶ ┐                                   ┌─▶ event streams (WebSocket), snapshots
//!                    ├─▶ Clients ── one entry per user ──┤
//!  facts ── hear ──▶ ┘        │                          └─◀ calls API: begin, answer, decline, hang up
//!                             └─▶ CallPort::tell_leg
//! ```
//!
//! # Invariants
//! * Everything of one user changes under one lock: of two answers the first wins, and he makes one call at a time.
//! * A user hears the events of a call in the order of its facts, each once.
//! * No lock is held while a leg is told something, or anybody waited for.
//! * Calls leave with their end, but for a minute; users with their last stream, call and missed event.

mod follow;
mod line;
mod replay;
mod stream;
mod user;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tandem_actors::Clock;
use tandem_core::cause::Cause;
use tandem_core::event::{Fact, FactBody};
use tandem_core::id::{CallId, LegId, NodeId, Tenant, UserId};
use tandem_core::leg::LegInput;
use tandem_core::machine::{Refusal, Stamp};
use tandem_core::metric::{Counter, Fill, Gauge, Metrics};
use tandem_core::party::Address;
use tandem_core::ports::{CallPort, ClientPort, Dial, EdgePort, Signal};
use tandem_core::time::{Now, Timestamp, WallTime};
use tandem_core::trace::{self, Subject, TracePort, Way};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::{debug, error};
use uuid::Uuid;

use crate::calls::idempotency::Idempotency;
use crate::problem::Problem;
use follow::Followed;
use line::{Line, offer_text};
use stream::Stream;
use user::{News, text};

pub(crate) use line::Proposed;
pub(crate) use stream::{Cut, Feed};
pub(crate) use user::{Claim, User};

/// Whose something is.
pub(crate) type UserKey = (Tenant, UserId);

/// How often what is too old is looked for.
const SWEEP: Duration = Duration::from_secs(30);

/// See the module. Outlives the server.
pub struct Clients {
    pub(crate) calls: Arc<dyn CallPort>,
    pub(crate) node: NodeId,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    trace: Arc<dyn TracePort>,
    pub(crate) idempotency: Idempotency,
    /// What goes on although whoever asked for it is gone.
    pub(crate) tasks: TaskTracker,
    users: DashMap<UserKey, User>,
    followed: DashMap<CallId, Followed>,
    /// Whose a leg is.
    legs: DashMap<LegId, UserKey>,
    /// Names this process in cursors.
    boot: String,
    /// Numbers events and streams.
    count: AtomicU64,
    sweep_at: AtomicU64,
}

impl Clients {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(
        calls: Arc<dyn CallPort>,
        node: NodeId,
        clock: Clock,
        metrics: Arc<Metrics>,
        trace: Arc<dyn TracePort>,
    ) -> Arc<Self> {
        let mut boot = Uuid::new_v4().simple().to_string();
        boot.truncate(8);
        Arc::new(Self {
            calls,
            node,
            clock,
            metrics,
            trace,
            idempotency: Idempotency::default(),
            tasks: TaskTracker::new(),
            users: DashMap::new(),
            followed: DashMap::new(),
            legs: DashMap::new(),
            boot,
            count: AtomicU64::new(0),
            sweep_at: AtomicU64::new(0),
        })
    }

    /// Whether this leg's far end is a client: from before its call is opened until it is released.
    #[must_use]
    pub fn carries(&self, leg: LegId) -> bool {
        self.legs.contains_key(&leg)
    }

    /// A fact that was journalled. In order per call; one that comes again changes nothing.
    pub fn hear(&self, fact: &Fact) {
        let now = self.clock.now();
        if let Entry::Vacant(place) = self.followed.entry(fact.call)
            && let Some(call) = Followed::begin(fact)
        {
            place.insert(call);
        }
        let Some(mut call) = self.followed.get_mut(&fact.call) else { return };
        for (user, change) in call.take(fact) {
            let key = (call.context.tenant.clone(), user);
            self.with(&key, |user| {
                if let Some(news) = user.change(now, fact, change) {
                    self.tell(user, now, fact.call, news);
                }
            });
        }
        drop(call);
        if matches!(fact.body, FactBody::CdrClosed(_)) {
            self.followed.remove(&fact.call);
            self.sweep(now.mono);
        }
    }

    /// The user is about to call: from here on he makes no other call. Our offer, or why there is none, comes by itself.
    pub(crate) fn begin(
        &self,
        key: &UserKey,
        call: CallId,
        leg: LegId,
    ) -> Result<oneshot::Receiver<Proposed>, Problem> {
        let (asked, proposed) = oneshot::channel();
        self.legs.insert(leg, key.clone());
        let begun = self.with(key, |user| {
            let is_free = !user.is_calling();
            if is_free {
                user.lines.insert(leg, Line::asked(call, asked));
            }
            is_free
        });
        if begun {
            return Ok(proposed);
        }
        self.legs.remove(&leg);
        Err(Problem::CallAlreadyActive)
    }

    /// One of the user's calls.
    pub(crate) fn look<R>(&self, key: &UserKey, look: impl FnOnce(&User) -> R) -> Option<R> {
        self.users.get(key).map(|user| look(&user))
    }

    /// The right to answer a call for the user: the first who asks has it.
    pub(crate) fn claim(&self, key: &UserKey, call: CallId, session: Option<LegId>) -> Result<Claim, Problem> {
        self.users.get_mut(key).ok_or(Problem::CallNotFound)?.claim(call, session)
    }

    /// What became of a claim.
    pub(crate) fn claimed(&self, key: &UserKey, leg: LegId, is_answered: bool) {
        if let Some(mut user) = self.users.get_mut(key) {
            user.claimed(leg, is_answered);
        }
    }

    /// How to end a call; `None` when it is over, or not the user's.
    pub(crate) fn way_out(&self, key: &UserKey, call: CallId) -> Option<(LegId, LegInput)> {
        self.users.get(key)?.way_out(call)
    }

    /// For the story of a leg's call: what its client said or was told.
    pub(crate) fn note(&self, leg: LegId, direction: Way, line: &str, sdp: Option<&str>) {
        self.note_at(self.clock.now().wall, leg, direction, line, sdp);
    }

    /// The same, of a moment that is past.
    pub(crate) fn note_at(&self, at: WallTime, leg: LegId, direction: Way, line: &str, sdp: Option<&str>) {
        if self.trace.follows(leg) {
            self.trace.note(Subject::Leg(leg), trace::Entry::of_api(at, direction, line, sdp));
        }
    }

    /// Waits at most `limit` until there is something to be seen of the user.
    pub(crate) async fn until<R>(
        &self,
        key: &UserKey,
        limit: Duration,
        look: impl Fn(&User) -> Option<R>,
    ) -> Option<R> {
        let found = async {
            loop {
                let changed = self.users.get(key)?.changed.clone();
                let mut changed = pin!(changed.notified());
                changed.as_mut().enable();
                if let Some(found) = self.look(key, &look)? {
                    return Some(found);
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, found).await.ok().flatten()
    }

    /// Opens an event stream: with a good cursor it begins with what was missed, else with a snapshot.
    pub(crate) fn open(self: &Arc<Self>, key: &UserKey, cursor: Option<&str>) -> Feed {
        let now = self.clock.now();
        let id = self.count.fetch_add(1, Relaxed);
        self.with(key, |user| {
            let here = self.cursor(self.count.load(Relaxed));
            let missed = cursor.and_then(|cursor| self.number_of(cursor)).and_then(|it| user.missed(now.mono, it));
            let backlog = match missed {
                Some(missed) => {
                    let resumed = serde_json::json!({"type": "resumed", "cursor": cursor});
                    std::iter::once(text(&resumed)).chain(missed).collect()
                }
                None => vec![user.snapshot(now.wall, &here)],
            };
            let (stream, feed) = Stream::open(self, key, id, backlog);
            user.join(stream);
            feed
        })
    }

    /// Whether no more than `limit` event streams are open.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        usize::try_from(self.metrics.gauge(Gauge::ClientsConnected)).unwrap_or(0) < limit
    }

    /// Closes every event stream, because the server ends: also those that were being opened.
    pub(crate) async fn close_streams(&self) {
        while self.metrics.gauge(Gauge::ClientsConnected) > 0 {
            let now = self.clock.now();
            self.users.iter_mut().for_each(|mut user| user.cut_all(now.mono, Cut::Shutdown));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Frames that wait for the readers of all event streams.
    pub(crate) fn waiting(&self) -> Fill {
        self.users.iter().map(|user| user.waiting()).sum()
    }

    fn left(&self, key: &UserKey, stream: u64) {
        let now = self.clock.now();
        if let Some(mut user) = self.users.get_mut(key) {
            user.leave(now.mono, stream);
        }
        self.sweep(now.mono);
    }

    /// Calls a client, or says at once why not.
    fn invite(&self, stamp: Stamp<LegId>, dial: &Dial, user: UserId) -> Result<(), Refusal> {
        let leg = stamp.from;
        if self.legs.contains_key(&leg) {
            return Ok(());
        }
        let (key, now) = ((dial.context.tenant.clone(), user), self.clock.now());
        let offer = offer_text(leg, &dial.offer);
        self.legs.insert(leg, key.clone());
        let rings = self.with(&key, |user| {
            let offer = offer.ok_or(Cause::SystemFailure)?;
            user.ring(dial.call, leg, Line::invited(dial.call, dial.offer.clone(), stamp.number), &offer)?;
            let news = News { kind: "call.incoming", id: Uuid::new_v4().to_string(), at: now.wall };
            self.tell(user, now, dial.call, news);
            Ok(())
        });
        let (call_id, correlation_id) = (dial.call, dial.context.correlation_id);
        let input = match rings {
            Ok(()) => {
                debug!(%call_id, %correlation_id, leg_id = %leg, "client rings");
                LegInput::Ringing
            }
            Err(cause) => {
                self.legs.remove(&leg);
                if cause == Cause::SystemFailure {
                    error!(%call_id, %correlation_id, leg_id = %leg, "a call that nobody told of");
                }
                LegInput::Refused { cause, status: None }
            }
        };
        // A leg that is gone was released before it was filed here: nobody would do it again.
        self.calls.tell_leg(leg, input).inspect_err(|_| self.release(leg))
    }

    fn tell(&self, user: &mut User, now: Now, call: CallId, news: News) {
        if let Some(call) = user.call(call).filter(|_| user.has_streams()) {
            self.note(call.session_id, Way::Out, &format!("event {}", news.kind), call.sdp_offer.as_deref());
        }
        let number = self.count.fetch_add(1, Relaxed).saturating_add(1);
        let cut = user.tell(now, call, news, number, self.cursor(number));
        self.metrics.add(Counter::ClientsCut, cut);
    }

    fn cursor(&self, number: u64) -> String {
        format!("{}-{number}", self.boot)
    }

    /// The number in a cursor of this process.
    fn number_of(&self, cursor: &str) -> Option<u64> {
        let number = cursor.strip_prefix(&self.boot)?.strip_prefix('-')?.parse().ok()?;
        (number <= self.count.load(Relaxed)).then_some(number)
    }

    fn with<R>(&self, key: &UserKey, change: impl FnOnce(&mut User) -> R) -> R {
        let mut user = self.users.entry(key.clone()).or_insert_with(|| User::new(self.count.load(Relaxed)));
        change(&mut user)
    }

    /// Now and then, lets go of what is too old. Not under a user's lock.
    fn sweep(&self, now: Timestamp) {
        let due = self.sweep_at.load(Relaxed);
        let next = (now + SWEEP).0;
        if due <= now.0 && self.sweep_at.compare_exchange(due, next, Relaxed, Relaxed).is_ok() {
            self.users.retain(|_, user| user.keep(now));
        }
    }
}

impl EdgePort for Clients {
    fn signal(&self, stamp: Stamp<LegId>, signal: Signal) -> Result<(), Refusal> {
        if let Signal::Invite(dial) = &signal {
            return match dial.target.address {
                Address::Client(user) => self.invite(stamp, dial, user),
                Address::Contact(_) | Address::Trunk { .. } => Err(Refusal::Gone),
            };
        }
        let key = self.legs.get(&stamp.from).map(|key| key.clone()).ok_or(Refusal::Gone)?;
        let mut user = self.users.get_mut(&key).ok_or(Refusal::Gone)?;
        user.lines.get_mut(&stamp.from).ok_or(Refusal::Gone)?.hear(stamp.from, stamp.number, signal);
        Ok(())
    }

    fn release(&self, leg: LegId) {
        if let Some((_, key)) = self.legs.remove(&leg)
            && let Some(mut user) = self.users.get_mut(&key)
        {
            user.release(leg);
        }
    }
}

impl ClientPort for Clients {
    fn is_there(&self, tenant: &Tenant, user: UserId) -> bool {
        self.look(&(tenant.clone(), user), User::has_streams).unwrap_or(false)
    }
}
