//! The authorization server that clients see: from its configuration to what answers.

use super::credentials::identification;
use super::upstreams::client_for;
use super::{Workshop, issuer_name, own_issuer, scopes};
use crate::authority::{Authority, Documents, Relying};
use crate::config::{self, Checked, HttpUrl};
use crate::egress::Egress;
use crate::tls::{BadTls, Peer};
use anyhow::Context as _;
use portcullis_authority::grant::PROVIDER;
use portcullis_authority::metadata::{Offer, document};
use portcullis_core::authenticate::{Claims, Vouching};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Claims of ID tokens that are kept of every user.
const CLAIMS: [&str; 2] = ["email", "preferred_username"];

pub(super) fn authority(
    checked: &Checked,
    (workshop, egress): (&Workshop<'_>, &Arc<Egress>),
) -> anyhow::Result<Option<Arc<Authority>>> {
    let Some(configured) = &checked.authority else {
        return Ok(None);
    };
    let issuer = own_issuer(checked);
    let scopes: Vec<String> = scopes::needed(checked.servers.values())
        .into_iter()
        .collect();
    let offer = Offer {
        issuer: &issuer,
        base: issuer.trim_end_matches('/'),
        scopes: &scopes,
        registers: configured.registration.is_some(),
        takes_documents: configured.documents.is_some(),
    };
    let relying = configured.sign_in.as_ref();
    let relying = relying.map(|relying| self::relying(checked, relying, (workshop, egress)));
    let relying = relying.transpose().context("authority.sign_in")?;
    let documents = configured.documents.as_ref();
    let documents = documents.map(|documents| {
        let peer = Peer::Issuer("the documents of clients".to_owned());
        Ok::<_, BadTls>(Documents {
            hosts: documents.hosts.clone(),
            tls: client_for(true, &documents.trust, peer, workshop.report)?,
            egress: Arc::clone(egress),
        })
    });
    let clients = configured.clients.iter();
    Ok(Some(Arc::new(Authority {
        document: document(&offer).to_string().into(),
        signer: Arc::clone(&workshop.signers.issuer),
        public: checked.gateway.public_url.clone(),
        relying: relying.map(Arc::new),
        access_tokens: configured.access_tokens.min(own_lifetime(checked)),
        refresh_tokens: configured.refresh_tokens,
        sign_ins: configured.sign_ins,
        redirects: configured.redirects.clone(),
        clients: clients
            .map(|client| (client.id.clone(), Arc::clone(client)))
            .collect(),
        documents: documents.transpose()?,
        registration: configured.registration,
        remembered: configured.consents,
        words: configured.scopes.clone(),
        issuer,
    })))
}

/// What our own tokens say. The users of the provider are the provider's, and nobody else vouches for any.
pub(super) fn own_claims(checked: &Checked) -> Claims {
    let configured = checked.authority.as_ref();
    let relying = configured.and_then(|configured| configured.sign_in.as_ref());
    let provider = relying.and_then(|relying| checked.issuers.get(&relying.provider));
    let by = provider.map(|provider| issuer_name(checked, provider));
    Claims {
        provider: Some(Vouching {
            claim: PROVIDER.to_owned(),
            by: by.unwrap_or_else(|| own_issuer(checked)),
        }),
        ..Claims::default()
    }
}

fn relying(
    checked: &Checked,
    configured: &config::Relying,
    (workshop, egress): (&Workshop<'_>, &Arc<Egress>),
) -> anyhow::Result<Relying> {
    let provider = checked.issuers.get(&configured.provider);
    let Some(config::Issuer::External(external)) = provider else {
        anyhow::bail!("the provider is not an issuer");
    };
    let written = HttpUrl::parse(&external.issuer)
        .ok()
        .context("the provider's URL")?;
    let scopes = configured.scopes.iter().map(String::as_str);
    let scopes: Vec<&str> = std::iter::once("openid").chain(scopes).collect();
    let declared = external.claims.declared.iter();
    let declared = declared.filter_map(|one| match one.path.names() {
        [name] => Some(name.clone()),
        _ => None,
    });
    let scim = external.scim.as_ref().and_then(|scim| scim.claim.clone());
    let peer = Peer::Issuer(external.issuer.clone());
    Ok(Relying {
        issuer: external.issuer.clone(),
        client: configured.client_id.clone(),
        identification: identification(
            (&configured.client_id, &configured.identification),
            workshop,
        )?,
        scope: scopes.join(" "),
        subject: config::Relying::subject(external),
        claims: CLAIMS
            .into_iter()
            .map(str::to_owned)
            .chain(declared)
            .chain(scim)
            .collect(),
        redirect: checked.gateway.public_url.below("/account/callback"),
        tls: client_for(written.is_https(), &external.trust, peer, workshop.report)?,
        egress: Arc::clone(egress),
        lease: workshop.lease(checked, "authority.sign_in"),
        known: Mutex::default(),
        written,
    })
}

fn own_lifetime(checked: &Checked) -> Duration {
    let issuers = checked.issuers.values();
    let lives = issuers.filter_map(|issuer| match issuer {
        config::Issuer::Embedded { max_lifetime } => Some(*max_lifetime),
        config::Issuer::External(_) => None,
    });
    lives.min().unwrap_or_default()
}
