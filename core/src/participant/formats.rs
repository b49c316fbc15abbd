//! Which formats, feedback and header extensions of an offered section we take.

use std::sync::Arc;

use crate::media::Codec;
use crate::room::description::{Extension, Format, Section, SectionKind, uri};
use crate::room::sfu::Extensions;

/// The wire's number of a track feature: two channels.
const STEREO: i32 = 0;
/// The wire's number of a track feature: no silence suppression.
const NO_DTX: i32 = 1;

/// Codecs that are passed on. Nothing is decoded, so this is what has been seen to be switched and repaired well.
const AUDIO: [&str; 1] = ["opus"];
const VIDEO: [&str; 4] = ["VP8", "H264", "VP9", "AV1"];

/// Feedback that is understood, by kind.
const AUDIO_FEEDBACK: [&str; 1] = ["nack"];
const VIDEO_FEEDBACK: [&str; 4] = ["nack", "nack pli", "ccm fir", "transport-cc"];

/// Whether the far end sends in the section, or we.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sender {
    Them,
    We,
}

/// The one format that a publisher is to send: the codec he wants if it is offered, else the first that we pass on.
pub(super) fn to_receive(offered: &Section, wanted: &str, features: &[i32]) -> Option<Format> {
    let wanted = wanted.rsplit('/').next().unwrap_or_default();
    let candidates = || offered.formats.iter().filter(|format| is_known(offered.kind, &format.codec));
    let found = candidates().find(|format| format.codec.name.eq_ignore_ascii_case(wanted));
    let format = found.or_else(|| candidates().next())?;
    let mut taken = narrowed(format, offered.kind, Sender::Them);
    if offered.kind == SectionKind::Audio {
        taken.codec.fmtp = Some(opus(features));
    }
    Some(taken)
}

/// The format in which the far end can receive a track.
pub(super) fn to_send(offered: &Section, sent: &Codec) -> Option<Format> {
    let same = || offered.formats.iter().filter(|format| format.codec.is_same_format(sent));
    let profile = h264_profile(sent);
    let exact = same().find(|format| h264_profile(&format.codec) == profile);
    // A decoder of another profile may do; one of another packetization does not.
    let near = || same().find(|format| h264_profile(&format.codec).1 == profile.1);
    Some(narrowed(exact.or_else(near)?, offered.kind, Sender::We))
}

/// Of a section that carries nothing: what keeps it valid.
pub(super) fn to_keep(offered: &Section) -> Option<Format> {
    let known = offered.formats.iter().find(|format| is_known(offered.kind, &format.codec));
    known.map(|format| narrowed(format, offered.kind, Sender::We))
}

/// Header extensions that we take. The simulcast ones stay in every section: a client whose first answer lacks them
/// refuses its own next offer.
pub(super) fn extensions(offered: &Section, sender: Sender) -> Vec<Extension> {
    let is_taken = |it: &&Extension| match &*it.uri {
        uri::MID | uri::RID | uri::REPAIRED_RID => true,
        uri::AUDIO_LEVEL => offered.kind == SectionKind::Audio,
        uri::TRANSPORT_CC => offered.kind == SectionKind::Video && sender == Sender::Them,
        _ => false,
    };
    offered.extensions.iter().filter(is_taken).cloned().collect()
}

/// Numbers of header extensions on a whole connection.
pub(super) fn numbers<'a>(sections: impl Iterator<Item = &'a Section>) -> Extensions {
    let mut numbers = Extensions::default();
    for extension in sections.flat_map(|section| &section.extensions) {
        let place = match &*extension.uri {
            uri::MID => &mut numbers.mid,
            uri::RID => &mut numbers.rid,
            uri::REPAIRED_RID => &mut numbers.repaired_rid,
            uri::AUDIO_LEVEL => &mut numbers.audio_level,
            uri::TRANSPORT_CC => &mut numbers.transport_cc,
            _ => continue,
        };
        *place = extension.id;
    }
    numbers
}

/// As codecs are registered.
pub(super) fn mime(kind: SectionKind, codec: &Codec) -> Arc<str> {
    let kind = if kind == SectionKind::Audio { "audio" } else { "video" };
    format!("{kind}/{}", codec.name).into()
}

fn is_known(kind: SectionKind, codec: &Codec) -> bool {
    let known: &[&str] = match kind {
        SectionKind::Audio => &AUDIO,
        SectionKind::Video => &VIDEO,
        SectionKind::Data | SectionKind::Other => &[],
    };
    known.iter().any(|name| codec.name.eq_ignore_ascii_case(name))
}

fn narrowed(format: &Format, kind: SectionKind, sender: Sender) -> Format {
    let known: &[&str] = if kind == SectionKind::Audio { &AUDIO_FEEDBACK } else { &VIDEO_FEEDBACK };
    let is_taken = |it: &&Arc<str>| known.contains(&&***it) && (sender == Sender::Them || &***it != "transport-cc");
    Format { feedback: format.feedback.iter().filter(is_taken).cloned().collect(), ..format.clone() }
}

/// What an Opus encoder is asked for (RFC 7587, 6.1).
fn opus(features: &[i32]) -> String {
    let mut fmtp = String::from("minptime=10;useinbandfec=1");
    if !features.contains(&NO_DTX) {
        fmtp.push_str(";usedtx=1");
    }
    if features.contains(&STEREO) {
        fmtp.push_str(";stereo=1;maxaveragebitrate=510000");
    }
    fmtp
}

/// Profile and packetization of H.264 (RFC 6184, 8.1); of others nothing.
fn h264_profile(codec: &Codec) -> (String, String) {
    let of = |name: &str| {
        let found = codec.fmtp.iter().flat_map(|fmtp| fmtp.split(';')).find_map(|it| it.trim().strip_prefix(name));
        found.unwrap_or_default().to_ascii_lowercase()
    };
    if !codec.name.eq_ignore_ascii_case("H264") {
        return Default::default();
    }
    let profile: String = of("profile-level-id=").chars().take(4).collect();
    let packetization = of("packetization-mode=");
    (profile, if packetization.is_empty() { String::from("0") } else { packetization })
}
