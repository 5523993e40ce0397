//! Which certificate do clients see, where no operator brings one? An ACME server (RFC 8555) is asked for it in time.

mod kept;
mod order;
mod wire;

use crate::clock;
use crate::config::{Acme, Certificate, Checked};
use crate::egress::Egress;
use crate::lifecycle::Home;
use crate::record::note;
use crate::tls::{BadTls, Client, Peer, Shown};
use crate::upstream::Report;
pub(crate) use kept::{Held, held};
use order::order;
use portcullis_audit::{Record, Recorder};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long one certificate may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long nobody is asked after a failure, and at most; servers count failures, and shut out whoever has too many.
const WAIT: Duration = Duration::from_mins(5);
const LONGEST_WAIT: Duration = Duration::from_hours(6);
/// How often the clock is looked at: a machine that slept is late.
const LOOK: Duration = Duration::from_hours(1);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The server, or somebody on the way to it.
    #[error(transparent)]
    Server(#[from] instant_acme::Error),
    /// It offers no way that we have to show that a name is ours.
    #[error("the server does not offer TLS-ALPN-01 for {0}")]
    NoChallenge(String),
    /// It has looked at the names, and does not believe us.
    #[error("the server does not believe that the names are ours: {0}")]
    NotOurs(String),
    /// What it gave is not what was asked for.
    #[error("the certificate is not for our names and key")]
    Other,
    /// What it gave does not hold now.
    #[error("the certificate is not valid now")]
    Invalid,
    #[error("it took too long")]
    Timeout,
    #[error("no key for the answer")]
    Key(#[source] rcgen::Error),
    #[error("what it gave cannot be kept")]
    Disk(#[source] anyhow::Error),
    #[error(transparent)]
    Tls(#[from] BadTls),
}

impl Failed {
    /// The word of the audit log.
    const fn word(&self) -> &'static str {
        match self {
            Self::Server(instant_acme::Error::Api(_)) => "refused",
            Self::Server(_) => "server",
            Self::NoChallenge(_) => "no_challenge",
            Self::NotOurs(_) => "not_believed",
            Self::Other => "other_certificate",
            Self::Invalid => "invalid_certificate",
            Self::Timeout => "timeout",
            Self::Key(_) => "key",
            Self::Disk(_) => "disk",
            Self::Tls(_) => "tls",
        }
    }
}

/// What is wanted, and how the server is reached.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    acme: Arc<Acme>,
    egress: Arc<Egress>,
}

impl Wanted {
    /// `None` if somebody else renews the certificate.
    pub(crate) fn by(checked: &Checked) -> Option<Self> {
        match &checked.gateway.tls.as_ref()?.certificate {
            Certificate::Files { .. } => None,
            Certificate::Acme(acme) => Some(Self {
                acme: Arc::clone(acme),
                egress: Arc::new(Egress::new(&checked.egress)),
            }),
        }
    }
}

/// What the certificate is kept up to date with.
pub(crate) struct Keeping {
    pub(crate) wanted: watch::Receiver<Option<Wanted>>,
    pub(crate) shown: Arc<Shown>,
    pub(crate) home: Home,
    pub(crate) recorder: Recorder,
    pub(crate) report: Report,
    pub(crate) drain: CancellationToken,
}

/// Keeps the certificate up to date until the gateway drains. A configuration that was read again is tried at once.
pub(crate) async fn keep(mut keeping: Keeping) {
    let mut failures = 0;
    loop {
        let wanted = keeping.wanted.borrow_and_update().clone();
        let wait = match &wanted {
            Some(wanted) => due(&keeping.home, &wanted.acme).await.min(LOOK),
            None => LOOK,
        };
        let wait = wait.max(backoff(failures));
        tokio::select! {
            () = keeping.drain.cancelled() => return,
            changed = keeping.wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                failures = 0;
                continue;
            }
            () = sleep(wait) => {}
        }
        let Some(wanted) = wanted else { continue };
        if !due(&keeping.home, &wanted.acme).await.is_zero() {
            continue;
        }
        let renewed = tokio::select! {
            () = keeping.drain.cancelled() => return,
            renewed = timeout(PATIENCE, renew(&wanted, &keeping)) => {
                renewed.unwrap_or(Err(Failed::Timeout))
            }
        };
        failures = match &renewed {
            Ok(_) => 0,
            Err(_) => failures + 1,
        };
        note(&keeping.recorder, record(&wanted.acme, &renewed));
    }
}

/// Gets a certificate, keeps it, and shows it.
async fn renew(wanted: &Wanted, keeping: &Keeping) -> Result<Held, Failed> {
    let Wanted { acme, egress } = wanted;
    let tls = if acme.directory.is_https() {
        let peer = Peer::Acme(acme.directory.host().to_owned());
        Some(Client::new(&acme.trust, peer, &keeping.report)?)
    } else {
        None
    };
    let wire = wire::Wire::new(acme, egress, tls, &keeping.recorder);
    let account = kept::account(&keeping.home, acme, wire).await?;
    let pem = order(&account, &acme.names, &keeping.shown).await?;
    let held = Held::read(pem.expose(), &acme.names)?;
    if !held.holds(clock::now().seconds()) {
        return Err(Failed::Invalid);
    }
    kept::keep(&keeping.home, acme, pem).await?;
    keeping.shown.replace(held.certified());
    Ok(held)
}

/// How long until a new one is wanted; nothing, if there is none.
async fn due(home: &Home, acme: &Arc<Acme>) -> Duration {
    let (home, acme) = (home.clone(), Arc::clone(acme));
    let read = spawn_blocking(move || held(&home, &acme)).await;
    match read {
        Ok(Ok(Some(held))) => {
            let now = clock::now().seconds();
            Duration::from_secs(held.renewal().saturating_sub(now))
        }
        Ok(Ok(None) | Err(_)) | Err(_) => Duration::ZERO,
    }
}

/// How long nobody is asked after so many failures in a row.
fn backoff(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(further) => LONGEST_WAIT.min(WAIT.saturating_mul(1 << further.min(16))),
    }
}

fn record(acme: &Acme, renewed: &Result<Held, Failed>) -> Record {
    let mut record = Record::new(match renewed {
        Ok(_) => "tls.certificate_renewed",
        Err(_) => "tls.renewal_failed",
    });
    record.detail.set("names", acme.names.join(" ").as_str());
    match renewed {
        Ok(held) => {
            tracing::info!(names = ?acme.names, "a new certificate is shown");
            record
                .detail
                .set("until", held.until().to_string().as_str());
        }
        Err(why) => {
            tracing::error!(names = ?acme.names, "no new certificate: {:?}", why.to_string());
            record.reason = Some(why.word().into());
            record.detail.set("acme", acme.directory.host());
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::backoff;
    use std::time::Duration;

    #[test]
    fn rec_03_a_server_that_refuses_is_asked_less_and_less() {
        let minutes: Vec<u64> = (0..9)
            .map(|failures| backoff(failures).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [0, 5, 10, 20, 40, 80, 160, 320, 360]);
        assert_eq!(backoff(u32::MAX), Duration::from_hours(6));
    }
}
