//! Where an upstream over HTTP is, and what it is shown.

use crate::credentials::Credentials;
use crate::sign_in::SignIn;
use crate::tls::Client;
use hyper::header::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

/// Where an upstream is, and how it is spoken to.
pub(crate) struct Site {
    /// `host:port` to connect to.
    pub(crate) address: (String, u16),
    /// The `Host` header.
    pub(crate) host: HeaderValue,
    /// Path and query.
    pub(crate) path: String,
    /// TLS, and the name that the certificate must bear.
    pub(crate) tls: Option<(Client, rustls::pki_types::ServerName<'static>)>,
    /// Headers that the configuration adds; secret values are marked sensitive.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What it is shown of who calls; none if nothing but `headers`.
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// How it is signed in to, in the name of who calls.
    pub(crate) sign_in: Option<Arc<SignIn>>,
    /// How long the first byte of an answer may take.
    pub(crate) timeout: Duration,
    /// The largest message or event, in bytes.
    pub(crate) most: usize,
}

impl Site {
    /// The place without a query, which may have a secret.
    pub(super) fn place(&self) -> String {
        let ((host, port), path) = (&self.address, self.path.split('?').next());
        format!("{host}:{port}{}", path.unwrap_or_default())
    }

    /// The whole URL of a path there, without a query.
    pub(super) fn url_of(&self, path: &str) -> String {
        let scheme = self.tls.as_ref().map_or("http", |_| "https");
        let host = self.host.to_str().unwrap_or_default();
        format!("{scheme}://{host}{path}")
    }
}
