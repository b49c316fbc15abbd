//! Requests and what was answered to them, found in the messages of one leg: SIP transactions and requests of the API.

use super::{Entry, Way, What, Wire};
use crate::time::WallTime;

/// How requests of the API are noted in a story, and where they go: names of their spans.
const ROUTES: [(&str, &str); 4] = [
    ("POST initiate", INITIATE),
    ("POST answer", "POST /api/v1/calls/{call_id}/answer"),
    ("POST reject", "POST /api/v1/calls/{call_id}/reject"),
    ("POST terminate", "POST /api/v1/calls/terminate"),
];

/// The one that a call begins with.
pub(super) const INITIATE: &str = "POST /api/v1/calls/initiate";

/// See the module.
pub(super) struct Exchange<'a> {
    pub(super) protocol: Protocol<'a>,
    /// Which way the request went.
    pub(super) way: Way,
    pub(super) start: WallTime,
    /// When the last thing was heard of it.
    pub(super) end: WallTime,
    /// Of the last answer.
    pub(super) status: Option<u16>,
    /// Messages that went or came again.
    pub(super) repeats: i64,
    /// What came on the way to the final answer, and the ACK that followed.
    pub(super) steps: Vec<(WallTime, String)>,
    pub(super) request: &'a Wire,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Protocol<'a> {
    /// Method, branch of the topmost Via (RFC 3261, 17.1.3 and 17.2.3), and number of the CSeq.
    Sip { method: &'a str, branch: &'a str, number: &'a str },
    /// POST and the route.
    Api(&'static str),
}

impl Exchange<'_> {
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.status, Some(200..))
    }
}

/// Those of one leg, in the order of their requests. What has no request in the story is left out.
pub(super) fn exchanges<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Exchange<'a>> {
    let mut found: Vec<Exchange<'a>> = Vec::new();
    for entry in entries {
        let What::Message { direction, text, is_repeat, .. } = &entry.what else { continue };
        match Said::of(text) {
            Some(Said::Sip(Protocol::Sip { method: "ACK", number, .. })) => acknowledge(&mut found, entry.at, number),
            Some(Said::Sip(protocol)) => match found.iter_mut().find(|it| it.protocol == protocol) {
                Some(known) => known.repeats += 1,
                None => found.push(Exchange::begun(protocol, *direction, entry.at, text)),
            },
            Some(Said::Api(route)) => found.push(Exchange::begun(Protocol::Api(route), *direction, entry.at, text)),
            Some(Said::SipAnswer(protocol, status)) => {
                let asked = found.iter_mut().find(|it| it.protocol == protocol && it.way != *direction);
                if let Some(asked) = asked {
                    asked.answered(entry.at, status, *is_repeat);
                }
            }
            Some(Said::ApiAnswer(status)) => {
                let is_asked = |it: &&mut Exchange| matches!(it.protocol, Protocol::Api(_)) && !it.is_over();
                if let Some(asked) = found.iter_mut().find(is_asked) {
                    asked.answered(entry.at, status, false);
                }
            }
            None => {}
        }
    }
    found
}

impl<'a> Exchange<'a> {
    const fn begun(protocol: Protocol<'a>, way: Way, at: WallTime, request: &'a Wire) -> Self {
        Self { protocol, way, start: at, end: at, status: None, repeats: 0, steps: Vec::new(), request }
    }

    fn answered(&mut self, at: WallTime, status: u16, is_repeat: bool) {
        if self.is_over() || is_repeat {
            self.repeats += 1;
            return;
        }
        (self.end, self.status) = (at, Some(status));
        if !self.is_over() {
            self.steps.push((at, status.to_string()));
        }
    }
}

/// The ACK of a success has a branch of its own: it belongs to the INVITE of its number.
fn acknowledge(found: &mut [Exchange<'_>], at: WallTime, acknowledged: &str) {
    let is_its = |it: &&mut Exchange| matches!(it.protocol, Protocol::Sip { method: "INVITE", number, .. } if number == acknowledged);
    if let Some(invite) = found.iter_mut().rev().find(is_its) {
        match invite.steps.iter().any(|(_, what)| what == "ACK") {
            true => invite.repeats += 1,
            false => invite.steps.push((at, String::from("ACK"))),
        }
    }
}

enum Said<'a> {
    Sip(Protocol<'a>),
    SipAnswer(Protocol<'a>, u16),
    Api(&'static str),
    ApiAnswer(u16),
}

impl<'a> Said<'a> {
    fn of(text: &'a Wire) -> Option<Self> {
        let start = text.text().lines().next()?;
        if let Some(status) = start.strip_prefix("SIP/2.0 ") {
            return Some(Self::SipAnswer(sip(text)?, code(status)?));
        }
        if start.ends_with(" SIP/2.0") {
            return sip(text).map(Self::Sip);
        }
        let route = ROUTES.iter().find(|(request, _)| start.starts_with(request)).map(|(_, route)| *route);
        route.map(Self::Api).or_else(|| code(start).map(Self::ApiAnswer))
    }
}

fn sip(text: &Wire) -> Option<Protocol<'_>> {
    let mut cseq = text.header(&["cseq"])?.split_whitespace();
    let (number, method) = (cseq.next()?, cseq.next()?);
    let via = text.header(&["via", "v"]).unwrap_or_default();
    let topmost = via.split(',').next().unwrap_or_default();
    let branch = topmost.split(';').find_map(|it| it.trim().strip_prefix("branch=")).unwrap_or_default();
    Some(Protocol::Sip { method, branch, number })
}

fn code(text: &str) -> Option<u16> {
    text.split_whitespace().next()?.parse().ok().filter(|code| (100..700).contains(code))
}
