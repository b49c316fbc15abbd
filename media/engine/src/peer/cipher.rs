//! SRTP and SRTCP of one direction, in place: AES-128-GCM (RFC 7714), and AES-CM with HMAC-SHA1-80 (RFC 3711) for those
//! who have no GCM. Numbers come from outside.
//!
//! # Invariants
//! * What does not authenticate is not given back; its bytes may be spoiled.
//! * Nothing is allocated per packet.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::keys::{Profile, Secret};

/// Of AES-GCM, in bytes.
const GCM_TAG: usize = 16;

/// Of HMAC-SHA1-80, in bytes.
const HMAC_TAG: usize = 10;

/// The encryption flag and the index that end an SRTCP packet before any HMAC, in bytes.
const RTCP_INDEX: usize = 4;

/// What is in the clear of an RTCP packet: its first header and SSRC. In bytes.
const RTCP_HEADER: usize = 8;

/// Says that an SRTCP packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// The most that sealing makes a packet longer, in bytes: a GCM tag and an SRTCP index.
pub const SEAL_OVERHEAD: usize = GCM_TAG + RTCP_INDEX;

/// Keys of one direction.
pub(super) enum Cipher {
    Gcm { rtp: Gcm, rtcp: Gcm },
    Cm(Box<[Cm; 2]>),
}

impl Cipher {
    /// `None`: the secret has not the lengths of its profile.
    pub(super) fn new(profile: Profile, secret: &Secret) -> Option<Self> {
        let key = secret.key();
        let mut salt = [0; 14];
        salt.get_mut(..secret.salt().len())?.copy_from_slice(secret.salt());
        match profile {
            Profile::Gcm => Some(Self::Gcm { rtp: Gcm::new(key, &salt, 0)?, rtcp: Gcm::new(key, &salt, 3)? }),
            Profile::Cm => Some(Self::Cm(Box::new([Cm::new(key, &salt, 0)?, Cm::new(key, &salt, 3)?]))),
        }
    }

