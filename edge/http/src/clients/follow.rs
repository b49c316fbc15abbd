//! Follows calls by their facts: what each fact changes for which user. Pure.
//!
//! ```text
//!  Started ─▶ the caller's call begins      Dialled ─▶ the callee's does
//!  Ringing ─▶ both                          Answered ─▶ caller and whoever answered
//!  LegEnded ─▶ a callee whose last leg it was, while others go on      Ended, CdrClosed ─▶ whoever is left
//! ```

use smallvec::SmallVec;
use tandem_core::cause::Cause;
use tandem_core::event::{Context, Fact, FactBody};
use tandem_core::id::{LegId, UserId};
use tandem_core::party::{Identity, Party};
use tandem_core::time::WallTime;

use crate::user_call::{Direction, UserCall};

/// A call that is not over.
pub(super) struct Followed {
    pub(super) context: Context,
    /// The last fact that was heard.
    last: u32,
    caller: Party,
    started_at: WallTime,
    callees: SmallVec<[Callee; 2]>,
}

struct Callee {
    leg: LegId,
    party: Party,
    is_over: bool,
}

/// What a fact changes for one user.
pub(super) type Changes = SmallVec<[(UserId, Change); 2]>;

/// One change of a user's call.
pub(super) enum Change {
    /// It is there.
    Begun(Box<UserCall>),
    /// The caller's callee is known now.
    Tried(Party),
    /// It rings.
    Rings,
    /// It was answered: for the caller by that party, for the callee on that leg.
    Answered { by: Party, on: Option<LegId> },
    /// It is over.
    Ended(Cause),
}

impl Followed {
    /// From the first fact of a call. `None` when it is another one.
    pub(super) fn begin(fact: &Fact) -> Option<Self> {
        let FactBody::Started { caller, .. } = &fact.body else { return None };
        let (context, callees) = (fact.context.clone(), SmallVec::new());
        Some(Self { context, last: 0, caller: caller.clone(), started_at: fact.at, callees })
    }

    /// Takes the next fact; one that came already changes nothing.
    pub(super) fn take(&mut self, fact: &Fact) -> Changes {
        if fact.number <= self.last {
            return Changes::new();
        }
        self.last = fact.number;
        match &fact.body {
            FactBody::Started { leg_id, dialled, .. } => {
                let call = UserCall { peer: dialled.clone(), ..self.call(fact, *leg_id, Direction::Outgoing) };
                self.for_caller(Change::Begun(Box::new(call)))
            }
            FactBody::Dialled { leg_id, callee, .. } => self.dialled(fact, *leg_id, callee),
            FactBody::Ringing { .. } => self.everybody().into_iter().map(|user| (user, Change::Rings)).collect(),
            FactBody::Answered { leg_id } => self.answered(*leg_id),
            FactBody::LegEnded { leg_id, cause, .. } => self.leg_ended(*leg_id, *cause),
            FactBody::Ended { cause, .. } => {
                self.everybody().into_iter().map(|user| (user, Change::Ended(*cause))).collect()
            }
            // Who knows of the end already does not hear of it again.
            FactBody::CdrClosed(cdr) => {
                self.everybody().into_iter().map(|user| (user, Change::Ended(cdr.cause))).collect()
            }
        }
    }

    fn dialled(&mut self, fact: &Fact, leg: LegId, party: &Party) -> Changes {
        let mut out = self.for_caller(Change::Tried(party.clone()));
        // Whoever calls himself sees the call that he makes.
        if let Some(user) = user_of(party).filter(|user| !self.everybody().contains(user)) {
            let call = UserCall {
                peer: self.caller.number.clone(),
                peer_name: self.caller.name.clone(),
                is_dialled: true,
                started_at: self.started_at,
                ..self.call(fact, leg, Direction::Incoming)
            };
            out.push((user, Change::Begun(Box::new(call))));
        }
        self.callees.push(Callee { leg, party: party.clone(), is_over: false });
        out
    }

    fn answered(&self, leg: LegId) -> Changes {
        let Some(callee) = self.callees.iter().find(|callee| callee.leg == leg) else { return Changes::new() };
        let by = callee.party.clone();
        let mut out = self.for_caller(Change::Answered { by: by.clone(), on: None });
        let other = user_of(&by).filter(|user| Some(*user) != user_of(&self.caller));
        out.extend(other.map(|user| (user, Change::Answered { by, on: Some(leg) })));
        out
    }

    /// While others go on, the call is over for a callee whose last leg it was. Otherwise the end of all follows.
    fn leg_ended(&mut self, leg: LegId, cause: Cause) -> Changes {
        let Some(callee) = self.callees.iter_mut().find(|callee| callee.leg == leg) else { return Changes::new() };
        callee.is_over = true;
        let user = user_of(&callee.party).filter(|user| Some(*user) != user_of(&self.caller));
        let goes_on = |callee: &&Callee| !callee.is_over;
        let others_go_on = self.callees.iter().any(|callee| !callee.is_over);
        let he_goes_on = self.callees.iter().filter(goes_on).any(|callee| user_of(&callee.party) == user);
        let over = user.filter(|_| others_go_on && !he_goes_on);
        over.map(|user| (user, Change::Ended(cause))).into_iter().collect()
    }

    fn call(&self, fact: &Fact, leg: LegId, direction: Direction) -> UserCall {
        UserCall {
            call_id: fact.call,
            session_id: leg,
            correlation_id: fact.context.correlation_id,
            direction,
            peer: Default::default(),
            peer_name: None,
            is_dialled: false,
            started_at: fact.at,
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            cause: None,
            talked: None,
            sdp_offer: None,
        }
    }

