//! A browser as far as media goes: a socket, connectivity checks, a DTLS client, and SRTP of another make than ours.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::AwsLcRsProvider;
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};
use tandem_core::media::{LocalMedia, MediaDescription, PeerDescription};

use crate::phone::{Heard, packet, socket};

/// What the DTLS library is told that we are called: it must not change when an address does.
const SERVER: &str = "192.0.2.99:9";

/// See the module.
pub(crate) struct Browser {
    socket: UdpSocket,
    /// Our candidate, and what our description says.
    to: SocketAddr,
    server: Arc<PeerDescription>,
    description: PeerDescription,
    endpoint: Endpoint,
    seal: Option<Context>,
    open: Option<Context>,
    ssrc: u32,
    transactions: u8,
    /// What came, other than RTP.
    pub(crate) answers: usize,
    pub(crate) handshakes: usize,
    pub(crate) reports: usize,
}

impl Browser {
    pub(crate) fn new(local: &LocalMedia, ssrc: u32) -> Self {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(AwsLcRsProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["browser".to_owned()], provider.crypto()).unwrap();
        let fingerprint = digest(&SHA256, &certificate.certificate[0]).as_ref().try_into().unwrap();
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .build(true, None)
            .unwrap();
        let socket = socket();
        let mut endpoint = Endpoint::new(socket.local_addr().unwrap(), TransportProtocol::UDP, None);
        endpoint.connect(<Instant>::now(), server(), Arc::new(config), None).unwrap();
        let description = PeerDescription {
            ufrag: "browser".into(),
            password: String::from("the password of a browser").into(),
            fingerprint,
            ssrc: Some(ssrc),
        };
        Self {
            socket,
            to: local.rtp,
            server: local.peer.clone().unwrap(),
            description,
            endpoint,
            seal: None,
            open: None,
            ssrc,
            transactions: 0,
            answers: 0,
            handshakes: 0,
            reports: 0,
        }
    }

    /// What it answers to our offer. Where it is, its checks tell.
    pub(crate) fn description(&self) -> MediaDescription {
        let peer = Some(Arc::new(self.description.clone()));
        MediaDescription::basic(&LocalMedia { peer, ..LocalMedia::NOWHERE })
    }

    /// A check that nominates.
    pub(crate) fn check(&mut self) {
        self.transactions += 1;
        let mut check = Message::new();
        check.build(&[Box::new(TransactionId([self.transactions; 12])), Box::new(BINDING_REQUEST)]).unwrap();
        check.add(ATTR_USERNAME, format!("{}:browser", self.server.ufrag).as_bytes());
        check.add(ATTR_USE_CANDIDATE, &[]);
        check.add(ATTR_PRIORITY, &1_853_759_231_u32.to_be_bytes());
        let password = self.server.password.reveal().as_bytes();
        let provider = AwsLcRsProvider::new();
        MessageIntegrity::new_raw_integrity_with_provider(password, provider.crypto()).add_to(&mut check).unwrap();
        FINGERPRINT.add_to(&mut check).unwrap();
        self.socket.send_to(&check.raw, self.to).unwrap();
    }

    /// Checks, and shakes hands.
    pub(crate) fn connect(&mut self) {
        self.connect_while(|_| {});
    }

    /// The same, with something else between its steps: it is told how many datagrams of the handshake came.
    pub(crate) fn connect_while(&mut self, mut meanwhile: impl FnMut(usize)) {
        let start = Instant::now();
        while self.seal.is_none() {
            meanwhile(self.handshakes);
            assert!(start.elapsed() < Duration::from_secs(5), "no handshake");
            if self.answers == 0 {
                self.check();
            }
            let _ = self.endpoint.handle_timeout(server(), <Instant>::now());
            while let Some(flight) = self.endpoint.poll_transmit() {
                self.socket.send_to(&flight.message, self.to).unwrap();
            }
            self.next();
        }
        (self.answers, self.handshakes) = (0, 0);
    }

    /// Packet `n` of its voice: 20 ms of µ-law.
    pub(crate) fn speak(&mut self, n: u16) {
        let clear = packet(0, self.ssrc, 100 + n, u32::from(n) * 160, &[0xff; 160]);
        let sealed = self.seal.as_mut().unwrap().encrypt_rtp(&clear).unwrap();
        self.socket.send_to(&sealed, self.to).unwrap();
    }

    /// What it hears until that many packets came, or half a second nothing.
    pub(crate) fn hear(&mut self, count: usize) -> Vec<Heard> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let Some(next) = self.next() else { break };
            heard.extend(next);
        }
        heard
    }

    /// How much has come already.
    pub(crate) fn hear_now(&mut self) -> usize {
        self.hear_all().len()
    }

    /// What has come already.
    pub(crate) fn hear_all(&mut self) -> Vec<Heard> {
        self.socket.set_nonblocking(true).unwrap();
        let heard = self.hear(usize::MAX);
        self.socket.set_nonblocking(false).unwrap();
        heard
    }

    /// The next datagram, and the RTP packet that it is. `None`: nothing comes.
    fn next(&mut self) -> Option<Option<Heard>> {
        let mut bytes = [0; 2_048];
        let len = self.socket.recv(&mut bytes).ok()?;
        let datagram = &bytes[..len];
        match datagram {
            [0..=3, ..] => self.answers += 1,
            [20..=63, ..] => self.shake(datagram),
            [_, 192..=223, ..] => {
                self.open.as_mut().unwrap().decrypt_rtcp(datagram).unwrap();
                self.reports += 1;
            }
            _ => return Some(Some(Heard::read(&self.open.as_mut().unwrap().decrypt_rtp(datagram).unwrap()))),
        }
        Some(None)
    }

    fn shake(&mut self, datagram: &[u8]) {
        self.handshakes += 1;
        let events = self.endpoint.read(<Instant>::now(), server(), None, datagram.into()).unwrap();
        if !events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete)) {
            return;
        }
        let state = self.endpoint.get_connection_state(server()).unwrap();
        let material = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 56).unwrap().into_bytes();
        let context = |nth: usize| {
            let (key, salt) = (&material[nth * 16..][..16], &material[32 + nth * 12..][..12]);
            let provider = AwsLcRsProvider::new();
            Context::new(key, salt, ProtectionProfile::AeadAes128Gcm, None, None, provider.crypto()).unwrap()
        };
        (self.seal, self.open) = (Some(context(0)), Some(context(1)));
    }
}

fn server() -> SocketAddr {
    SERVER.parse().unwrap()
}
