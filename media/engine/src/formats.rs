//! Payload numbers: what they mean when they arrive, and under which number they leave.

use tandem_core::media::Codec;

/// What a payload number stands for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// Nothing that was agreed on.
    #[default]
    Unknown,
    Audio,
    /// RFC 4733.
    Event,
}

/// One payload number of a source.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Format {
    pub(crate) meaning: Meaning,
    /// Its clock, in Hz; 0 when unknown.
    pub(crate) clock_rate_hz: u32,
    /// The number that the destination knows the same format by.
    pub(crate) leaves_as: Option<u8>,
}

/// All 128, looked up once per change of a description and never per packet.
#[derive(Clone, Debug)]
pub(crate) struct Formats(Box<[Format; 128]>);

impl Formats {
    /// `arriving`: what we told the source that we receive. `leaving`: what the destination told us that it receives.
    pub(crate) fn between(arriving: &[Codec], leaving: &[Codec]) -> Self {
        let mut table = Box::new([Format::default(); 128]);
        for codec in arriving {
            let Some(format) = table.get_mut(usize::from(codec.payload_type)) else { continue };
            let same = leaving.iter().find(|theirs| theirs.payload_type < 128 && theirs.is_same_format(codec));
            *format = Format {
                meaning: if codec.is_telephone_event() { Meaning::Event } else { Meaning::Audio },
                clock_rate_hz: codec.clock_rate_hz,
                leaves_as: same.map(|theirs| theirs.payload_type),
            };
        }
        Self(table)
    }

    pub(crate) fn of(&self, payload_type: u8) -> Format {
        self.0.get(usize::from(payload_type)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(payload_type: u8, name: &str, clock_rate_hz: u32) -> Codec {
        Codec { payload_type, name: name.into(), clock_rate_hz, channels: 1, fmtp: None }
    }

    #[test]
    fn a_format_leaves_under_the_number_that_the_destination_gave_it() {
        let arriving = [codec(0, "PCMU", 8000), codec(101, "telephone-event", 8000)];
        let leaving = [codec(96, "TELEPHONE-EVENT", 8000), codec(0, "pcmu", 8000)];
        let formats = Formats::between(&arriving, &leaving);
        let event = Format { meaning: Meaning::Event, clock_rate_hz: 8000, leaves_as: Some(96) };
        assert_eq!(formats.of(101), event);
        assert_eq!(formats.of(0).leaves_as, Some(0));
    }

    #[test]
    fn what_only_one_side_knows_does_not_leave() {
        let formats = Formats::between(&[codec(9, "G722", 8000)], &[codec(8, "PCMA", 8000), codec(9, "G722", 16000)]);
        assert_eq!(formats.of(9), Format { meaning: Meaning::Audio, clock_rate_hz: 8000, leaves_as: None });
        assert_eq!(formats.of(8).meaning, Meaning::Unknown);
    }

    #[test]
    fn a_number_that_is_none_is_ignored_on_either_side() {
        let formats =
            Formats::between(&[codec(200, "PCMU", 8000), codec(0, "PCMU", 8000)], &[codec(128, "PCMU", 8000)]);
        assert_eq!(formats.of(0).leaves_as, None);
        assert_eq!(formats.of(200), Format::default());
    }
}
