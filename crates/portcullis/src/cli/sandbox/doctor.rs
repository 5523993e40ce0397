//! `portcullis sandbox doctor`: what this machine offers for walls. What counts is tried, not looked up.

use super::{Ending, out};
use crate::config::{Named, Profile, Sandbox};
use crate::confining::{confinement, rehearse};
use clap::Args;
use portcullis_sandbox::{Confinement, Network, SANDBOX_UID, Walls, landlock_abi};
use rustix::process::geteuid;
use std::path::Path;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 servers can be confined, 1 they cannot: such a server is not started then, 2 wrong usage."
)]
pub(super) struct Doctor {}

/// Something that was tried.
struct Finding {
    what: &'static str,
    missing: Option<String>,
    without: &'static str,
}

impl Doctor {
    pub(super) fn run(self) -> Ending {
        let Self {} = self;
        let all = tried(Walls::All, Network::None);
        let findings = [
            Finding {
                what: "namespaces and the filter of system calls",
                missing: tried(Walls::Namespaces, Network::None),
                without: "allow user namespaces (sysctl user.max_user_namespaces; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0 \
                          or a profile for portcullis); inside a container, its filter must allow unshare and mount",
            },
            Finding {
                what: "Landlock",
                missing: tried(Walls::Landlock, Network::None),
                without: "Linux 5.13 or later with landlock in `lsm=`",
            },
            Finding {
                what: "ports (profile `network`)",
                missing: tried(Walls::All, Network::Ports(vec![443])),
                without: "Linux 6.12 or later (Landlock ABI 6)",
            },
        ];
        let mut lines = vec![who(), abi()];
        for Finding {
            what,
            missing,
            without,
        } in findings
        {
            match missing {
                None => lines.push(format!("ok       {what}")),
                Some(why) => lines.extend([
                    format!("missing  {what}: {why}"),
                    format!("         needs {without}"),
                ]),
            }
        }
        let ending = if all.is_none() {
            Ending::Good
        } else {
            Ending::Bad
        };
        lines.push(match all {
            None => "Servers can be confined here.".to_owned(),
            Some(_) => {
                "Servers cannot be confined here; one with a table `sandbox` is not started."
                    .to_owned()
            }
        });
        out::print(&(lines.join("\n") + "\n"));
        ending
    }
}

/// Why it cannot be built, if it cannot.
fn tried(walls: Walls, network: Network) -> Option<String> {
    let usual = Sandbox {
        profile: Profile::Pure,
        named: Named::default(),
        memory_bytes: Profile::Pure.memory_mib() << 20,
        processes: Profile::Pure.processes(),
        scratch_bytes: 1 << 20,
    };
    let wanted = Confinement {
        walls,
        network,
        ..confinement(&usual, Path::new("true"))
    };
    rehearse(&wanted).err().map(|error| format!("{error:#}"))
}

fn who() -> String {
    let user = geteuid();
    if user.is_root() {
        format!(
            "as root  servers are user {SANDBOX_UID} of this machine: files that are named must let it"
        )
    } else {
        format!(
            "as user  {}: so are servers, behind their walls",
            user.as_raw()
        )
    }
}

fn abi() -> String {
    match landlock_abi() {
        None => "Landlock is not there".to_owned(),
        Some(abi) => {
            let more = match abi {
                0..=3 => "files only; ports may be named from 6 on",
                4..=5 => {
                    "files and ports; ports may be named from 6 on, with abstract sockets and signals"
                }
                6.. => "files, ports, abstract sockets and signals",
            };
            format!("Landlock is of ABI {abi}: {more}")
        }
    }
}
