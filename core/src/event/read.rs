//! A fact read back out of the event that was published of it.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Context, Fact, FactBody};
use crate::id::{CallId, CorrelationId, LegId, NodeId, Tenant};
use crate::machine::Stamp;
use crate::time::WallTime;

/// A text that is no event of a call.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// It is no JSON, or a field is missing or of another kind.
    #[error("not an event of a call")]
    Json(#[from] serde_json::Error),
    /// `source` names no node of ours.
    #[error("the event's source is no node")]
    Source,
    /// `causationid` names no effect of a leg.
    #[error("the event's causationid is no effect of a leg")]
    Cause,
}

/// What of the envelope makes a fact. The rest (subject, type, id) follows from it.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    time: WallTime,
    tenantid: Tenant,
    correlationid: CorrelationId,
    #[serde(borrow, default)]
    causationid: Option<Cow<'a, str>>,
    callid: CallId,
    seq: u32,
    data: FactBody,
}

impl Fact {
    /// The fact in a [`CloudEvent`](super::CloudEvent)'s JSON: what went in, but for the session description, which is
    /// not published.
    ///
    /// # Errors
    /// [`InvalidEvent`]: the text is no event of a call.
    pub fn from_event(text: &str) -> Result<Self, InvalidEvent> {
        let event: Envelope<'_> = serde_json::from_str(text)?;
        let node: NodeId =
            event.source.strip_prefix("/tandem/").and_then(|it| it.parse().ok()).ok_or(InvalidEvent::Source)?;
        let caused_by = event.causationid.map(|it| stamp(&it).ok_or(InvalidEvent::Cause)).transpose()?;
        Ok(Self {
            context: Context { tenant: event.tenantid, correlation_id: event.correlationid, node },
            call: event.callid,
            number: event.seq,
            at: event.time,
            caused_by,
            sdp: None,
            body: event.data,
        })
    }
}

fn stamp(text: &str) -> Option<Stamp<LegId>> {
    let (from, number) = text.split_once('.')?;
    Some(Stamp { from: from.parse().ok()?, number: number.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use crate::leg::LegInput;
    use crate::world::{CALLEE, World};

    #[test]
    fn a_fact_is_read_out_of_its_event_as_it_went_in_but_for_the_session_description() {
        let mut world = World::talking();
        world.leg_input(CALLEE, LegInput::HungUp(Cause::Normal));
        assert!(world.facts.iter().any(|fact| fact.caused_by.is_some()));
        for fact in world.facts {
            let text = serde_json::to_string(&fact.cloud_event()).unwrap();
            assert_eq!(Fact::from_event(&text).unwrap(), Fact { sdp: None, ..fact });
        }
    }

    #[test]
    fn a_text_that_is_no_event_of_a_call_is_no_fact() {
        let event = serde_json::to_string(&World::talking().facts[2].cloud_event()).unwrap();
        for (from, to) in [("/tandem/node_", "/elsewhere/"), ("\"leg_", "\"lag_"), ("\"seq\"", "\"sequence\"")] {
            assert!(event.contains(from));
            assert!(Fact::from_event(&event.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(Fact::from_event("{").is_err());
    }
}
