//! One audio section, read into core's terms.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytesstr::BytesStr;
use ezk_sdp_types::{Connection, Fmtp, Media, MediaType, Rtcp, RtpMap, TaggedAddress, TransportProtocol};
use tandem_core::media::{Codec, Direction, MediaDescription};

use crate::lines::{Line, Section, Sections};
use crate::payload::static_codec;
use crate::{MAX_CODECS, SdpError};

/// The first audio section that can be used, with its place.
pub(crate) fn first_usable(read: &Sections) -> Result<(usize, MediaDescription), SdpError> {
    let mut why = None;
    for (place, section) in read.sections.iter().enumerate() {
        let Some(media) = audio(&read.text, section) else { continue };
        match describe(read, section, &media) {
            Ok(description) => return Ok((place, description)),
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.unwrap_or(SdpError::NoAudio))
}

/// Where RTCP goes unless told otherwise (RFC 3550, 11): the next port.
pub(crate) fn next_port(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1))
}

/// The `m=` of an audio section; `None` for every other one.
pub(crate) fn audio(text: &BytesStr, section: &Section) -> Option<Media> {
    let (_, media) = Media::parse(text.as_ref(), &section.media).ok()?;
    (media.media_type == MediaType::Audio).then_some(media)
}

fn describe(read: &Sections, section: &Section, media: &Media) -> Result<MediaDescription, SdpError> {
    if media.port == 0 {
        return Err(SdpError::AudioOff);
    }
    if media.proto != TransportProtocol::RtpAvp {
        return Err(SdpError::NotAcceptable);
    }
    let codecs = codecs(&read.text, section, media);
    if codecs.is_empty() {
        return Err(SdpError::NoCodec);
    }
    let rtp = SocketAddr::new(address(read, section)?, media.port);
    Ok(MediaDescription {
        rtp,
        rtcp: rtcp(&read.text, section, rtp),
        codecs,
        ptime_ms: ptime_ms(section),
        // An unspecified address is the hold of RFC 2543: no media at all.
        direction: if rtp.ip().is_unspecified() { Direction::Inactive } else { direction(read, section) },
        peer: None,
        text: Some(Arc::from(&*read.text)),
    })
}

/// The formats in the order of the `m=` line: that is the order of preference. A number that nobody names is left out.
pub(crate) fn codecs(text: &BytesStr, section: &Section, media: &Media) -> Vec<Codec> {
    let maps: Vec<RtpMap> = attributes(section, "rtpmap", |value| Some(RtpMap::parse(text.as_ref(), value).ok()?.1));
    let parameters: Vec<Fmtp> = attributes(section, "fmtp", |value| Some(Fmtp::parse(text.as_ref(), value).ok()?.1));
    let mut codecs: Vec<Codec> = Vec::new();
    for &payload_type in media.fmts.iter().filter(|it| **it < 128) {
        let is_known = codecs.iter().any(|it| it.payload_type == payload_type);
        if is_known || codecs.len() == MAX_CODECS {
            continue;
        }
        let mapped = maps.iter().find(|map| map.payload == payload_type).and_then(mapped);
        let fmtp = parameters.iter().find(|it| it.format == payload_type && !it.params.is_empty());
        let Some(codec) = mapped.or_else(|| static_codec(payload_type)) else { continue };
        codecs.push(Codec { fmtp: fmtp.map(|it| it.params.to_string()), ..codec });
    }
    codecs
}

fn attributes<T>(section: &Section, name: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    section.lines.iter().filter_map(|line| parse(line.attribute(name)?)).collect()
}

fn mapped(map: &RtpMap) -> Option<Codec> {
    let is_token = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]".contains(c);
    let is_name = !map.encoding.is_empty() && map.encoding.chars().all(is_token);
    let channels = map.params.as_ref().map_or(Some(1), |it| it.trim().parse().ok())?;
    let codec = Codec {
        payload_type: map.payload,
        name: map.encoding.to_string(),
        clock_rate_hz: map.clock_rate,
        channels,
        fmtp: None,
    };
    (is_name && map.clock_rate > 0 && channels > 0).then_some(codec)
}

/// The section's own `c=`, else the common one.
fn address(read: &Sections, section: &Section) -> Result<IpAddr, SdpError> {
    let connection = |lines: &[Line]| {
        let line = lines.iter().find(|line| line.kind == b'c')?;
        Some(Connection::parse(read.text.as_ref(), &line.value).ok()?.1.address)
    };
    match connection(&section.lines).or_else(|| connection(&read.common)) {
        Some(TaggedAddress::IP4(ip)) => Ok(ip.into()),
        Some(TaggedAddress::IP6(ip)) => Ok(ip.into()),
        Some(TaggedAddress::IP4FQDN(name) | TaggedAddress::IP6FQDN(name)) if name.is_empty() => {
            Err(SdpError::NoAddress)
        }
        Some(TaggedAddress::IP4FQDN(_) | TaggedAddress::IP6FQDN(_)) => Err(SdpError::NamedAddress),
        None => Err(SdpError::NoAddress),
    }
}

/// RFC 3605. A host name or port 0 there is set aside.
fn rtcp(text: &BytesStr, section: &Section, rtp: SocketAddr) -> SocketAddr {
    let told = section.lines.iter().find_map(|line| {
        let (_, rtcp) = Rtcp::parse(text.as_ref(), line.attribute("rtcp")?).ok()?;
        let ip = match rtcp.address {
            None => rtp.ip(),
            Some(TaggedAddress::IP4(ip)) => ip.into(),
            Some(TaggedAddress::IP6(ip)) => ip.into(),
            Some(TaggedAddress::IP4FQDN(_) | TaggedAddress::IP6FQDN(_)) => return None,
        };
        (rtcp.port != 0).then_some(SocketAddr::new(ip, rtcp.port))
    });
    told.unwrap_or_else(|| next_port(rtp))
}

/// The packet time that the section wants, in milliseconds.
pub(crate) fn ptime_ms(section: &Section) -> Option<u16> {
    section.lines.iter().find_map(|line| line.attribute("ptime")?.trim().parse().ok())
}

/// The section's own direction, else the common one.
pub(crate) fn direction(read: &Sections, section: &Section) -> Direction {
    let told = |lines: &[Line]| lines.iter().filter_map(Line::flag).find_map(direction_named);
    told(&section.lines).or_else(|| told(&read.common)).unwrap_or_default()
}

/// The direction that an attribute stands for.
pub(crate) fn direction_named(name: &str) -> Option<Direction> {
    match name {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}
