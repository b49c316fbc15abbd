//! RTCP of a room's peer: what is read of compounds, and what is written (RFC 3550, RFC 4585, RFC 5104).

use tandem_core::time::Timestamp;

use super::layer::Clock;
use crate::rtcp::ReceptionBlock;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Transport feedback: packets that are missing.
const NACK: u8 = 1;
/// Transport feedback: when packets came.
pub(super) const TRANSPORT_CC: u8 = 15;
/// Payload feedback: a picture cannot be shown.
const PICTURE_LOSS: u8 = 1;
/// Payload feedback: a whole picture is wanted.
const FULL_INTRA: u8 = 4;

/// Who reports, when it is not about what he sends. It needs no more to be told from the senders: SSRCs of those are
/// random.
pub(super) const OURS: u32 = 1;

/// Blocks that a report may have.
pub(super) const BLOCKS: usize = 31;

/// What a compound may say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Said<'a> {
    /// An instant in the sender's clocks.
    Sent { ssrc: u32, ntp: u64, rtp: u32 },
    /// How he receives a stream of ours.
    Received { ssrc: u32, fraction_lost: u8 },
    /// Packets of ours that he misses: pairs of a sequence and the bits of those behind it.
    Missing { ssrc: u32, pairs: &'a [u8] },
    /// He cannot show a stream of ours without a key frame.
    NeedsKey { ssrc: u32 },
}

/// Reads a compound, as far as it can be read.
pub(super) fn read<'a>(mut bytes: &'a [u8], mut say: impl FnMut(Said<'a>)) {
    while let Some((&[first, kind, high, low], rest)) = bytes.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])) * 4;
        let Some((body, rest)) = rest.split_at_checked(len) else { return };
        part(kind, first & 0x1f, body, &mut say);
        bytes = rest;
    }
}

fn part<'a>(kind: u8, count: u8, body: &'a [u8], say: &mut impl FnMut(Said<'a>)) {
    match (kind, count) {
        (SENDER_REPORT, count) => {
            if let (Some(ssrc), Some(high), Some(low), Some(rtp)) =
                (word(body, 0), word(body, 1), word(body, 2), word(body, 3))
            {
                say(Said::Sent { ssrc, ntp: u64::from(high) << 32 | u64::from(low), rtp });
            }
            blocks(body.get(24..).unwrap_or_default(), count, say);
        }
        (RECEIVER_REPORT, count) => blocks(body.get(4..).unwrap_or_default(), count, say),
        (TRANSPORT_FEEDBACK, NACK) => {
            if let (Some(ssrc), Some(pairs)) = (word(body, 1), body.get(8..)) {
                say(Said::Missing { ssrc, pairs });
            }
        }
        (PAYLOAD_FEEDBACK, PICTURE_LOSS) => {
            if let Some(ssrc) = word(body, 1) {
                say(Said::NeedsKey { ssrc });
            }
        }
        (PAYLOAD_FEEDBACK, FULL_INTRA) => {
            for entry in body.get(8..).unwrap_or_default().chunks_exact(8) {
                if let Some(ssrc) = word(entry, 0) {
                    say(Said::NeedsKey { ssrc });
                }
            }
        }
        _ => {}
    }
}

fn blocks<'a>(body: &[u8], count: u8, say: &mut impl FnMut(Said<'a>)) {
    for block in body.chunks_exact(24).take(count.into()) {
        if let (Some(ssrc), Some(&fraction_lost)) = (word(block, 0), block.get(4)) {
            say(Said::Received { ssrc, fraction_lost });
        }
    }
}

/// The sequences of a request for packets.
pub(super) fn sequences(pairs: &[u8]) -> impl Iterator<Item = u16> {
    pairs.as_chunks::<4>().0.iter().flat_map(|&[s0, s1, b0, b1]| {
        let (first, behind) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([b0, b1]));
        let others = (0..16_u16).filter(move |n| behind >> n & 1 == 1).map(move |n| first.wrapping_add(n + 1));
        std::iter::once(first).chain(others)
    })
}

