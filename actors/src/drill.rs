//! Breaks actors on purpose: for tests, and for an operator who wants to see them recover. A trap that is not set costs
//! one load.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::ports::Fault;

/// How an actor is to be broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// By a kill signal.
    Kill,
    /// By a panic at its next wake.
    Panic,
    /// It does not come back from its next wake.
    Hang,
}

impl How {
    /// For logs and requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Panic => "panic",
            Self::Hang => "hang",
        }
    }
}

/// Where an actor steps into what was laid for it. Lives with what survives the actor, so the next one steps into it
/// if the first one was gone.
#[derive(Debug, Default)]
pub(crate) struct Trap(AtomicU8);

impl Trap {
    const PANIC: u8 = 1;
    const HANG: u8 = 2;

    /// Lays what a live actor is to step into. A kill needs none: whether it is one.
    pub(crate) fn lay(&self, how: How) -> bool {
        match how {
            How::Kill => return false,
            How::Panic => self.0.store(Self::PANIC, Relaxed),
            How::Hang => self.0.store(Self::HANG, Relaxed),
        }
        true
    }

    /// What the actor that is here now is to suffer.
    pub(crate) fn spring(&self) -> Fault {
        if self.0.load(Relaxed) == 0 {
            return Fault::None;
        }
        match self.0.swap(0, Relaxed) {
            Self::PANIC => Fault::Panic,
            Self::HANG => Fault::Hang,
            _ => Fault::None,
        }
    }
}

/// What a test or a drill wants to go wrong goes wrong here.
#[expect(clippy::panic, reason = "only when a test or a drill asks for it")]
pub(crate) async fn suffer(fault: Fault) {
    match fault {
        Fault::None => {}
        Fault::Panic => std::panic::panic_any("drill: this actor was told to panic"),
        Fault::Hang => std::future::pending().await,
    }
}
