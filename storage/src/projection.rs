//! The rows of a call and its legs: what its facts add up to.

use sea_orm::DbErr;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Expr, Func, OnConflict};
use tandem_core::event::{Fact, FactBody, Side};
use tandem_core::id::LegId;
use tandem_core::party::{Identity, Party};
use tandem_core::time::WallTime;

use crate::entity::call::{self, CallStatus};
use crate::entity::leg;

pub(crate) const CALLER: &str = Side::Caller.name();
pub(crate) const CALLEE: &str = Side::Callee.name();

/// One call, as far as its facts have been seen.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    call: call::Model,
    legs: Vec<LegRow>,
}

#[derive(Clone, Debug)]
struct LegRow {
    row: leg::Model,
    is_changed: bool,
}

impl Projection {
    /// From the first fact of a call; `None` when it is another one.
    pub(crate) fn begin(first: &Fact) -> Option<Self> {
        let FactBody::Started { leg_id, caller, dialled } = &first.body else { return None };
        let call = call::Model {
            id: first.call.to_string(),
            tenant: first.context.tenant.to_string(),
            correlation_id: first.context.correlation_id.to_string(),
            node_id: first.context.node.to_string(),
            session_id: leg_id.to_string(),
            status: CallStatus::Initialized,
            caller: caller.number.reveal().clone(),
            callee: None,
            dialled: dialled.reveal().clone(),
            started_at: first.at.date_time(),
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            cause: None,
            sdp_offer: first.sdp.as_deref().map(str::to_owned),
            sdp_answer: None,
            last_fact: number(first),
            closed: false,
        };
        let mut new = Self { call, legs: Vec::new() };
        new.add_leg(CALLER, *leg_id, caller, first.at);
        Some(new)
    }

    /// From its rows.
    pub(crate) fn of(call: call::Model, legs: Vec<leg::Model>) -> Self {
        Self { call, legs: legs.into_iter().map(|row| LegRow { row, is_changed: false }).collect() }
    }

    /// Adds a fact. One that was seen already changes nothing.
    pub(crate) fn apply(&mut self, fact: &Fact) {
        if number(fact) <= self.call.last_fact {
            return;
        }
        self.call.last_fact = number(fact);
        let at = fact.at.date_time();
        match &fact.body {
            FactBody::Started { .. } => {}
            FactBody::Dialled { leg_id, callee, .. } => {
                self.call.status = CallStatus::Connecting;
                self.call.callee = Some(callee.number.reveal().clone());
                self.add_leg(CALLEE, *leg_id, callee, fact.at);
            }
            FactBody::Ringing { .. } => self.call.ringing_at = self.call.ringing_at.or(Some(at)),
            FactBody::Answered { leg_id } => self.answer(*leg_id, fact),
            FactBody::LegEnded { leg_id, cause, sip_status, .. } => {
                if let Some(leg) = self.leg(*leg_id) {
                    leg.ended_at = Some(at);
                    leg.cause = Some(cause.name().to_owned());
                    leg.sip_status = sip_status.and_then(|it| i16::try_from(it).ok());
                }
            }
            FactBody::Ended { cause, .. } => {
                self.call.status = CallStatus::of_ended(self.call.answered_at.is_some(), *cause);
                self.call.ended_at = Some(at);
                self.call.cause = Some(cause.name().to_owned());
            }
            FactBody::CdrClosed(_) => self.call.closed = true,
        }
    }

    /// No fact follows.
    pub(crate) fn is_closed(&self) -> bool {
        self.call.closed
    }

    /// The rows are stored. Session descriptions never change again and are let go of.
    pub(crate) fn settle(&mut self) {
        (self.call.sdp_offer, self.call.sdp_answer) = (None, None);
        self.legs.iter_mut().for_each(|leg| leg.is_changed = false);
    }

    fn answer(&mut self, leg_id: LegId, fact: &Fact) {
        let at = Some(fact.at.date_time());
        self.call.status = CallStatus::Active;
        self.call.answered_at = self.call.answered_at.or(at);
        self.call.sdp_answer = fact.sdp.as_deref().map(str::to_owned);
        if let Some(leg) = self.leg(leg_id) {
            leg.answered_at = at;
            let callee = leg.number.clone();
            self.call.callee = Some(callee);
        }
        if let Some(caller) = self.legs.iter_mut().find(|leg| leg.row.side == CALLER) {
            caller.row.answered_at = at;
            caller.is_changed = true;
        }
    }

    fn add_leg(&mut self, side: &str, id: LegId, party: &Party, started_at: WallTime) {
        let (user_id, device_id) = user_and_device(party);
        let trunk = match &party.identity {
            Identity::Trunk { trunk } => Some(trunk.to_string()),
            Identity::User { .. } => None,
        };
        let row = leg::Model {
            id: id.to_string(),
            tenant: self.call.tenant.clone(),
            call_id: self.call.id.clone(),
            side: side.to_owned(),
            number: party.number.reveal().clone(),
            name: party.name.as_ref().map(|it| it.reveal().clone()),
            user_id,
            device_id,
            trunk,
            started_at: started_at.date_time(),
            answered_at: None,
            ended_at: None,
            cause: None,
            sip_status: None,
        };
        self.legs.push(LegRow { row, is_changed: true });
    }

    fn leg(&mut self, id: LegId) -> Option<&mut leg::Model> {
        let id = id.to_string();
        let leg = self.legs.iter_mut().find(|leg| leg.row.id == id)?;
        leg.is_changed = true;
        Some(&mut leg.row)
    }
}

/// Writes the rows of some calls.
pub(crate) async fn upsert(db: &impl ConnectionTrait, calls: impl Iterator<Item = &Projection>) -> Result<(), DbErr> {
    let (mut call_rows, mut leg_rows) = (Vec::new(), Vec::new());
    for call in calls {
        call_rows.push(call::ActiveModel::from(call.call.clone()));
        let changed = call.legs.iter().filter(|leg| leg.is_changed);
        leg_rows.extend(changed.map(|leg| leg::ActiveModel::from(leg.row.clone())));
    }
    call::Entity::insert_many(call_rows).on_conflict(call_update()).exec_without_returning(db).await?;
    leg::Entity::insert_many(leg_rows).on_conflict(leg_update()).exec_without_returning(db).await?;
    Ok(())
}

fn call_update() -> OnConflict {
    use call::Column;
    // The answer comes with one fact and is let go of after it.
    let answer =
        Func::coalesce([Expr::col(("excluded", Column::SdpAnswer)), Expr::col((call::Entity, Column::SdpAnswer))]);
    OnConflict::column(Column::Id)
        .update_columns([
            Column::Status,
            Column::Callee,
            Column::RingingAt,
            Column::AnsweredAt,
            Column::EndedAt,
            Column::Cause,
            Column::LastFact,
            Column::Closed,
        ])
        .value(Column::SdpAnswer, answer)
        .to_owned()
}

fn leg_update() -> OnConflict {
    use leg::Column;
    OnConflict::column(Column::Id)
        .update_columns([Column::AnsweredAt, Column::EndedAt, Column::Cause, Column::SipStatus])
        .to_owned()
}

/// The user and the device behind a party, when it is one of ours.
pub(crate) fn user_and_device(party: &Party) -> (Option<String>, Option<String>) {
    match &party.identity {
        Identity::User { user_id, device_id } => (Some(user_id.to_string()), Some(device_id.to_string())),
        Identity::Trunk { .. } => (None, None),
    }
}

/// A fact's number as the database has it.
pub(crate) fn number(fact: &Fact) -> i32 {
    i32::try_from(fact.number).unwrap_or(i32::MAX)
}
