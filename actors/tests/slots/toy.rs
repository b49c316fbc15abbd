//! Two machines to try it with: a leg that rings, talks and ends, and a call that dials legs and bills.

use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use tandem_core::machine::{Effects, Machine, Notice, Rejected, Stamp};
use tandem_core::time::{Now, Timestamp};

pub const RING_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CallId(pub u64);

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LegId(pub u64);

/// What a leg tells its call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    Ringing,
    Answered,
    Ended(Cause),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    Normal,
    NoAnswer,
    SystemFailure,
}

#[derive(Clone, Debug)]
pub struct Leg {
    pub call: CallId,
    pub state: LegState,
    /// The digits that came, by who sent them: the next number expected of each.
    pub digits: [u64; 4],
    /// Digits that came out of order, twice, or after a hole.
    pub disorder: u64,
    pub lost: u64,
    pub refused: u64,
    /// Breaks on every input from now on.
    poisoned: bool,
    /// Breaks when asked for its deadline.
    sour: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegState {
    New,
    Dialled { ring_by: Timestamp },
    Ringing { ring_by: Timestamp },
    Connected { since: Timestamp },
    Ended,
}

#[derive(Clone, Debug)]
pub enum LegInput {
    Dial,
    Ringing,
    Answered,
    Hangup,
    Digit {
        by: u8,
        number: u64,
    },
    /// Breaks the handler once; from now on; when it is over; blocks it for a while.
    Break,
    Poison,
    Sour,
    Spin(Duration),
    Notice(Notice<LegEffect, LegKind>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegKind {
    Signal,
    Hangup,
    Test,
    Notice,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LegEffect {
    Invite,
    Bye,
    Digit { by: u8, number: u64 },
    Tell(News),
    Bill { talked: Duration, cause: Cause },
}

impl From<Notice<LegEffect, LegKind>> for LegInput {
    fn from(notice: Notice<LegEffect, LegKind>) -> Self {
        Self::Notice(notice)
    }
}

impl Leg {
    pub fn new(call: CallId) -> Self {
        Self {
            call,
            state: LegState::New,
            digits: [0; 4],
            disorder: 0,
            lost: 0,
            refused: 0,
            poisoned: false,
            sour: false,
        }
    }

    fn digit(&mut self, by: u8, number: u64) -> Effects<LegEffect> {
        let expected = &mut self.digits[usize::from(by)];
        self.disorder += u64::from(number != *expected);
        *expected = number + 1;
        smallvec![LegEffect::Digit { by, number }]
    }

    fn end(&mut self, now: Timestamp, cause: Cause) -> Effects<LegEffect> {
        let mut out = smallvec![LegEffect::Bye];
        if let LegState::Connected { since } = self.state {
            out.push(LegEffect::Bill { talked: now - since, cause });
        }
        out.push(LegEffect::Tell(News::Ended(cause)));
        self.state = LegState::Ended;
        out
    }
}

impl Machine for Leg {
    type Id = LegId;
    type Input = LegInput;
    type Kind = LegKind;
    type Effect = LegEffect;

    fn handle(&mut self, Now { mono: now, .. }: Now, input: LegInput) -> Result<Effects<LegEffect>, Rejected> {
        use LegState::{Connected, Dialled, Ended, New, Ringing};
        assert!(!self.poisoned, "test: poisoned");
        Ok(match (self.state, input) {
            (Ended, _) => Effects::new(),
            (New, LegInput::Dial) => {
                self.state = Dialled { ring_by: now + RING_TIMEOUT };
                smallvec![LegEffect::Invite]
            }
            (Dialled { ring_by }, LegInput::Ringing) => {
                self.state = Ringing { ring_by };
                smallvec![LegEffect::Tell(News::Ringing)]
            }
            (Dialled { .. } | Ringing { .. }, LegInput::Answered) => {
                self.state = Connected { since: now };
                smallvec![LegEffect::Tell(News::Answered)]
            }
            (Dialled { ring_by } | Ringing { ring_by }, LegInput::Notice(Notice::Tick)) if ring_by <= now => {
                self.end(now, Cause::NoAnswer)
            }
            (_, LegInput::Hangup) => self.end(now, Cause::Normal),
            (_, LegInput::Notice(Notice::GivenUp | Notice::Recovered { lost: LegKind::Hangup })) => {
                self.end(now, Cause::SystemFailure)
            }
            (_, LegInput::Notice(Notice::Recovered { .. })) => {
                self.lost += 1;
                Effects::new()
            }
            (_, LegInput::Notice(Notice::Refused { .. })) => {
                self.refused += 1;
                Effects::new()
            }
            (_, LegInput::Digit { by, number }) => self.digit(by, number),
            (_, LegInput::Break) => panic!("test: broken input"),
            (_, LegInput::Poison) => {
                self.poisoned = true;
                Effects::new()
            }
            (_, LegInput::Sour) => {
                self.sour = true;
                Effects::new()
            }
            (_, LegInput::Spin(time)) => {
                std::thread::sleep(time);
                smallvec![LegEffect::Digit { by: 0, number: u64::MAX }]
            }
            _ => return Err(Rejected { input: "-", state: "-" }),
        })
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        assert!(!self.sour, "test: sour");
        match self.state {
            LegState::Dialled { ring_by } | LegState::Ringing { ring_by } => Some(ring_by),
            LegState::New | LegState::Connected { .. } | LegState::Ended => None,
        }
    }

    fn is_ended(&self) -> bool {
        self.state == LegState::Ended
    }

    fn kind(input: &LegInput) -> LegKind {
        match input {
            LegInput::Hangup => LegKind::Hangup,
            LegInput::Break | LegInput::Poison | LegInput::Sour | LegInput::Spin(_) => LegKind::Test,
            LegInput::Notice(_) => LegKind::Notice,
            _ => LegKind::Signal,
        }
    }
}

/// Dials all its legs at once; the first answer wins.
#[derive(Clone, Debug, Default)]
pub struct Call {
    legs: SmallVec<[Child; 2]>,
    talking: Option<LegId>,
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    id: LegId,
    /// Its effects up to here have been heard: a repeat after a crash is no second answer.
    heard: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum CallInput {
    Dial(LegId),
    Leg(Stamp<LegId>, News),
    LegLost(LegId),
    /// Test: blocks the handler.
    Spin(Duration),
    Notice(Notice<CallEffect, CallKind>),
}

#[derive(Clone, Copy, Debug)]
pub struct CallKind;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CallEffect {
    Open(LegId),
    Hangup(LegId),
    Bill { answered: bool },
}

impl From<Notice<CallEffect, CallKind>> for CallInput {
    fn from(notice: Notice<CallEffect, CallKind>) -> Self {
        Self::Notice(notice)
    }
}

impl Call {
    fn hears(&mut self, stamp: Stamp<LegId>) -> bool {
        let Some(child) = self.legs.iter_mut().find(|leg| leg.id == stamp.from) else { return false };
        let new = child.heard < Some(stamp.number);
        child.heard = child.heard.max(Some(stamp.number));
        new
    }

    fn answered(&mut self, by: LegId) -> Effects<CallEffect> {
        self.talking = Some(by);
        self.legs.iter().filter(|leg| leg.id != by).map(|leg| CallEffect::Hangup(leg.id)).collect()
    }

    fn left(&mut self, id: LegId) -> Effects<CallEffect> {
        self.legs.retain(|leg| leg.id != id);
        self.ended = self.legs.is_empty();
        self.ended.then_some(CallEffect::Bill { answered: self.talking.is_some() }).into_iter().collect()
    }
}

impl Machine for Call {
    type Id = CallId;
    type Input = CallInput;
    type Kind = CallKind;
    type Effect = CallEffect;

    fn handle(&mut self, _: Now, input: CallInput) -> Result<Effects<CallEffect>, Rejected> {
        Ok(match input {
            _ if self.ended => Effects::new(),
            CallInput::Dial(id) => {
                self.legs.push(Child { id, heard: None });
                smallvec![CallEffect::Open(id)]
            }
            CallInput::Leg(stamp, news) if self.hears(stamp) => match news {
                News::Ringing => Effects::new(),
                News::Answered => self.answered(stamp.from),
                News::Ended(_) => self.left(stamp.from),
            },
            CallInput::LegLost(id) if self.legs.iter().any(|leg| leg.id == id) => self.left(id),
            CallInput::Spin(time) => {
                std::thread::sleep(time);
                Effects::new()
            }
            CallInput::Notice(Notice::GivenUp) => {
                self.ended = true;
                self.legs.iter().map(|leg| CallEffect::Hangup(leg.id)).collect()
            }
            _ => return Err(Rejected { input: "-", state: "-" }),
        })
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    fn is_ended(&self) -> bool {
        self.ended
    }

    fn kind(_: &CallInput) -> CallKind {
        CallKind
    }
}