    /// What sealing adds to an RTP packet, in bytes.
    pub(super) const fn rtp_overhead(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG,
            Self::Cm(_) => HMAC_TAG,
        }
    }

    /// Encrypts the payload of the first `len` bytes. Gives the new length; `None`: the buffer is too short.
    pub(super) fn seal_rtp(&self, packet: &mut [u8], header: Header, len: usize, index: u64) -> Option<usize> {
        match self {
            Self::Gcm { rtp, .. } => {
                let (head, rest) = packet.split_at_mut_checked(header.len)?;
                rtp.seal(rtp.nonce(header.ssrc, index), head, rest, len.checked_sub(header.len)?)?;
                Some(len + GCM_TAG)
            }
            Self::Cm(keys) => {
                let [rtp, _] = &**keys;
                rtp.apply(header.ssrc, index, packet.get_mut(header.len..len)?)?;
                let (body, rest) = packet.split_at_mut_checked(len)?;
                let tag = rtp.tag(body, &rollovers(index));
                rest.get_mut(..HMAC_TAG)?.copy_from_slice(tag.as_ref().get(..HMAC_TAG)?);
                Some(len + HMAC_TAG)
            }
        }
    }

    /// Decrypts a packet. Gives the length of what is left; `None`: it is not authentic.
    pub(super) fn open_rtp(&self, packet: &mut [u8], header: Header, index: u64) -> Option<usize> {
        match self {
            Self::Gcm { rtp, .. } => {
                let (head, rest) = packet.split_at_mut_checked(header.len)?;
                Some(header.len + rtp.open(rtp.nonce(header.ssrc, index), head, rest)?)
            }
            Self::Cm(keys) => {
                let [rtp, _] = &**keys;
                let len = packet.len().checked_sub(HMAC_TAG).filter(|len| *len >= header.len)?;
                let (body, tag) = packet.split_at_mut_checked(len)?;
                verify_slices_are_equal(rtp.tag(body, &rollovers(index)).as_ref().get(..HMAC_TAG)?, tag).ok()?;
                rtp.apply(header.ssrc, index, body.get_mut(header.len..)?)?;
                Some(len)
            }
        }
    }

    /// As [`Self::seal_rtp`]. The index has 31 bits.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], ssrc: u32, len: usize, index: u32) -> Option<usize> {
        let word = (index | ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm { rtcp, .. } => {
                let (head, rest) = packet.split_at_mut_checked(RTCP_HEADER)?;
                let aad = rtcp_aad(head, word)?;
                rtcp.seal(rtcp.nonce(ssrc, index.into()), &aad, rest, len.checked_sub(RTCP_HEADER)?)?;
                packet.get_mut(len + GCM_TAG..len + GCM_TAG + RTCP_INDEX)?.copy_from_slice(&word);
                Some(len + GCM_TAG + RTCP_INDEX)
            }
            Self::Cm(keys) => {
                let [_, rtcp] = &**keys;
                rtcp.apply(ssrc, index.into(), packet.get_mut(RTCP_HEADER..len)?)?;
                packet.get_mut(len..len + RTCP_INDEX)?.copy_from_slice(&word);
                let (body, rest) = packet.split_at_mut_checked(len + RTCP_INDEX)?;
                let tag = rtcp.tag(body, &[]);
                rest.get_mut(..HMAC_TAG)?.copy_from_slice(tag.as_ref().get(..HMAC_TAG)?);
                Some(len + RTCP_INDEX + HMAC_TAG)
            }
        }
    }

    /// As [`Self::open_rtp`].
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<usize> {
        match self {
            Self::Gcm { rtcp, .. } => {
                let len = packet.len().checked_sub(RTCP_INDEX)?;
                let (head, rest) = packet.get_mut(..len)?.split_at_mut_checked(RTCP_HEADER)?;
                let aad = rtcp_aad(head, (index | ENCRYPTED).to_be_bytes())?;
                Some(RTCP_HEADER + rtcp.open(rtcp.nonce(ssrc, index.into()), &aad, rest)?)
            }
            Self::Cm(keys) => {
                let [_, rtcp] = &**keys;
                let (body, tag) = packet.split_at_mut_checked(packet.len().checked_sub(HMAC_TAG)?)?;
                verify_slices_are_equal(rtcp.tag(body, &[]).as_ref().get(..HMAC_TAG)?, tag).ok()?;
                let len = body.len().checked_sub(RTCP_INDEX)?;
                rtcp.apply(ssrc, index.into(), body.get_mut(RTCP_HEADER..len)?)?;
                Some(len)
            }
        }
    }

    /// The index at the end of an SRTCP packet. `None`: it is too short, or not encrypted, which nobody agreed to.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Gcm { .. } => 0,
            Self::Cm(_) => HMAC_TAG,
        };
        let word = packet.get(RTCP_HEADER..packet.len().checked_sub(behind)?)?.last_chunk()?;
        let word = u32::from_be_bytes(*word);
        (word & ENCRYPTED != 0).then_some(word & !ENCRYPTED)
    }
}

/// What of an RTP packet stays readable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    /// With contributing sources and extension, in bytes.
    pub(super) len: usize,
}

impl Header {
    /// `None`: this is no RTP packet.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let (&[flags, _, high, low, _, _, _, _, a, b, c, d], rest) = packet.split_first_chunk::<12>()?;
        if flags >> 6 != 2 {
            return None;
        }
        let sources = usize::from(flags & 0x0f) * 4;
        let extension = match rest.get(sources..)? {
            [_, _, high, low, ..] if flags & 0x10 != 0 => 4 + usize::from(u16::from_be_bytes([*high, *low])) * 4,
            _ if flags & 0x10 != 0 => return None,
            _ => 0,
        };
        let len = 12 + sources + extension;
        let header = Self { ssrc: u32::from_be_bytes([a, b, c, d]), sequence: u16::from_be_bytes([high, low]), len };
        (packet.len() >= len).then_some(header)
    }
}

/// One key of AES-GCM.
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Gcm {
    fn new(key: &[u8], salt: &[u8; 14], label: u8) -> Option<Self> {
        let session = derive::<16>(key, salt, label)?;
        let derived = derive::<12>(key, salt, label + 2)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &*session).ok()?);
        Some(Self { key, salt: *derived })
    }

    /// RFC 7714, 8.1 and 9.1: the rollover counter and sequence of RTP stand where the index of RTCP does.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = [0; 12];
        let plain = u128::from(ssrc) << 48 | u128::from(index);
        let salted = plain ^ self.salt.iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
        if let Some(bytes) = salted.to_be_bytes().last_chunk::<12>() {
            nonce = *bytes;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, nonce: Nonce, aad: &[u8], rest: &mut [u8], len: usize) -> Option<()> {
        let (body, tail) = rest.split_at_mut_checked(len)?;
        let room = tail.get_mut(..GCM_TAG)?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(aad), body).ok()?;
        room.copy_from_slice(tag.as_ref());
        Some(())
    }

    fn open(&self, nonce: Nonce, aad: &[u8], rest: &mut [u8]) -> Option<usize> {
        Some(self.key.open_in_place(nonce, Aad::from(aad), rest).ok()?.len())
    }
}

