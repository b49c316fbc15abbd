//! The parameters of a connection: one packed request on the newer path, plain ones on the older.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use livekit_protocol::client_info::{Capability, Sdk};
use livekit_protocol::wrapped_join_request::Compression;
use livekit_protocol::{AddTrackRequest, ClientInfo, JoinRequest, SessionDescription, SyncState, WrappedJoinRequest};
use prost::Message;
use tandem_core::id::ParticipantId;
use tandem_core::room::signal::Topology;

use super::refusal::Turned;
use crate::quirks::Client;
use crate::sid;

/// Largest join request once it is unpacked, in bytes.
const LARGEST: usize = 1 << 20;

/// Largest text that somebody may bring of his own, in bytes.
const LARGEST_TEXT: usize = 64_000;

/// With or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Params {
    pub(crate) topology: Topology,
    pub(crate) client: Client,
    pub(crate) client_protocol: i32,
    pub(crate) capabilities: Vec<i32>,
    pub(crate) auto_subscribe: bool,
    /// In the place of the token's, if there is any.
    pub(crate) metadata: String,
    /// Besides the token's.
    pub(crate) attributes: BTreeMap<String, String>,
    /// He was here; with his sid if he told it and it is one.
    pub(crate) resume: Option<Option<ParticipantId>>,
    pub(crate) tracks: Vec<AddTrackRequest>,
    pub(crate) offer: Option<SessionDescription>,
    pub(crate) sync: Option<SyncState>,
}

