//! What the system says of a process.

/// What a process holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holdings {
    /// Open files and sockets.
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
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        Self { descriptors, threads: number("Threads:"), resident_kib: number("VmRSS:") }
    }
}