/// One key of AES-CM and HMAC-SHA1.
pub(super) struct Cm {
    key: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; 14],
}

impl Cm {
    fn new(key: &[u8], salt: &[u8; 14], label: u8) -> Option<Self> {
        let session = derive::<16>(key, salt, label)?;
        let auth = derive::<20>(key, salt, label + 1)?;
        let derived = derive::<14>(key, salt, label + 2)?;
        Some(Self {
            key: counter_mode(&*session)?,
            auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &*auth),
            salt: *derived,
        })
    }

    /// Encrypts or decrypts (RFC 3711, 4.1.1).
    fn apply(&self, ssrc: u32, index: u64, body: &mut [u8]) -> Option<()> {
        let salt = self.salt.iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
        let iv = salt << 16 ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16;
        encrypt(&self.key, iv, body)
    }

    fn tag(&self, body: &[u8], more: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.auth);
        context.update(body);
        context.update(more);
        context.sign()
    }
}

/// A key derived from the master key (RFC 3711, 4.3.1; the rate is zero).
fn derive<const LEN: usize>(key: &[u8], salt: &[u8; 14], label: u8) -> Option<Zeroizing<[u8; LEN]>> {
    let salt = salt.iter().fold(0, |all, byte| all << 8 | u128::from(*byte));
    let iv = (salt ^ u128::from(label) << 48) << 16;
    let mut derived = Zeroizing::new([0; LEN]);
    encrypt(&counter_mode(key)?, iv, &mut *derived)?;
    Some(derived)
}

fn counter_mode(key: &[u8]) -> Option<EncryptingKey> {
    EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, key).ok()?).ok()
}

fn encrypt(key: &EncryptingKey, iv: u128, body: &mut [u8]) -> Option<()> {
    key.less_safe_encrypt(body, EncryptionContext::Iv128(iv.to_be_bytes().into())).ok().map(|_| ())
}

/// What an HMAC covers besides the packet: the rollover counter (RFC 3711, 4.2).
fn rollovers(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// RFC 7714, 9.2.
fn rtcp_aad(head: &[u8], word: [u8; RTCP_INDEX]) -> Option<[u8; RTCP_HEADER + RTCP_INDEX]> {
    let mut aad = [0; RTCP_HEADER + RTCP_INDEX];
    aad.first_chunk_mut::<RTCP_HEADER>()?.copy_from_slice(head);
    *aad.last_chunk_mut()? = word;
    Some(aad)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::keys::Established;
    use super::*;

    #[test]
    fn a_report_that_is_not_encrypted_has_no_index() {
        for profile in [Profile::Gcm, Profile::Cm] {
            let material = Zeroizing::new(vec![7; profile.material()]);
            let established = Established::new(profile, material, [0; 32], Vec::new()).unwrap();
            let cipher = Cipher::new(profile, &established.server()).unwrap();
            let mut packet = [0x80; 8 + SEAL_OVERHEAD];
            let len = cipher.seal_rtcp(&mut packet, 1, 8, 5).unwrap();
            assert_eq!(cipher.rtcp_index(&packet[..len]), Some(5));
            let flag = packet[..len].iter().rposition(|byte| *byte == 5).unwrap() - 3;
            packet[flag] &= 0x7f;
            assert_eq!(cipher.rtcp_index(&packet[..len]), None);
        }
    }

    #[test]
    fn keys_are_derived_as_rfc_3711_shows_it() {
        let key = 0xe1f9_7a0d_3e01_8be0_d64f_a32c_06de_4139_u128.to_be_bytes();
        let salt = *0x0ec6_75ad_498a_feeb_b696_0b3a_abe6_u128.to_be_bytes().last_chunk().unwrap();
        assert_eq!(
            *derive::<16>(&key, &salt, 0).unwrap(),
            0xc61e_7a93_744f_39ee_1073_4afe_3ff7_a087_u128.to_be_bytes()
        );
        let session: [u8; 14] = *derive(&key, &salt, 2).unwrap();
        assert_eq!(session, *0x30cb_bc08_863d_8c85_d49d_b34a_9ae1_u128.to_be_bytes().last_chunk::<14>().unwrap());
    }
}
