//! The call's facts: numbered here, folded into the record, and committed.

use std::sync::Arc;

use smallvec::smallvec;

use super::{Call, CallEffect};
use crate::cdr::CdrFold;
use crate::event::{Fact, FactBody};
use crate::id::LegId;
use crate::machine::{Effects, Stamp};
use crate::time::{Now, WallTime};

impl Call {
    /// The first fact. From here on there is a record to close.
    pub(super) fn begin_record(&mut self, now: Now) -> Effects<CallEffect> {
        self.began = now;
        let birth = &self.birth;
        let body =
            FactBody::Started { leg_id: birth.leg, caller: birth.caller.clone(), dialled: birth.dialled.clone() };
        let sdp = birth.negotiation.offer().and_then(|offer| offer.text.clone());
        let fact = self.fact(now, 1, None, sdp, body);
        self.record = CdrFold::begin(&fact).map(Arc::new);
        smallvec![CallEffect::Commit(Arc::new(fact))]
    }

    /// The next fact.
    pub(super) fn commit(
        &mut self,
        now: Now,
        caused_by: Option<Stamp<LegId>>,
        sdp: Option<Arc<str>>,
        body: FactBody,
    ) -> CallEffect {
        let number = self.record.as_ref().map_or(1, |record| record.next_number());
        let fact = self.fact(now, number, caused_by, sdp, body);
        if let Some(record) = &mut self.record {
            Arc::make_mut(record).apply(&fact);
        }
        CallEffect::Commit(Arc::new(fact))
    }

    /// The last fact.
    pub(super) fn commit_record(&mut self, now: Now) -> Option<CallEffect> {
        let record = self.record.as_ref()?;
        if record.is_closed() {
            return None;
        }
        let record = record.record(self.birth.context.node);
        Some(self.commit(now, None, None, FactBody::CdrClosed(Box::new(record))))
    }

    fn fact(
        &self,
        now: Now,
        number: u32,
        caused_by: Option<Stamp<LegId>>,
        sdp: Option<Arc<str>>,
        body: FactBody,
    ) -> Fact {
        let (context, call) = (self.birth.context.clone(), self.birth.call);
        Fact { context, call, number, at: self.at(now), caused_by, sdp, body }
    }

    /// The time of a fact.
    pub(super) fn at(&self, now: Now) -> WallTime {
        self.began.wall + (now.mono - self.began.mono)
    }
}
