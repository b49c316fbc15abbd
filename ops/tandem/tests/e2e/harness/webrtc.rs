//! A WebRTC client by script that is no browser: it answers our offer in PCMU, and from then on it is one end of a media
//! stream like any other, its packets numbered and noted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_PCMU;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::shared::marshal::{Marshal, Unmarshal};
use tokio::runtime::{Builder, Runtime};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
    RTCSessionDescription, Registry, SettingEngineBuilder, register_default_interceptors,
};

use super::SOON;
use super::rtp::{MOMENT, Packet, Stream};

/// Of the packets it sends. Each is alone in its peer connection.
pub const SSRC: u32 = 0x7a9d_e301;

/// A connected peer whose packets somebody else sends and looks at.
pub struct Ends {
    machine: Arc<Machine>,
    packets: Receiver<Packet>,
}

/// See the module. Dropped, it is a machine whose plug was pulled: it says goodbye to nobody.
pub struct Peer {
    /// Its answer to the offer.
    pub sdp: String,
    machine: Arc<Machine>,
    states: Receiver<RTCPeerConnectionState>,
    packets: Receiver<Packet>,
}

/// What goes on by itself, until it is dropped.
struct Machine {
    runtime: Option<Runtime>,
    _connection: Box<dyn PeerConnection>,
    track: Arc<TrackLocalStaticRTP>,
}

struct Handler {
    states: Sender<RTCPeerConnectionState>,
    packets: Sender<Packet>,
}

type Done<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl Peer {
    /// Answers an offer. It connects by itself once the server has [`sdp`](Self::sdp).
    pub fn answer(offer: &str) -> Self {
        // A thread of its own, whatever else the test does.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let track = Arc::new(TrackLocalStaticRTP::new(microphone()));
        let (tell_state, states) = channel();
        let (tell_packet, packets) = channel();
        let handler = Arc::new(Handler { states: tell_state, packets: tell_packet });
        let (connection, sdp) = runtime.block_on(answer(offer, handler, track.clone()));
        let machine = Arc::new(Machine { runtime: Some(runtime), _connection: connection, track });
        Self { sdp, machine, states, packets }
    }

    /// Waits until it has keys.
    pub fn connected(&self) {
        loop {
            match self.states.recv_timeout(SOON).expect("a connected peer") {
                RTCPeerConnectionState::Connected => return,
                RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => panic!("the peer did not connect"),
                _ => {}
            }
        }
    }

    /// Waits until it has keys, and leaves the rest to the caller.
    pub fn ends(self) -> Ends {
        self.connected();
        Ends { machine: self.machine, packets: self.packets }
    }

    /// Waits until it has keys, then begins to send, and to note what comes.
    pub fn talk(self) -> Stream {
        self.connected();
        let Self { machine, packets, .. } = self;
        let speaker = machine.clone();
        // Whoever has said everything still listens.
        let receive = move || packets.recv_timeout(MOMENT).ok().filter(|_| machine.runtime.is_some());
        Stream::begin(SSRC, move |packet| speaker.send(packet), receive)
    }
}

impl Ends {
    /// Sends a packet of [`SSRC`].
    pub fn send(&self, packet: &[u8]) {
        self.machine.send(packet);
    }

    /// What has come, the oldest first; never waits.
    pub fn arrived(&self) -> impl Iterator<Item = Packet> {
        self.packets.try_iter()
    }
}

impl Machine {
    fn send(&self, mut packet: &[u8]) {
        let packet = rtp::Packet::unmarshal(&mut packet).unwrap();
        if let Some(runtime) = &self.runtime {
            // Of a connection that is closed meanwhile, the count of what came tells the rest.
            let _ = runtime.block_on(self.track.write_rtp(packet));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// `async_trait` without the macro: one method is not worth the dependency.
impl PeerConnectionEventHandler for Handler {
    fn on_connection_state_change<'a, 'b>(&'a self, state: RTCPeerConnectionState) -> Done<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let _ = self.states.send(state);
        Box::pin(async {})
    }

    fn on_track<'a, 'b>(&'a self, track: Arc<dyn TrackRemote>) -> Done<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let packets = self.packets.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event
                    && let Ok(bytes) = packet.marshal()
                    && let Some(packet) = Packet::read(&bytes)
                {
                    let _ = packets.send(packet);
                }
            }
        });
        Box::pin(async {})
    }
}

async fn answer(
    offer: &str,
    handler: Arc<Handler>,
    track: Arc<TrackLocalStaticRTP>,
) -> (Box<dyn PeerConnection>, String) {
    let mut media = MediaEngine::default();
    let codec = RTCRtpCodecParameters { rtp_codec: pcmu(), payload_type: 0 };
    media.register_codec(codec, RtpCodecKind::Audio).unwrap();
    let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
    // As browsers do; left to itself this one would rather be the DTLS server of an ICE-lite peer.
    let settings = SettingEngineBuilder::new().with_answering_dtls_role(RTCDtlsRole::Client).build();
    let builder = PeerConnectionBuilder::new().with_media_engine(media).with_interceptor_registry(registry);
    let builder = builder.with_setting_engine(settings);
    let connection = builder.with_handler(handler).with_udp_addrs(vec!["127.0.0.1:0"]).build().await.unwrap();
    connection.add_track(track).await.unwrap();
    let offer = RTCSessionDescription::offer(offer.to_owned()).unwrap();
    connection.set_remote_description(offer).await.unwrap();
    let answer = connection.create_answer(None).await.unwrap();
    let sdp = answer.sdp.clone();
    connection.set_local_description(answer).await.unwrap();
    (Box::new(connection), sdp)
}

fn microphone() -> MediaStreamTrack {
    let coding = RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() };
    let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec: pcmu(), ..Default::default() };
    let name = |it: &str| it.to_owned();
    MediaStreamTrack::new(name("stream"), name("track"), name("microphone"), RtpCodecKind::Audio, vec![encoding])
}

fn pcmu() -> RTCRtpCodec {
    let mime_type = MIME_TYPE_PCMU.to_owned();
    RTCRtpCodec { mime_type, clock_rate: 8_000, channels: 0, sdp_fmtp_line: String::new(), rtcp_feedback: vec![] }
}