fn word(body: &[u8], index: usize) -> Option<u32> {
    body.get(index * 4..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Writes a compound. What does not fit is left out, whole.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A packet whose body is written by `fill`. `None`: it did not fit.
    pub(super) fn packet(&mut self, count: u8, kind: u8, fill: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let begin = self.len;
        let written = self.put(&[0x80 | count, kind, 0, 0]).and_then(|()| fill(self));
        let Some(()) = written.filter(|()| self.len.is_multiple_of(4)) else {
            self.len = begin;
            return None;
        };
        let words = u16::try_from((self.len - begin) / 4 - 1).ok()?;
        self.out.get_mut(begin + 2..begin + 4)?.copy_from_slice(&words.to_be_bytes());
        Some(())
    }

    /// A report of ours about streams, of which there may be none, and who we are.
    pub(super) fn receiver_report(&mut self, blocks: &[ReceptionBlock]) -> Option<()> {
        self.packet(blocks.len().min(BLOCKS) as u8, RECEIVER_REPORT, |it| {
            it.word(OURS)?;
            blocks.iter().take(BLOCKS).try_for_each(|block| it.block(*block))
        })
    }

    /// A report about a stream that we send.
    pub(super) fn sender_report(
        &mut self,
        now: Timestamp,
        ssrc: u32,
        clock: Clock,
        clock_rate_hz: u32,
        sent: (u32, u32),
    ) -> Option<()> {
        // The clock goes on from when it came.
        let micros = (now - clock.at).as_micros();
        let ntp = clock.ntp.wrapping_add(((micros << 32) / 1_000_000) as u64);
        let rtp = clock.rtp.wrapping_add((micros * u128::from(clock_rate_hz) / 1_000_000) as u32);
        self.packet(0, SENDER_REPORT, |it| {
            it.word(ssrc)?;
            it.put(&ntp.to_be_bytes())?;
            it.word(rtp)?;
            it.word(sent.0)?;
            it.word(sent.1)
        })
    }

    /// A name for all that we send here (RFC 7022): it says nothing.
    pub(super) fn description(&mut self, ssrc: u32) -> Option<()> {
        self.packet(1, SOURCE_DESCRIPTION, |it| {
            it.word(ssrc)?;
            it.put(b"\x01\x06tandem\0\0\0\0")
        })
    }

    pub(super) fn missing(&mut self, ssrc: u32, sequences: &[u16]) -> Option<()> {
        self.packet(NACK, TRANSPORT_FEEDBACK, |it| {
            it.word(OURS)?;
            it.word(ssrc)?;
            let mut rest = sequences;
            while let [first, others @ ..] = rest {
                let near = others.iter().take_while(|it| (1..=16).contains(&it.wrapping_sub(*first)));
                let (count, bits) =
                    near.fold((0, 0_u16), |(count, bits), it| (count + 1, bits | 1 << (it.wrapping_sub(*first) - 1)));
                it.put(&first.to_be_bytes())?;
                it.put(&bits.to_be_bytes())?;
                rest = others.get(count..)?;
            }
            Some(())
        })
    }

    pub(super) fn picture_loss(&mut self, ssrc: u32) -> Option<()> {
        self.packet(PICTURE_LOSS, PAYLOAD_FEEDBACK, |it| {
            it.word(OURS)?;
            it.word(ssrc)
        })
    }

    pub(super) fn transport_feedback(&mut self, fill: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.packet(TRANSPORT_CC, TRANSPORT_FEEDBACK, fill)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    pub(super) fn word(&mut self, word: u32) -> Option<()> {
        self.put(&word.to_be_bytes())
    }

    fn block(&mut self, block: ReceptionBlock) -> Option<()> {
        let [_, lost @ ..] = block.lost.to_be_bytes();
        self.word(block.ssrc)?;
        self.put(&[block.fraction_lost])?;
        self.put(&lost)?;
        [block.highest, block.jitter, block.last_sr, block.delay].into_iter().try_for_each(|it| self.word(it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> Vec<Said<'_>> {
        let mut all = Vec::new();
        read(bytes, |said| all.push(said));
        all
    }

    #[test]
    fn what_is_written_is_read_and_a_request_behind_a_report_is_not_lost() {
        let mut out = [0; 256];
        let mut writer = Writer::new(&mut out);
        let block =
            ReceptionBlock { ssrc: 9, fraction_lost: 64, lost: -2, highest: 7, jitter: 1, last_sr: 5, delay: 6 };
        writer.receiver_report(&[block]).unwrap();
        writer.description(OURS).unwrap();
        writer.missing(10, &[65_535, 0, 15, 16, 200]).unwrap();
        writer.picture_loss(11).unwrap();
        let clock = Clock { ntp: 5 << 32, rtp: 100, at: Timestamp(1_000_000) };
        writer.sender_report(Timestamp(1_500_000), 12, clock, 90_000, (3, 4)).unwrap();
        let len = writer.len();
        let all = said(&out[..len]);
        assert_eq!(all[0], Said::Received { ssrc: 9, fraction_lost: 64 });
        let Said::Missing { ssrc: 10, pairs } = all[1] else { panic!("{all:?}") };
        assert_eq!(sequences(pairs).collect::<Vec<_>>(), [65_535, 0, 15, 16, 200]);
        assert_eq!(pairs.len(), 12);
        assert_eq!(all[2], Said::NeedsKey { ssrc: 11 });
        assert_eq!(all[3], Said::Sent { ssrc: 12, ntp: 5 << 32 | 1 << 31, rtp: 45_100 });
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_full_intra_request_names_its_streams_in_entries() {
        let bytes = [0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0];
        assert_eq!(said(&bytes), [Said::NeedsKey { ssrc: 7 }, Said::NeedsKey { ssrc: 8 }]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole_and_what_is_cut_is_not_read() {
        let mut out = [0; 20];
        let mut writer = Writer::new(&mut out);
        writer.receiver_report(&[]).unwrap();
        assert_eq!((writer.missing(7, &[1, 40]), writer.len()), (None, 8));
        assert_eq!((writer.picture_loss(7), writer.len()), (Some(()), 20));
        assert!(said(&out[..19]).is_empty());
        assert!(said(&[0x81, 201, 0, 1, 0, 0, 0, 1]).is_empty());
        assert!(said(&[0x80, 200, 0, 1, 0, 0, 0, 1]).is_empty());
    }
}
