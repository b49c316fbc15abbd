//! Whom a leg listens to, and where it sends: symmetric RTP (RFC 7362) with a guard against those who just try ports.
//!
//! ```text
//!  signalled ──packets from elsewhere, in a run──▶ latched ──silent, and a run from elsewhere──▶ latched anew
//! ```
//!
//! # Invariants
//! * A source has a claim: the signalled address, its host, or neither. A better claim displaces a worse one as soon as
//!   it has sent a run; an equal or worse claim only after the latched source was silent for [`SILENCE`].
//! * A packet is admitted from the latched source only; what others send is never heard.

use std::net::SocketAddr;
use std::time::Duration;

use tandem_core::media::is_sendable;
use tandem_core::time::Timestamp;

/// How long the latched source must have sent nothing before another of no better claim may take over. Longer than any
/// gap of a live stream short of suppressed silence.
const SILENCE: Duration = Duration::from_secs(2);

/// The same for RTCP, which comes every 5 s: three times that.
const RTCP_SILENCE: Duration = Duration::from_secs(15);

/// A run may skip so many packets; more is a coincidence of numbers.
const RUN_GAP: u16 = 16;

/// A candidate that paused for this long has lost its place to whoever comes.
const RUN_PAUSE: Duration = Duration::from_millis(500);

/// How good a source's title is. In order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Claim {
    /// An unknown host: behind a NAT, or an intruder.
    Stranger,
    /// The signalled host, another port.
    Host,
    /// The signalled address itself.
    Exact,
}

/// For RTP.
#[derive(Clone, Debug)]
pub(crate) struct Latch {
    signalled: SocketAddr,
    current: Option<Current>,
    candidate: Option<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    address: SocketAddr,
    claim: Claim,
    heard: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    address: SocketAddr,
    claim: Claim,
    ssrc: u32,
    sequence: u16,
    run: u8,
    heard: Timestamp,
}

/// What the latch says of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admission {
    /// From whom we listen to.
    Known,
    /// From whom we listen to from now on.
    Latched,
    /// From somebody else.
    Foreign,
}

impl Latch {
    /// `latched`: where the source really was, known from an earlier engine.
    pub(crate) fn new(now: Timestamp, signalled: SocketAddr, latched: Option<SocketAddr>) -> Self {
        let mut latch = Self { signalled, current: None, candidate: None };
        latch.current = latched.map(|address| Current { address, claim: latch.claim(address), heard: now });
        latch
    }

    /// What the far end told us.
    pub(crate) fn signalled(&self) -> SocketAddr {
        self.signalled
    }

    /// Where to send.
    pub(crate) fn destination(&self) -> SocketAddr {
        self.current.map_or(self.signalled, |current| current.address)
    }

    /// Judges a packet that nobody may be latched to: its format was not agreed on.
    pub(crate) fn recognise(&mut self, now: Timestamp, from: SocketAddr) -> Admission {
        let Some(current) = self.current.as_mut().filter(|current| current.address == from) else {
            return Admission::Foreign;
        };
        current.heard = now;
        Admission::Known
    }

    /// Judges a packet that is valid RTP in an agreed format.
    pub(crate) fn admit(&mut self, now: Timestamp, from: SocketAddr, ssrc: u32, sequence: u16) -> Admission {
        if self.recognise(now, from) == Admission::Known {
            return Admission::Known;
        }
        let claim = self.claim(from);
        if !is_sendable(from) || !self.is_open_to(now, claim) {
            return Admission::Foreign;
        }
        let Some(candidate) = self.heard(now, from, claim, ssrc, sequence) else { return Admission::Foreign };
        if candidate.run < self.run_needed(claim) {
            return Admission::Foreign;
        }
        self.current = Some(Current { address: from, claim, heard: now });
        self.candidate = None;
        Admission::Latched
    }

    fn claim(&self, from: SocketAddr) -> Claim {
        if from == self.signalled {
            Claim::Exact
        } else if from.ip() == self.signalled.ip() {
            Claim::Host
        } else {
            Claim::Stranger
        }
    }

    fn is_open_to(&self, now: Timestamp, claim: Claim) -> bool {
        self.current.is_none_or(|current| claim > current.claim || now - current.heard >= SILENCE)
    }

    /// The signalled address is believed at once; who is only like it must show that it is a stream.
    fn run_needed(&self, claim: Claim) -> u8 {
        match claim {
            Claim::Exact if self.current.is_none() => 1,
            Claim::Exact | Claim::Host => 2,
            Claim::Stranger => 3,
        }
    }

    /// One packet more of a candidate. A live one is displaced by a better claim only, so that nobody can keep it from
    /// its run by mixing packets in.
    fn heard(&mut self, now: Timestamp, from: SocketAddr, claim: Claim, ssrc: u32, sequence: u16) -> Option<Candidate> {
        let fresh = Candidate { address: from, claim, ssrc, sequence, run: 1, heard: now };
        let next = match self.candidate {
            Some(old) if old.address == from => {
                let step = sequence.wrapping_sub(old.sequence);
                let goes_on = old.ssrc == ssrc && (1..=RUN_GAP).contains(&step) && now - old.heard < RUN_PAUSE;
                if goes_on { Candidate { run: old.run.saturating_add(1), ..fresh } } else { fresh }
            }
            Some(old) if old.claim >= claim && now - old.heard < RUN_PAUSE => return None,
            _ => fresh,
        };
        self.candidate = Some(next);
        Some(next)
    }
}

/// For RTCP: only from the host that RTP comes from, or the signalled address.
#[derive(Clone, Debug)]
pub(crate) struct RtcpLatch {
    signalled: SocketAddr,
    current: Option<(SocketAddr, Timestamp)>,
}

impl RtcpLatch {
    pub(crate) fn new(now: Timestamp, signalled: SocketAddr, latched: Option<SocketAddr>) -> Self {
        Self { signalled, current: latched.map(|address| (address, now)) }
    }

    pub(crate) fn signalled(&self) -> SocketAddr {
        self.signalled
    }

    pub(crate) fn destination(&self) -> SocketAddr {
        self.current.map_or(self.signalled, |(address, _)| address)
    }

    /// Forgets what it learned: RTP comes from elsewhere now.
    pub(crate) fn forget(&mut self) {
        self.current = None;
    }

    /// Judges a packet that is valid RTCP. `rtp`: where RTP goes.
    pub(crate) fn admit(&mut self, now: Timestamp, from: SocketAddr, rtp: SocketAddr) -> Admission {
        let may_change = match &mut self.current {
            Some((address, heard)) if *address == from => {
                *heard = now;
                return Admission::Known;
            }
            Some((_, heard)) => now - *heard >= RTCP_SILENCE,
            None => true,
        };
        let is_trusted = from == self.signalled || from.ip() == rtp.ip();
        if !may_change || !is_trusted || !is_sendable(from) {
            return Admission::Foreign;
        }
        self.current = Some((from, now));
        Admission::Latched
    }
}

#[cfg(test)]
mod tests;
