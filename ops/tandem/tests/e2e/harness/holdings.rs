//! What the system says of a process.

use std::collections::HashSet;

/// What a node may keep of a call that is over: its story and its record, until they are pushed out by newer ones.
const KEPT: u64 = 2_048;

/// By how much the median of resident memory goes up and down without a reason: the allocator takes and gives back pages
/// by the megabyte, and the database's cache is two for each of its connections.
const NOISE: u64 = 8 << 20;

/// What a process holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holdings {
    /// Open files and sockets, but for those of datagrams: a pair of media ports stays bound once it was.
    pub descriptors: usize,
    /// Threads.
    pub threads: u64,
    /// Resident memory in KiB.
    pub resident_kib: u64,
}

impl Holdings {
    /// Of a process that runs.
    pub fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap()
        };
        let datagrams = std::fs::read_to_string(format!("/proc/{pid}/net/udp")).unwrap();
        let datagrams: HashSet<String> = datagrams
            .lines()
            .filter_map(|line| Some(format!("socket:[{}]", line.split_whitespace().nth(9)?)))
            .collect();
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let links = files.filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
        let descriptors = links.filter(|link| !datagrams.contains(link.to_string_lossy().as_ref())).count();
        Self { descriptors, threads: number("Threads:"), resident_kib: number("VmRSS:") }
    }
}

/// That resident memory, in KiB second by second under a steady load, grew in its second half by no more than a node may
/// keep of as many calls: the median of that half's last quarter against that of its first.
pub fn assert_steady(resident_kib: &[u64], calls_per_second: u32) {
    println!("resident KiB: {resident_kib:?}");
    let half = &resident_kib[resident_kib.len() / 2..];
    let quarter = half.len() / 4;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part[part.len() / 2]
    };
    let (earlier, later) = (median(&half[..quarter]), median(&half[half.len() - quarter..]));
    let calls = (half.len() - quarter) as u64 * u64::from(calls_per_second);
    let grown = later.saturating_sub(earlier) * 1_024;
    assert!(grown < KEPT * calls + NOISE, "{grown} bytes more after {calls} calls");
}
