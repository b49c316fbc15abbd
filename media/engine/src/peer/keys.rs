//! What a DTLS handshake leaves behind.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use zeroize::Zeroizing;

/// How media is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Profile {
    /// AEAD_AES_128_GCM.
    Gcm,
    /// AES128_CM_HMAC_SHA1_80.
    Cm,
}

impl Profile {
    /// Bytes of a master key.
    const KEY: usize = 16;

    /// Bytes of a master salt.
    const fn salt(self) -> usize {
        match self {
            Self::Gcm => 12,
            Self::Cm => 14,
        }
    }

    /// Bytes of keying material for both directions.
    pub(super) const fn material(self) -> usize {
        2 * (Self::KEY + self.salt())
    }
}

/// A finished handshake, whoever it was with.
pub(super) struct Established {
    pub(super) profile: Profile,
    /// Keys of client and server, then their salts (RFC 5764, 4.2).
    material: Zeroizing<Vec<u8>>,
    /// SHA-256 of the far end's certificate.
    pub(super) fingerprint: [u8; 32],
    /// Our last datagrams. The far end repeats its own until it has them.
    pub(super) farewell: Vec<Bytes>,
}

/// The master key and salt of one direction.
pub(super) struct Secret<'a> {
    key: &'a [u8],
    salt: &'a [u8],
}

impl Established {
    /// `None`: the material has not the length of its profile.
    pub(super) fn new(
        profile: Profile,
        material: Zeroizing<Vec<u8>>,
        fingerprint: [u8; 32],
        farewell: Vec<Bytes>,
    ) -> Option<Self> {
        let fits = material.len() == profile.material();
        fits.then_some(Self { profile, material, fingerprint, farewell })
    }

    /// What the far end, which is always the DTLS client, seals with.
    pub(super) fn client(&self) -> Secret<'_> {
        self.secret(0)
    }

    /// What we seal with.
    pub(super) fn server(&self) -> Secret<'_> {
        self.secret(1)
    }

    fn secret(&self, nth: usize) -> Secret<'_> {
        let part = |range: Range<usize>| self.material.get(range).unwrap_or_default();
        let (key, salt) = (nth * Profile::KEY, 2 * Profile::KEY + nth * self.profile.salt());
        Secret { key: part(key..key + Profile::KEY), salt: part(salt..salt + self.profile.salt()) }
    }
}

impl<'a> Secret<'a> {
    pub(super) const fn key(&self) -> &'a [u8] {
        self.key
    }

    pub(super) const fn salt(&self) -> &'a [u8] {
        self.salt
    }
}

impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Established").field("profile", &self.profile).finish_non_exhaustive()
    }
}
