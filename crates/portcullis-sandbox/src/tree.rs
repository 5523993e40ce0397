//! Every process that descends from this one: to signal them, to reap them, and to leave none.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, pidfd_open, pidfd_send_signal, wait,
};

use crate::supervise::now;

/// How long killed processes may take to be gone; one in an uninterruptible wait can take for ever.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks at what is left after a kill.
const BREATH: Duration = Duration::from_millis(2);

/// The descendants of this process, one of which is the server.
#[derive(Debug)]
pub(crate) struct Tree {
    server: Pid,
    status: Option<WaitStatus>,
}

/// Processes are left that could not be killed in time.
#[derive(Debug, thiserror::Error)]
#[error("processes of the server are left that do not die")]
pub(crate) struct Survivors;

/// Whether this process still has children.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Some,
    None,
}

impl Tree {
    pub(crate) fn of(server: Pid) -> Self {
        Self {
            server,
            status: None,
        }
    }

    /// Takes in every process that has ended: the server, and orphans that came to this process.
    pub(crate) fn reap(&mut self) {
        self.reap_left();
    }

    /// Sends `signal` to every descendant that exists now.
    pub(crate) fn signal(signal: Signal) {
        let all = processes();
        for process in descendants(getpid(), &all) {
            // Gone, or gone and its number given away: nothing to signal in either case.
            let Ok(descriptor) = pidfd_open(process.pid, PidfdFlags::empty()) else {
                continue;
            };
            if read(process.pid).is_some_and(|again| again.started == process.started) {
                // It may end in between, or belong to somebody else: `end` sees what is left.
                pidfd_send_signal(descriptor, signal).ok();
            }
        }
    }

    /// Kills and reaps until nothing descends from this process; the exit code is the server's.
    ///
    /// A process that is killed leaves its children to this one, so that what escapes one round is seen in the next.
    pub(crate) fn end(mut self) -> Result<u8, Survivors> {
        let until = now() + KILL_WITHIN;
        while self.reap_left() == Left::Some {
            if now() >= until {
                return Err(Survivors);
            }
            Self::signal(Signal::KILL);
            sleep(BREATH);
        }
        Ok(self.status.map_or(crate::EXIT_LAUNCHER, exit_code))
    }

    fn reap_left(&mut self) -> Left {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.server => self.status = Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Left::Some,
                Err(_) => return Left::None,
            }
        }
    }
}

/// As a shell has it: the code, or 128 and the number of the signal.
pub(crate) fn exit_code(status: WaitStatus) -> u8 {
    let code = status
        .exit_status()
        .or(status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(crate::EXIT_LAUNCHER)
}

/// A line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: Pid,
    parent: i32,
    /// In clock ticks since the machine started; with the number, it names one process only.
    started: u64,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).filter_map(read).collect()
}

fn read(pid: Pid) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    let (parent, started) = parse(&String::from_utf8_lossy(&stat))?;
    Some(Process {
        pid,
        parent,
        started,
    })
}

/// Parent and start of a process, the 4th and the 22nd field (`proc_pid_stat(5)`). The 2nd is the name that the
/// process gave itself, in parentheses, and may contain any of them: what counts begins after the last.
fn parse(stat: &str) -> Option<(i32, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some((parent, started))
}

fn descendants(root: Pid, all: &[Process]) -> Vec<Process> {
    let mut family = BTreeSet::from([root.as_raw_pid()]);
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for process in all {
            if family.contains(&process.parent) && family.insert(process.pid.as_raw_pid()) {
                found.push(*process);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_parent() {
        let tail = "S 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        for name in ["sh", "a b", ") S 1 1 (", "x) R 99"] {
            assert_eq!(
                parse(&format!("12 ({name}) {tail}")),
                Some((7, 4711)),
                "{name}"
            );
        }
        for bad in [
            "",
            "12 (sh",
            "12 (sh) S",
            "12 (sh) S x 1",
            "12 (sh) S 7 1 1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(read(getpid()).is_some());
    }

    #[test]
    fn finds_every_generation_whatever_the_order() {
        let process = |pid, parent| Process {
            pid: Pid::from_raw(pid).unwrap(),
            parent,
            started: 0,
        };
        let all = [
            process(5, 4),
            process(4, 2),
            process(2, 1),
            process(3, 1),
            process(9, 8),
            process(1, 0),
        ];
        let found = descendants(Pid::from_raw(2).unwrap(), &all);
        assert_eq!(found, [process(4, 2), process(5, 4)]);
        assert_eq!(descendants(Pid::from_raw(9).unwrap(), &all), []);
    }
}
