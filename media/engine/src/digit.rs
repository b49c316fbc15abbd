//! Keys pressed, out of telephone-event packets (RFC 4733).
//!
//! # Invariants
//! * An event is reported once, however often its packets come: at its end, when the next begins, or after [`PAUSE`].

use std::time::Duration;

use tandem_core::media::MediaNews;
use tandem_core::time::Timestamp;

/// An event whose end was lost is over when its packets, one each 20–50 ms, stop for this long.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digits {
    event: Option<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    code: u8,
    /// Names the event: all its packets have it.
    timestamp: u32,
    /// Of its earlier segments, in units of the clock: one segment holds 16 bits.
    before: u32,
    duration: u16,
    clock_rate_hz: u32,
    heard: Timestamp,
    is_reported: bool,
}

impl Digits {
    /// A packet of an event: its timestamp and its payload. Gives the news when an event ended.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        timestamp: u32,
        clock_rate_hz: u32,
        payload: &[u8],
    ) -> Option<MediaNews> {
        let &[code, flags, high, low, ..] = payload else { return None };
        let duration = u16::from_be_bytes([high, low]);
        let fresh = Event { code, timestamp, before: 0, duration, clock_rate_hz, heard: now, is_reported: false };
        let (event, ended) = match self.event {
            Some(event) if event.timestamp == timestamp => {
                (Event { duration: duration.max(event.duration), heard: now, ..event }, None)
            }
            Some(event) if timestamp.wrapping_sub(event.timestamp).cast_signed() < 0 => return None,
            Some(event) if event.is_followed_by(&fresh) => {
                (Event { before: event.before.saturating_add(event.duration.into()), ..fresh }, None)
            }
            Some(mut event) => (fresh, event.report()),
            None => (fresh, None),
        };
        let event = self.event.insert(event);
        if flags & 0x80 != 0 { ended.or_else(|| event.report()) } else { ended }
    }

    /// Ends an event whose packets have stopped.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<MediaNews> {
        self.event.as_mut().filter(|event| now - event.heard >= PAUSE)?.report()
    }

    /// The source starts anew: its timestamps mean nothing any more.
    pub(crate) fn restart(&mut self) -> Option<MediaNews> {
        self.event.take()?.report()
    }
}

impl Event {
    /// A key held for longer than 16 bits of duration goes on in a new segment that starts where the last one ended.
    fn is_followed_by(&self, next: &Self) -> bool {
        let end = self.timestamp.wrapping_add(self.duration.into());
        !self.is_reported && self.code == next.code && self.duration == u16::MAX && next.timestamp == end
    }

    fn report(&mut self) -> Option<MediaNews> {
        if std::mem::replace(&mut self.is_reported, true) {
            return None;
        }
        let ticks = u64::from(self.before) + u64::from(self.duration);
        let duration_ms = ticks * 1_000 / u64::from(self.clock_rate_hz.max(1));
        let digit = key(self.code)?;
        Some(MediaNews::Digit { digit, duration_ms: u16::try_from(duration_ms).unwrap_or(u16::MAX) })
    }
}

/// RFC 4733, 3.2. Other events are no keys.
fn key(code: u8) -> Option<char> {
    "0123456789*#ABCD".chars().nth(code.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000)
    }

    fn news(digit: char, duration_ms: u16) -> Option<MediaNews> {
        Some(MediaNews::Digit { digit, duration_ms })
    }

    fn packet(code: u8, is_end: bool, duration: u16) -> [u8; 4] {
        let [high, low] = duration.to_be_bytes();
        [code, if is_end { 0x8a } else { 0x0a }, high, low]
    }

    #[test]
    fn an_event_is_reported_once_although_its_end_comes_three_times() {
        let mut digits = Digits::default();
        let mut heard = Vec::new();
        for (n, (is_end, duration)) in
            [(false, 160), (false, 320), (true, 800), (true, 800), (true, 800)].into_iter().enumerate()
        {
            heard.extend(digits.take(ms(n as u64 * 20), 5_000, 8_000, &packet(5, is_end, duration)));
        }
        heard.extend(digits.expire(ms(900)));
        assert_eq!(heard, Vec::from_iter(news('5', 100)));
    }

    #[test]
    fn a_lost_end_is_made_up_for_by_the_next_key_or_by_a_pause() {
        let mut digits = Digits::default();
        assert_eq!(digits.take(ms(0), 5_000, 8_000, &packet(1, false, 400)), None);
        assert_eq!(digits.take(ms(60), 6_000, 8_000, &packet(11, false, 160)), news('1', 50));
        assert_eq!(digits.expire(ms(200)), None);
        assert_eq!(digits.expire(ms(300)), news('#', 20));
        assert_eq!(digits.expire(ms(600)), None);
    }

    #[test]
    fn the_same_key_twice_is_two_digits_and_a_late_packet_of_the_first_none() {
        let mut digits = Digits::default();
        assert_eq!(digits.take(ms(0), 5_000, 8_000, &packet(1, true, 400)), news('1', 50));
        assert_eq!(digits.take(ms(100), 6_000, 8_000, &packet(1, true, 400)), news('1', 50));
        assert_eq!(digits.take(ms(120), 5_000, 8_000, &packet(1, true, 400)), None);
    }

    #[test]
    fn a_key_held_for_longer_than_a_segment_is_one_digit() {
        let mut digits = Digits::default();
        assert_eq!(digits.take(ms(0), 1_000, 8_000, &packet(9, false, u16::MAX)), None);
        assert_eq!(digits.take(ms(20), 1_000 + 65_535, 8_000, &packet(9, true, 8_000)), news('9', 9_191));
    }

    #[test]
    fn what_is_no_key_or_no_event_is_not_reported() {
        let mut digits = Digits::default();
        assert_eq!(digits.take(ms(0), 1_000, 8_000, &packet(16, true, 400)), None);
        assert_eq!(digits.take(ms(0), 2_000, 8_000, &[1, 0x80, 0]), None);
    }
}
