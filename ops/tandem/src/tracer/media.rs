//! The media pool, asked how a leg fared before it lets go of it.

use std::sync::Arc;

use tandem_actors::Clock;
use tandem_core::id::LegId;
use tandem_core::machine::Refusal;
use tandem_core::media::{Carrier, LocalMedia, MediaCommand};
use tandem_core::metric::Metrics;
use tandem_core::ports::MediaPort;
use tandem_core::quality::MediaReport;
use tandem_core::trace::{Entry, Subject, TracePort, What};

use super::Tracer;
use crate::last_media::LastMedia;

/// See the module.
pub(crate) struct ReportedMedia {
    pub(crate) media: Arc<dyn MediaPort>,
    pub(crate) tracer: Arc<Tracer>,
    pub(crate) last: Arc<LastMedia>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

impl MediaPort for ReportedMedia {
    fn open(&self, leg: LegId, carrier: Carrier) -> Result<LocalMedia, Refusal> {
        self.media.open(leg, carrier)
    }

    fn command(&self, owner: LegId, command: MediaCommand) -> Result<(), Refusal> {
        self.media.command(owner, command)
    }

    fn release(&self, leg: LegId) {
        let report = self.media.report(leg);
        if let Some(report) = &report {
            self.metrics.media_over(report);
            self.last.keep(leg, report.clone());
        }
        if self.tracer.follows(leg)
            && let Some(report) = report
        {
            self.tracer.note(Subject::Leg(leg), Entry::new(self.clock.now().wall, What::Media { report }));
        }
        self.media.release(leg);
    }

    fn report(&self, leg: LegId) -> Option<MediaReport> {
        self.media.report(leg)
    }
}
