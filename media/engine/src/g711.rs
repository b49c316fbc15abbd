//! From one law of G.711 to the other (ITU-T G.711), byte for byte.

use std::sync::LazyLock;

use audio_codec::pcma::{PcmaDecoder, PcmaEncoder};
use audio_codec::pcmu::{PcmuDecoder, PcmuEncoder};
use audio_codec::{Decoder, Encoder};
use tandem_core::media::Codec;

/// What each byte of one law is in the other.
pub(crate) type Table = [u8; 256];

static TO_A_LAW: LazyLock<Table> = LazyLock::new(|| table(PcmuDecoder::new(), PcmaEncoder::new()));
static TO_MU_LAW: LazyLock<Table> = LazyLock::new(|| table(PcmaDecoder::new(), PcmuEncoder::new()));

/// What makes audio in the one format audio in the other. `None`: nothing need be done, or nothing can.
pub(crate) fn conversion(from: &Codec, to: &Codec) -> Option<&'static Table> {
    if from.is_same_format(to) || !from.is_convertible_to(to) {
        return None;
    }
    Some(if from.name.eq_ignore_ascii_case("PCMU") { &TO_A_LAW } else { &TO_MU_LAW })
}

/// Converts where it lies.
pub(crate) fn convert(audio: &mut [u8], table: &Table) {
    for byte in audio {
        *byte = table.get(usize::from(*byte)).copied().unwrap_or(*byte);
    }
}

fn table(mut from: impl Decoder, mut to: impl Encoder) -> Table {
    let codes: Table = std::array::from_fn(|code| code as u8);
    let (mut samples, mut table) = ([0; 256], codes);
    // Neither can fail: a byte is a sample.
    let _ = from.decode_into(&codes, &mut samples);
    let _ = to.encode_into(&samples, &mut table);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(name: &str) -> Codec {
        Codec { payload_type: 0, name: name.into(), clock_rate_hz: 8_000, channels: 1, fmtp: None }
    }

    #[test]
    fn silence_stays_silence_and_the_loudest_stays_the_loudest() {
        let mut audio = [0xff, 0x80, 0x00];
        convert(&mut audio, conversion(&codec("pcmu"), &codec("PCMA")).unwrap());
        assert_eq!(audio, [0xd5, 0xaa, 0x2a]);
        convert(&mut audio, conversion(&codec("PCMA"), &codec("PCMU")).unwrap());
        assert_eq!(audio[1..], [0x80, 0x00]);
    }

    #[test]
    fn there_and_back_again_is_as_loud_as_before_within_a_step_of_the_scale() {
        let mut decoder = PcmuDecoder::new();
        let mut sample = |code: u8| i32::from(decoder.decode(&[code])[0]);
        for code in 0..=255_u8 {
            let mut there = [code];
            convert(&mut there, &TO_A_LAW);
            convert(&mut there, &TO_MU_LAW);
            let (before, after) = (sample(code), sample(there[0]));
            assert!((before - after).abs() <= before.abs() / 16 + 16, "{code}: {before} became {after}");
        }
    }

    #[test]
    fn what_is_the_same_or_no_g711_is_left_alone() {
        assert_eq!(conversion(&codec("PCMU"), &codec("pcmu")), None);
        assert_eq!(conversion(&codec("PCMU"), &codec("G722")), None);
    }
}
