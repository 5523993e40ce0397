//! What each server is shown of whoever calls: from its configuration to what makes it.

use super::Workshop;
use super::sign_in::SignInsByName;
use super::upstreams::client_for;
use crate::config::{self, AssertionKey, Checked, CredentialKind, Fetched, TokenEndpoint};
use crate::credentials::{
    self, Actor, Credentials, Endpoint, Fetching, Granting, Identification, Kept, Kind, Prover,
};
use crate::egress::Egress;
use crate::keys::Signers;
use crate::relay::Published;
use crate::tls::Peer;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use portcullis_core::authenticate::encode;
use portcullis_core::credentials::{Assertion, Exchange, Jag, Scopes};
use portcullis_core::secret::Secret;
use std::sync::Arc;

/// What is needed beside a server's own configuration.
pub(super) struct Beside<'a> {
    pub(super) workshop: &'a Workshop<'a>,
    /// Our own name.
    pub(super) own: &'a str,
    pub(super) egress: &'a Arc<Egress>,
    /// How servers are signed in to, by name.
    pub(super) sign_ins: &'a SignInsByName,
}

/// Who signs what servers are told: not the embedded issuer, whose tokens open us.
fn signing_issuer(own: &str) -> String {
    format!("{}/credentials", own.trim_end_matches('/'))
}

pub(super) fn credentials(
    name: &Arc<str>,
    server: &config::Server,
    beside: &Beside<'_>,
) -> anyhow::Result<Option<Arc<Credentials>>> {
    let Some(configured) = &server.credentials else {
        return Ok(None);
    };
    let (workshop, own) = (beside.workshop, beside.own);
    let tools = server.tools.iter().map(|(tool, rules)| {
        let own = rules.upstream_scopes.iter().map(String::as_str);
        (tool.clone(), own.collect())
    });
    let audience: Arc<str> = configured.audience.as_str().into();
    let kind = match &configured.kind {
        CredentialKind::Assertion {
            lifetime,
            subject,
            key,
        } => {
            let shared = signing_issuer(own);
            let (issuer, key) = match key {
                AssertionKey::Shared => (shared, Arc::clone(&workshop.signers.assertions)),
                AssertionKey::Own => {
                    let key = workshop.signers.servers.of(name)?;
                    (format!("{shared}/{name}"), key)
                }
            };
            let assertion = Assertion {
                issuer: issuer.into(),
                audience,
                actor: own.into(),
                lifetime: *lifetime,
                subject: *subject,
            };
            Kind::Assertion(assertion, key)
        }
        CredentialKind::Fetched(fetched) => {
            Kind::Fetched(Arc::new(fetching((name, audience), fetched, beside)?))
        }
    };
    Ok(Some(Arc::new(Credentials {
        server: Arc::clone(name),
        scopes: Scopes::new(configured.scopes.iter().map(String::as_str), tools),
        kind,
        inside: Arc::clone(&workshop.aggregate),
        report: workshop.report.clone(),
    })))
}

fn fetching(
    (name, audience): (&Arc<str>, Arc<str>),
    fetched: &Fetched,
    beside: &Beside<'_>,
) -> anyhow::Result<Fetching> {
    let (workshop, own) = (beside.workshop, beside.own);
    let beside_it = if let Some(idp) = &fetched.idp {
        let jag = Jag {
            authority: fetched.at.issuer.clone().unwrap_or_default(),
            resource: fetched.resource.clone().unwrap_or_default(),
            client: fetched.at.client_id.clone(),
            subject: idp.subject,
        };
        let at = endpoint(&idp.at, beside)?;
        credentials::Beside::Grant(Box::new(Granting { jag, at }))
    } else if fetched.actor {
        let actor = Actor {
            issuer: signing_issuer(own),
            name: own.to_owned(),
        };
        credentials::Beside::Actor(actor, Arc::clone(&workshop.signers.assertions))
    } else {
        credentials::Beside::Nothing
    };
    let prover = fetched.is_bound.then(Prover::new).transpose()?;
    Ok(Fetching {
        server: Arc::clone(name),
        report: workshop.report.clone(),
        exchange: Exchange {
            grant: fetched.grant,
            audience,
            resource: fetched.resource.clone(),
            max_age: fetched.max_age,
            bound_to: prover.as_ref().map(|prover| prover.thumbprint().into()),
        },
        prover,
        at: endpoint(&fetched.at, beside)?,
        beside: beside_it,
        tasks: workshop.tasks.clone(),
        kept: Kept::default(),
    })
}

