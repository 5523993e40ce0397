//! A process as the kernel sees it: what it holds, and whether it is there.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::ErrorKind;

/// The number of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// The memory that is in RAM now, in KiB.
    pub(crate) fn resident_kib(self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that was in RAM since the start, or since it was forgotten, in KiB.
    pub(crate) fn peak_kib(self) -> u64 {
        self.status("VmHWM:")
    }

    /// Lets the peak begin anew (proc(5), `clear_refs`). Only root may, as nobody else may look into a gateway; for
    /// others it stays that of its whole life, which shows no less.
    pub(crate) fn forget_peak(self) {
        if let Err(error) = std::fs::write(format!("/proc/{}/clear_refs", self.0), "5") {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
    }

    /// How many descriptors it has open; for others than root as the kernel counts them (since Linux 6.2).
    pub(crate) fn descriptors(self) -> usize {
        let path = format!("/proc/{}/fd", self.0);
        let count = match std::fs::read_dir(&path) {
            Ok(entries) => entries.count(),
            Err(_) => usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap(),
        };
        assert!(count > 0, "the kernel does not say");
        count
    }

    /// Lets it have no more than so many.
    pub(crate) fn limit_descriptors(self, most: u64) {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most.max(200)),
        };
        let pid = Pid::from_raw(self.0.try_into().unwrap());
        prlimit(pid, Resource::Nofile, limit).unwrap();
    }

    fn status(self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The processes, zombies apart, that have this text among their arguments.
pub(crate) fn marked(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_it = |number: &u32| {
        let arguments = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(text)
    };
    numbers.filter(has_it).collect()
}
