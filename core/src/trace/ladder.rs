//! A story as text for one screen: the ladder of messages between far ends and us, what happened in between, and the end.
//!
//! ```text
//!  10:00:00.123  +0.000     A ──▶ │        INVITE sip:1002@tandem.example (sdp)
//!  10:00:00.131  +0.008           │ ──▶ B  INVITE sip:1002@192.0.2.9:5060 (sdp)
//!  10:00:02.500  +2.377           !        B: the actor of its track died (failed), another went on
//! ```
//!
//! # Invariants
//! * Whatever far ends wrote, no control character of it reaches the operator's terminal.

use std::fmt::Write;
use std::time::Duration;

use super::{Entry, Part, Story, Way, What};
use crate::cause::Cause;
use crate::cdr::Cdr;
use crate::event::{Fact, FactBody, Side};
use crate::id::LegId;
use crate::party::{Identity, Party};
use crate::quality::MediaReport;
use crate::time::WallTime;

/// Lines of a screen.
const LINES: usize = 60;

/// Columns of a screen.
const COLUMNS: usize = 120;

/// What stands before the text of a line.
const MARGIN: usize = 41;

/// Legs whose names and media are shown; a callee with more devices has them rung all the same.
const LEGS: usize = 8;

/// Lines about failures that are shown from the middle of a ladder that is cut there.
const FAILURES: usize = 8;

/// One line of the ladder.
struct Line<'a> {
    at: WallTime,
    column: Column,
    text: String,
    /// How often it came or went again, word for word.
    again: usize,
    full: Option<&'a str>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Column {
    /// A message of the leg with that place in the record.
    Leg(usize, Way),
    /// Something that happened here.
    Here,
    /// Something that broke here.
    Broken,
}

/// The story for a screen of 60 lines and 120 columns, or, `full`, every note of it with the texts of all messages.
#[must_use]
pub fn render(story: &Story, full: bool) -> String {
    let record = story.record();
    let legs: Vec<LegId> = record.iter().flat_map(|record| &record.legs).map(|leg| leg.leg_id).collect();
    let lines = lines(story, &legs);
    let (head, tail) = (head(story, record.as_ref()), summary(story, record.as_ref(), &legs));
    let start = record.as_ref().map(|record| record.started_at).or(story.entries.first().map(|entry| entry.at));
    let shown = Shown { start: start.unwrap_or_default(), full };
    let frame = head.lines().count() + tail.lines().count();
    let room = if full { usize::MAX } else { LINES.saturating_sub(frame) };
    head + &shown.ladder(&lines, room) + &tail
}

fn head(story: &Story, record: Option<&Cdr>) -> String {
    let mut out = format!("{}  correlation {}", story.call_id, story.correlation_id);
    let Some(record) = record else { return out + "\nIts beginning is not known.\n\n" };
    let _ = writeln!(out, "  {}", record.started_at.date_time().format("%F (UTC)"));
    for (place, leg) in record.legs.iter().enumerate().take(LEGS) {
        let dialled = if place == 0 { format!("  dials {}", plain(record.dialled.reveal())) } else { String::new() };
        let _ = writeln!(out, "  {}  {}{}{dialled}", name(place), party(&leg.party), addresses(story, leg.leg_id));
    }
    if record.legs.len() > LEGS {
        let _ = writeln!(out, "  and {} legs more", record.legs.len() - LEGS);
    }
    out.lines().fold(String::new(), |all, line| all + &clipped(line, COLUMNS) + "\n") + "\n"
}

fn party(party: &Party) -> String {
    let name = party.name.as_ref().map(|name| format!(" {}", name.reveal())).unwrap_or_default();
    let by_trunk = match &party.identity {
        Identity::Trunk { trunk } => format!(", trunk {trunk}"),
        Identity::User { .. } => String::new(),
    };
    plain(&format!("{}{name}{by_trunk}", party.number.reveal()))
}

