//! Which peer a datagram on the shared port is for.
//!
//! ```text
//!  STUN check ── its user name ──▶ peer          anything else ── where it came from ──▶ peer
//!       └── valid: where it came from is the peer's from now on
//! ```
//!
//! # Invariants
//! * An address leads to one peer, and to another one only after that one's valid check came from there.
//! * A peer has no more than [`ADDRESSES`], the one in use among them, and none once it is gone.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::peer::{Kept, ufrag_of};

/// Addresses per peer: a browser checks from each network that it has, and some more after a change of network.
const ADDRESSES: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_ufrag: HashMap<String, usize>,
    by_address: HashMap<SocketAddr, usize>,
    members: HashMap<usize, Member>,
}

#[derive(Debug)]
struct Member {
    ufrag: String,
    /// The one whose check was last heard of comes last.
    addresses: Vec<SocketAddr>,
}

/// Why a datagram is nobody's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stray {
    /// It is none of what may come on such a port (RFC 7983).
    Malformed,
    /// It belongs to no peer here.
    Foreign,
}

impl Demux {
    /// A peer that is found by its user name, and by the address that it had agreed on in an earlier engine.
    pub(crate) fn add(&mut self, place: usize, kept: &Kept) {
        self.remove(place);
        let member = Member { ufrag: kept.ufrag().to_owned(), addresses: Vec::with_capacity(ADDRESSES) };
        self.by_ufrag.insert(member.ufrag.clone(), place);
        self.members.insert(place, member);
        if let Some(address) = kept.nominated() {
            self.learn(place, address, None);
        }
    }

    pub(crate) fn remove(&mut self, place: usize) {
        let Some(member) = self.members.remove(&place) else { return };
        self.by_ufrag.remove(&member.ufrag);
        for address in member.addresses {
            self.by_address.remove(&address);
        }
    }

    pub(crate) fn find(&self, from: SocketAddr, datagram: &[u8]) -> Result<usize, Stray> {
        let place = match ufrag_of(datagram) {
            Some(ufrag) => self.by_ufrag.get(ufrag),
            None => self.by_address.get(&from),
        };
        place.copied().ok_or_else(|| stray(datagram))
    }

    /// The peer that an address leads to.
    pub(crate) fn owner_of(&self, address: SocketAddr) -> Option<usize> {
        self.by_address.get(&address).copied()
    }

    /// A valid check of this peer came from there. `in_use`: where its media goes, which is not given up for that: a
    /// check may be a captured one, sent again from many addresses.
    pub(crate) fn learn(&mut self, place: usize, from: SocketAddr, in_use: Option<SocketAddr>) {
        let Some(member) = self.members.get_mut(&place) else { return };
        member.addresses.retain(|address| *address != from);
        if member.addresses.len() >= ADDRESSES
            && let Some(oldest) = member.addresses.iter().position(|address| Some(*address) != in_use)
        {
            self.by_address.remove(&member.addresses.remove(oldest));
        }
        member.addresses.push(from);
        let before = self.by_address.insert(from, place).filter(|before| *before != place);
        if let Some(loser) = before.and_then(|before| self.members.get_mut(&before)) {
            loser.addresses.retain(|address| *address != from);
        }
    }
}

fn stray(datagram: &[u8]) -> Stray {
    match datagram.first() {
        Some(0..=3 | 20..=63 | 128..=191) => Stray::Foreign,
        _ => Stray::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTP: [u8; 2] = [0x80, 0];

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn kept(ufrag: &str) -> Kept {
        Kept::new(ufrag.into(), "a password of ICE, 24 long".into())
    }

    fn two() -> Demux {
        let mut demux = Demux::default();
        demux.add(3, &kept("three"));
        demux.add(4, &kept("four"));
        demux
    }

    #[test]
    fn only_from_where_a_check_came_is_anything_anybodys() {
        let mut demux = two();
        assert_eq!(demux.find(at(1), &RTP), Err(Stray::Foreign));
        demux.learn(3, at(1), None);
        assert_eq!((demux.find(at(1), &RTP), demux.find(at(2), &RTP)), (Ok(3), Err(Stray::Foreign)));
        for nothing in [&[][..], &[64], &[255, 0]] {
            assert_eq!(demux.find(at(2), nothing), Err(Stray::Malformed), "{nothing:?}");
        }
    }

    #[test]
    fn an_address_goes_over_to_whose_check_comes_from_there_and_the_other_may_leave_without_harm() {
        let mut demux = two();
        demux.learn(3, at(1), None);
        demux.learn(4, at(1), None);
        assert_eq!(demux.find(at(1), &RTP), Ok(4));
        demux.remove(3);
        assert_eq!(demux.find(at(1), &RTP), Ok(4));
    }

    #[test]
    fn a_peer_has_so_many_addresses_and_keeps_the_one_that_it_uses() {
        let mut demux = two();
        for port in 0..=ADDRESSES as u16 * 2 {
            demux.learn(3, at(port), Some(at(0)));
        }
        assert_eq!(demux.by_address.len(), ADDRESSES);
        assert_eq!((demux.find(at(0), &RTP), demux.find(at(1), &RTP)), (Ok(3), Err(Stray::Foreign)));
    }

    #[test]
    fn a_peer_that_is_gone_leaves_nothing() {
        let mut demux = two();
        (0..3).for_each(|port| demux.learn(3, at(port), None));
        demux.add(3, &kept("another"));
        assert!(demux.by_address.is_empty());
        demux.remove(3);
        demux.remove(3);
        demux.remove(4);
        demux.learn(4, at(9), None);
        assert!(demux.by_ufrag.is_empty() && demux.by_address.is_empty() && demux.members.is_empty());
    }
}
