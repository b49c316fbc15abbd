//! When the packets of a connection came, for its sender to learn what the network bears
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1).
//!
//! ```text
//!  base, count, reference time │ one of 3 symbols per packet, 7 in a word │ differences of 250 µs, 8 or 16 bits each
//! ```

use tandem_core::time::Timestamp;

use super::rtcp::{OURS, Writer};
use crate::span::nearest;

/// Packets of one feedback message: its symbols and differences stay below 1,200 bytes.
const MESSAGE: usize = 400;

/// Packets that wait: more than come in a tick at 100 Mbit/s.
const WAITING: usize = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Number, with time in 250 µs.
    waiting: Vec<(u64, u64)>,
    /// The number behind the last that was told of.
    next: u64,
    highest: u64,
    message: u8,
    /// Of the last packet.
    ssrc: u32,
}

impl Arrivals {
    pub(super) fn note(&mut self, now: Timestamp, sequence: u16, ssrc: u32) {
        let number = match self.highest {
            // One round ahead, for one that comes before the first.
            0 => 1 << 16 | u64::from(sequence),
            highest => nearest(highest, sequence),
        };
        if self.next == 0 {
            self.next = number;
        }
        self.highest = self.highest.max(number);
        self.ssrc = ssrc;
        // What was told as missing cannot be taken back.
        if number >= self.next && self.waiting.len() < WAITING {
            self.waiting.push((number, now.0 / 250));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes one message. `None`: there is nothing to tell.
    pub(super) fn write(&mut self, to: &mut Writer<'_>) -> Option<()> {
        self.waiting.sort_unstable();
        self.waiting.dedup_by_key(|(number, _)| *number);
        let &(_, first_at) = self.waiting.first()?;
        let base = self.next;
        // In 64 ms, 24 bits of it.
        let reference = first_at / 256;
        let mut symbols = [0_u8; MESSAGE];
        let mut differences = [0_u8; MESSAGE * 2];
        let (mut told, mut count, mut len, mut before) = (0, 0, 0, reference * 256);
        for &(number, at) in &self.waiting {
            let place = usize::try_from(number - base).unwrap_or(usize::MAX);
            let difference = i64::try_from(at).unwrap_or(0) - i64::try_from(before).unwrap_or(0);
            let (Some(symbol), Ok(wide)) = (symbols.get_mut(place), i16::try_from(difference)) else { break };
            match u8::try_from(wide) {
                Ok(narrow) => {
                    *symbol = 1;
                    *differences.get_mut(len)? = narrow;
                    len += 1;
                }
                Err(_) => {
                    *symbol = 2;
                    differences.get_mut(len..len + 2)?.copy_from_slice(&wide.to_be_bytes());
                    len += 2;
                }
            }
            (told, count, before) = (told + 1, place + 1, at);
        }
        if told == 0 {
            // A hole wider than a message: it is not told of.
            self.next = self.waiting.first().map_or(self.next, |(number, _)| *number);
            return self.write(to);
        }
        self.waiting.drain(..told);
        self.next = base + count as u64;
        let message = self.message;
        self.message = message.wrapping_add(1);
        let ssrc = self.ssrc;
        to.transport_feedback(|it| {
            it.word(OURS)?;
            it.word(ssrc)?;
            it.put(&(base as u16).to_be_bytes())?;
            it.put(&(count as u16).to_be_bytes())?;
            it.word((reference as u32) << 8 | u32::from(message))?;
            for seven in symbols.get(..count)?.chunks(7) {
                let word = seven
                    .iter()
                    .zip(0..)
                    .fold(0xc000_u16, |word, (symbol, nth)| word | u16::from(*symbol) << (12 - 2 * nth));
                it.put(&word.to_be_bytes())?;
            }
            it.put(differences.get(..len)?)?;
            while !it.len().is_multiple_of(4) {
                it.put(&[0])?;
            }
            Some(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences and times in 250 µs, as a message tells them; `None`: not come.
    fn told(arrivals: &mut Arrivals) -> Vec<(u16, Option<i64>)> {
        let mut out = [0; 1_200];
        let mut writer = Writer::new(&mut out);
        arrivals.write(&mut writer).unwrap();
        let len = writer.len();
        let message = &out[..len];
        assert_eq!((message[0], message[1], usize::from(message[3]) * 4 + 4), (0x8f, 205, len));
        let half = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        let (base, count) = (half(12), usize::from(half(14)));
        let mut time = i64::from(u32::from_be_bytes([0, message[16], message[17], message[18]])) * 256;
        let mut at = 20 + count.div_ceil(7) * 2;
        (0..count)
            .map(|n| {
                let symbol = half(20 + n / 7 * 2) >> (12 - 2 * (n % 7)) & 3;
                let difference = match symbol {
                    0 => None,
                    1 => Some(i64::from(message[at])),
                    _ => Some(i64::from(half(at).cast_signed())),
                };
                at += usize::from(symbol);
                time += difference.unwrap_or(0);
                (base.wrapping_add(n as u16), difference.map(|_| time))
            })
            .collect()
    }

    #[test]
    fn arrivals_are_told_over_a_round_with_holes_and_out_of_order() {
        let mut arrivals = Arrivals::default();
        for (sequence, ms) in [(65_534, 1_000), (65_535, 1_001), (2, 1_100), (0, 1_101)] {
            arrivals.note(Timestamp(ms * 1_000), sequence, 7);
        }
        let wanted = [(65_534, Some(4_000)), (65_535, Some(4_004)), (0, Some(4_404)), (1, None), (2, Some(4_400))];
        assert_eq!(told(&mut arrivals), wanted);
        arrivals.note(Timestamp(1_200_000), 1, 7);
        assert!(arrivals.is_empty(), "told as missing");
        arrivals.note(Timestamp(1_200_000), 4, 7);
        assert_eq!(told(&mut arrivals), [(3, None), (4, Some(4_800))]);
    }

    #[test]
    fn many_arrivals_take_several_messages_and_a_wide_hole_is_passed_over() {
        let mut arrivals = Arrivals::default();
        (0..1_000_u16).for_each(|n| arrivals.note(Timestamp(u64::from(n) * 100), n, 7));
        let all: Vec<_> = (0..3).flat_map(|_| told(&mut arrivals)).collect();
        assert_eq!((all.len(), arrivals.is_empty()), (1_000, true));
        arrivals.note(Timestamp(20_000_000), 5_000, 7);
        assert_eq!(told(&mut arrivals), [(5_000, Some(80_000))]);
    }
}
