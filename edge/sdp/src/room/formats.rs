//! The payload formats of a section.

use std::sync::Arc;

use tandem_core::media::Codec;
use tandem_core::room::description::Format;

use crate::MAX_CODECS;
use crate::lines::Line;
use crate::payload::static_codec;

/// Most feedback messages that are kept of one format.
const MAX_FEEDBACK: usize = 16;

/// What lines say of the payload types, by number.
pub(super) struct Formats<'a> {
    told: Vec<Told<'a>>,
    /// `a=rtcp-fb:*`
    common: Vec<&'a str>,
}

#[derive(Clone, Default)]
struct Told<'a> {
    map: Option<&'a str>,
    parameters: Option<&'a str>,
    feedback: Vec<&'a str>,
    rtx: Option<u8>,
}

impl<'a> Formats<'a> {
    /// The formats in the order of the `m=` line, which is the order of preference: each with its retransmissions
    /// (RFC 4588), which are no format of their own. A number that nobody names is left out.
    pub(super) fn read(numbers: impl Iterator<Item = &'a str>, lines: &'a [Line]) -> Vec<Format> {
        let mut all = Self { told: vec![Told::default(); 128], common: Vec::new() };
        lines.iter().for_each(|line| all.note(line));
        let mut wanted: Vec<u8> = Vec::new();
        for number in numbers.filter_map(|it| it.parse().ok()).filter(|it| *it < 128) {
            if !wanted.contains(&number) {
                wanted.push(number);
            }
        }
        wanted.iter().for_each(|number| all.pair(*number));
        wanted.into_iter().filter_map(|number| all.format(number)).take(MAX_CODECS).collect()
    }

    fn note(&mut self, line: &'a Line) {
        let Some((name, value)) = line.flag().and_then(|it| it.split_once(':')) else { return };
        let Some((number, value)) = value.split_once(' ') else { return };
        let value = value.trim();
        if (name, number) == ("rtcp-fb", "*") {
            return keep(&mut self.common, value);
        }
        let Some(told) = number.parse().ok().and_then(|number: usize| self.told.get_mut(number)) else { return };
        match name {
            "rtpmap" => told.map = told.map.or(Some(value)),
            "fmtp" => told.parameters = told.parameters.or(Some(value).filter(|it| !it.is_empty())),
            "rtcp-fb" => keep(&mut told.feedback, value),
            _ => {}
        }
    }

    fn of(&self, number: u8) -> Option<&Told<'a>> {
        self.told.get(usize::from(number))
    }

    /// Files a retransmission format with its primary; the first one counts.
    fn pair(&mut self, number: u8) {
        let Some(told) = self.of(number).filter(|it| is_rtx(it)) else { return };
        let primary = told.parameters.and_then(|it| it.split(';').find_map(|one| one.trim().strip_prefix("apt=")));
        let primary: Option<usize> = primary.and_then(|it| it.trim().parse().ok());
        if let Some(primary) = primary.and_then(|primary| self.told.get_mut(primary)) {
            primary.rtx = primary.rtx.or(Some(number));
        }
    }

    fn format(&self, number: u8) -> Option<Format> {
        let told = self.of(number).filter(|it| !is_rtx(it))?;
        let codec = match told.map {
            Some(map) => named(number, map)?,
            None => static_codec(number)?,
        };
        let mut feedback: Vec<&str> = self.common.clone();
        told.feedback.iter().for_each(|it| keep(&mut feedback, it));
        Some(Format {
            codec: Codec { fmtp: told.parameters.map(str::to_owned), ..codec },
            rtx: told.rtx,
            feedback: feedback.into_iter().map(Arc::from).collect(),
        })
    }
}

fn keep<'a>(list: &mut Vec<&'a str>, value: &'a str) {
    if !value.is_empty() && list.len() < MAX_FEEDBACK && !list.contains(&value) {
        list.push(value);
    }
}

fn is_rtx(told: &Told<'_>) -> bool {
    told.map.and_then(|map| map.split('/').next()).is_some_and(|name| name.eq_ignore_ascii_case("rtx"))
}

/// `<name>/<clock>[/<channels>]`
fn named(payload_type: u8, map: &str) -> Option<Codec> {
    let mut parts = map.split('/');
    let (name, clock) = (parts.next()?, parts.next()?);
    let clock_rate_hz = clock.trim().parse().ok().filter(|rate| *rate > 0)?;
    let channels = parts.next().map_or(Some(1), |it| it.trim().parse().ok()).filter(|many| *many > 0)?;
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_token);
    is_name.then(|| Codec { payload_type, name: name.to_owned(), clock_rate_hz, channels, fmtp: None })
}
