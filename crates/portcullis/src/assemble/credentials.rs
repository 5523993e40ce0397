//! What each server is shown of whoever calls: from its configuration to what makes it.

use super::Workshop;
use crate::config::{self, Checked, CredentialKind};
use crate::credentials::{Credentials, Kind, Signers, jwks};
use bytes::Bytes;
use portcullis_core::credentials::{Assertion, Scopes};
use std::sync::Arc;

/// Who signs what servers are told: not the embedded issuer, whose tokens open us.
fn signing_issuer(own: &str) -> String {
    format!("{}/credentials", own.trim_end_matches('/'))
}

pub(super) fn credentials(
    name: &Arc<str>,
    server: &config::Server,
    (workshop, own): (&Workshop<'_>, &str),
) -> Option<Credentials> {
    let configured = server.credentials.as_ref()?;
    let tools = server.tools.iter().map(|(tool, rules)| {
        let own = rules.upstream_scopes.iter().map(String::as_str);
        (tool.clone(), own.collect())
    });
    let kind = match &configured.kind {
        CredentialKind::Assertion { lifetime, subject } => {
            let assertion = Assertion {
                issuer: signing_issuer(own).into(),
                audience: configured.audience.as_str().into(),
                actor: own.into(),
                lifetime: *lifetime,
                subject: *subject,
            };
            Kind::Assertion(assertion, Arc::clone(&workshop.signers.assertions))
        }
    };
    Some(Credentials {
        server: Arc::clone(name),
        scopes: Scopes::new(configured.scopes.iter().map(String::as_str), tools),
        kind,
        report: workshop.report.clone(),
    })
}

/// The keys that servers verify tokens with, if there is one that gets any.
pub(super) fn published(checked: &Checked, signers: &Signers) -> Option<Bytes> {
    let is_signed = |server: &config::Server| match &server.credentials {
        None => false,
        Some(credentials) => match credentials.kind {
            CredentialKind::Assertion { .. } => true,
        },
    };
    let mut servers = checked.servers.values();
    let is_any = servers.any(is_signed);
    is_any.then(|| jwks([&*signers.assertions]).into())
}
