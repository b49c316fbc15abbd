//! RTCP (RFC 3550, 6): writing the reports of one leg, and reading what comes.

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;

/// RFC 5761: what may stand where RTCP has its packet type.
const TYPES: std::ops::RangeInclusive<u8> = 192..=223;

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// What we sent, for a sender report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SenderInfo {
    /// Microseconds since 1970.
    pub(crate) wall: i64,
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// What we received of one source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReceptionBlock {
    pub(crate) ssrc: u32,
    /// Since the last report, in 256ths.
    pub(crate) fraction_lost: u8,
    /// All in all, 24 bits signed.
    pub(crate) lost: i32,
    pub(crate) highest: u32,
    pub(crate) jitter: u32,
    pub(crate) last_sr: u32,
    pub(crate) delay: u32,
}

/// What matters to us of a compound packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Heard {
    /// SSRC and middle of the NTP time of a sender report.
    pub(crate) sender_report: Option<(u32, u32)>,
    /// The source says that it stops.
    pub(crate) bye: Option<u32>,
    /// How the far end receives us.
    pub(crate) reception: Option<ReceptionBlock>,
}

/// No RTCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

/// Writes a compound packet: SR or RR, then SDES with a CNAME. `None`: the buffer is too small.
pub(crate) fn write(
    out: &mut [u8],
    ssrc: u32,
    sent: Option<SenderInfo>,
    block: Option<ReceptionBlock>,
) -> Option<usize> {
    let mut at = Writer { out, len: 0 };
    let count = u8::from(block.is_some());
    let words = 1 + 6 * u16::from(count) + if sent.is_some() { 5 } else { 0 };
    let kind = if sent.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    at.put(&[0x80 | count, kind])?;
    at.put(&words.to_be_bytes())?;
    at.word(ssrc)?;
    if let Some(sent) = sent {
        at.sender_info(sent)?;
    }
    if let Some(block) = block {
        at.block(block)?;
    }
    at.description(ssrc)?;
    Some(at.len)
}

/// Reads a compound packet; of its reception blocks, the one about `ours`. Lenient: a part of an unknown type is skipped, and the first need not be a report.
pub(crate) fn read(mut bytes: &[u8], ours: u32) -> Result<Heard, Malformed> {
    let mut heard = Heard::default();
    if bytes.is_empty() {
        return Err(Malformed);
    }
    while !bytes.is_empty() {
        let Some((&[first, kind, high, low], rest)) = bytes.split_first_chunk() else { return Err(Malformed) };
        let len = usize::from(u16::from_be_bytes([high, low])) * 4;
        let Some((body, rest)) = rest.split_at_checked(len) else { return Err(Malformed) };
        if first >> 6 != 2 || !TYPES.contains(&kind) {
            return Err(Malformed);
        }
        heard.part(kind, usize::from(first & 0x1f), body, ours)?;
        bytes = rest;
    }
    Ok(heard)
}

