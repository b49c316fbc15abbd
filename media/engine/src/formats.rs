//! Payload numbers: what they mean when they arrive, and as what they leave.

use tandem_core::media::Codec;

use crate::g711::{self, Table};

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
    /// How it goes on. `None`: the destination has nothing that it could be.
    pub(crate) exit: Option<Exit>,
}

/// How a format leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exit {
    /// The number that the destination knows it by.
    pub(crate) payload_type: u8,
    /// From the one law of G.711 to the other, where the two sides chose different ones.
    pub(crate) conversion: Option<&'static Table>,
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
            *format = Format {
                meaning: if codec.is_telephone_event() { Meaning::Event } else { Meaning::Audio },
                clock_rate_hz: codec.clock_rate_hz,
                exit: exit(codec, leaving),
            };
        }
        Self(table)
    }

    pub(crate) fn of(&self, payload_type: u8) -> Format {
        self.0.get(usize::from(payload_type)).copied().unwrap_or_default()
    }
}

/// The same format if the destination has it; else the other law of G.711.
fn exit(codec: &Codec, leaving: &[Codec]) -> Option<Exit> {
    let legal = || leaving.iter().filter(|theirs| theirs.payload_type < 128);
    let theirs = legal()
        .find(|theirs| theirs.is_same_format(codec))
        .or_else(|| legal().find(|theirs| codec.is_convertible_to(theirs)))?;
    Some(Exit { payload_type: theirs.payload_type, conversion: g711::conversion(codec, theirs) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(payload_type: u8, name: &str, clock_rate_hz: u32) -> Codec {
        Codec { payload_type, name: name.into(), clock_rate_hz, channels: 1, fmtp: None }
    }

    fn untouched(payload_type: u8) -> Option<Exit> {
        Some(Exit { payload_type, conversion: None })
    }

    #[test]
    fn a_format_leaves_under_the_number_that_the_destination_gave_it() {
        let arriving = [codec(0, "PCMU", 8000), codec(101, "telephone-event", 8000)];
        let leaving = [codec(96, "TELEPHONE-EVENT", 8000), codec(0, "pcmu", 8000)];
        let formats = Formats::between(&arriving, &leaving);
        let event = Format { meaning: Meaning::Event, clock_rate_hz: 8000, exit: untouched(96) };
        assert_eq!(formats.of(101), event);
        assert_eq!(formats.of(0).exit, untouched(0));
    }

    #[test]
    fn what_only_one_side_knows_does_not_leave() {
        let formats = Formats::between(&[codec(9, "G722", 8000)], &[codec(8, "PCMA", 8000), codec(9, "G722", 16000)]);
        assert_eq!(formats.of(9), Format { meaning: Meaning::Audio, clock_rate_hz: 8000, exit: None });
        assert_eq!(formats.of(8).meaning, Meaning::Unknown);
    }

    #[test]
    fn one_law_leaves_as_the_other_only_where_its_own_is_not_known() {
        let arriving = [codec(0, "PCMU", 8000), codec(8, "PCMA", 8000)];
        let formats = Formats::between(&arriving, &[codec(8, "PCMA", 8000), codec(101, "telephone-event", 8000)]);
        let converted = formats.of(0).exit.unwrap();
        assert!(converted.payload_type == 8 && converted.conversion.is_some());
        assert_eq!(formats.of(8).exit, untouched(8));
        let formats = Formats::between(&arriving, &[codec(8, "PCMA", 8000), codec(0, "PCMU", 8000)]);
        assert_eq!((formats.of(0).exit, formats.of(8).exit), (untouched(0), untouched(8)));
    }

    #[test]
    fn an_event_of_one_clock_is_none_of_another() {
        let arriving = [codec(110, "telephone-event", 48_000), codec(126, "telephone-event", 8_000)];
        let formats = Formats::between(&arriving, &[codec(0, "PCMU", 8_000), codec(101, "telephone-event", 8_000)]);
        assert_eq!(formats.of(110), Format { meaning: Meaning::Event, clock_rate_hz: 48_000, exit: None });
        assert_eq!(formats.of(126).exit, untouched(101));
    }

    #[test]
    fn a_number_that_is_none_is_ignored_on_either_side() {
        let formats =
            Formats::between(&[codec(200, "PCMU", 8000), codec(0, "PCMU", 8000)], &[codec(128, "PCMU", 8000)]);
        assert_eq!(formats.of(0).exit, None);
        assert_eq!(formats.of(200), Format::default());
    }
}
