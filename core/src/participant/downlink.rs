//! The connection on which a client with two of them receives: we offer it, section by section.
//!
//! ```text
//!  wanted tracks ──fill──▶ sections ──offer──▶ far end ──answer──▶ sent
//!  not wanted ───drain──▶ │  └── what changes meanwhile waits for the answer
//! ```
//!
//! # Invariants
//! * One offer is out at a time.
//! * A section keeps its place and its kind for ever; the first one is for data.
//! * A track is in one section at most, and a section changes its track only over an offer in which it carried nothing.

use std::sync::Arc;

use super::sections::{MAX_MESSAGE, Wanted, spec};
use crate::id::TrackId;
use crate::media::{Codec, Direction, LocalMedia};
use crate::room::description::{Description, Extension, Format, Msid, Sctp, Section, SectionKind, Source, uri};
use crate::room::sfu::{SendSpec, TransportId};

/// Sections with media. More are not offered: nobody shows that many.
const MAX_SECTIONS: usize = 512;

/// The first number of a format; each has two, one for its retransmissions, up to the last one there is.
const FIRST_NUMBER: u8 = 96;
const MAX_CODECS: usize = 16;

/// Our number of the extension that names the section.
const MID: u8 = 1;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Downlink {
    list: Vec<Entry>,
    /// Formats that were ever offered: their place is their number.
    codecs: Vec<Codec>,
    /// Of the last offer.
    number: u32,
    is_pending: bool,
    /// There is something to offer.
    is_stale: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    kind: SectionKind,
    format: Format,
    /// The last offer said that it carries nothing.
    is_empty: bool,
    usage: Usage,
}

#[derive(Clone, Debug, PartialEq)]
enum Usage {
    Free,
    /// Carried something, and no answered offer has said yet that it does not.
    Drained,
    /// Not answered yet.
    Offered(Wanted, Arc<SendSpec>),
    Carries(Wanted, Arc<SendSpec>),
}

/// An offer of ours: its number, and which sections carry which tracks.
pub(super) type Offer = (u32, Arc<Description>, Arc<[(Arc<str>, TrackId)]>);

/// What an answer comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settled {
    /// Tracks that we send from now on.
    pub(super) started: Vec<(Wanted, Arc<SendSpec>)>,
    /// Tracks that the far end does not take.
    pub(super) refused: Vec<TrackId>,
}

/// The answer has other sections than the offer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mismatch;

impl Downlink {
    /// Something is to be offered, whatever it is: the first time, or again after a cut.
    pub(super) const fn renew(&mut self) {
        self.is_pending = false;
        self.is_stale = true;
    }

    /// Whether an offer is out.
    pub(super) const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Empties every section whose track is not wanted. Gives those tracks.
    pub(super) fn drain(&mut self, is_wanted: impl Fn(TrackId) -> bool) -> Vec<TrackId> {
        let mut drained = Vec::new();
        for entry in &mut self.list {
            if let Usage::Offered(wanted, _) | Usage::Carries(wanted, _) = &entry.usage
                && !is_wanted(wanted.track)
            {
                drained.push(wanted.track);
                entry.usage = Usage::Drained;
                self.is_stale = true;
            }
        }
        drained
    }

    /// Finds a section for every wanted track. Gives those for which there is no place or no number.
    pub(super) fn fill(&mut self, transport: TransportId, wanted: &[Wanted]) -> Vec<TrackId> {
        let mut homeless = Vec::new();
        for wanted in wanted {
            if self.spec_of(wanted.track).is_none() && self.place(transport, wanted).is_none() {
                homeless.push(wanted.track);
            }
        }
        homeless
    }

    /// How a track is sent, once the far end has agreed.
    pub(super) fn sent(&self, track: TrackId) -> Option<Arc<SendSpec>> {
        self.list.iter().find_map(|entry| match &entry.usage {
            Usage::Carries(wanted, spec) if wanted.track == track => Some(spec.clone()),
            _ => None,
        })
    }

    /// What there is to offer now, if there is anything.
    pub(super) fn offer(&mut self, local: &LocalMedia) -> Option<Offer> {
        let peer = local.peer.clone().filter(|_| self.is_stale && !self.is_pending)?;
        (self.is_stale, self.is_pending) = (false, true);
        self.number += 1;
        let mut sections = vec![Arc::new(data())];
        let mut tracks = Vec::new();
        for (place, entry) in self.list.iter_mut().enumerate() {
            let section = entry.section(place);
            entry.is_empty = section.direction == Direction::Inactive;
            if let Usage::Offered(wanted, _) | Usage::Carries(wanted, _) = &entry.usage {
                tracks.push((section.mid.clone(), wanted.track));
            }
            sections.push(Arc::new(section));
        }
        let offer = Description { peer, address: Some(local.rtp), mixes_extensions: false, sections };
        Some((self.number, Arc::new(offer), tracks.into()))
    }

