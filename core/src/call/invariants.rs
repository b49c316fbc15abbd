//! What is always true of a call.

use super::{Call, State};
use crate::id::LegId;
use crate::machine::Machine;

impl Call {
    /// What holds after every input. Checked there in debug builds: by every test, and by the simulator.
    pub fn check_invariants(&self) {
        let is_over = |id: LegId| self.legs.iter().any(|leg| leg.id == id && leg.is_over);
        let caller_is_over = is_over(self.birth.leg);
        debug_assert!(self.state == State::New || self.record.is_some(), "a call that began has a record");
        debug_assert!(!self.is_ended() || self.next_deadline().is_none(), "an ended call arms no timer");
        match self.state {
            State::New => debug_assert!(self.legs.is_empty(), "a call that has not begun has no legs"),
            State::Routing => debug_assert!(!caller_is_over, "a call without its caller goes on"),
            State::Dialling { .. } => {
                debug_assert!(!caller_is_over, "a call without its caller goes on");
                debug_assert!(self.legs.iter().skip(1).any(|leg| !leg.is_over), "nobody is left who could answer");
            }
            State::Talking { callee } => {
                debug_assert!(!caller_is_over && !is_over(callee), "one of the two who talk is over");
            }
            State::Ending { .. } => {
                debug_assert!(self.legs.iter().any(|leg| !leg.is_over), "an ending call waits for nobody");
            }
            State::Ended => {
                debug_assert!(self.legs.iter().all(|leg| leg.is_over), "an ended call leaves a leg open");
                let is_closed = self.record.as_ref().is_some_and(|record| record.is_closed());
                debug_assert!(is_closed, "an ended call has closed its record");
            }
        }
    }
}
