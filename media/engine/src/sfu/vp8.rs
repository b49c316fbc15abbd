//! The payload descriptor of VP8 (RFC 7741, 4.2), and its numbers made to go on from one layer to the next.
//!
//! ```text
//!  X R N S R PID │ I L T K ‥ │ M picture id (7 or 15 bits) │ TL0PICIDX │ TID Y KEYIDX
//! ```

/// Picture numbers of 15 bits.
const LONG: u16 = 0x7fff;

/// Numbers of one packet; `None` where it has none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Numbers {
    pub(super) picture: Option<u16>,
    pub(super) base_layer: Option<u8>,
    pub(super) key: Option<u8>,
}

/// What is added to the numbers of a layer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Offsets {
    picture: u16,
    base_layer: u8,
    key: u8,
}

/// Where the numbers of a descriptor lie.
struct Places {
    picture: Option<(usize, bool)>,
    base_layer: Option<usize>,
    key: Option<usize>,
    len: usize,
}

/// Bytes of the descriptor. `None`: it is cut.
pub(super) fn header_len(payload: &[u8]) -> Option<usize> {
    places(payload).map(|places| places.len)
}

fn places(payload: &[u8]) -> Option<Places> {
    let first = payload.first()?;
    let mut places = Places { picture: None, base_layer: None, key: None, len: 1 };
    if first & 0x80 == 0 {
        return Some(places);
    }
    let flags = payload.get(1)?;
    places.len = 2;
    if flags & 0x80 != 0 {
        let is_long = payload.get(2)? & 0x80 != 0;
        places.picture = Some((2, is_long));
        places.len += 1 + usize::from(is_long);
    }
    if flags & 0x40 != 0 {
        places.base_layer = Some(places.len);
        places.len += 1;
    }
    if flags & 0x30 != 0 {
        places.key = Some(places.len).filter(|_| flags & 0x10 != 0);
        places.len += 1;
    }
    (places.len <= payload.len()).then_some(places)
}

impl Numbers {
    pub(super) fn read(payload: &[u8]) -> Self {
        let Some(places) = places(payload) else { return Self::default() };
        let byte = |at: usize| payload.get(at).copied().unwrap_or(0);
        let picture = places.picture.map(|(at, is_long)| match is_long {
            true => u16::from_be_bytes([byte(at), byte(at + 1)]) & LONG,
            false => u16::from(byte(at) & 0x7f),
        });
        Self { picture, base_layer: places.base_layer.map(byte), key: places.key.map(|at| byte(at) & 0x1f) }
    }
}

impl Offsets {
    /// So that the next packet, the first of another layer, follows the last that was sent.
    pub(super) fn between(last: Numbers, next: Numbers) -> Self {
        let picture = last.picture.zip(next.picture).map(|(last, next)| last.wrapping_add(1).wrapping_sub(next));
        let base_layer =
            last.base_layer.zip(next.base_layer).map(|(last, next)| last.wrapping_add(1).wrapping_sub(next));
        let key = last.key.zip(next.key).map(|(last, next)| last.wrapping_add(1).wrapping_sub(next));
        Self { picture: picture.unwrap_or(0), base_layer: base_layer.unwrap_or(0), key: key.unwrap_or(0) }
    }

    /// Numbers as they go out.
    pub(super) fn apply(self, numbers: Numbers) -> Numbers {
        Numbers {
            picture: numbers.picture.map(|it| it.wrapping_add(self.picture) & LONG),
            base_layer: numbers.base_layer.map(|it| it.wrapping_add(self.base_layer)),
            key: numbers.key.map(|it| it.wrapping_add(self.key) & 0x1f),
        }
    }

    /// Rewrites a payload where it lies; its length stays.
    pub(super) fn rewrite(self, payload: &mut [u8]) {
        let numbers = self.apply(Numbers::read(payload));
        let Some(places) = places(payload) else { return };
        let mut put = |at: usize, kept: u8, byte: u8| {
            if let Some(place) = payload.get_mut(at) {
                *place = *place & kept | byte & !kept;
            }
        };
        if let (Some((at, is_long)), Some(picture)) = (places.picture, numbers.picture) {
            let [high, low] = picture.to_be_bytes();
            if is_long {
                put(at, 0x80, high);
                put(at + 1, 0, low);
            } else {
                put(at, 0x80, low);
            }
        }
        if let (Some(at), Some(base_layer)) = (places.base_layer, numbers.base_layer) {
            put(at, 0, base_layer);
        }
        if let (Some(at), Some(key)) = (places.key, numbers.key) {
            put(at, 0xe0, key);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A descriptor with everything, of the beginning of a frame.
    pub(in super::super) fn descriptor(picture: u16, base_layer: u8, key: u8) -> Vec<u8> {
        let [high, low] = picture.to_be_bytes();
        vec![0x90, 0xf0, 0x80 | high, low, base_layer, 0x20 | key & 0x1f]
    }

    #[test]
    fn numbers_of_the_next_layer_follow_those_of_the_last_and_the_rest_stays() {
        let last = Numbers::read(&descriptor(0x7fff, 255, 31));
        let mut payload = descriptor(7, 9, 3);
        payload.push(0xab);
        Offsets::between(last, Numbers::read(&payload)).rewrite(&mut payload);
        let mut wanted = descriptor(0, 0, 0);
        wanted.push(0xab);
        assert_eq!(payload, wanted);
    }

    #[test]
    fn a_short_picture_number_stays_short_and_what_is_not_there_is_not_written() {
        let offsets = Offsets { picture: 100, base_layer: 1, key: 1 };
        for (before, after) in [
            (&[0x90, 0x80, 100, 9][..], &[0x90, 0x80, 72, 9][..]),
            (&[0x90, 0x20, 0x47, 9], &[0x90, 0x20, 0x47, 9]),
            (&[0x10, 9], &[0x10, 9]),
            (&[0x90, 0x80, 0x80], &[0x90, 0x80, 0x80]),
        ] {
            let mut payload = before.to_vec();
            offsets.rewrite(&mut payload);
            assert_eq!(payload, after);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_rewritten_without_harm(
            mut payload in prop::collection::vec(any::<u8>(), 0..12), picture: u16, base_layer: u8, key: u8,
        ) {
            let offsets = Offsets { picture, base_layer, key };
            let wanted = offsets.apply(Numbers::read(&payload));
            let len = header_len(&payload);
            offsets.rewrite(&mut payload);
            let found = Numbers::read(&payload);
            prop_assert_eq!(header_len(&payload), len);
            prop_assert_eq!((found.base_layer, found.key), (wanted.base_layer, wanted.key));
        }
    }
}
