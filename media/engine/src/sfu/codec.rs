//! What of a payload matters when it is passed on: where a picture begins that needs no other before it.

use tandem_core::media::Codec;

/// Kinds of payload that are looked into; all others are passed on as they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// The AV1 RTP payload format.
    Av1,
    /// Audio, and video that we do not know.
    Other,
}

impl Kind {
    pub(super) fn of(codec: &Codec) -> Self {
        let known = [("VP8", Self::Vp8), ("VP9", Self::Vp9), ("H264", Self::H264), ("AV1", Self::Av1)];
        known.into_iter().find(|(name, _)| codec.name.eq_ignore_ascii_case(name)).map_or(Self::Other, |(_, kind)| kind)
    }

    /// Whether one can begin to watch with this packet.
    pub(super) fn is_start(self, payload: &[u8]) -> bool {
        match self {
            Self::Vp8 => is_vp8_key(payload),
            Self::Vp9 => is_vp9_key(payload),
            Self::H264 => is_h264_key(payload),
            // N: the first packet of a coded video sequence.
            Self::Av1 => payload.first().is_some_and(|first| first & 0x08 != 0),
            Self::Other => true,
        }
    }
}

/// The beginning (S) of the first partition (PID 0) of a frame whose header says that it is a key frame (P = 0).
fn is_vp8_key(payload: &[u8]) -> bool {
    let is_begin = payload.first().is_some_and(|first| first & 0x17 == 0x10);
    is_begin && super::vp8::header_len(payload).and_then(|len| payload.get(len)).is_some_and(|first| first & 1 == 0)
}

/// The beginning (B) of a frame that is predicted from none (P = 0), of the lowest spatial layer.
fn is_vp9_key(payload: &[u8]) -> bool {
    let Some(&[first, ref rest @ ..]) = payload.split_first().map(|_| payload) else { return false };
    let (has_id, is_predicted, has_layers, is_begin) =
        (first & 0x80 != 0, first & 0x40 != 0, first & 0x20 != 0, first & 0x08 != 0);
    let after_id = match rest {
        [id, ..] if has_id => 1 + usize::from(id >> 7),
        _ => 0,
    };
    let layer = rest.get(after_id).filter(|_| has_layers).map_or(0, |layers| layers >> 1 & 7);
    is_begin && !is_predicted && layer == 0
}

/// A sequence parameter set or a key picture: alone, in an aggregate, or the beginning of a fragment.
fn is_h264_key(payload: &[u8]) -> bool {
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    let is_key = |unit: u8| matches!(unit & 0x1f, IDR | SPS);
    match payload {
        [24, rest @ ..] | [0x38 | 0x58 | 0x78, rest @ ..] => units(rest).any(is_key),
        [first, header, ..] if first & 0x1f == 28 => header & 0x80 != 0 && is_key(*header),
        [first, ..] => is_key(*first),
        [] => false,
    }
}

/// The first bytes of the units in an aggregate.
fn units(mut rest: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (&[high, low], tail) = rest.split_first_chunk()?;
        let (unit, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        rest = tail;
        unit.first().copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_needs_no_other_is_known_by_its_first_packet() {
        for (kind, payload, is_start) in [
            (Kind::Vp8, &[0x10, 0x00][..], true),
            (Kind::Vp8, &[0x10, 0x01], false),
            (Kind::Vp8, &[0x00, 0x00], false),
            (Kind::Vp8, &[0x11, 0x00], false),
            (Kind::Vp8, &[0x90, 0xe0, 0x80, 1, 2, 3, 0x00], true),
            (Kind::Vp8, &[0x90, 0xe0, 0x80, 1, 2, 3, 0x01], false),
            (Kind::Vp8, &[0x90], false),
            (Kind::Vp9, &[0x88, 0x05], true),
            (Kind::Vp9, &[0xc8, 0x05], false),
            (Kind::Vp9, &[0x80, 0x05], false),
            (Kind::Vp9, &[0xa8, 0x81, 0x02, 0x01], true),
            (Kind::Vp9, &[0xa8, 0x81, 0x02, 0x02], false),
            (Kind::H264, &[0x67, 1], true),
            (Kind::H264, &[0x65, 1], true),
            (Kind::H264, &[0x61, 1], false),
            (Kind::H264, &[0x78, 0, 2, 0x67, 1, 0, 1, 0x68], true),
            (Kind::H264, &[0x78, 0, 2, 0x61, 1, 0, 9, 0x65], false),
            (Kind::H264, &[0x7c, 0x85], true),
            (Kind::H264, &[0x7c, 0x05], false),
            (Kind::Av1, &[0x18, 1], true),
            (Kind::Av1, &[0x10, 1], false),
            (Kind::Other, &[], true),
            (Kind::H264, &[], false),
        ] {
            assert_eq!(kind.is_start(payload), is_start, "{kind:?} {payload:x?}");
        }
    }
}
