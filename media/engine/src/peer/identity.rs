//! Who we are to every far end: one DTLS certificate for the process, and how we shake hands.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_crypto::{RTCCrypto, RTCCryptoProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::error::Error;

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("no identity for encrypted media")]
pub struct PeerError(#[from] Error);

/// See the module. Shared by all peers.
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: [u8; 32],
    /// Knows AES-128-GCM only: a server takes the client's first choice, which would not be this.
    preferred: Arc<HandshakeConfig>,
    /// For clients that do not have it.
    fallback: Arc<HandshakeConfig>,
}

impl Identity {
    /// A new key and a certificate for it. Takes a fraction of a millisecond.
    ///
    /// # Errors
    /// [`PeerError`] when the cryptographic library refuses.
    pub fn generate() -> Result<Self, PeerError> {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["tandem".to_owned()], provider.crypto())?;
        let config = |profile| {
            ConfigBuilder::default()
                .with_crypto_provider(provider.clone())
                .with_certificates(vec![certificate.clone()])
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                // Nobody signed it: it is compared with the fingerprint in the far end's description instead.
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .with_srtp_protection_profiles(vec![profile])
                .build(false, None)
                .map(Arc::new)
        };
        Ok(Self {
            fingerprint: fingerprint_of(certificate.certificate.first().map_or(&[], |der| der.as_ref())),
            preferred: config(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm)?,
            fallback: config(SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80)?,
            provider,
        })
    }

    /// SHA-256 of the certificate, for our description.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    pub(super) fn crypto(&self) -> &dyn RTCCrypto {
        self.provider.crypto()
    }

    pub(super) fn provider(&self) -> Arc<dyn RTCCryptoProvider> {
        self.provider.clone()
    }

    pub(super) fn preferred(&self) -> Arc<HandshakeConfig> {
        self.preferred.clone()
    }

    pub(super) fn fallback(&self) -> Arc<HandshakeConfig> {
        self.fallback.clone()
    }
}

/// SHA-256 of a certificate (RFC 8122).
pub(super) fn fingerprint_of(certificate: &[u8]) -> [u8; 32] {
    digest(&SHA256, certificate).as_ref().try_into().unwrap_or_default()
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
