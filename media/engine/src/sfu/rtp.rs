//! An RTP packet as it is read where it lies (RFC 3550, 5.1; header extensions RFC 8285).

/// Says that a header extension has elements of one byte of header.
const ONE_BYTE: u16 = 0xbede;

/// The same of two bytes; the lower four bits mean nothing.
const TWO_BYTES: u16 = 0x1000;

/// What of a packet is looked at, with the places of the rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rtp {
    pub(super) is_padded: bool,
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    /// The profile of the header extension, and the bytes it lies in.
    extension: Option<(u16, usize, usize)>,
    /// Where the payload begins. It ends with the packet, padding included.
    pub(super) payload: usize,
}

impl Rtp {
    /// `None`: this is no RTP.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let (&[flags, kind, s0, s1, t0, t1, t2, t3, a, b, c, d], _) = packet.split_first_chunk::<12>()?;
        let mut payload = 12 + usize::from(flags & 0x0f) * 4;
        let mut extension = None;
        if flags & 0x10 != 0 {
            let &[p0, p1, l0, l1] = packet.get(payload..)?.first_chunk()?;
            let begin = payload + 4;
            payload = begin + usize::from(u16::from_be_bytes([l0, l1])) * 4;
            extension = Some((u16::from_be_bytes([p0, p1]), begin, payload));
        }
        (flags >> 6 == 2 && payload <= packet.len()).then_some(Self {
            is_padded: flags & 0x20 != 0,
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([a, b, c, d]),
            extension,
            payload,
        })
    }

    /// The element of a header extension. `None`: it is not there, or its number is 0, which is none.
    pub(super) fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let (profile, begin, end) = self.extension?;
        let mut rest = packet.get(begin..end).filter(|_| id != 0)?;
        let is_short = profile == ONE_BYTE;
        if !is_short && profile & 0xfff0 != TWO_BYTES {
            return None;
        }
        while let [first, tail @ ..] = rest {
            if *first == 0 {
                rest = tail;
                continue;
            }
            let (found, len, tail) = match (is_short, tail) {
                (true, _) => (first >> 4, usize::from(first & 0x0f) + 1, tail),
                (false, [len, tail @ ..]) => (*first, usize::from(*len), tail),
                (false, []) => return None,
            };
            if is_short && found == 15 {
                return None;
            }
            let (value, tail) = tail.split_at_checked(len)?;
            if found == id {
                return Some(value);
            }
            rest = tail;
        }
        None
    }

    /// The same as text, as names of sections and layers are.
    pub(super) fn name<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a str> {
        let bytes = self.extension(packet, id)?;
        std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0')).filter(|text| !text.is_empty())
    }

    /// Whether there is nothing but padding.
    pub(super) fn is_empty(&self, packet: &[u8]) -> bool {
        let padding = packet.last().filter(|_| self.is_padded).map_or(0, |last| usize::from(*last));
        self.payload + padding >= packet.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(profile: [u8; 2], extension: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x91, 0xe0, 1, 2, 0, 0, 0, 9, 0, 0, 0, 7, 1, 1, 1, 1];
        packet.extend(profile);
        packet.extend([0, (extension.len() / 4) as u8]);
        packet.extend(extension);
        packet.extend(b"payload");
        packet
    }

    #[test]
    fn a_packet_is_read_with_either_form_of_extension() {
        let short = packet([0xbe, 0xde], &[0x10, b'0', 0, 0x22, 1, 2, 3, 0]);
        let long = packet([0x10, 0], &[1, 1, b'0', 2, 3, 1, 2, 3]);
        for packet in [short, long] {
            let rtp = Rtp::read(&packet).unwrap();
            assert_eq!((rtp.marker, rtp.payload_type, rtp.sequence, rtp.timestamp, rtp.ssrc), (true, 96, 0x0102, 9, 7));
            assert_eq!((rtp.name(&packet, 1), rtp.extension(&packet, 2)), (Some("0"), Some(&[1, 2, 3][..])));
            assert_eq!((rtp.extension(&packet, 3), rtp.extension(&packet, 0)), (None, None));
            assert_eq!(packet.get(rtp.payload..), Some(&b"payload"[..]));
        }
    }

    #[test]
    fn an_extension_that_is_cut_or_of_another_kind_has_no_elements() {
        for (profile, bytes) in [
            ([0xbe, 0xde], [0x1f, 0, 0, 0]),
            ([0xbe, 0xde], [0xf0, 1, 0x10, 1]),
            ([0x10, 0], [1, 9, 0, 0]),
            ([0, 1], [0x10, 1, 0, 0]),
        ] {
            let packet = packet(profile, &bytes);
            assert_eq!(Rtp::read(&packet).unwrap().extension(&packet, 1), None);
        }
        assert_eq!(Rtp::read(&[0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 1]), None);
    }

    #[test]
    fn a_packet_of_padding_only_is_empty() {
        let mut packet = vec![0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        packet.extend([0, 0, 0, 4]);
        assert!(Rtp::read(&packet).unwrap().is_empty(&packet));
        packet.extend([0, 1]);
        assert!(!Rtp::read(&packet).unwrap().is_empty(&packet));
    }
}
