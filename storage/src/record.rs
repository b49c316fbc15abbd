//! The billing record and its row.

use tandem_core::cause::Cause;
use tandem_core::cdr::{Cdr, CdrLeg};
use tandem_core::event::Side;

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
    })
}

/// The record of a row; `None` when the row is damaged.
pub(crate) fn of(row: Model) -> Option<Cdr> {
    let legs: Vec<CdrLeg> = serde_json::from_value(row.legs).ok()?;
    let caller = legs.first()?.party.clone();
    let callees = || legs.iter().skip(1);
    let callee = callees().find(|leg| leg.answered_at.is_some()).or_else(|| callees().next_back());
    Some(Cdr {
        call_id: row.call_id.parse().ok()?,
        tenant: row.tenant.parse().ok()?,
        correlation_id: row.correlation_id.parse().ok()?,
        node_id: row.node_id.parse().ok()?,
        caller,
        dialled: row.dialled.into(),
        callee: callee.map(|leg| leg.party.clone()),
        started_at: row.started_at.into(),
        ringing_at: row.ringing_at.map(Into::into),
        answered_at: row.answered_at.map(Into::into),
        ended_at: row.ended_at.into(),
        talk_ms: u64::try_from(row.talk_ms).ok()?,
        cause: cause(&row.cause)?,
        ended_by: side(&row.ended_by)?,
        legs,
    })
}

/// The cause of that name.
pub(crate) fn cause(name: &str) -> Option<Cause> {
    Cause::ALL.into_iter().find(|it| it.name() == name)
}

/// The side of that name.
pub(crate) fn side(name: &str) -> Option<Side> {
    [Side::Caller, Side::Callee, Side::System].into_iter().find(|it| it.name() == name)
}