    /// Takes an answer. `None`: it is not to the last offer. Old clients name none.
    pub(super) fn answered(&mut self, id: u32, answer: &Description) -> Result<Option<Settled>, Mismatch> {
        if !self.is_pending || id != 0 && id != self.number {
            return Ok(None);
        }
        let Some((_, answers)) = answer.sections.split_first() else { return Err(Mismatch) };
        // Sections that were added since are not in the offer that is answered.
        let is_ours = |(place, it): (usize, &Arc<Section>)| {
            self.list.get(place).is_some_and(|entry| *it.mid == *mid(place) && it.kind == entry.kind)
        };
        if !answers.iter().enumerate().all(is_ours) {
            return Err(Mismatch);
        }
        self.is_pending = false;
        let mut settled = Settled::default();
        for (entry, answer) in self.list.iter_mut().zip(answers) {
            entry.settle(answer, &mut settled);
        }
        self.is_stale |= !settled.refused.is_empty();
        Ok(Some(settled))
    }

    fn spec_of(&self, track: TrackId) -> Option<&Arc<SendSpec>> {
        self.list.iter().find_map(|entry| match &entry.usage {
            Usage::Offered(wanted, spec) | Usage::Carries(wanted, spec) if wanted.track == track => Some(spec),
            _ => None,
        })
    }

    fn place(&mut self, transport: TransportId, wanted: &Wanted) -> Option<()> {
        let format = self.format(wanted)?;
        let is_free = |entry: &Entry| entry.kind == wanted.kind && entry.usage == Usage::Free;
        let place = self.list.iter().position(is_free).unwrap_or(self.list.len());
        if place >= MAX_SECTIONS {
            return None;
        }
        let is_used = |ssrc| self.specs().any(|spec| spec.ssrc == ssrc);
        let spec = spec(transport, wanted.track, mid(place), format.clone(), is_used);
        let usage = Usage::Offered(wanted.clone(), spec);
        let entry = Entry { kind: wanted.kind, format, is_empty: true, usage };
        match self.list.get_mut(place) {
            Some(free) => *free = entry,
            None => self.list.push(entry),
        }
        self.is_stale = true;
        Some(())
    }

    fn specs(&self) -> impl Iterator<Item = &Arc<SendSpec>> {
        self.list.iter().filter_map(|entry| match &entry.usage {
            Usage::Offered(_, spec) | Usage::Carries(_, spec) => Some(spec),
            Usage::Free | Usage::Drained => None,
        })
    }

    /// A format under our number of it: the same one for the same format, whoever sends it.
    fn format(&mut self, wanted: &Wanted) -> Option<Format> {
        let named = Codec { payload_type: 0, ..(*wanted.codec).clone() };
        let known = self.codecs.iter().position(|it| *it == named);
        let place = match known {
            Some(place) => place,
            None if self.codecs.len() < MAX_CODECS => {
                self.codecs.push(named.clone());
                self.codecs.len() - 1
            }
            None => return None,
        };
        let payload_type = FIRST_NUMBER + u8::try_from(2 * place).ok()?;
        let is_video = wanted.kind == SectionKind::Video;
        let feedback: &[&str] = if is_video { &["nack", "nack pli", "ccm fir"] } else { &["nack"] };
        Some(Format {
            codec: Codec { payload_type, ..named },
            rtx: is_video.then_some(payload_type + 1),
            feedback: feedback.iter().map(|it| Arc::from(*it)).collect(),
        })
    }
}

impl Entry {
    fn section(&self, place: usize) -> Section {
        let section = Section {
            formats: vec![self.format.clone()],
            extensions: vec![Extension { id: MID, uri: uri::MID.into() }],
            ..Section::empty(mid(place), self.kind)
        };
        match &self.usage {
            Usage::Free | Usage::Drained => section,
            Usage::Offered(wanted, spec) | Usage::Carries(wanted, spec) => Section {
                direction: Direction::SendOnly,
                sources: vec![Source { ssrc: spec.ssrc, rtx: spec.rtx_ssrc }],
                msid: Some(Msid { stream: wanted.stream(), track: wanted.label.clone() }),
                ..section
            },
        }
    }

    fn settle(&mut self, answer: &Section, settled: &mut Settled) {
        match std::mem::replace(&mut self.usage, Usage::Free) {
            Usage::Offered(wanted, spec) if !self.is_empty => {
                let receives = matches!(answer.direction, Direction::SendRecv | Direction::RecvOnly);
                let number = self.format.codec.payload_type;
                let is_taken = answer.formats.iter().any(|it| it.codec.payload_type == number);
                if answer.is_rejected || !receives || !is_taken {
                    settled.refused.push(wanted.track);
                    self.usage = Usage::Drained;
                } else {
                    settled.started.push((wanted.clone(), spec.clone()));
                    self.usage = Usage::Carries(wanted, spec);
                }
            }
            Usage::Drained if self.is_empty => {}
            other => self.usage = other,
        }
    }
}

/// The first section is for data.
fn mid(place: usize) -> Arc<str> {
    (place + 1).to_string().into()
}

fn data() -> Section {
    Section {
        direction: Direction::SendRecv,
        sctp: Some(Sctp { port: 5_000, max_message_size: MAX_MESSAGE }),
        ..Section::empty("0".into(), SectionKind::Data)
    }
}
