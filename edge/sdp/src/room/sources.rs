//! The SSRCs that a section names (RFC 5576).

use std::collections::HashSet;

use tandem_core::room::description::Source;

use crate::lines::Line;

/// Most that are kept: three layers with their retransmissions are six.
const MAX_SOURCES: usize = 16;

pub(super) struct Sources;

impl Sources {
    /// In the order of the text; those that only repair others are with them.
    pub(super) fn read(lines: &[Line]) -> Vec<Source> {
        let pairs: Vec<(&str, u32, u32)> =
            lines.iter().filter_map(|line| pair(line.attribute("ssrc-group")?)).collect();
        let repairing: HashSet<u32> = pairs.iter().map(|(_, _, repairing)| *repairing).collect();
        let mut sources: Vec<Source> = Vec::new();
        for ssrc in lines.iter().filter_map(|line| number(line.attribute("ssrc")?.split(' ').next()?)) {
            let is_new = !repairing.contains(&ssrc) && sources.iter().all(|it| it.ssrc != ssrc);
            if is_new && sources.len() < MAX_SOURCES {
                let rtx = pairs.iter().find(|(how, first, _)| *how == "FID" && *first == ssrc).map(|it| it.2);
                sources.push(Source { ssrc, rtx });
            }
        }
        sources
    }
}

/// A group of one source and what repairs it: by retransmission (`FID`) or forward error correction (`FEC-FR`).
fn pair(value: &str) -> Option<(&str, u32, u32)> {
    let mut words = value.split_ascii_whitespace();
    let how = words.next().filter(|it| ["FID", "FEC-FR"].contains(it))?;
    Some((how, number(words.next()?)?, number(words.next()?)?)).filter(|(_, first, second)| first != second)
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|it| *it != 0)
}
