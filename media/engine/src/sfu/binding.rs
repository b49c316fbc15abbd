//! Which track a stream of packets belongs to, as its first packets tell (RFC 8843, 9.2; RFC 8852).

use tandem_core::room::sfu::Extensions;
use tandem_core::time::Timestamp;

use super::intake::Intake;
use super::kept::Binding;
use super::rtp::Rtp;
use super::transport::Transport;

/// Streams that may be bound at a time: as many as the peer takes.
const BINDINGS: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) ssrc: u32,
    pub(super) slot: usize,
    pub(super) layer: u8,
    pub(super) is_repair: bool,
}

/// A stream that the description named. Which layer it is, the packet says; else its order.
fn named(slot: usize, intake: &Intake, rtp: &Rtp, rid: Option<&str>) -> Option<Bound> {
    let of_stream = |(ssrc, repair): &(u32, Option<u32>)| *ssrc == rtp.ssrc || *repair == Some(rtp.ssrc);
    let place = intake.spec.sources.iter().position(of_stream)?;
    let (ssrc, _) = intake.spec.sources.get(place)?;
    let by_order = u8::try_from(place.min(intake.layers.len().saturating_sub(1))).ok()?;
    let layer = rid.and_then(|rid| intake.layer_of(rid)).unwrap_or(by_order);
    Some(Bound { ssrc: rtp.ssrc, slot, layer, is_repair: *ssrc != rtp.ssrc })
}

/// A stream whose packet says what it is.
fn told(slot: usize, intake: &Intake, rtp: &Rtp, rid: Option<&str>, repaired: Option<&str>) -> Option<Bound> {
    let is_repair = repaired.is_some() || intake.repaired_type(rtp.payload_type).is_some();
    let layer = match repaired.or(rid) {
        Some(name) if !intake.spec.layers.is_empty() => intake.layer_of(name)?,
        None if intake.spec.layers.len() > 1 => return None,
        _ => 0,
    };
    let is_known = is_repair || intake.kind_of(rtp.payload_type).is_some();
    is_known.then_some(Bound { ssrc: rtp.ssrc, slot, layer, is_repair })
}

impl Transport {
    /// Finds out what a new stream is: what the description named, else what its packet says.
    #[cold]
    pub(super) fn bind(&mut self, now: Timestamp, rtp: &Rtp, packet: &[u8]) -> Option<Bound> {
        let Extensions { mid, rid, repaired_rid, .. } = self.extensions;
        let [mid, rid, repaired] = [mid, rid, repaired_rid].map(|id| rtp.name(packet, id));
        let candidates = || self.intakes.iter().enumerate().filter_map(|(slot, it)| it.as_ref().map(|it| (slot, it)));
        let bound = candidates().find_map(|(slot, it)| named(slot, it, rtp, rid.or(repaired)));
        let bound = bound.or_else(|| {
            let mut of_section = candidates().filter(|(_, it)| mid.is_some_and(|mid| *it.spec.mid == *mid));
            of_section.find_map(|(slot, it)| told(slot, it, rtp, rid, repaired))
        })?;
        if !bound.is_repair {
            let end = self.peer.received_end(bound.ssrc).saturating_sub(1);
            self.intake(bound.slot)?.begin(now, bound.layer, bound.ssrc, end);
        }
        // Whoever had that role before has it no longer.
        let has_role = |it: &Bound| (it.slot, it.layer, it.is_repair) == (bound.slot, bound.layer, bound.is_repair);
        self.bound.retain(|it| !has_role(it));
        if self.bound.len() >= BINDINGS {
            return None;
        }
        self.bound.push(bound);
        self.keep_bindings();
        Some(bound)
    }

    fn keep_bindings(&self) {
        let binding = |bound: &Bound| {
            let track = self.intakes.get(bound.slot)?.as_ref()?.track;
            Some(Binding { ssrc: bound.ssrc, track, layer: bound.layer, is_repair: bound.is_repair })
        };
        self.bindings.keep(self.bound.iter().filter_map(binding).collect());
    }
}