/// The pairs of a query, decoded.
pub(crate) fn values(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// RFC 3986, 2.1, with `+` for a blank. What is no encoding stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = text.as_bytes().iter();
    let mut out = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let hex = |text: &[u8]| u8::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
        out.push(match (byte, bytes.as_slice().get(..2).and_then(hex)) {
            (b'%', Some(value)) => {
                bytes.nth(1);
                value
            }
            (b'+', _) => b' ',
            _ => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Params {
    /// Reads a query. `topology`: what the path says; without, a packed request means a single connection.
    pub(crate) fn read(query: &str, topology: Option<Topology>) -> Result<Self, Turned> {
        let values: BTreeMap<String, String> = values(query).collect();
        let params = match (values.get("join_request"), topology) {
            (Some(packed), _) => Self::of(unpacked(packed)?),
            (None, None) => Self::plain(&values)?,
            (None, Some(_)) => return Err(Turned::Malformed("join_request is missing")),
        };
        let texts = params.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if params.metadata.len() > LARGEST_TEXT || texts > LARGEST_TEXT {
            return Err(Turned::Malformed("metadata and attributes: 64000 bytes each at most"));
        }
        Ok(params)
    }

    pub(crate) const fn is_resume(&self) -> bool {
        self.resume.is_some()
    }

    fn of(request: JoinRequest) -> Self {
        let info = request.client_info.unwrap_or_default();
        let settings = request.connection_settings.unwrap_or_default();
        Self {
            topology: Topology::Single,
            client: Client::of(&info),
            client_protocol: info.client_protocol,
            capabilities: info.capabilities,
            auto_subscribe: settings.auto_subscribe,
            metadata: request.metadata,
            attributes: request.participant_attributes.into_iter().collect(),
            resume: request.reconnect.then(|| sid::parse_participant(&request.participant_sid)),
            tracks: request.add_track_requests,
            offer: request.publisher_offer.filter(|it| !it.sdp.is_empty()),
            sync: request.sync_state,
        }
    }

    fn plain(values: &BTreeMap<String, String>) -> Result<Self, Turned> {
        let text = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
        let number = |name: &str| text(name).parse::<i32>().unwrap_or_default();
        let is_true = |name: &str| matches!(text(name), "1" | "true");
        let sdk = Sdk::from_str_name(&text("sdk").to_ascii_uppercase().replace("REACTNATIVE", "REACT_NATIVE"));
        let info = ClientInfo {
            sdk: sdk.unwrap_or(Sdk::Unknown).into(),
            version: text("version").into(),
            protocol: number("protocol"),
            ..ClientInfo::default()
        };
        let capability = |name: &str| Capability::from_str_name(name.trim()).map(i32::from);
        let is_resume = is_true("reconnect");
        Ok(Self {
            topology: Topology::Dual,
            client: Client::of(&info),
            client_protocol: number("client_protocol"),
            capabilities: text("capabilities").split(',').filter_map(capability).collect(),
            auto_subscribe: values.get("auto_subscribe").is_none_or(|_| is_true("auto_subscribe")),
            metadata: String::new(),
            attributes: attributes(text("attributes"))?,
            resume: is_resume.then(|| sid::parse_participant(text("sid"))),
            tracks: Vec::new(),
            offer: None,
            sync: None,
        })
    }
}

fn attributes(text: &str) -> Result<BTreeMap<String, String>, Turned> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let json = BASE64.decode(text).map_err(|_| Turned::Malformed("attributes: not base64url"))?;
    serde_json::from_slice(&json).map_err(|_| Turned::Malformed("attributes: not JSON"))
}

fn unpacked(packed: &str) -> Result<JoinRequest, Turned> {
    let no_request = |_| Turned::Malformed("join_request: not protobuf");
    let bytes = BASE64.decode(packed).map_err(|_| Turned::Malformed("join_request: not base64url"))?;
    let wrapped = WrappedJoinRequest::decode(bytes.as_slice()).map_err(no_request)?;
    let bytes = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => wrapped.join_request,
        Ok(Compression::Gzip) => inflated(&wrapped.join_request)?,
        Err(_) => return Err(Turned::Malformed("join_request: unknown compression")),
    };
    JoinRequest::decode(bytes.as_slice()).map_err(no_request)
}

fn inflated(bytes: &[u8]) -> Result<Vec<u8>, Turned> {
    let mut out = Vec::new();
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    let read = GzDecoder::new(bytes).take(most + 1).read_to_end(&mut out);
    read.map_err(|_| Turned::Malformed("join_request: not gzip"))?;
    if out.len() > LARGEST {
        return Err(Turned::Malformed("join_request: too large"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use flate2::Compression as Level;
    use flate2::write::GzEncoder;
    use livekit_protocol::ConnectionSettings;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn wrapped(compression: Compression, join_request: Vec<u8>) -> Vec<u8> {
        WrappedJoinRequest { compression: compression.into(), join_request }.encode_to_vec()
    }

    #[test]
    fn a_packed_request_is_read_with_and_without_gzip_and_padding() {
        let info = ClientInfo { sdk: Sdk::Python.into(), protocol: 18, ..ClientInfo::default() };
        let settings = ConnectionSettings { auto_subscribe: true, ..ConnectionSettings::default() };
        let request = JoinRequest {
            client_info: Some(info),
            connection_settings: Some(settings),
            reconnect: true,
            participant_sid: "PA_00000000000000000000000000001234".into(),
            ..JoinRequest::default()
        };
        let plain = request.encode_to_vec();
        for bytes in [wrapped(Compression::None, plain.clone()), wrapped(Compression::Gzip, gzip(&plain))] {
            for text in [URL_SAFE.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                let query = format!("join_request={}&x=1", text.replace('=', "%3D"));
                let read = Params::read(&query, Some(Topology::Single)).unwrap();
                assert_eq!((read.topology, read.auto_subscribe, read.client.protocol), (Topology::Single, true, 18));
                assert!(read.resume.unwrap().is_some());
                assert_eq!(Params::read(&query, None).unwrap().topology, Topology::Single);
            }
        }
    }

    #[test]
    fn what_is_no_packed_request_is_refused() {
        let bomb = gzip(&vec![0; LARGEST + 1]);
        let bad = [
            (String::new(), "join_request is missing"),
            (String::from("join_request=%%%"), "join_request: not base64url"),
            (format!("join_request={}", URL_SAFE.encode([0xff; 9])), "join_request: not protobuf"),
            (format!("join_request={}", URL_SAFE.encode(wrapped(Compression::Gzip, bomb))), "join_request: too large"),
            (
                format!("join_request={}", URL_SAFE.encode(wrapped(Compression::Gzip, vec![1, 2, 3]))),
                "join_request: not gzip",
            ),
        ];
        for (query, why) in bad {
            assert_eq!(Params::read(&query, Some(Topology::Single)).unwrap_err(), Turned::Malformed(why), "{query}");
        }
    }

    #[test]
    fn plain_parameters_are_read_and_have_their_defaults() {
        let attributes = URL_SAFE_NO_PAD.encode(r#"{"a":"b c"}"#);
        let query = format!("protocol=15&sdk=go&auto_subscribe=0&version=2.1&attributes={attributes}");
        let read = Params::read(&query, None).unwrap();
        assert_eq!((read.topology, read.auto_subscribe, read.client.protocol), (Topology::Dual, false, 15));
        assert_eq!(read.client.name, "GO 2.1");
        assert_eq!(read.attributes, BTreeMap::from([("a".into(), "b c".into())]));
        assert!(read.resume.is_none());
        assert!(Params::read("", None).unwrap().auto_subscribe);
        let read = Params::read("reconnect=1&sid=PA_nonsense", None).unwrap();
        assert_eq!(read.resume, Some(None));
        assert!(Params::read("attributes=%7B", None).is_err());
        let long = URL_SAFE_NO_PAD.encode(format!(r#"{{"a":"{}"}}"#, "x".repeat(LARGEST_TEXT)));
        assert!(Params::read(&format!("attributes={long}"), None).is_err());
    }

    #[test]
    fn a_query_is_decoded() {
        let read: Vec<_> = values("a=%41+b&c&=d&e=%4&f=%zz%c3%bc").collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read, [pair("a", "A b"), pair("c", ""), pair("", "d"), pair("e", "%4"), pair("f", "%zzü")]);
    }
}
