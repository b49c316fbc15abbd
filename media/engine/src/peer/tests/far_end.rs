//! A far end made of the libraries' own DTLS client, SRTP and STUN.

use std::collections::VecDeque;

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

use super::super::identity::fingerprint_of;
use super::*;

/// What our side is called there.
const SERVER: &str = "192.0.2.99:9";

/// The library wants an instant to count from; nothing here depends on which.
pub(crate) fn epoch() -> Instant {
    <Instant>::now()
}

/// What the far end can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Suite {
    /// As Chromium offers it: CM first, GCM last.
    Everything,
    /// No GCM.
    CmOnly,
    /// Nothing that we have.
    Foreign,
    /// No certificate.
    Anonymous,
}

impl Suite {
    pub(crate) const GOOD: [Self; 2] = [Self::Everything, Self::CmOnly];
}

pub(crate) struct FarEnd {
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: [u8; 32],
    endpoint: Endpoint,
    epoch: Instant,
    pub(crate) has_gcm: bool,
    seal: Option<Context>,
    open: Option<Context>,
    pub(crate) ufrag: String,
    /// What came in records since the handshake.
    pub(super) application: VecDeque<Bytes>,
    /// Our side said goodbye.
    pub(super) is_closed: bool,
}

impl FarEnd {
    pub(crate) fn new(suite: Suite) -> Self {
        Self::impatient(suite, Duration::from_secs(1))
    }

    /// Repeats its flights after this time.
    pub(crate) fn impatient(suite: Suite, interval: Duration) -> Self {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["far".to_owned()], provider.crypto()).unwrap();
        let profiles = match suite {
            Suite::Everything | Suite::Anonymous => vec![
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            ],
            Suite::CmOnly => vec![SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80],
            Suite::Foreign => vec![SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm],
        };
        let certificates = if suite == Suite::Anonymous { Vec::new() } else { vec![certificate.clone()] };
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(certificates)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(interval)
            .with_srtp_protection_profiles(profiles)
            .build(true, None)
            .unwrap();
        let epoch = epoch();
        let mut endpoint = Endpoint::new(at(HERE), TransportProtocol::UDP, None);
        endpoint.connect(epoch + Duration::from_micros(ms(0).0), at(SERVER), Arc::new(config), None).unwrap();
        Self {
            address: at(HERE),
            fingerprint: fingerprint_of(&certificate.certificate[0]),
            endpoint,
            epoch,
            has_gcm: false,
            seal: None,
            open: None,
            ufrag: "theirs".to_owned(),
            application: VecDeque::new(),
            is_closed: false,
        }
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote { ufrag: self.ufrag.clone(), password: "theirs too".into(), fingerprint: self.fingerprint }
    }

    pub(crate) const fn is_connected(&self) -> bool {
        self.seal.is_some()
    }

    /// A nominating check passes.
    pub(crate) fn check(&mut self, peer: &mut Peer, now: Timestamp) {
        let mut request = request(PASSWORD, &nominating());
        assert_eq!(peer.receive(now, self.address, &mut request), Received::Alive);
        assert_eq!(peer.poll_transmit().map(|(to, _)| to), Some(self.address));
    }

    /// The handshake, without time passing and without loss.
    pub(crate) fn shake(&mut self, peer: &mut Peer, now: Timestamp) {
        while self.send(peer, now, |_| false) + self.receive(peer, now, |_| false) > 0 {}
    }

    /// The handshake over ten seconds; the datagrams of both sides are numbered as they are sent, and some are lost.
    pub(crate) fn shake_with_loss(&mut self, peer: &mut Peer, lost: impl Fn(usize) -> bool) {
        let mut sent = 0;
        let mut is_lost = |_: &[u8]| {
            sent += 1;
            lost(sent - 1)
        };
        for tick in 0..1_000 {
            let now = ms(tick * 10);
            if tick % 10 == 0 {
                peer.expire(now);
            }
            let _ = self.endpoint.handle_timeout(at(SERVER), self.instant(now));
            while self.send(peer, now, &mut is_lost) + self.receive(peer, now, &mut is_lost) > 0 {}
        }
    }

    /// What it has to say goes to us. Gives the number of datagrams.
    fn send(&mut self, peer: &mut Peer, now: Timestamp, mut lost: impl FnMut(&[u8]) -> bool) -> usize {
        let datagrams = self.datagrams();
        for datagram in &datagrams {
            if !lost(datagram) {
                let _ = peer.receive(now, self.address, &mut datagram.to_vec());
            }
        }
        datagrams.len()
    }

    /// What it wants to send over DTLS.
    pub(crate) fn datagrams(&mut self) -> VecDeque<Vec<u8>> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|it| it.message.to_vec()).collect()
    }

    /// What we have to say goes to it. Gives the number of datagrams.
    pub(crate) fn receive(&mut self, peer: &mut Peer, now: Timestamp, mut lost: impl FnMut(&[u8]) -> bool) -> usize {
        let mut count = 0;
        while let Some((to, datagram)) = peer.poll_transmit() {
            assert_eq!(to, self.address);
            count += 1;
            if !lost(&datagram) {
                self.take(now, &datagram);
            }
        }
        count
    }

    pub(super) fn take(&mut self, now: Timestamp, datagram: &[u8]) {
        let events = self.endpoint.read(self.instant(now), at(SERVER), None, datagram.into()).unwrap_or_default();
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => self.key(),
                EndpointEvent::ApplicationData(data) => self.application.push_back(data.freeze()),
                EndpointEvent::PeerClosed => self.is_closed = true,
                _ => {}
            }
        }
    }

    /// A record with these bytes.
    pub(super) fn record(&mut self, now: Timestamp, payload: &[u8]) -> Vec<u8> {
        self.endpoint.write(self.instant(now), at(SERVER), payload).unwrap();
        self.datagrams().pop_front().unwrap()
    }

    fn key(&mut self) {
        let state = self.endpoint.get_connection_state(at(SERVER)).unwrap();
        let (profile, salt) = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => (ProtectionProfile::AeadAes128Gcm, 12),
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, 14),
            other => panic!("{other:?}"),
        };
        let material = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 32 + 2 * salt).unwrap().into_bytes();
        let (keys, salts) = material.split_at(32);
        let context = |nth: usize| {
            let (key, salt) = (&keys[nth * 16..][..16], &salts[nth * salt..][..salt]);
            Context::new(key, salt, profile, None, None, AwsLcRsProvider::new().crypto()).unwrap()
        };
        (self.seal, self.open) = (Some(context(0)), Some(context(1)));
        self.has_gcm = salt == 12;
    }

    pub(crate) fn close(&mut self) {
        self.endpoint.close(self.epoch).unwrap();
    }

    pub(crate) fn seal_rtp(&mut self, packet: &[u8]) -> Vec<u8> {
        self.seal.as_mut().unwrap().encrypt_rtp(packet).unwrap().to_vec()
    }

    pub(crate) fn seal_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        self.seal.as_mut().unwrap().encrypt_rtcp(packet).unwrap().to_vec()
    }

    pub(crate) fn open_rtp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        Some(self.open.as_mut().unwrap().decrypt_rtp(packet).ok()?.to_vec())
    }

    pub(crate) fn open_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        Some(self.open.as_mut().unwrap().decrypt_rtcp(packet).ok()?.to_vec())
    }

    pub(super) fn instant(&self, now: Timestamp) -> Instant {
        self.epoch + Duration::from_micros(now.0)
    }
}

