//! How the media of legs fared, kept for the record: the machines do not know it, and the pool forgets it with the leg.
//!
//! ```text
//!  pool ──report at release──▶ LastMedia ──▶ facts LegEnded and CdrClosed on their way into the journal
//! ```
//!
//! # Invariants
//! * A leg is kept from the fact that it began with until the record of its call, and nothing of it after that.
//! * The record says of a leg what the fact of its end says.

use std::sync::Arc;

use dashmap::DashMap;
use tandem_core::event::{Fact, FactBody};
use tandem_core::id::LegId;
use tandem_core::ports::MediaPort;
use tandem_core::quality::{MediaQuality, MediaReport};

/// Most legs at a time. More: their records tell nothing of media. No node has as many calls.
const MOST: usize = 200_000;

/// See the module.
pub(crate) struct LastMedia {
    media: Arc<dyn MediaPort>,
    legs: DashMap<LegId, Option<MediaQuality>>,
}

impl LastMedia {
    /// Of the legs of this pool.
    pub(crate) fn new(media: Arc<dyn MediaPort>) -> Self {
        Self { media, legs: DashMap::new() }
    }

    /// The pool is about to forget the leg.
    pub(crate) fn keep(&self, leg: LegId, report: MediaReport) {
        if let Some(mut kept) = self.legs.get_mut(&leg) {
            kept.get_or_insert_with(|| report.into());
        }
    }

    /// The fact with what is known of media; `None`: nothing is to be added.
    pub(crate) fn complete(&self, fact: &Fact) -> Option<Fact> {
        match &fact.body {
            FactBody::Started { leg_id, .. } | FactBody::Dialled { leg_id, .. } => {
                if self.legs.len() < MOST {
                    self.legs.entry(*leg_id).or_default();
                }
                None
            }
            FactBody::LegEnded { leg_id, .. } => {
                let mut fact = fact.clone();
                if let FactBody::LegEnded { media, .. } = &mut fact.body {
                    *media = self.of(*leg_id);
                }
                Some(fact)
            }
            FactBody::CdrClosed(_) => {
                let mut fact = fact.clone();
                if let FactBody::CdrClosed(record) = &mut fact.body {
                    for leg in &mut record.legs {
                        leg.media = self.legs.remove(&leg.leg_id).and_then(|(_, kept)| kept);
                    }
                }
                Some(fact)
            }
            FactBody::Ringing { .. } | FactBody::Answered { .. } | FactBody::Ended { .. } => None,
        }
    }

    /// Whoever releases the leg at the same moment keeps the report before the pool has forgotten it.
    fn of(&self, leg: LegId) -> Option<MediaQuality> {
        let report = self.media.report(leg);
        let mut kept = self.legs.get_mut(&leg)?;
        if kept.is_none() {
            *kept = report.map(MediaQuality::from);
        }
        kept.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parking_lot::Mutex;
    use tandem_core::cause::Cause;
    use tandem_core::cdr::CdrFold;
    use tandem_core::event::{Context, Side};
    use tandem_core::id::{CallId, CorrelationId, NodeId, Tenant};
    use tandem_core::machine::Refusal;
    use tandem_core::media::{Carrier, LocalMedia, MediaCommand};
    use tandem_core::party::{Identity, Party, TrunkName};
    use tandem_core::time::WallTime;
    use uuid::Uuid;

    use super::*;

    /// A pool that has reports of these legs.
    #[derive(Default)]
    struct Pool(Mutex<Vec<LegId>>);

    impl MediaPort for Pool {
        fn open(&self, _: LegId, _: Carrier) -> Result<LocalMedia, Refusal> {
            Err(Refusal::Full)
        }

        fn command(&self, _: LegId, _: MediaCommand) -> Result<(), Refusal> {
            Ok(())
        }

        fn release(&self, leg: LegId) {
            self.0.lock().retain(|it| *it != leg);
        }

        fn report(&self, leg: LegId) -> Option<MediaReport> {
            self.0.lock().contains(&leg).then(|| report(leg.uuid().as_u128() as u64))
        }
    }

    fn report(received: u64) -> MediaReport {
        MediaReport {
            codec: Some(String::from("PCMA")),
            received,
            sent: 9,
            lost: 1,
            jitter: Duration::from_micros(1_250),
            round_trip: None,
            remote_lost_permille: None,
            mos: Some(4.381),
            rebuilds: 0,
        }
    }

    fn leg(n: u128) -> LegId {
        LegId::from_uuid(Uuid::from_u128(n))
    }

    fn fact(number: u32, body: FactBody) -> Fact {
        let context = Context {
            tenant: Tenant::default_tenant(),
            correlation_id: CorrelationId::from_uuid(Uuid::from_u128(1)),
            node: NodeId::from_uuid(Uuid::from_u128(1)),
        };
        let call = CallId::from_uuid(Uuid::from_u128(1));
        Fact { context, call, number, at: WallTime(0), caused_by: None, sdp: None, body }
    }

    #[test]
    fn the_record_has_the_media_of_legs_that_were_released_before_and_after_they_ended() {
        let pool = Arc::new(Pool(Mutex::new(vec![leg(1), leg(2)])));
        let last = LastMedia::new(pool.clone());
        let party = || Party {
            number: String::from("1001").into(),
            name: None,
            identity: Identity::Trunk { trunk: TrunkName("world".into()) },
        };
        let over =
            |leg_id| FactBody::LegEnded { leg_id, cause: Cause::Normal, sip_status: None, rang_at: None, media: None };
        let release = |n| {
            pool.report(leg(n)).into_iter().for_each(|report| last.keep(leg(n), report));
            pool.release(leg(n));
        };
        let bodies = [
            FactBody::Started { leg_id: leg(1), caller: party(), dialled: String::from("1002").into() },
            FactBody::Dialled { leg_id: leg(2), callee: party(), route: None },
            FactBody::Dialled { leg_id: leg(3), callee: party(), route: None },
            over(leg(1)),
            over(leg(2)),
            over(leg(3)),
            FactBody::Ended { cause: Cause::Normal, by: Side::Caller },
        ];
        let mut fold: Option<CdrFold> = None;
        for (number, body) in (1..).zip(bodies) {
            if number == 5 {
                release(2);
            }
            let fact = fact(number, body);
            let told = last.complete(&fact).unwrap_or(fact);
            match &mut fold {
                Some(fold) => fold.apply(&told),
                None => fold = CdrFold::begin(&told),
            }
        }
        release(1);
        // The machine's own record knows nothing of media.
        let mut record = fold.unwrap().record(fact(1, over(leg(1))).context.node);
        let folded = record.clone();
        record.legs.iter_mut().for_each(|leg| leg.media = None);
        let closed = last.complete(&fact(8, FactBody::CdrClosed(Box::new(record)))).unwrap();
        let FactBody::CdrClosed(closed) = closed.body else { panic!() };
        assert_eq!(*closed, folded);
        let received: Vec<_> = closed.legs.iter().map(|leg| leg.media.as_ref().map(|it| it.received)).collect();
        assert_eq!(received, [Some(1), Some(2), None]);
        let media = closed.legs[0].media.as_ref().unwrap();
        assert_eq!((media.jitter_ms, media.mos), (1.25, Some(4.38)));
        assert!(last.legs.is_empty(), "nothing is left");
        last.keep(leg(1), report(1));
        assert!(last.legs.is_empty(), "and nothing comes back");
    }
}
