//! A whole description.

use std::collections::HashSet;
use std::sync::Arc;

use tandem_core::media::PeerDescription;
use tandem_core::pii::Pii;
use tandem_core::room::description::{Description, Section};

use super::section::section;
use super::{MAX_ROOM_SECTIONS, MAX_ROOM_TEXT};
use crate::SdpError;
use crate::lines::{Limits, Line, Sections};
use crate::peer::{is_ice, sha_256};

const LIMITS: Limits = Limits { text: MAX_ROOM_TEXT, sections: MAX_ROOM_SECTIONS };

/// Reads what a client offers.
///
/// # Errors
/// What is missing of that which a connection needs.
pub fn parse_room_offer(text: &[u8]) -> Result<Description, SdpError> {
    // Without the attribute an offer is active (RFC 4145, 4).
    parse(text, |setup| matches!(setup, None | Some("active" | "actpass")))
}

/// Reads what a client answers.
///
/// # Errors
/// As for [`parse_room_offer`]; [`SdpError::NotActive`] too when it leaves the DTLS handshake to us.
pub fn parse_room_answer(text: &[u8]) -> Result<Description, SdpError> {
    parse(text, |setup| setup == Some("active"))
}

fn parse(text: &[u8], may_set_up: impl Fn(Option<&str>) -> bool) -> Result<Description, SdpError> {
    let read = Sections::read(text, LIMITS)?;
    let mut sections = read.sections.iter().map(|it| section(&read, it)).collect::<Result<Vec<_>, _>>()?;
    reject_unbundled(&read, &mut sections)?;
    let peer = peer(&read, &sections, may_set_up)?;
    let is_mixed = |line: &Line| line.flag() == Some("extmap-allow-mixed");
    let mut lines = read.common.iter().chain(read.sections.iter().flat_map(|it| &it.lines));
    Ok(Description {
        peer: Arc::new(peer),
        address: None,
        mixes_extensions: lines.any(is_mixed),
        sections: sections.into_iter().map(Arc::new).collect(),
    })
}

/// All use the transport of the first one that is used: which those are says the group (RFC 8843, 7). Without a group
/// that one is alone.
fn reject_unbundled(read: &Sections, sections: &mut [Section]) -> Result<(), SdpError> {
    let group = read.common.iter().find_map(|line| line.attribute("group")?.strip_prefix("BUNDLE"));
    let group: HashSet<&str> = group.unwrap_or_default().split_ascii_whitespace().collect();
    let (mut names, mut is_first) = (HashSet::new(), true);
    for section in sections {
        if !names.insert(section.mid.clone()) {
            return Err(SdpError::RepeatedMid);
        }
        let is_alone = group.is_empty() && is_first;
        section.is_rejected |= !is_alone && !group.contains(&*section.mid);
        is_first &= section.is_rejected;
    }
    Ok(())
}

fn peer(
    read: &Sections,
    sections: &[Section],
    may_set_up: impl Fn(Option<&str>) -> bool,
) -> Result<PeerDescription, SdpError> {
    let (_, tagged) =
        sections.iter().zip(&read.sections).find(|(section, _)| !section.is_rejected).ok_or(SdpError::NothingUsable)?;
    let values = |name| tagged.lines.iter().chain(&read.common).filter_map(move |line| line.attribute(name));
    let ufrag = values("ice-ufrag").next().filter(|it| is_ice(it, 4)).ok_or(SdpError::NoIceUfrag)?;
    let password = values("ice-pwd").next().filter(|it| is_ice(it, 22)).ok_or(SdpError::NoIcePassword)?;
    let fingerprint = values("fingerprint").find_map(sha_256).ok_or(SdpError::NoFingerprint)?;
    if !may_set_up(values("setup").next()) {
        return Err(SdpError::NotActive);
    }
    Ok(PeerDescription { ufrag: ufrag.to_owned(), password: Pii::new(password.to_owned()), fingerprint, ssrc: None })
}