impl Heard {
    fn part(&mut self, kind: u8, count: usize, body: &[u8], ours: u32) -> Result<(), Malformed> {
        match kind {
            SENDER_REPORT => {
                let (Some(ssrc), Some(high), Some(low)) = (word(body, 0), word(body, 1), word(body, 2)) else {
                    return Err(Malformed);
                };
                holds(body, 6 + 6 * count)?;
                self.sender_report = Some((ssrc, middle(high, low)));
                self.blocks(body, 6, count, ours);
            }
            RECEIVER_REPORT => {
                holds(body, 1 + 6 * count)?;
                self.blocks(body, 1, count, ours);
            }
            BYE => {
                holds(body, count)?;
                self.bye = word(body, 0).filter(|_| count > 0);
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks through the reception blocks from the word `first` on.
    fn blocks(&mut self, body: &[u8], first: usize, count: usize, ours: u32) {
        let block = (0..count).filter_map(|n| block(body, first + 6 * n)).find(|block| block.ssrc == ours);
        self.reception = block.or(self.reception);
    }
}

/// The reception block that begins with a word.
fn block(body: &[u8], at: usize) -> Option<ReceptionBlock> {
    let loss = word(body, at + 1)?;
    let [fraction_lost, ..] = loss.to_be_bytes();
    Some(ReceptionBlock {
        ssrc: word(body, at)?,
        fraction_lost,
        // Its sign is the highest of 24 bits.
        lost: (loss << 8).cast_signed() >> 8,
        highest: word(body, at + 2)?,
        jitter: word(body, at + 3)?,
        last_sr: word(body, at + 4)?,
        delay: word(body, at + 5)?,
    })
}

/// What reports answer a sender report with: the middle of its NTP time.
fn middle(high: u32, low: u32) -> u32 {
    high << 16 | low >> 16
}

impl SenderInfo {
    /// The middle of its NTP time.
    pub(crate) fn ntp_middle(&self) -> u32 {
        let ntp = self.ntp();
        middle((ntp >> 32) as u32, ntp as u32)
    }

    fn ntp(&self) -> u64 {
        let micros = u64::try_from(self.wall).unwrap_or(0);
        let seconds = micros / 1_000_000 + NTP_EPOCH;
        let fraction = ((micros % 1_000_000) << 32) / 1_000_000;
        // NTP's seconds go round in 2036; so do ours.
        seconds << 32 | fraction
    }
}

fn holds(body: &[u8], words: usize) -> Result<(), Malformed> {
    if body.len() >= words * 4 { Ok(()) } else { Err(Malformed) }
}

fn word(body: &[u8], index: usize) -> Option<u32> {
    body.get(index * 4..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn word(&mut self, word: u32) -> Option<()> {
        self.put(&word.to_be_bytes())
    }

    fn sender_info(&mut self, sent: SenderInfo) -> Option<()> {
        self.put(&sent.ntp().to_be_bytes())?;
        self.word(sent.timestamp)?;
        self.word(sent.packets)?;
        self.word(sent.octets)
    }

    fn block(&mut self, block: ReceptionBlock) -> Option<()> {
        let [_, lost @ ..] = block.lost.to_be_bytes();
        self.word(block.ssrc)?;
        self.put(&[block.fraction_lost])?;
        self.put(&lost)?;
        self.word(block.highest)?;
        self.word(block.jitter)?;
        self.word(block.last_sr)?;
        self.word(block.delay)
    }

    /// SDES with a CNAME that says nothing but the SSRC (RFC 7022: short-lived, and tells nobody who we are).
    fn description(&mut self, ssrc: u32) -> Option<()> {
        self.put(&[0x81, SOURCE_DESCRIPTION, 0, 4])?;
        self.word(ssrc)?;
        self.put(&[1, 8])?;
        for shift in (0..8).rev() {
            let digit = char::from_digit(ssrc >> (shift * 4) & 0xf, 16).and_then(|digit| u8::try_from(digit).ok());
            self.put(&[digit.unwrap_or(b'0')])?;
        }
        self.put(&[0, 0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: SenderInfo = SenderInfo { wall: 1_500_000, timestamp: 3, packets: 4, octets: 5 };
    const BLOCK: ReceptionBlock =
        ReceptionBlock { ssrc: 9, fraction_lost: 64, lost: -2, highest: 70_000, jitter: 12, last_sr: 5, delay: 6 };

    #[test]
    fn a_sender_report_stands_as_rfc_3550_draws_it() {
        let mut out = [0; 128];
        let len = write(&mut out, 0x0102_a3ff, Some(SENT), Some(BLOCK)).unwrap();
        let mut wanted = vec![0x81, 200, 0, 12, 1, 2, 0xa3, 0xff];
        wanted.extend((NTP_EPOCH as u32 + 1).to_be_bytes());
        wanted.extend(0x8000_0000_u32.to_be_bytes());
        wanted.extend([0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]);
        wanted.extend([0, 0, 0, 9, 64, 0xff, 0xff, 0xfe]);
        wanted.extend([0, 1, 0x11, 0x70, 0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 6]);
        wanted.extend([0x81, 202, 0, 4, 1, 2, 0xa3, 0xff, 1, 8]);
        wanted.extend(b"0102a3ff\0\0");
        assert_eq!(out[..len], wanted);
        let heard = read(&out[..len], 9).unwrap();
        assert_eq!(heard.sender_report, Some((0x0102_a3ff, 0x7e81_8000)));
        assert_eq!((heard.reception, SENT.ntp_middle()), (Some(BLOCK), 0x7e81_8000));
    }

    #[test]
    fn without_a_source_or_packets_of_ours_the_report_is_empty_and_still_one() {
        let mut out = [0; 128];
        let len = write(&mut out, 1, None, None).unwrap();
        assert_eq!(out[..8], [0x80, 201, 0, 1, 0, 0, 0, 1]);
        assert_eq!(read(&out[..len], 9), Ok(Heard::default()));
    }

    #[test]
    fn a_buffer_that_is_too_small_gets_no_report() {
        assert_eq!(write(&mut [0; 40], 1, Some(SENT), Some(BLOCK)), None);
    }

    #[test]
    fn a_bye_after_a_report_is_heard() {
        let bytes = [0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 203, 0, 1, 0, 0, 0, 7];
        assert_eq!(read(&bytes, 9), Ok(Heard { bye: Some(7), ..Heard::default() }));
    }

    #[test]
    fn of_several_reception_blocks_the_one_about_us_is_read_in_either_kind_of_report() {
        for (kind, before) in [(SENDER_REPORT, 6), (RECEIVER_REPORT, 1)] {
            let mut bytes = vec![0x82, kind, 0, before + 12];
            bytes.resize(4 + usize::from(before) * 4, 7);
            for ssrc in [8, 9] {
                bytes.extend([
                    0, 0, 0, ssrc, 64, 0xff, 0xff, 0xfe, 0, 1, 0x11, 0x70, 0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 6,
                ]);
            }
            assert_eq!(read(&bytes, 9).unwrap().reception, Some(BLOCK));
            assert_eq!(read(&bytes, 10).unwrap().reception, None);
        }
    }

    #[test]
    fn what_is_no_rtcp_is_refused() {
        for bytes in [
            &[][..],
            &[0x80, 200, 0],
            &[0x40, 201, 0, 1, 0, 0, 0, 7],
            &[0x80, 100, 0, 1, 0, 0, 0, 7],
            &[0x80, 201, 0, 2, 0, 0, 0, 7],
            &[0x81, 201, 0, 1, 0, 0, 0, 7],
            &[0x80, 200, 0, 1, 0, 0, 0, 7],
            &[0x82, 203, 0, 1, 0, 0, 0, 7],
            &[0x80, 201, 0, 1, 0, 0, 0, 7, 1],
        ] {
            assert_eq!(read(bytes, 9), Err(Malformed), "{bytes:?}");
        }
    }
}
