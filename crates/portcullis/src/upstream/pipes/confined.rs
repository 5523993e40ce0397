//! What the log says of the walls around a process.

use super::{Plan, Source};
use crate::upstream::stdio::{Ended, ExitReason};
use crate::upstream::{Notice, Report};
use portcullis_sandbox::{Confinement, EXIT_LAUNCHER, Network};

impl Plan {
    pub(super) fn confinement(&self) -> Option<&Confinement> {
        match &self.source {
            Source::Process(launch) => launch.spec.confinement.as_deref(),
            Source::Link(..) => None,
        }
    }

    /// A process is started behind walls.
    pub(super) fn tell_confined(&self, owner: &str, report: &Report) {
        let Some(confinement) = self.confinement() else {
            return;
        };
        let ports = match &confinement.network {
            Network::None => "none".to_owned(),
            Network::Ports(ports) => ports
                .iter()
                .map(u16::to_string)
                .collect::<Vec<_>>()
                .join(","),
        };
        let write: Vec<_> = confinement
            .write
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        report.tell(&Notice {
            event: "sandbox.started",
            reason: "confined",
            server: Some(&self.server),
            owner: Some(owner),
            detail: &[("ports", &ports), ("write", &write.join(","))],
        });
    }
}

/// A process with walls has ended; if that was because they could not be built, somebody has to know.
pub(super) fn tell_unconfined(ended: &Ended, (server, owner): (&str, &str), report: &Report) {
    if ended.reason == ExitReason::Exited(EXIT_LAUNCHER.into()) {
        report.tell(&Notice {
            event: "sandbox.failed",
            reason: "unbuildable",
            server: Some(server),
            owner: Some(owner),
            detail: &[],
        });
    }
}
