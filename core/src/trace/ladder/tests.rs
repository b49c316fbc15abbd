use uuid::Uuid;

use super::*;
use crate::event::Context;
use crate::id::{CallId, CorrelationId, NodeId, Tenant};
use crate::leg::LegInput;
use crate::trace::{Trail, Wire};
use crate::world::{CALLEE, CALLER, World, leg};

/// 1,000 seconds into 1970, and some milliseconds.
fn at(milliseconds: i64) -> WallTime {
    WallTime(1_000_000_000 + milliseconds * 1_000)
}

fn sip(milliseconds: i64, n: u128, direction: Way, text: &str) -> Entry {
    let peer = Some(std::net::SocketAddr::from(([192, 0, 2, u8::try_from(n).unwrap()], 5060)).into());
    let text = Wire::of_sip(text.as_bytes());
    let what = What::Message { direction, peer, is_repeat: false, text };
    Entry { leg: Some(leg(n)), ..Entry::new(at(milliseconds), what) }
}

fn again(entry: Entry) -> Entry {
    let What::Message { direction, peer, text, .. } = entry.what else { return entry };
    Entry { what: What::Message { direction, peer, text, is_repeat: true }, ..entry }
}

fn restarted(milliseconds: i64, n: u128, is_given_up: bool) -> Entry {
    let what = What::Restarted { actor: Part::Track, why: String::from("failed"), is_given_up };
    Entry { leg: Some(leg(n)), ..Entry::new(at(milliseconds), what) }
}

fn rebuilt(milliseconds: i64, n: u128) -> Entry {
    Entry { leg: Some(leg(n)), ..Entry::new(at(milliseconds), What::Rebuilt { worker: 1 }) }
}

fn report(milliseconds: i64, n: u128) -> Entry {
    let report = MediaReport {
        codec: Some(String::from("PCMA")),
        received: 995,
        sent: 1_000,
        lost: 5,
        jitter: Duration::from_micros(1_250),
        round_trip: Some(Duration::from_millis(12)),
        remote_lost_permille: Some(2),
        mos: Some(4.36),
        rebuilds: 1,
    };
    Entry { leg: Some(leg(n)), ..Entry::new(at(milliseconds), What::Media { report }) }
}

/// 1001 calls 1002, talks for 20 s over a broken worker, and hangs up.
fn talked() -> Vec<Entry> {
    let mut world = World::talking();
    world.leg_input(CALLER, LegInput::HungUp(Cause::Normal));
    let times = [1, 1, 500, 2_000, 22_001, 22_002, 22_003];
    let told = world.facts.iter().filter(|fact| !matches!(fact.body, FactBody::CdrClosed(_)));
    let facts = told.zip(times).map(|(fact, time)| Entry::of_fact(&Fact { at: at(time), ..fact.clone() }));
    let bye = "BYE sip:192.0.2.100 SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n";
    let trying = sip(2, CALLER, Way::Out, "SIP/2.0 100 Trying\r\nCSeq: 1 INVITE\r\n\r\n");
    let answer = sip(2_002, CALLER, Way::Out, "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n");
    facts
        .chain([
            sip(0, CALLER, Way::In, "INVITE sip:1002@tandem.example SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n"),
            trying,
            sip(3, CALLEE, Way::Out, "INVITE sip:1002@192.0.2.2 SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n"),
            sip(499, CALLEE, Way::In, "SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n"),
            sip(501, CALLER, Way::Out, "SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n"),
            sip(1_999, CALLEE, Way::In, "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n"),
            answer.clone(),
            again(Entry { at: at(2_500), ..answer }),
            sip(2_600, CALLER, Way::In, "ACK sip:192.0.2.100 SIP/2.0\r\nCSeq: 1 ACK\r\n\r\n"),
            restarted(8_000, CALLEE, false),
            rebuilt(9_000, CALLER),
            rebuilt(9_000, CALLEE),
            sip(22_000, CALLER, Way::In, bye),
            sip(22_003, CALLEE, Way::Out, bye),
            sip(22_004, CALLER, Way::Out, "SIP/2.0 200 OK\r\nCSeq: 2 BYE\r\n\r\n"),
            report(22_010, CALLER),
            report(22_011, CALLEE),
        ])
        .collect()
}

