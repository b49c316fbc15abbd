//! Tells the stories of calls how far their facts have got.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tandem_core::id::CallId;
use tandem_core::trace::{Entry, Place, Subject, TracePort, What};

use crate::database::Storage;
use crate::time::now;

/// Who is told, once somebody wants to be.
#[derive(Default)]
pub(crate) struct Settled(OnceLock<Arc<dyn TracePort>>);

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settled({})", self.0.get().is_some())
    }
}

impl Storage {
    /// From now on this one is told when the last fact of a call is in the database, and when it is with the bus. Once.
    pub fn tell_settled(&self, trace: Arc<dyn TracePort>) {
        let _again = self.settled.0.set(trace);
    }

    /// The last fact of a call has got there.
    pub(crate) fn settled(&self, call: CallId, place: Place) {
        if let Some(trace) = self.settled.0.get() {
            trace.note(Subject::Call(call), Entry::new(now(), What::Settled { place }));
        }
    }

    /// An event went to the bus. The record is the last one of its call.
    pub(crate) fn published(&self, subject: &str) {
        if let Some((head, call)) = subject.rsplit_once('.')
            && head.ends_with(".cdr")
            && let Ok(call) = call.parse()
        {
            self.settled(call, Place::Bus);
        }
    }
}
