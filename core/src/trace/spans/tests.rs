use super::*;
use crate::event::{Fact, FactBody};
use crate::leg::LegInput;
use crate::trace::{Part, Wire};
use crate::world::{CALLEE, CALLER, World, leg};

fn at(milliseconds: i64) -> WallTime {
    WallTime(1_000_000_000 + milliseconds * 1_000)
}

fn sip(milliseconds: i64, n: u128, direction: Way, start: &str, cseq: &str, branch: &str) -> Entry {
    let text = format!("{start}\r\nVia: SIP/2.0/UDP h;rport;branch={branch}\r\nCSeq: {cseq}\r\n\r\n");
    let text = Wire::of_sip(text.as_bytes());
    of_leg(milliseconds, n, What::Message { direction, peer: None, is_repeat: false, text })
}

fn of_leg(milliseconds: i64, n: u128, what: What) -> Entry {
    Entry { leg: Some(leg(n)), ..Entry::new(at(milliseconds), what) }
}

fn api(milliseconds: i64, direction: Way, line: &str) -> Entry {
    Entry { leg: Some(leg(CALLER)), ..Entry::of_api(at(milliseconds), direction, line, None) }
}

fn media(milliseconds: i64, n: u128, mos: f32) -> Entry {
    let report = MediaReport {
        codec: Some(String::from("PCMA")),
        received: 990,
        sent: 1_000,
        lost: 10,
        jitter: Duration::from_micros(1_250),
        round_trip: None,
        remote_lost_permille: None,
        mos: Some(mos),
        rebuilds: 0,
    };
    of_leg(milliseconds, n, What::Media { report })
}

/// The facts of a call that talked from 2 s to 22 s.
fn facts(cause: Cause) -> Vec<Entry> {
    let mut world = World::talking();
    world.leg_input(CALLER, LegInput::HungUp(cause));
    let times = [1, 1, 500, 2_000, 22_001, 22_002];
    let told = world.facts.iter().filter(|fact| !matches!(fact.body, FactBody::CdrClosed(_)));
    told.zip(times).map(|(fact, time)| Entry::of_fact(&Fact { at: at(time), ..fact.clone() })).collect()
}

const SENDER: &str = "00f067aa0ba902b7";

/// From a browser to a phone.
fn clicked() -> Vec<Entry> {
    let sent = format!("POST initiate 1002\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-{SENDER}-01");
    let mut entries = facts(Cause::Normal);
    entries.extend([
        api(0, Way::In, &sent),
        api(3, Way::Out, "200 our offer"),
        api(50, Way::In, "POST answer"),
        api(51, Way::Out, "event call.ringing"),
        sip(10, CALLEE, Way::Out, "INVITE sip:1002@h SIP/2.0", "1 INVITE", "z9hG4bKa"),
        sip(510, CALLEE, Way::Out, "INVITE sip:1002@h SIP/2.0", "1 INVITE", "z9hG4bKa"),
        sip(520, CALLEE, Way::In, "SIP/2.0 180 Ringing", "1 INVITE", "z9hG4bKa"),
        sip(2_000, CALLEE, Way::In, "SIP/2.0 200 OK", "1 INVITE", "z9hG4bKa"),
        sip(2_001, CALLEE, Way::Out, "ACK sip:1002@h SIP/2.0", "1 ACK", "z9hG4bKb"),
        sip(22_010, CALLEE, Way::Out, "BYE sip:1002@h SIP/2.0", "2 BYE", "z9hG4bKc"),
        sip(22_020, CALLEE, Way::In, "SIP/2.0 200 OK", "2 BYE", "z9hG4bKc"),
        of_leg(9_000, CALLEE, What::Restarted { actor: Part::Leg, why: String::from("failed"), is_given_up: false }),
        media(22_005, CALLER, 4.4),
        media(22_006, CALLEE, 4.3),
        Entry::new(at(22_030), What::Settled { place: Place::Database }),
        Entry::new(at(22_040), What::Settled { place: Place::Bus }),
    ]);
    entries
}

fn story(entries: Vec<Entry>) -> Story {
    Story::of(entries, 0, true).unwrap()
}

/// Name, name of the parent, and from when to when.
fn drawn(spans: &[Span]) -> Vec<(&'static str, String, i64, i64)> {
    let name = |id: SpanId| spans.iter().find(|it| it.span_id == id).map_or(id.to_string(), |it| it.name.to_owned());
    let ms = |time: WallTime| (time.0 - 1_000_000_000) / 1_000;
    let one = |it: &Span| (it.name, it.parent_id.map(name).unwrap_or_default(), ms(it.start), ms(it.end));
    spans.iter().map(one).collect()
}

