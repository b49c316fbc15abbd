//! Records as CSV (RFC 4180) that a spreadsheet shows and never runs.

use std::borrow::Cow;

use csv::{Writer, WriterBuilder};
use tandem_core::cdr::{Cdr, CdrLeg, Route};
use tandem_core::party::{Identity, Number, Party};
use tandem_core::time::WallTime;

/// Names of the columns; more may be added, at the end.
pub(super) const HEADER: [&str; 52] = [
    "call_id",
    "tenant",
    "correlation_id",
    "node_id",
    "direction",
    "answered",
    "started_at",
    "ringing_at",
    "answered_at",
    "ended_at",
    "setup_ms",
    "ring_ms",
    "talk_ms",
    "billable_seconds",
    "cause",
    "q850",
    "sip_status",
    "ended_by",
    "caller",
    "caller_e164",
    "caller_name",
    "caller_user_id",
    "caller_device_id",
    "trunk_in",
    "dialled",
    "dialled_e164",
    "callee",
    "callee_e164",
    "callee_name",
    "callee_user_id",
    "callee_device_id",
    "trunk_out",
    "route",
    "prefix",
    "caller_codec",
    "caller_received",
    "caller_sent",
    "caller_lost",
    "caller_jitter_ms",
    "caller_round_trip_ms",
    "caller_mos",
    "callee_codec",
    "callee_received",
    "callee_sent",
    "callee_lost",
    "callee_jitter_ms",
    "callee_round_trip_ms",
    "callee_mos",
    "legs",
    "recording_ids",
    "transferred_from",
    "transferred_to",
];

/// A file, or a part of one: the names of the columns if wanted, and a line for each record.
pub(super) fn csv(records: &[Cdr], with_header: bool) -> Result<Vec<u8>, csv::Error> {
    let mut file = WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if with_header {
        file.write_record(HEADER)?;
    }
    for record in records {
        write(&mut file, record)?;
    }
    file.into_inner().map_err(|error| error.into_error().into())
}

fn write(file: &mut Writer<Vec<u8>>, cdr: &Cdr) -> Result<(), csv::Error> {
    let mut cells: Vec<String> = vec![
        cdr.call_id.to_string(),
        cdr.tenant.to_string(),
        cdr.correlation_id.to_string(),
        cdr.node_id.to_string(),
        cdr.direction.name().to_owned(),
        cdr.answered.to_string(),
        cdr.started_at.rfc3339(),
        time(cdr.ringing_at),
        time(cdr.answered_at),
        cdr.ended_at.rfc3339(),
        shown(cdr.setup_ms),
        shown(cdr.ring_ms),
        cdr.talk_ms.to_string(),
        cdr.billable_seconds.to_string(),
        cdr.cause.name().to_owned(),
        cdr.q850.to_string(),
        cdr.sip_status.to_string(),
        cdr.ended_by.name().to_owned(),
    ];
    party(&mut cells, Some(&cdr.caller), cdr.caller_e164.as_ref());
    cells.extend([shown(cdr.trunk_in()), cdr.dialled.reveal().clone(), number(cdr.dialled_e164.as_ref())]);
    party(&mut cells, cdr.callee.as_ref(), cdr.callee_e164.as_ref());
    let (route, prefix) = match &cdr.route {
        None => ("", String::new()),
        Some(Route::Extension) => ("extension", String::new()),
        Some(Route::Client) => ("client", String::new()),
        Some(Route::Trunk { prefix }) => ("trunk", prefix.clone().unwrap_or_default()),
    };
    cells.extend([shown(cdr.trunk_out()), route.to_owned(), prefix]);
    media(&mut cells, cdr.legs.first());
    media(&mut cells, cdr.callee_leg());
    let transfer = |of: fn(&tandem_core::cdr::Transfer) -> Option<tandem_core::id::CallId>| {
        shown(cdr.transfer.as_ref().and_then(of))
    };
    cells.extend([cdr.legs.len().to_string(), cdr.recording_ids.join(" ")]);
    cells.extend([transfer(|it| it.from), transfer(|it| it.to)]);
    file.write_record(cells.iter().map(|cell| harmless(cell).into_owned()))
}

fn party(cells: &mut Vec<String>, party: Option<&Party>, e164: Option<&Number>) {
    let (user, device) = match party.map(|it| &it.identity) {
        Some(Identity::User { user_id, device_id }) => (user_id.to_string(), device_id.to_string()),
        Some(Identity::Trunk { .. }) | None => Default::default(),
    };
    let name = party.and_then(|it| it.name.as_ref()).map(|it| it.reveal().clone()).unwrap_or_default();
    cells.extend([number(party.map(|it| &it.number)), number(e164), name, user, device]);
}

fn media(cells: &mut Vec<String>, leg: Option<&CdrLeg>) {
    let Some(media) = leg.and_then(|leg| leg.media.as_ref()) else {
        return cells.extend(std::iter::repeat_n(String::new(), 7));
    };
    cells.extend([
        media.codec.clone().unwrap_or_default(),
        media.received.to_string(),
        media.sent.to_string(),
        media.lost.to_string(),
        media.jitter_ms.to_string(),
        shown(media.round_trip_ms),
        shown(media.mos),
    ]);
}

fn number(number: Option<&Number>) -> String {
    number.map(|it| it.reveal().clone()).unwrap_or_default()
}

fn time(at: Option<WallTime>) -> String {
    at.map(WallTime::rfc3339).unwrap_or_default()
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|it| it.to_string()).unwrap_or_default()
}

/// A spreadsheet runs what begins like a formula: such text gets an apostrophe in front, unless it is a number with `+`.
fn harmless(cell: &str) -> Cow<'_, str> {
    let is_number = cell.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_number {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_text_and_a_number_stays_one() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+1-cmd|' /C calc'!A0", "'+1-cmd|' /C calc'!A0"),
            ("-2", "'-2"),
            ("@sum", "'@sum"),
            ("\t=1", "'\t=1"),
            ("+4930123456", "+4930123456"),
            ("+", "+"),
            ("Alice", "Alice"),
        ] {
            assert_eq!(harmless(cell), written);
        }
    }
}
