//! One section.

use std::sync::Arc;

use tandem_core::media::Direction;
use tandem_core::room::description::{Extension, Msid, Sctp, Section, SectionKind};

use super::MAX_NAME;
use super::formats::Formats;
use super::sources::Sources;
use crate::SdpError;
use crate::lines::{self, Line, Sections};
use crate::stream::direction;

/// Most header extensions that are kept of one section. Browsers offer fourteen.
const MAX_EXTENSIONS: usize = 32;

/// Most layers of one section. Clients send three.
const MAX_RIDS: usize = 8;

/// Largest message unless told otherwise (RFC 8841, 6.1).
const MESSAGE: u32 = 65_536;

/// Reads a section. One that no room can use is rejected; what else it says is read all the same.
pub(super) fn section(read: &Sections, from: &lines::Section) -> Result<Section, SdpError> {
    let values = |name| from.lines.iter().filter_map(move |line| line.attribute(name));
    let has = |flag: &str| from.lines.iter().any(|line| line.flag() == Some(flag));
    let mut words = from.media.split_ascii_whitespace();
    let (media, port, transport) = (words.next(), words.next(), words.next().unwrap_or_default());
    let kind = match media {
        Some("audio") => SectionKind::Audio,
        Some("video") => SectionKind::Video,
        Some("application") => SectionKind::Data,
        _ => SectionKind::Other,
    };
    let sctp = if kind == SectionKind::Data { sctp(values) } else { None };
    let is_spoken = match kind {
        SectionKind::Audio | SectionKind::Video => transport.starts_with("UDP/TLS/RTP/SAVP") && has("rtcp-mux"),
        SectionKind::Data => transport.ends_with("/DTLS/SCTP") && sctp.is_some(),
        SectionKind::Other => false,
    };
    // With this flag, port 0 says: no port of its own (RFC 8843, 6).
    let is_off = port.is_none_or(|port| port == "0") && !has("bundle-only");
    let direction = direction(read, from);
    let sends = matches!(direction, Direction::SendRecv | Direction::SendOnly);
    Ok(Section {
        mid: values("mid").next().filter(|it| is_name(it)).map(Arc::from).ok_or(SdpError::NoMid)?,
        kind,
        is_rejected: is_off || !is_spoken,
        direction,
        formats: Formats::read(words, &from.lines),
        extensions: extensions(&from.lines),
        rids: rids(&from.lines),
        // Some name sources of sections in which they only receive: those mean nothing to us.
        sources: if sends { Sources::read(&from.lines) } else { Vec::new() },
        msid: values("msid").next().and_then(msid),
        sctp,
    })
}

/// RFC 8841. Without a port there is no association.
fn sctp<'a, V: Iterator<Item = &'a str>>(values: impl Fn(&'static str) -> V) -> Option<Sctp> {
    let port = values("sctp-port").next()?.trim().parse().ok()?;
    let told = values("max-message-size").find_map(|it| it.trim().parse().ok());
    Some(Sctp { port, max_message_size: told.unwrap_or(MESSAGE) })
}

/// What names a section or a layer in a packet.
fn is_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&byte);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_token)
}

/// RFC 8285, 5: a direction after the number, and attributes after the name, are set aside.
fn extensions(lines: &[Line]) -> Vec<Extension> {
    let mut extensions: Vec<Extension> = Vec::new();
    for value in lines.iter().filter_map(|line| line.attribute("extmap")) {
        let mut words = value.split_ascii_whitespace();
        let (Some(id), Some(uri)) = (words.next(), words.next()) else { continue };
        let id = id.split('/').next().unwrap_or(id).parse().unwrap_or(0);
        let is_new = extensions.iter().all(|it| it.id != id && *it.uri != *uri);
        if id > 0 && is_new && extensions.len() < MAX_EXTENSIONS {
            extensions.push(Extension { id, uri: uri.into() });
        }
    }
    extensions
}

/// Layers that are sent (RFC 8851), in the order of `a=simulcast` if it names them (RFC 8853): of alternatives the first.
fn rids(lines: &[Line]) -> Vec<Arc<str>> {
    let sent = |value: &str| {
        let (rid, way) = value.split_once(' ')?;
        (way.split_ascii_whitespace().next() == Some("send") && is_name(rid)).then(|| Arc::from(rid))
    };
    let mut rids: Vec<Arc<str>> = Vec::new();
    for rid in lines.iter().filter_map(|line| sent(line.attribute("rid")?)) {
        if rids.len() < MAX_RIDS && !rids.contains(&rid) {
            rids.push(rid);
        }
    }
    let listed = lines.iter().find_map(|line| after_send(line.attribute("simulcast")?)).unwrap_or_default();
    let listed: Vec<&str> = listed.split(';').take(MAX_RIDS).filter_map(|it| it.split(',').next()).collect();
    let place = |rid: &Arc<str>| listed.iter().position(|it| it.trim_start_matches('~') == &**rid);
    rids.sort_by_key(|rid| place(rid).unwrap_or(MAX_RIDS));
    rids
}

/// The list of layers that are sent, wherever it stands.
fn after_send(value: &str) -> Option<&str> {
    let mut words = value.split_ascii_whitespace();
    words.by_ref().find(|word| *word == "send")?;
    words.next()
}

fn msid(value: &str) -> Option<Msid> {
    let mut words = value.split_ascii_whitespace();
    let stream = words.next()?.into();
    Some(Msid { stream, track: words.next().unwrap_or_default().into() })
}
