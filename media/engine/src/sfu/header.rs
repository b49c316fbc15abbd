//! What a packet looks like on its way out: its header, and the receiver's numbers of its format.

use tandem_core::media::Codec;
use tandem_core::room::sfu::SendSpec;

use super::codec::Kind;

/// Bytes before the payload: the fixed header and the name of the section.
pub(super) const HEADER: usize = 40;

/// Names longer than this are not sent along: nobody has such.
const MID: usize = 16;

/// What of a header differs from packet to packet.
pub(super) fn fill(out: &mut [u8], is_padded: bool, kind: u8, sequence: u16, timestamp: u32, ssrc: u32) -> Option<()> {
    let [flags, rest @ ..] = out.first_chunk_mut::<12>()?;
    *flags |= u8::from(is_padded) << 5;
    let ([s0, s1], [t0, t1, t2, t3], [a, b, c, d]) =
        (sequence.to_be_bytes(), timestamp.to_be_bytes(), ssrc.to_be_bytes());
    *rest = [kind, s0, s1, t0, t1, t2, t3, a, b, c, d];
    Some(())
}

/// The header of all packets, with its length.
pub(super) fn header(spec: &SendSpec, mid_extension: u8) -> ([u8; HEADER], usize) {
    let mid = spec.mid.as_bytes();
    let mut bytes = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if mid_extension != 0 && (1..=MID).contains(&mid.len()) {
        let len = mid.len() as u8;
        let element: &[u8] = if mid_extension < 15 { &[mid_extension << 4 | (len - 1)] } else { &[mid_extension, len] };
        let words = (element.len() + mid.len()).div_ceil(4);
        let profile: [u8; 2] = if mid_extension < 15 { [0xbe, 0xde] } else { [0x10, 0] };
        bytes.extend(profile);
        bytes.extend([0, words as u8]);
        bytes.extend(element);
        bytes.extend(mid);
        bytes.resize(16 + words * 4, 0);
        if let Some(first) = bytes.first_mut() {
            *first = 0x90;
        }
    }
    let mut header = [0; HEADER];
    let len = bytes.len();
    header.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    (header, len)
}

#[derive(Debug)]
pub(super) struct Format {
    pub(super) from: u8,
    pub(super) to: u8,
    pub(super) repair: Option<u8>,
    pub(super) clock_rate_hz: u32,
}

pub(super) fn format(incoming: &Codec, spec: &SendSpec) -> Option<Format> {
    let same = || spec.formats.iter().filter(|(codec, _)| codec.is_same_format(incoming));
    let (codec, repair) = same()
        .find(|(codec, _)| codec.fmtp == incoming.fmtp)
        .or_else(|| same().find(|(codec, _)| is_compatible(codec, incoming)))?;
    Some(Format {
        from: incoming.payload_type,
        to: codec.payload_type,
        repair: *repair,
        clock_rate_hz: codec.clock_rate_hz,
    })
}

/// Whether what is made for the one can be shown by the other: the same kind of pictures and of packets.
fn is_compatible(one: &Codec, other: &Codec) -> bool {
    let parameter = |codec: &Codec, name: &str, default: &str| {
        let all = codec.fmtp.clone().unwrap_or_default();
        let found =
            all.split(';').filter_map(|it| it.trim().split_once('=')).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or_else(|| default.to_owned(), |(_, value)| value.to_ascii_lowercase())
    };
    let agree = |name: &str, default: &str, len: usize| {
        let [one, other] = [one, other].map(|codec| parameter(codec, name, default));
        one.get(..len).unwrap_or(&one) == other.get(..len).unwrap_or(&other)
    };
    match Kind::of(one) {
        Kind::H264 => agree("packetization-mode", "0", 1) && agree("profile-level-id", "42", 2),
        Kind::Vp9 => agree("profile-id", "0", 1),
        Kind::Av1 => agree("profile", "0", 1),
        Kind::Vp8 | Kind::Other => true,
    }
}
