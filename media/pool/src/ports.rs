//! The port range: pairs that are used, that rest, and that were never bound.
//!
//! A pair stays bound once it was: the next leg saves four system calls, and nobody else can take the port. Pairs that
//! have rested are used first, so as few sockets are open as ever were needed at once. Ports come in random order, for
//! those who look for live ones to find none by counting.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::seq::SliceRandom;
use tandem_core::time::Timestamp;

use crate::config::Config;
use crate::pair::Pair;

/// How many ports that somebody else holds are tried before there is none.
const TRIES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ports {
    address: IpAddr,
    rest: Duration,
    idle: Mutex<Idle>,
}

#[derive(Debug)]
struct Idle {
    unbound: VecDeque<u16>,
    /// Since when; the longest first.
    resting: VecDeque<(Timestamp, Arc<Pair>)>,
}

impl Ports {
    pub(crate) fn new(config: &Config) -> Self {
        let mut unbound: Vec<u16> = config.pairs().collect();
        unbound.shuffle(&mut rand::rng());
        let idle = Idle { unbound: unbound.into(), resting: VecDeque::new() };
        Self { address: config.address, rest: config.port_rest, idle: Mutex::new(idle) }
    }

    /// A pair for one leg. `None`: all are used or resting, or cannot be bound.
    pub(crate) fn take(&self, now: Timestamp) -> Option<Arc<Pair>> {
        if let Some(pair) = self.rested(now) {
            pair.drain();
            return Some(pair);
        }
        (0..TRIES).find_map(|_| self.bind_next())
    }

    pub(crate) fn give_back(&self, now: Timestamp, pair: Arc<Pair>) {
        self.idle.lock().resting.push_back((now, pair));
    }

    fn rested(&self, now: Timestamp) -> Option<Arc<Pair>> {
        let mut idle = self.idle.lock();
        let since = idle.resting.front()?.0;
        if now - since < self.rest {
            return None;
        }
        idle.resting.pop_front().map(|(_, pair)| pair)
    }

    fn bind_next(&self) -> Option<Arc<Pair>> {
        let port = self.idle.lock().unbound.pop_front()?;
        match Pair::bind(self.address, port) {
            Ok(pair) => Some(Arc::new(pair)),
            Err(_) => {
                self.idle.lock().unbound.push_back(port);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_engine::SocketKind;

    use super::*;

    fn ports(first_port: u16, rest_ms: u64) -> Ports {
        let port_rest = Duration::from_millis(rest_ms);
        Ports::new(&Config { first_port, last_port: first_port + 3, port_rest, ..Config::default() })
    }

    #[test]
    fn a_pair_is_an_even_port_and_the_next_and_comes_back_only_when_it_has_rested() {
        let ports = ports(23_500, 10);
        let first = ports.take(Timestamp(1)).unwrap();
        let second = ports.take(Timestamp(1)).unwrap();
        assert!(first.port().is_multiple_of(2) && first.port() != second.port());
        assert_eq!(first.socket(SocketKind::Rtcp).local_addr().unwrap().port(), first.port() + 1);
        assert!(ports.take(Timestamp(1)).is_none());
        let port = first.port();
        ports.give_back(Timestamp(100), first);
        assert!(ports.take(Timestamp(10_099)).is_none());
        assert_eq!(ports.take(Timestamp(10_100)).unwrap().port(), port);
    }

    #[test]
    fn a_port_that_somebody_else_holds_is_passed_over() {
        let ports = ports(23_510, 10);
        let _held = std::net::UdpSocket::bind(("127.0.0.1", 23_511)).unwrap();
        assert_eq!(ports.take(Timestamp(1)).unwrap().port(), 23_512);
        assert!(ports.take(Timestamp(1)).is_none());
    }

    #[test]
    fn what_came_for_the_last_leg_is_not_there_for_the_next() {
        let ports = ports(23_520, 0);
        let pair = ports.take(Timestamp(1)).unwrap();
        let address = pair.socket(SocketKind::Rtp).local_addr().unwrap();
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"late", address).unwrap();
        ports.give_back(Timestamp(1), pair);
        let pair = ports.take(Timestamp(1)).unwrap();
        assert_eq!(pair.port(), address.port());
        assert!(pair.socket(SocketKind::Rtp).recv_from(&mut [0; 8]).is_err());
    }
}