#[test]
fn a_call_from_a_browser_to_a_phone_is_one_tree_below_whoever_asked_for_it() {
    let story = story(clicked());
    let spans = story.spans();
    let initiate = "POST /api/v1/calls/initiate";
    let tree = [
        (initiate, SENDER, 0, 3),
        ("call", initiate, 0, 22_002),
        ("leg", "call", 0, 22_001),
        ("leg", "call", 1, 22_020),
        ("ledger commit", "call", 22_002, 22_030),
        ("bus publish", "call", 22_030, 22_040),
        ("INVITE", "leg", 10, 2_000),
        ("POST /api/v1/calls/{call_id}/answer", "leg", 50, 50),
        ("media", "leg", 2_000, 22_005),
        ("media", "leg", 2_000, 22_006),
        ("BYE", "leg", 22_010, 22_020),
    ];
    assert_eq!(drawn(&spans), tree.map(|(name, parent, from, to)| (name, parent.to_owned(), from, to)));
    assert!(spans[0].is_parent_remote && !spans[1].is_parent_remote);
    let steps: Vec<_> = spans[6].events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(steps, ["180", "ACK"]);
    assert!(spans[6].attributes.contains(&("tandem.sip.repeats", Value::Number(1))));
    let (caller, callee) = (&spans[2], &spans[3]);
    assert_eq!(caller.events[0].name, "call.ringing");
    assert_eq!((callee.events[0].name.as_str(), callee.span_id), ("actor restarted", SpanId::of_leg(leg(CALLEE))));
    assert!(spans[9].attributes.contains(&("tandem.media.lost_permille", Value::Number(10))));
    assert!(spans.iter().all(|span| span.error.is_none()));
}

#[test]
fn setting_up_a_call_takes_from_its_first_request_to_ours() {
    assert_eq!(story(clicked()).setup_time(), Some(Duration::from_millis(10)));
    assert_eq!(story(facts(Cause::Normal)).setup_time(), None);
}

#[test]
fn no_number_and_no_address_is_in_a_tree() {
    let story = story(clicked());
    let text = serde_json::to_string(&story.spans()).unwrap();
    for hidden in ["1001", "1002", "sip:", "UDP h", "z9hG4bK"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    assert_eq!(text, serde_json::to_string(&story.spans()).unwrap());
}

#[test]
fn ids_of_a_tree_are_its_own_and_parents_stand_first() {
    let spans = story(clicked()).spans();
    for (n, span) in spans.iter().enumerate() {
        assert!(spans[..n].iter().all(|other| other.span_id != span.span_id));
        assert!(n == 0 || spans[..n].iter().any(|other| Some(other.span_id) == span.parent_id), "{}", span.name);
        assert!(span.start <= span.end);
    }
}

#[test]
fn a_call_whose_story_has_only_facts_still_has_a_call_and_its_legs() {
    let spans = story(facts(Cause::Normal)).spans();
    let names: Vec<_> = spans.iter().map(|span| span.name).collect();
    assert_eq!(names, ["call", "leg", "leg", "ledger commit"]);
    assert_eq!(spans[0].parent_id, None);
}

#[test]
fn what_failed_broke_or_sounded_bad_is_remarkable_and_what_people_decide_is_not() {
    assert!(!story(facts(Cause::Normal)).is_remarkable());
    assert!(!story(facts(Cause::Busy)).is_remarkable());
    assert!(story(clicked()).is_remarkable(), "an actor was restarted");
    let with = |entry: Entry| story(facts(Cause::Normal).into_iter().chain([entry]).collect()).is_remarkable();
    assert!(with(media(9, CALLER, 3.1)) && !with(media(9, CALLER, 4.2)));
    assert!(with(of_leg(9, CALLER, What::Broke)) && with(of_leg(9, CALLEE, What::Rebuilt { worker: 0 })));
    let failed = story(facts(Cause::MediaLost));
    assert!(failed.is_remarkable());
    assert_eq!(failed.spans()[0].error, Some("media_lost"));
}

#[test]
fn what_a_far_end_refuses_for_want_of_something_is_an_error_and_what_it_decides_is_none() {
    for (status, error) in [
        ("SIP/2.0 503 No", Some("congestion")),
        ("SIP/2.0 488 No", Some("incompatible")),
        ("SIP/2.0 486 Busy", None),
        ("SIP/2.0 603 No", None),
        ("SIP/2.0 401 Who", None),
        ("SIP/2.0 487 Terminated", None),
    ] {
        let mut entries = facts(Cause::Normal);
        entries.push(sip(10, CALLEE, Way::Out, "INVITE sip:1002@h SIP/2.0", "1 INVITE", "z9hG4bKa"));
        entries.push(sip(20, CALLEE, Way::In, status, "1 INVITE", "z9hG4bKa"));
        let spans = story(entries).spans();
        let invite = spans.iter().find(|span| span.name == "INVITE").unwrap();
        assert_eq!((invite.error, invite.kind), (error, Kind::Client), "{status}");
    }
}