fn endpoint(at: &TokenEndpoint, beside: &Beside<'_>) -> anyhow::Result<Endpoint> {
    let report = beside.workshop.report;
    let peer = Peer::Issuer(at.url.origin());
    Ok(Endpoint {
        url: at.url.clone(),
        audience: at.issuer.clone().unwrap_or_else(|| at.url.to_string()),
        tls: client_for(at.url.is_https(), &at.trust, peer, report)?,
        egress: Arc::clone(beside.egress),
        client: identification((&at.client_id, &at.identification), beside.workshop)?,
    })
}

/// How we are known there under this name.
pub(super) fn identification(
    (client_id, configured): (&str, &config::Identification),
    workshop: &Workshop<'_>,
) -> anyhow::Result<Identification> {
    let id = encode(client_id);
    Ok(match configured {
        config::Identification::Key => {
            let key = Arc::clone(&workshop.signers.client);
            Identification::Key(client_id.to_owned(), key)
        }
        config::Identification::Basic(secret) => {
            let secret = Secret::new(encode(secret.expose()));
            let pair = Secret::new(format!("{id}:{}", secret.expose()));
            let basic = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
            let mut value = HeaderValue::from_str(basic.expose()).context("client_secret")?;
            value.set_sensitive(true);
            Identification::Basic(value)
        }
        config::Identification::Post(secret) => {
            let secret = Secret::new(encode(secret.expose()));
            let fields = format!("client_id={id}&client_secret={}", secret.expose());
            Identification::Post(Secret::new(fields))
        }
    })
}

/// The keys that others verify our word with, where there is anybody who hears it.
pub(super) fn published(checked: &Checked, signers: &Signers) -> anyhow::Result<Published> {
    let (mut is_told, mut is_client) = (false, false);
    for server in checked.servers.values() {
        let kind = server.credentials.as_ref().map(|shown| &shown.kind);
        match kind {
            None => {}
            Some(CredentialKind::Assertion { key, .. }) => is_told |= *key == AssertionKey::Shared,
            Some(CredentialKind::Fetched(fetched)) => {
                is_told |= fetched.actor;
                let is_signed =
                    |at: &TokenEndpoint| matches!(at.identification, config::Identification::Key);
                is_client |= fetched.endpoints().any(is_signed);
            }
        }
    }
    let relying = checked
        .authority
        .as_ref()
        .and_then(|own| own.sign_in.as_ref());
    is_client |=
        relying.is_some_and(|own| matches!(own.identification, config::Identification::Key));
    let own = checked.servers_with_own_key().map(|name| {
        let signer = signers.servers.of(&name)?;
        Ok((name, signer))
    });
    Ok(Published {
        servers: own.collect::<anyhow::Result<_>>()?,
        assertions: is_told.then(|| Arc::clone(&signers.assertions)),
        client: is_client.then(|| Arc::clone(&signers.client)),
    })
}

/// Whether a caller's token has to be at hand for this server.
pub(super) fn exchanges(server: &config::Server) -> bool {
    let kind = server.credentials.as_ref().map(|shown| &shown.kind);
    match kind {
        None | Some(CredentialKind::Assertion { .. }) => false,
        Some(CredentialKind::Fetched(fetched)) => fetched.grant.takes_token(),
    }
}
