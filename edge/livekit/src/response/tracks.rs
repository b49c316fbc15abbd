//! Published tracks.

use livekit_protocol::video_layer::Mode;
use livekit_protocol::{SimulcastCodecInfo, TrackInfo, TrackSource as WireSource, TrackType, VideoLayer};
use tandem_core::room::description::SectionKind;
use tandem_core::room::view::{TrackLayer, TrackSource, TrackView};

use crate::sid;

/// Names of simulcast layers by quality: low, medium, high.
const RIDS: [&str; 3] = ["q", "h", "f"];

/// A track as clients see it.
#[expect(deprecated, reason = "older clients look at it")]
pub(crate) fn track(view: &TrackView) -> TrackInfo {
    let layers: Vec<VideoLayer> =
        view.layers.iter().enumerate().map(|(place, it)| layer(place, it, view.is_simulcast)).collect();
    let kind = if view.kind == SectionKind::Audio { TrackType::Audio } else { TrackType::Video };
    let mode = match (kind, view.is_simulcast) {
        (TrackType::Video, _) => Mode::OneSpatialLayerPerStream,
        _ => Mode::Unused,
    };
    let codec = SimulcastCodecInfo {
        mime_type: view.mime.as_ref().into(),
        mid: view.mid.as_ref().into(),
        layers: layers.clone(),
        video_layer_mode: mode.into(),
        ..SimulcastCodecInfo::default()
    };
    TrackInfo {
        sid: sid::track(view.id),
        r#type: kind.into(),
        name: view.name.as_ref().into(),
        muted: view.is_muted,
        width: view.width,
        height: view.height,
        simulcast: view.is_simulcast,
        source: source(view.source).into(),
        layers,
        mime_type: view.mime.as_ref().into(),
        mid: view.mid.as_ref().into(),
        codecs: if view.mime.is_empty() { Vec::new() } else { vec![codec] },
        disable_red: view.disable_red,
        encryption: view.encryption,
        stream: view.stream.as_ref().into(),
        audio_features: view.audio_features.to_vec(),
        ..TrackInfo::default()
    }
}

fn layer(place: usize, layer: &TrackLayer, is_simulcast: bool) -> VideoLayer {
    let TrackLayer { quality, width, height, bitrate, ssrc } = *layer;
    let rid = RIDS.get(place).filter(|_| is_simulcast).copied().unwrap_or_default().into();
    VideoLayer { quality, width, height, bitrate, ssrc, rid, ..VideoLayer::default() }
}

/// Where a track comes from.
pub(crate) const fn source(source: TrackSource) -> WireSource {
    match source {
        TrackSource::Unknown => WireSource::Unknown,
        TrackSource::Camera => WireSource::Camera,
        TrackSource::Microphone => WireSource::Microphone,
        TrackSource::ScreenShare => WireSource::ScreenShare,
        TrackSource::ScreenShareAudio => WireSource::ScreenShareAudio,
    }
}
