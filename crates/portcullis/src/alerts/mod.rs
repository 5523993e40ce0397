//! Alerts: what the audit log says is told to those who want to know, and what was told is remembered over restarts.
//!
//! Each destination has a reader of the log of its own, so that nothing waits for it but itself, and none holds up
//! another. What it has not taken yet stays in the log, and is read again by the next process.

mod place;
mod reader;
mod finding;
mod follow;
mod webhook;
mod syslog;
mod lines;

use crate::config::{self, Alerts as Written, AlertsTo, Checked, SyslogBy};
use crate::egress::Site;
use crate::lifecycle::Running;
use crate::relay::Gateway;
use crate::secrets::{Lease, Leases};
use crate::tls::{Client, Peer};
use crate::upstream::Report;
use anyhow::Context as _;
use finding::Due;
use lines::Lines;
use place::Mark;
use portcullis_core::alert::Wanted;
use reader::Reader;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use syslog::{Carrier, Syslog};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use webhook::Webhook;

/// Who is told.
pub(crate) struct Destination {
    name: String,
    to: To,
    wanted: Wanted,
    give_up_after: Duration,
    lease: Lease,
    /// Tells whether anything about it has changed, secrets included, without keeping any.
    fingerprint: [u8; 32],
}

enum To {
    Webhook(Webhook),
    Syslog(Syslog),
    Lines(Lines),
}

/// Why an alert did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Undelivered {
    #[error("cannot be reached")]
    Unreachable,
    #[error("answered with a status that is no success")]
    Status,
    #[error("cannot be written")]
    Unwritable,
    #[error("a secret that it needs could not be read in time")]
    Secret,
}

impl Undelivered {
    const fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::Unwritable => "unwritable",
            Self::Secret => "secret",
        }
    }
}

impl Destination {
    async fn send(&self, due: &Due) -> Result<(), Undelivered> {
        if !self.lease.holds() {
            return Err(Undelivered::Secret);
        }
        match &self.to {
            To::Webhook(webhook) => webhook.send(due).await,
            To::Syslog(syslog) => syslog.send(due).await,
            To::Lines(lines) => lines.send(due).await,
        }
    }
}

/// All that are configured.
pub(crate) fn destinations(
    checked: &Checked,
    leases: &Leases,
    report: &Report,
) -> anyhow::Result<Vec<Destination>> {
    let of = |(name, written): (&String, &Written)| {
        let lease = leases.of(&format!("alerts.{name}"), &checked.borrowing);
        let to = to(checked, (name, &written.to), report);
        Ok(Destination {
            to: to.with_context(|| format!("alerts.{name}"))?,
            name: name.clone(),
            wanted: written.wanted.clone(),
            give_up_after: written.give_up_after,
            fingerprint: fingerprint(written, &lease),
            lease,
        })
    };
    checked.alerts.iter().map(of).collect()
}

/// Tells them from now on.
///
/// # Errors
/// One cannot be told as it is configured, or it cannot be remembered what it was told.
pub(crate) async fn begin(checked: &Checked, running: &Running) -> anyhow::Result<()> {
    let told = destinations(checked, &running.leases, &running.report)?;
    running.alerts.replace(told).await
}

fn to(checked: &Checked, (name, to): (&str, &AlertsTo), report: &Report) -> anyhow::Result<To> {
    let client = |trust: &config::Trust| Client::new(trust, Peer::Alerts(name.to_owned()), report);
    Ok(match to {
        AlertsTo::Webhook { url, secret, trust } => To::Webhook(Webhook {
            tls: url.is_https().then(|| client(trust)).transpose()?,
            site: Site::Written(url.clone()),
            secret: secret.clone(),
        }),
        AlertsTo::Syslog { by, host, port } => To::Syslog(Syslog {
            by: match by {
                SyslogBy::Tls(trust) => Carrier::Tls(client(trust)?),
                SyslogBy::Tcp => Carrier::Tcp,
                SyslogBy::Udp => Carrier::Udp,
            },
            host: host.clone(),
            port: *port,
            own: checked.gateway.public_url.host().to_owned(),
        }),
        AlertsTo::File(path) => To::Lines(Lines::file(path.clone())),
        AlertsTo::Stdout => To::Lines(Lines::stdout()),
    })
}

fn fingerprint(written: &Written, lease: &Lease) -> [u8; 32] {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    hash.update(format!("{written:?}").as_bytes());
    hash.update(&[u8::from(lease.is_bound())]);
    if let AlertsTo::Webhook { secret, .. } = &written.to {
        hash.update(secret.expose());
    }
    if let Some(client) = written.trust().and_then(|trust| trust.client.as_ref()) {
        hash.update(client.key.expose().as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}

/// Whoever is told at this moment.
pub(crate) struct Alerts {
    gateway: Arc<Gateway>,
    /// The audit log.
    log: PathBuf,
    /// Where it is remembered how far each has been told.
    marks: PathBuf,
    following: Mutex<BTreeMap<String, Following>>,
}

struct Following {
    fingerprint: [u8; 32],
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alerts(..)")
    }
}

impl Alerts {
    pub(crate) fn of(gateway: &Arc<Gateway>, checked: &Checked) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            log: checked.audit.directory.clone(),
            marks: checked.gateway.data.join("alerts"),
            following: Mutex::default(),
        }
    }

    /// Tells these from now on, and no others. Who was not told before begins at the end of the log.
    ///
    /// # Errors
    /// If it cannot be remembered how far one was told.
    pub(crate) async fn replace(&self, destinations: Vec<Destination>) -> anyhow::Result<()> {
        let mut following = self.following.lock().await;
        let is_same = |name: &String, one: &Following| {
            let mut new = destinations.iter();
            new.any(|new| new.name == *name && new.fingerprint == one.fingerprint)
        };
        let gone: Vec<Following> = following
            .extract_if(.., |name, one| !is_same(name, one))
            .map(|(_, one)| one)
            .collect();
        for one in gone {
            one.stop.cancel();
            // Two that write down the same would undo each other.
            if let Err(error) = one.ended.await {
                tracing::error!(%error, "a destination of alerts ended badly");
            }
        }
        for destination in destinations {
            if following.contains_key(&destination.name) {
                continue;
            }
            let mark = Mark::at(&self.marks, &destination.name);
            let (log, wanted) = (self.log.clone(), destination.wanted.clone());
            let opened = spawn_blocking(move || Reader::open(log, mark, wanted)).await?;
            let reader = opened.with_context(|| format!("alerts.{}", destination.name))?;
            let stop = self.gateway.drain.child_token();
            let (name, fingerprint) = (destination.name.clone(), destination.fingerprint);
            let follow =
                follow::follow(Arc::clone(&self.gateway), destination, reader, stop.clone());
            let one = Following {
                fingerprint,
                stop,
                ended: self.gateway.tasks.spawn(follow),
            };
            following.insert(name, one);
        }
        Ok(())
    }
}
