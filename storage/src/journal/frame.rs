//! Frames of the journal: length and CRC32 of the payload (little endian, 4 bytes each), then the payload.

/// Bytes before the payload.
pub(super) const HEAD: usize = 8;

/// Longest payload, in bytes. An entry is some hundred bytes and a session description; a longer length is damage.
pub(super) const LONGEST: usize = 1 << 20;

/// Why there is no frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoFrame {
    /// Nothing is left.
    End,
    /// It was being written when the process died.
    Torn,
    /// It is not what was written.
    Damaged,
}

/// Completes a frame whose payload was written behind [`HEAD`] empty bytes. `false` when it is too long to be one.
pub(super) fn seal(frame: &mut [u8]) -> bool {
    let Some((head, payload)) = frame.split_first_chunk_mut::<HEAD>() else { return false };
    let Some(length) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= LONGEST) else { return false };
    let sum = u64::from(crc32fast::hash(payload));
    *head = (u64::from(length) | sum << 32).to_le_bytes();
    true
}

/// The first payload, and what is behind it.
pub(super) fn first(bytes: &[u8]) -> Result<(&[u8], &[u8]), NoFrame> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Err(if bytes.is_empty() { NoFrame::End } else { NoFrame::Torn });
    };
    let head = u64::from_le_bytes(*head);
    let (length, sum) = ((head & u64::from(u32::MAX)) as usize, head >> 32);
    // A length of 0 is what a disk has where nothing was written; its checksum would even be right.
    if length == 0 || length > LONGEST {
        return Err(NoFrame::Damaged);
    }
    let (payload, rest) = rest.split_at_checked(length).ok_or(NoFrame::Torn)?;
    if u64::from(crc32fast::hash(payload)) == sum { Ok((payload, rest)) } else { Err(NoFrame::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = [&[0; HEAD], payload].concat();
        assert!(seal(&mut frame));
        frame
    }

    #[test]
    fn frames_come_back_one_after_the_other() {
        let bytes = [frame(b"one"), frame(b"two")].concat();
        let (one, rest) = first(&bytes).unwrap();
        let (two, rest) = first(rest).unwrap();
        assert_eq!((one, two, first(rest)), (&b"one"[..], &b"two"[..], Err(NoFrame::End)));
    }

    #[test]
    fn a_frame_cut_anywhere_is_torn_and_one_with_a_flipped_bit_is_damaged() {
        let whole = frame(b"payload");
        for cut in 1..whole.len() {
            assert_eq!(first(&whole[..cut]), Err(NoFrame::Torn), "{cut}");
        }
        let mut flipped = whole.clone();
        flipped[HEAD + 2] ^= 1;
        assert_eq!(first(&flipped), Err(NoFrame::Damaged));
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(first(&[0; 64]), Err(NoFrame::Damaged));
    }

    #[test]
    fn an_entry_that_is_too_long_is_no_frame() {
        assert!(!seal(&mut vec![0; HEAD + LONGEST + 1]));
    }
}
