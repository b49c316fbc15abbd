//! What the system and the configuration allow, and what an operator should know of it before the first call.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Config;

/// Open files besides sockets of calls: database, journal, listeners, connections.
const OTHERS: u64 = 1_024;

/// Raises the limit of open files as far as the system lets us, and warns of what will be in the way.
pub(crate) fn check(config: &Config) {
    let wanted = u64::from(config.media.last_port.saturating_sub(config.media.first_port)) + OTHERS;
    let files = raise_open_files();
    if files.is_some_and(|files| files < wanted) {
        warn!(files, wanted, "open files limit the number of calls; raise the hard limit (ulimit -Hn)");
    }
    let ports = config.media.last_port.saturating_sub(config.media.first_port);
    let pairs = usize::from(ports).div_ceil(2);
    let calls = config.calls.max_calls.get();
    if calls > pairs / 2 {
        warn!(calls, pairs, "calls.max_calls is above what the media ports carry: a call takes two pairs");
    }
    let is_open = config.sip.udp.iter().chain(&config.sip.tcp).any(|it| !it.ip().is_loopback());
    if is_open && config.media.address.is_loopback() {
        warn!("media.address is loopback: phones on other machines would hear nothing");
    }
}

/// Soft limit to hard limit. The soft one is low for the sake of programs that use select(2); this one does not.
/// Gives what holds now; `None` is no limit.
fn raise_open_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files cannot be raised");
    }
    getrlimit(Resource::Nofile).current
}
