//! Where alerts go.

use super::trust::Trust;
use super::url::HttpUrl;
use portcullis_core::alert::Wanted;
use portcullis_core::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// A destination of alerts.
#[derive(Debug)]
pub(crate) struct Alerts {
    pub(crate) to: AlertsTo,
    pub(crate) wanted: Wanted,
    /// An alert that is so old is not sent any more.
    pub(crate) give_up_after: Duration,
}

/// What kind it is.
#[derive(Debug)]
pub(crate) enum AlertsTo {
    /// By POST.
    Webhook {
        url: HttpUrl,
        /// The key of the signature; 24 bytes or more.
        secret: Secret<Vec<u8>>,
        trust: Box<Trust>,
    },
    /// By syslog.
    Syslog {
        by: SyslogBy,
        /// Without brackets.
        host: String,
        port: u16,
    },
    /// To the end of a file.
    File(PathBuf),
    /// To standard output.
    Stdout,
}

/// What carries syslog.
#[derive(Debug)]
pub(crate) enum SyslogBy {
    Tls(Box<Trust>),
    /// On loopback.
    Tcp,
    /// On loopback.
    Udp,
}

impl Alerts {
    /// Whom connections to it trust; none if it shows no certificate.
    pub(crate) fn trust(&self) -> Option<&Trust> {
        match &self.to {
            AlertsTo::Webhook { trust, .. }
            | AlertsTo::Syslog {
                by: SyslogBy::Tls(trust),
                ..
            } => Some(trust),
            AlertsTo::Syslog { .. } | AlertsTo::File(_) | AlertsTo::Stdout => None,
        }
    }
}