/// Golden: what the operator is shown.
#[test]
fn the_story_of_a_call_through_a_broken_worker_is_told_on_one_screen() {
    let text = render(&Story::of(talked(), 0, true).unwrap(), false);
    let golden = include_str!("../../../tests/golden/why.txt");
    assert_eq!(text, golden, "\n{text}");
    assert!(text.lines().count() <= LINES);
}

#[test]
fn a_long_story_is_cut_in_its_middle_but_not_where_something_broke() {
    let mut entries = talked();
    for n in 0..500 {
        let text = format!("OPTIONS sip:{} SIP/2.0\r\n\r\n", "x".repeat(200));
        entries.push(sip(3_000 + n, CALLEE, Way::In, &text));
    }
    entries.push(restarted(3_250, CALLEE, true));
    let text = render(&Story::of(entries.clone(), 17, true).unwrap(), false);
    assert!(text.lines().count() <= LINES, "{}", text.lines().count());
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    for wanted in ["INVITE sip:1002@tandem.example", "once too often", "BYE", "the caller hung up", "17 notes", "⋮ "]
    {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    let full = render(&Story::of(entries, 17, true).unwrap(), true);
    assert_eq!(full.matches("  OPTIONS sip:xxx").count(), 1_000, "each line with its text");
}

#[test]
fn every_kind_of_note_of_any_leg_fits_the_screen() {
    let long = "n".repeat(300);
    let mut entries: Vec<Entry> = World::talking().facts.iter().map(Entry::of_fact).collect();
    let context = Context {
        tenant: Tenant::default_tenant(),
        correlation_id: CorrelationId::from_uuid(Uuid::from_u128(1)),
        node: NodeId::from_uuid(Uuid::from_u128(2)),
    };
    for n in 0..40 {
        let callee = Party {
            number: long.clone().into(),
            name: Some(long.clone().into()),
            identity: Identity::Trunk { trunk: crate::party::TrunkName(long.as_str().into()) },
        };
        let body = FactBody::Dialled { leg_id: leg(100 + n), callee, route: None };
        let call = CallId::from_uuid(Uuid::from_u128(0xca11));
        let number = 100 + u32::try_from(n).unwrap();
        let fact = Fact { context: context.clone(), call, number, at: at(5), caused_by: None, sdp: None, body };
        entries.push(Entry::of_fact(&fact));
        entries.push(rebuilt(6, 100 + n));
        entries.push(Entry { leg: Some(leg(100 + n)), ..Entry::new(at(7), What::Broke) });
    }
    let mut trail = Trail::default();
    entries.into_iter().for_each(|entry| trail.take(entry));
    let text = render(&trail.story(false).unwrap(), false);
    assert!(text.lines().count() <= LINES, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    assert!(text.contains("It is not over."), "{text}");
}

#[test]
fn no_far_end_writes_to_the_operators_terminal() {
    let mut entries = talked();
    entries.push(sip(
        3_000,
        CALLEE,
        Way::In,
        "INFO sip:\u{1b}[2J\u{9b}31m\u{7}x SIP/2.0\r\nX: \u{1b}]0;owned\u{7}\r\n\r\n",
    ));
    for full in [false, true] {
        let text = render(&Story::of(entries.clone(), 0, true).unwrap(), full);
        assert!(text.contains("INFO sip:") && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn every_cause_has_words_of_its_own() {
    let mut words: Vec<_> = Cause::ALL.iter().map(|cause| why(*cause, Side::Caller)).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Cause::ALL.len());
}

#[test]
fn a_story_without_its_beginning_is_told_as_far_as_it_is_known() {
    let mut entries = talked();
    entries.retain(|entry| entry.fact().is_none_or(|fact| fact.number >= 4));
    let text = render(&Story::of(entries, 0, true).unwrap(), false);
    assert!(text.contains("Its beginning is not known.") && text.contains("BYE"), "{text}");
}
