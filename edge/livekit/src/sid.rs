//! Our ids as the wire names them: a prefix that clients look at, and the 32 hex digits of the UUID.

use tandem_core::id::{ConferenceId, ParticipantId, TrackId};
use uuid::Uuid;

/// `RM_…`
pub(crate) fn room(id: ConferenceId) -> String {
    format!("RM_{}", id.uuid().simple())
}

/// `PA_…`
pub(crate) fn participant(id: ParticipantId) -> String {
    format!("PA_{}", id.uuid().simple())
}

/// `TR_…`
pub(crate) fn track(id: TrackId) -> String {
    format!("TR_{}", id.uuid().simple())
}

/// Whom a sid names.
pub(crate) fn parse_participant(sid: &str) -> Option<ParticipantId> {
    parse("PA_", sid).map(ParticipantId::from_uuid)
}

/// Which track a sid names.
pub(crate) fn parse_track(sid: &str) -> Option<TrackId> {
    parse("TR_", sid).map(TrackId::from_uuid)
}

/// Those of the tracks that are none are left out.
pub(crate) fn parse_tracks<'a>(sids: impl IntoIterator<Item = &'a String>) -> Vec<TrackId> {
    sids.into_iter().filter_map(|sid| parse_track(sid)).collect()
}

fn parse(prefix: &str, sid: &str) -> Option<Uuid> {
    let hex = sid.strip_prefix(prefix).filter(|hex| hex.len() == 32)?;
    Uuid::try_parse(hex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_names_what_it_was_made_of_and_nothing_else() {
        let id = TrackId::from_uuid(Uuid::from_u128(0x1234));
        assert_eq!(track(id), "TR_00000000000000000000000000001234");
        assert_eq!(parse_track(&track(id)), Some(id));
        for wrong in ["", "TR_", "TR_12", "PA_00000000000000000000000000001234", "TR_0000000000000000000000000000123ü"]
        {
            assert_eq!(parse_track(wrong), None, "{wrong}");
        }
    }
}