/// Where a leg's messages came from and went to.
fn addresses(story: &Story, leg: LegId) -> String {
    let mut found = Vec::new();
    for entry in story.entries.iter().filter(|entry| entry.leg == Some(leg)) {
        if let What::Message { peer: Some(peer), .. } = &entry.what
            && !found.contains(&peer.reveal())
        {
            found.push(peer.reveal());
        }
    }
    let shown: Vec<String> = found.iter().take(3).map(ToString::to_string).collect();
    if shown.is_empty() { String::new() } else { format!(" at {}", shown.join(", ")) }
}

fn lines<'a>(story: &'a Story, legs: &[LegId]) -> Vec<Line<'a>> {
    let place_of = |leg: Option<LegId>| leg.and_then(|leg| legs.iter().position(|it| *it == leg));
    let mut lines: Vec<Line<'a>> = Vec::new();
    for entry in &story.entries {
        let place = place_of(entry.leg);
        let Some((column, text)) = said(entry, place, legs) else { continue };
        let first = lines.iter_mut().rev().find(|line| line.column == column && line.text == text);
        match (&entry.what, first) {
            (What::Message { is_repeat: true, .. } | What::Rebuilt { .. }, Some(first)) => first.again += 1,
            (what, _) => {
                let full = if let What::Message { text, .. } = what { Some(text.text()) } else { None };
                lines.push(Line { at: entry.at, column, text, again: 0, full });
            }
        }
    }
    lines
}

/// What a note says, and where in the ladder. `None`: it is for the summary.
fn said(entry: &Entry, place: Option<usize>, legs: &[LegId]) -> Option<(Column, String)> {
    let who = place.map_or_else(|| String::from("the call"), name);
    let broken = |text: String| Some((Column::Broken, text));
    match &entry.what {
        What::Message { direction, text, .. } => {
            Some((place.map_or(Column::Here, |place| Column::Leg(place, *direction)), text.summary()))
        }
        What::Fact { fact } => Some((Column::Here, fact_in_words(fact, legs)?)),
        What::Restarted { actor, why, is_given_up } => {
            let whose = match actor {
                Part::Call | Part::Leg => "its actor",
                Part::Track => "the actor of its track",
            };
            let then = if *is_given_up { "once too often: it ends" } else { "another went on" };
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            broken(format!("{who}: {whose} died{why}, {then}"))
        }
        What::Rebuilt { worker } => broken(format!("{who}: its media goes on in a new thread of worker {worker}")),
        What::Broke => broken(format!("{who}: a message broke its signalling, it ends")),
        What::Media { .. } | What::Settled { .. } => None,
    }
}

fn fact_in_words(fact: &Fact, legs: &[LegId]) -> Option<String> {
    let who = |leg: &LegId| legs.iter().position(|it| it == leg).map_or_else(|| String::from("a leg"), name);
    Some(match &fact.body {
        FactBody::Started { .. } => String::from("the call begins"),
        FactBody::Dialled { leg_id, callee, .. } => format!("{} is called: {}", who(leg_id), party(callee)),
        FactBody::Ringing { leg_id } => format!("{} rings", who(leg_id)),
        FactBody::Answered { leg_id } => format!("{} answered, billing begins", who(leg_id)),
        FactBody::LegEnded { leg_id, cause, sip_status, .. } => {
            let status = sip_status.map(|status| format!(" ({status})")).unwrap_or_default();
            format!("{} is over: {}{status}", who(leg_id), cause.name())
        }
        FactBody::Ended { cause, by } => format!("the call is over: {}, by the {}", cause.name(), by.name()),
        FactBody::CdrClosed(_) => return None,
    })
}

struct Shown {
    start: WallTime,
    full: bool,
}