/// An attribute of a request.
pub(crate) fn attribute(kind: rtc_stun::attributes::AttrType, value: &[u8]) -> RawAttribute {
    RawAttribute { typ: kind, length: value.len() as u16, value: value.to_vec() }
}

/// The attributes of a good request that nominates.
pub(crate) fn nominating() -> Vec<RawAttribute> {
    vec![
        attribute(ATTR_USERNAME, format!("{UFRAG}:theirs").as_bytes()),
        attribute(ATTR_USE_CANDIDATE, &[]),
        attribute(ATTR_PRIORITY, &1_853_759_231_u32.to_be_bytes()),
    ]
}

/// A binding request with these attributes, signed.
pub(crate) fn request(password: &str, attributes: &[RawAttribute]) -> Vec<u8> {
    let mut message = unsigned(attributes);
    let provider = AwsLcRsProvider::new();
    MessageIntegrity::new_raw_integrity_with_provider(password.as_bytes(), provider.crypto())
        .add_to(&mut message)
        .unwrap();
    FINGERPRINT.add_to(&mut message).unwrap();
    message.raw
}

/// A binding request with these attributes.
pub(crate) fn unsigned(attributes: &[RawAttribute]) -> Message {
    let mut message = Message::new();
    message.build(&[Box::new(TransactionId([7; 12])), Box::new(BINDING_REQUEST)]).unwrap();
    attributes.iter().for_each(|attribute| message.add(attribute.typ, &attribute.value));
    message
}
