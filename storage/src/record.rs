//! The billing record and its row.

use tandem_core::cause::Cause;
use tandem_core::cdr::{Cdr, CdrLeg, Direction, callee_of};
use tandem_core::event::Side;
use tandem_core::party::Number;

use crate::entity::cdr::Model;
use crate::projection::user_and_device;

/// The row of a record. User and device are the caller's; when he is not ours, the callee's.
///
/// # Errors
/// Never for a record that came out of a fold; the legs' JSON says so.
pub(crate) fn row(cdr: &Cdr) -> Result<Model, serde_json::Error> {
    let (user_id, device_id) = match user_and_device(&cdr.caller) {
        (None, _) => cdr.callee.as_ref().map(user_and_device).unwrap_or_default(),
        ours => ours,
    };
    Ok(Model {
        call_id: cdr.call_id.to_string(),
        tenant: cdr.tenant.to_string(),
        correlation_id: cdr.correlation_id.to_string(),
        node_id: cdr.node_id.to_string(),
        user_id,
        device_id,
        caller: cdr.caller.number.reveal().clone(),
        callee: cdr.callee.as_ref().map(|it| it.number.reveal().clone()),
        dialled: cdr.dialled.reveal().clone(),
        started_at: cdr.started_at.date_time(),
        ringing_at: cdr.ringing_at.map(|it| it.date_time()),
        answered_at: cdr.answered_at.map(|it| it.date_time()),
        ended_at: cdr.ended_at.date_time(),
        talk_ms: i64::try_from(cdr.talk_ms).unwrap_or(i64::MAX),
        cause: cdr.cause.name().to_owned(),
        q850: i16::from(cdr.cause.q850()),
        ended_by: cdr.ended_by.name().to_owned(),
        legs: serde_json::to_value(&cdr.legs)?,
        direction: Some(cdr.direction.name().to_owned()),
        answered: cdr.answered,
        billable_seconds: i64::try_from(cdr.billable_seconds).unwrap_or(i64::MAX),
        sip_status: i16::try_from(cdr.sip_status).ok(),
        caller_user_id: user_and_device(&cdr.caller).0,
        caller_e164: revealed(cdr.caller_e164.as_ref()),
        callee_user_id: cdr.callee.as_ref().and_then(|it| user_and_device(it).0),
        callee_e164: revealed(cdr.callee_e164.as_ref()),
        dialled_e164: revealed(cdr.dialled_e164.as_ref()),
        trunk_in: cdr.trunk_in().map(ToString::to_string),
        trunk_out: cdr.trunk_out().map(ToString::to_string),
        route: cdr.route.as_ref().map(serde_json::to_value).transpose()?,
        recording_ids: (!cdr.recording_ids.is_empty()).then(|| serde_json::to_value(&cdr.recording_ids)).transpose()?,
        transfer: cdr.transfer.as_ref().map(serde_json::to_value).transpose()?,
    })
}

/// The record of a row; `None` when the row is damaged.
pub(crate) fn of(row: Model) -> Option<Cdr> {
    let legs: Vec<CdrLeg> = serde_json::from_value(row.legs).ok()?;
    let caller = legs.first()?.party.clone();
    let mut record = Cdr {
        call_id: row.call_id.parse().ok()?,
        tenant: row.tenant.parse().ok()?,
        correlation_id: row.correlation_id.parse().ok()?,
        node_id: row.node_id.parse().ok()?,
        direction: Direction::default(),
        caller,
        caller_e164: None,
        dialled: row.dialled.into(),
        dialled_e164: None,
        callee: callee_of(&legs).map(|leg| leg.party.clone()),
        callee_e164: None,
        route: None,
        started_at: row.started_at.into(),
        ringing_at: row.ringing_at.map(Into::into),
        answered_at: row.answered_at.map(Into::into),
        ended_at: row.ended_at.into(),
        answered: false,
        setup_ms: None,
        ring_ms: None,
        talk_ms: u64::try_from(row.talk_ms).ok()?,
        billable_seconds: 0,
        cause: cause(&row.cause)?,
        q850: 0,
        sip_status: 0,
        ended_by: side(&row.ended_by)?,
        legs,
        recording_ids: row.recording_ids.map(serde_json::from_value).transpose().ok()?.unwrap_or_default(),
        transfer: row.transfer.map(serde_json::from_value).transpose().ok()?,
    };
    record.derive();
    Some(record)
}

fn revealed(number: Option<&Number>) -> Option<String> {
    number.map(|it| it.reveal().clone())
}

/// The cause of that name.
pub(crate) fn cause(name: &str) -> Option<Cause> {
    Cause::ALL.into_iter().find(|it| it.name() == name)
}

/// The side of that name.
pub(crate) fn side(name: &str) -> Option<Side> {
    [Side::Caller, Side::Callee, Side::System].into_iter().find(|it| it.name() == name)
}