impl Shown {
    /// In at most so many lines: the first, the last, and from between them what broke.
    fn ladder(&self, lines: &[Line<'_>], room: usize) -> String {
        if lines.len() <= room {
            return lines.iter().map(|line| self.line(line)).collect();
        }
        let (failures, middle) = (room.min(FAILURES), room.saturating_sub(FAILURES + 1));
        let (first, last) = (middle / 2, lines.len() - (middle - middle / 2));
        let between = lines.get(first..last).unwrap_or_default();
        let broken: Vec<_> = between.iter().filter(|line| line.column == Column::Broken).take(failures).collect();
        let left_out = between.len() - broken.len();
        let mut out: String = lines.iter().take(first).map(|line| self.line(line)).collect();
        let _ = writeln!(out, "{:MARGIN$}⋮ {left_out} lines left out: --full shows them", "");
        broken.into_iter().chain(lines.iter().skip(last)).for_each(|line| out += &self.line(line));
        out
    }

    fn line(&self, line: &Line<'_>) -> String {
        let after = format!("+{:.3}", (line.at - self.start).as_secs_f64());
        let time = line.at.date_time().format("%H:%M:%S%.3f");
        let again = if line.again > 0 { format!(" ({}×)", line.again + 1) } else { String::new() };
        let text = plain(&format!("{}{again}", line.text));
        let text = if self.full { text } else { clipped(&text, COLUMNS - MARGIN) };
        let ladder = line.column.drawn();
        let mut out = format!("{time}  {after:<10}{ladder}  {text}\n");
        if let (true, Some(full)) = (self.full, line.full) {
            full.lines().for_each(|line| out += &format!("{:MARGIN$}{}\n", "", plain(line)));
        }
        out
    }
}

impl Column {
    /// The caller on the left, whoever is called on the right, and we between them. 15 columns.
    fn drawn(self) -> String {
        let arrow = |way, towards: Way| if way == towards { "──▶" } else { "◀──" };
        match self {
            Self::Leg(0, way) => format!("{:>2} {} │{:7}", name(0), arrow(way, Way::In), ""),
            Self::Leg(place, way) => format!("{:7}│ {} {:<2}", "", arrow(way, Way::Out), name(place)),
            Self::Here => format!("{:7}·{:7}", "", ""),
            Self::Broken => format!("{:7}!{:7}", "", ""),
        }
    }
}

fn summary(story: &Story, record: Option<&Cdr>, legs: &[LegId]) -> String {
    let mut out = String::from("\n");
    if let Some(record) = record {
        let talked = match record.answered_at {
            Some(at) => {
                let until = if story.is_over { record.ended_at } else { story.entries.last().map_or(at, |it| it.at) };
                format!("Talked {:.1} s.", (until - at).as_secs_f64())
            }
            None => String::from("Never answered."),
        };
        if story.is_over {
            let why = why(record.cause, record.ended_by);
            let _ = writeln!(out, "End: {why} ({}, by the {}). {talked}", record.cause.name(), record.ended_by.name());
        } else {
            let _ = writeln!(out, "It is not over. {talked}");
        }
    }
    out += &failures(story);
    if story.dropped > 0 {
        let _ = writeln!(out, "{} notes are missing: a call keeps 64 KiB of them.", story.dropped);
    }
    for (place, leg) in legs.iter().enumerate().take(LEGS) {
        let report = story.entries.iter().rev().find_map(|entry| match &entry.what {
            What::Media { report } if entry.leg == Some(*leg) => Some(report),
            _ => None,
        });
        let _ = writeln!(out, "Media of {}: {}", name(place), report.map_or_else(|| String::from("none known"), media));
    }
    out
}

fn failures(story: &Story) -> String {
    let (mut restarted, mut given_up, mut broke) = (0, 0, 0);
    let mut workers = Vec::new();
    for entry in &story.entries {
        match &entry.what {
            What::Restarted { is_given_up: false, .. } => restarted += 1,
            What::Restarted { is_given_up: true, .. } => given_up += 1,
            What::Rebuilt { worker } => workers.push(*worker),
            What::Broke => broke += 1,
            What::Message { .. } | What::Fact { .. } | What::Media { .. } | What::Settled { .. } => {}
        }
    }
    let rebuilt = workers.len();
    let mut out = match (restarted + given_up + broke, rebuilt) {
        (0, 0) => return String::from("Nothing of it broke.\n"),
        _ => format!("Restarts: {restarted} of actors, {rebuilt} of legs' media"),
    };
    workers.sort_unstable();
    workers.dedup();
    if let [_, ..] = workers.as_slice() {
        let numbers: Vec<String> = workers.iter().map(ToString::to_string).collect();
        let _ = write!(out, " (media worker {})", numbers.join(", "));
    }
    if given_up > 0 {
        let _ = write!(out, "; given up: {given_up}");
    }
    if broke > 0 {
        let _ = write!(out, "; broken by a message: {broke}");
    }
    out + ".\n"
}

fn media(report: &MediaReport) -> String {
    let ms = |it: Duration| format!("{:.1} ms", it.as_secs_f64() * 1_000.0);
    let all = (report.received + report.lost).max(1);
    #[allow(clippy::cast_precision_loss, reason = "a percentage for eyes")]
    let percent = report.lost as f64 * 100.0 / all as f64;
    let mut out = format!(
        "{}, received {}, lost {} ({percent:.1} %), sent {}",
        plain(report.codec.as_deref().unwrap_or("nothing came")),
        report.received,
        report.lost,
        report.sent
    );
    if let Some(permille) = report.remote_lost_permille {
        let _ = write!(out, " (it lost {:.1} %)", f32::from(permille) / 10.0);
    }
    let _ = write!(out, ", jitter {}", ms(report.jitter));
    if let Some(round_trip) = report.round_trip {
        let _ = write!(out, ", round trip {}", ms(round_trip));
    }
    if let Some(mos) = report.mos {
        let _ = write!(out, ", MOS {mos:.1}");
    }
    out
}

/// The cause of an end in words.
fn why(cause: Cause, by: Side) -> &'static str {
    match (cause, by) {
        (Cause::Normal, Side::Caller) => "the caller hung up",
        (Cause::Normal, Side::Callee) => "the callee hung up",
        (Cause::Normal, Side::System) => "it was ended from here",
        (Cause::Cancelled, _) => "the caller gave up before an answer",
        (Cause::AnsweredElsewhere, _) => "another device took the call",
        (Cause::NoAnswer, _) => "it rang, and nobody answered in time",
        (Cause::Busy, _) => "the callee was busy",
        (Cause::Declined, _) => "the callee did not want it",
        (Cause::UnknownNumber, _) => "nobody has the number that was dialled",
        (Cause::InvalidNumber, _) => "what was dialled is no number",
        (Cause::Unreachable, _) => "no device of the callee could be reached",
        (Cause::Timeout, _) => "the far end did not answer our signalling in time",
        (Cause::Forbidden, _) => "the caller may not call there",
        (Cause::Loop, _) => "the call came through here too often: it goes in a circle",
        (Cause::Incompatible, _) => "the two sides had no codec or media transport in common",
        (Cause::Congestion, _) => "the callee's network had no resources for it",
        (Cause::Overload, _) => "this node had no room for it",
        (Cause::Shutdown, _) => "the node was being stopped",
        (Cause::MediaLost, _) => "no media came for too long, or its path broke",
        (Cause::SignallingLost, _) => "the path of its signalling broke",
        (Cause::NodeLost, _) => "the node died with it",
        (Cause::RateLimited, _) => "its user, trunk or tenant began too many calls in a second",
        (Cause::Throttled, _) => "this node was asked to begin too many calls in a second",
        (Cause::SystemFailure, _) => "a part of this node broke: see the lines with !",
    }
}

/// `A` for the caller, then `B`, `C` …; after `Z` their numbers.
fn name(place: usize) -> String {
    u8::try_from(place).ok().filter(|it| *it < 26).map_or_else(|| place.to_string(), |it| char::from(b'A' + it).into())
}

/// Without what a terminal would obey: control characters, and those that turn or hide text.
fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(|c| *c != '\r').map(|c| if obeyed(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn clipped(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
