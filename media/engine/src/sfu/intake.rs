//! One published track: its layers, and who receives it.

use std::sync::Arc;
use std::time::Duration;

use tandem_core::id::TrackId;
use tandem_core::room::description::SectionKind;
use tandem_core::room::sfu::ReceiveSpec;
use tandem_core::time::Timestamp;

use super::codec::Kind;
use super::layer::Layer;
use super::speech::Loudness;

/// A layer that is behind the others of its track by this much has stopped: an encoder that has not enough bits drops
/// the highest first. By the others, for a still screen sends nothing at all.
const STALE: Duration = Duration::from_millis(600);

/// Layers of a track.
pub(super) const LAYERS: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) track: TrackId,
    pub(super) spec: Arc<ReceiveSpec>,
    pub(super) is_muted: bool,
    /// In the order of the specification.
    pub(super) layers: Vec<Option<Layer>>,
    pub(super) subscribers: Vec<Subscriber>,
    /// The layers that come, as bits.
    live: u8,
    kinds: Vec<(u8, Kind, u32)>,
    pub(super) loudness: Loudness,
    /// Packets received and lost when its quality was last looked at.
    tally: (u64, u64),
}

/// Who receives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriber {
    /// His place, and which of the tracks that he is sent.
    pub(super) place: usize,
    pub(super) slot: usize,
    /// The layers that are of use to him now, as bits.
    pub(super) layers: u8,
}

impl Intake {
    pub(super) fn new(track: TrackId, spec: Arc<ReceiveSpec>) -> Self {
        let mut intake = Self {
            track,
            spec: spec.clone(),
            is_muted: false,
            layers: Vec::new(),
            subscribers: Vec::new(),
            live: 0,
            kinds: Vec::new(),
            loudness: Loudness::default(),
            tally: (0, 0),
        };
        intake.respecify(spec);
        intake
    }

    /// Streams that are known go on.
    pub(super) fn respecify(&mut self, spec: Arc<ReceiveSpec>) {
        let kind = |codec: &tandem_core::media::Codec| (codec.payload_type, Kind::of(codec), codec.clock_rate_hz);
        self.kinds = spec.formats.iter().map(|(codec, _)| kind(codec)).collect();
        self.layers.resize_with(spec.layers.len().clamp(1, LAYERS), || None);
        self.spec = spec;
    }

    pub(super) fn is_video(&self) -> bool {
        self.spec.kind == SectionKind::Video
    }

    /// What a payload type stands for, and its clock.
    pub(super) fn kind_of(&self, payload_type: u8) -> Option<(Kind, u32)> {
        self.kinds.iter().find(|(known, ..)| *known == payload_type).map(|(_, kind, rate)| (*kind, *rate))
    }

    /// The payload type of what is sent again under this one.
    pub(super) fn repaired_type(&self, payload_type: u8) -> Option<u8> {
        let of_repair = |(_, repair): &&(_, Option<u8>)| *repair == Some(payload_type);
        self.spec.formats.iter().find(of_repair).map(|(codec, _)| codec.payload_type)
    }

    pub(super) fn layer_of(&self, rid: &str) -> Option<u8> {
        self.spec.layers.iter().take(LAYERS).position(|layer| &*layer.rid == rid).map(|layer| layer as u8)
    }

    pub(super) fn layer(&mut self, layer: u8) -> Option<&mut Layer> {
        self.layers.get_mut(usize::from(layer))?.as_mut()
    }

    /// A layer's stream begins, or begins anew.
    pub(super) fn begin(&mut self, now: Timestamp, layer: u8, ssrc: u32, end: u64) {
        if let Some(place) = self.layers.get_mut(usize::from(layer)) {
            *place = Some(Layer::new(now, ssrc, end));
            self.live |= 1 << layer;
        }
    }

    /// Looks which layers come. Gives whether that changed.
    pub(super) fn review(&mut self) -> bool {
        let Some(newest) = self.layers.iter().flatten().map(|layer| layer.heard).max() else { return false };
        let is_live = |layer: &Layer| newest - layer.heard < STALE;
        let live = self
            .layers
            .iter()
            .zip(0..)
            .fold(0, |live, (layer, n)| live | u8::from(layer.as_ref().is_some_and(is_live)) << n);
        std::mem::replace(&mut self.live, live) != live
    }

    /// Of the layers that come, the best of those that are allowed; if there is none, the lowest.
    pub(super) fn best(&self, max_layer: u8) -> Option<u8> {
        let is_live = |layer: &u8| self.live >> layer & 1 == 1;
        let all = || (0..LAYERS as u8).filter(is_live);
        if self.is_muted {
            return None;
        }
        all().rfind(|layer| *layer <= max_layer).or_else(|| all().next())
    }

    /// Packets that came, and that did not, since the last time.
    pub(super) fn tally(&mut self) -> (u64, u64) {
        let sum = |(received, lost): (u64, u64), layer: &Layer| {
            let (more, missed) = layer.tally();
            (received + u64::from(more), lost + missed)
        };
        let all = self.layers.iter().flatten().fold((0, 0), sum);
        let before = std::mem::replace(&mut self.tally, all);
        (all.0.saturating_sub(before.0), all.1.saturating_sub(before.1))
    }
}
