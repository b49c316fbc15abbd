//! What can happen to a leg, and what it means when one such input is lost.

use std::sync::Arc;

use super::LegEffect;
use crate::cause::{Cause, SipStatus};
use crate::id::LegId;
use crate::machine::Notice;
use crate::media::{LocalMedia, MediaDescription, MediaNews};

/// What can happen to a leg.
#[derive(Clone, Debug, PartialEq)]
pub enum LegInput {
    /// Begin. First input, from whoever opened it.
    Start,

    /// The call: this may be offered to a caller that wants our offer at once.
    Propose(Arc<MediaDescription>),
    /// The call: let the caller hear ringing.
    Ring,
    /// The call: let the caller hear what this side of the callee sends before the answer.
    Progress(Arc<MediaDescription>),
    /// The call: accept the caller, given what the callee answered.
    Answer(Arc<MediaDescription>),
    /// The call: exchange media with that leg from now on.
    Bridge(LegId),
    /// The call: it is over.
    HangUp(Cause),

    /// The edge: the far end rings.
    Ringing,
    /// The edge: the far end sends media before the answer.
    EarlyMedia(Arc<MediaDescription>),
    /// The edge: the far end answered.
    Answered(Arc<MediaDescription>),
    /// The edge: the caller's answer to our offer came, with its ACK or by itself.
    Completed(Arc<MediaDescription>),
    /// The edge: our INVITE was refused.
    Refused {
        /// What that means.
        cause: Cause,
        /// The final response, when there was one.
        status: Option<SipStatus>,
    },
    /// The edge: the caller gave up; its INVITE has been answered already.
    Cancelled,
    /// The edge: the far end hung up.
    HungUp(Cause),
    /// The edge: the far end does not answer any more.
    Broken(Cause),

    /// The pool: this is our port pair.
    MediaReady(LocalMedia),
    /// The pool: something on the wire.
    Media(MediaNews),
    /// The track ended by itself.
    TrackLost,

    /// From the shell.
    Notice(Notice<LegEffect, LegKind>),
}

/// Kinds of inputs: what a lost one means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegKind {
    /// Without it the leg cannot go on: it ends, and says so to the far end.
    Vital,
    /// The far end is gone already.
    Final,
    /// Nobody misses it.
    Passing,
}

impl From<Notice<LegEffect, LegKind>> for LegInput {
    fn from(notice: Notice<LegEffect, LegKind>) -> Self {
        Self::Notice(notice)
    }
}

impl LegInput {
    /// Its name, for [`Rejected`](crate::machine::Rejected) and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Propose(_) => "propose",
            Self::Ring => "ring",
            Self::Progress(_) => "progress",
            Self::Answer(_) => "answer",
            Self::Bridge(_) => "bridge",
            Self::HangUp(_) => "hang_up",
            Self::Ringing => "ringing",
            Self::EarlyMedia(_) => "early_media",
            Self::Answered(_) => "answered",
            Self::Completed(_) => "completed",
            Self::Refused { .. } => "refused",
            Self::Cancelled => "cancelled",
            Self::HungUp(_) => "hung_up",
            Self::Broken(_) => "broken",
            Self::MediaReady(_) => "media_ready",
            Self::Media(_) => "media",
            Self::TrackLost => "track_lost",
            Self::Notice(_) => "notice",
        }
    }

    /// What it means when it is lost.
    pub(super) const fn kind(&self) -> LegKind {
        match self {
            Self::Start
            | Self::Propose(_)
            | Self::Answer(_)
            | Self::Bridge(_)
            | Self::HangUp(_)
            | Self::Answered(_)
            | Self::Completed(_)
            | Self::MediaReady(_)
            | Self::Media(MediaNews::Silent | MediaNews::Broken)
            | Self::TrackLost
            | Self::Notice(Notice::Refused { .. }) => LegKind::Vital,
            Self::Refused { .. } | Self::Cancelled | Self::HungUp(_) | Self::Broken(_) => LegKind::Final,
            // Who does not hear what was lost has lost it still.
            Self::Notice(Notice::Recovered { lost }) => *lost,
            Self::Ring
            | Self::Progress(_)
            | Self::Ringing
            | Self::EarlyMedia(_)
            | Self::Media(MediaNews::Digit { .. })
            | Self::Notice(Notice::Tick | Notice::GivenUp) => LegKind::Passing,
        }
    }
}
