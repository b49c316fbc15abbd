//! What the system says of a process.

use std::collections::HashSet;

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