    fn for_caller(&self, change: Change) -> Changes {
        user_of(&self.caller).map(|user| (user, change)).into_iter().collect()
    }

    /// Its users, each once, the caller first.
    fn everybody(&self) -> SmallVec<[UserId; 2]> {
        let mut users = SmallVec::new();
        let parties = std::iter::once(&self.caller).chain(self.callees.iter().map(|callee| &callee.party));
        for user in parties.filter_map(user_of) {
            if !users.contains(&user) {
                users.push(user);
            }
        }
        users
    }
}

fn user_of(party: &Party) -> Option<UserId> {
    match party.identity {
        Identity::User { user_id, .. } => Some(user_id),
        Identity::Trunk { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use tandem_core::event::Side;
    use tandem_core::id::{CallId, CorrelationId, DeviceId, NodeId, Tenant};
    use tandem_core::party::TrunkName;
    use uuid::Uuid;

    use super::*;

    const OUTSIDE: u128 = 0;

    fn party(user: u128) -> Party {
        let identity = match user {
            OUTSIDE => Identity::Trunk { trunk: TrunkName("carrier".into()) },
            user => Identity::User { user_id: id(user), device_id: DeviceId::from_uuid(Uuid::from_u128(1)) },
        };
        Party { number: user.to_string().into(), name: None, identity }
    }

    fn id(user: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(user))
    }

    fn leg(n: u128) -> LegId {
        LegId::from_uuid(Uuid::from_u128(n))
    }

    /// What each fact changes for whom, as words.
    fn followed(bodies: Vec<FactBody>) -> Vec<Vec<(u128, String)>> {
        let context = Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::nil()),
            node: NodeId::from_uuid(Uuid::nil()),
        };
        let fact = |(number, body)| Fact {
            context: context.clone(),
            call: CallId::from_uuid(Uuid::nil()),
            number,
            at: WallTime(number.into()),
            caused_by: None,
            sdp: None,
            body,
        };
        let facts: Vec<_> = (1..).zip(bodies).map(fact).collect();
        let mut call = Followed::begin(&facts[0]).unwrap();
        let word = |change: Change| match change {
            Change::Begun(call) => format!("{:?}", call.direction),
            Change::Tried(_) => String::from("Tried"),
            Change::Rings => String::from("Rings"),
            Change::Answered { by, on } => format!("Answered by {} on {}", by.number.reveal(), on.is_some()),
            Change::Ended(cause) => format!("{cause:?}"),
        };
        let words =
            |changes: Changes| changes.into_iter().map(|(user, it)| (user.uuid().as_u128(), word(it))).collect();
        facts
            .iter()
            .map(|fact| {
                let changes = words(call.take(fact));
                assert!(call.take(fact).is_empty(), "a fact that comes again changes nothing");
                changes
            })
            .collect()
    }

    fn started(user: u128) -> FactBody {
        FactBody::Started { leg_id: leg(1), caller: party(user), dialled: String::from("9").into() }
    }

    fn dialled(n: u128, user: u128) -> FactBody {
        FactBody::Dialled { leg_id: leg(n), callee: party(user), route: None }
    }

    fn leg_ended(n: u128, cause: Cause) -> FactBody {
        FactBody::LegEnded { leg_id: leg(n), cause, sip_status: None, rang_at: None, media: None }
    }

    fn told(changes: &[(u128, &str)]) -> Vec<(u128, String)> {
        changes.iter().map(|(user, what)| (*user, (*what).to_owned())).collect()
    }

    #[test]
    fn whoever_lost_the_race_hears_the_end_while_the_others_talk() {
        let changes = followed(vec![
            started(1),
            dialled(2, 2),
            dialled(3, 3),
            dialled(4, 3),
            FactBody::Ringing { leg_id: leg(2) },
            FactBody::Answered { leg_id: leg(2) },
            leg_ended(3, Cause::AnsweredElsewhere),
            leg_ended(4, Cause::AnsweredElsewhere),
            leg_ended(2, Cause::Normal),
            FactBody::Ended { cause: Cause::Normal, by: Side::Callee },
        ]);
        let expected: [&[(u128, &str)]; 10] = [
            &[(1, "Outgoing")],
            &[(1, "Tried"), (2, "Incoming")],
            &[(1, "Tried"), (3, "Incoming")],
            &[(1, "Tried")],
            &[(1, "Rings"), (2, "Rings"), (3, "Rings")],
            &[(1, "Answered by 2 on false"), (2, "Answered by 2 on true")],
            &[],
            &[(3, "AnsweredElsewhere")],
            &[],
            &[(1, "Normal"), (2, "Normal"), (3, "Normal")],
        ];
        assert_eq!(changes, expected.map(told));
    }

    #[test]
    fn whoever_calls_himself_sees_the_call_that_he_makes() {
        let changes = followed(vec![started(1), dialled(2, 1), FactBody::Answered { leg_id: leg(2) }]);
        let expected: [&[(u128, &str)]; 3] = [&[(1, "Outgoing")], &[(1, "Tried")], &[(1, "Answered by 1 on false")]];
        assert_eq!(changes, expected.map(told));
    }

    #[test]
    fn between_trunks_nobody_hears_anything() {
        let changes = followed(vec![started(OUTSIDE), dialled(2, OUTSIDE), FactBody::Answered { leg_id: leg(2) }]);
        assert!(changes.iter().all(Vec::is_empty));
    }
}
