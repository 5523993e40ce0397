//! The authorization server that clients see: from its configuration to what answers.

use super::credentials::identification;
use super::upstreams::client_for;
use super::{Workshop, issuer_name, own_issuer, scopes};
use crate::authority::{AtEnterprise, Authority, Documents, Relying};
use crate::config::{self, Checked, HttpUrl};
use crate::egress::Egress;
use crate::tls::{BadTls, Peer};
use anyhow::Context as _;
use portcullis_authority::client::{Client, GrantType};
use portcullis_authority::grant::{CLIENTS, PROVIDER};
use portcullis_authority::metadata::{Offer, document};
use portcullis_core::authenticate::{Claims, Vouching};
use std::collections::{BTreeMap, BTreeSet};
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
    let grants = grants(configured);
    let offer = Offer {
        issuer: &issuer,
        base: issuer.trim_end_matches('/'),
        scopes: &scopes,
        registers: configured.registration.is_some(),
        takes_documents: configured.documents.is_some(),
        grants: &grants,
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
        grouped_sign_ins: configured.grouped_sign_ins.min(configured.sign_ins),
        redirects: configured.redirects.clone(),
        clients: clients
            .map(|client| (client.id.clone(), Arc::clone(client)))
            .collect(),
        documents: documents.transpose()?,
        registration: configured.registration.clone(),
        enterprises: enterprises(checked, configured)?,
        remembered: configured.consents,
        words: configured.scopes.clone(),
        issuer,
    })))
}

/// What our own tokens say. The users of a provider are the provider's, and nobody else vouches for any.
pub(super) fn own_claims(checked: &Checked) -> Claims {
    let configured = checked.authority.as_ref();
    let relying = configured.and_then(|configured| configured.sign_in.as_ref());
    let signs_in = relying.map(|relying| &relying.provider);
    let asserts = configured.map(|configured| configured.assertions.keys());
    let named = |name: &String| Some(issuer_name(checked, checked.issuers.get(name)?));
    let mut by: BTreeSet<String> = signs_in
        .into_iter()
        .chain(asserts.into_iter().flatten())
        .filter_map(named)
        .collect();
    if signs_in.is_none() {
        by.insert(own_issuer(checked));
    }
    if configured.is_some_and(|configured| grants(configured).contains(&GrantType::Client)) {
        by.insert(CLIENTS.to_owned());
    }
    Claims {
        provider: Some(Vouching {
            claim: PROVIDER.to_owned(),
            by,
        }),
        ..Claims::default()
    }
}

/// What some client may have beside the code flow.
fn grants(configured: &config::Authority) -> Vec<GrantType> {
    let is_had = |grant: &GrantType| {
        let has = |client: &Arc<Client>| client.grants.contains(grant);
        let is_asserted = *grant == GrantType::Assertion && !configured.assertions.is_empty();
        let is_free = GrantType::OF_DOCUMENTS.contains(grant);
        is_asserted
            || configured.clients.iter().any(has)
            || (is_free && configured.documents.is_some())
    };
    GrantType::ALL.into_iter().filter(is_had).collect()
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
        claims: kept(external),
        domains: configured.domains.iter().cloned().collect(),
        redirect: checked.gateway.public_url.below("/account/callback"),
        tls: client_for(written.is_https(), &external.trust, peer, workshop.report)?,
        egress: Arc::clone(egress),
        lease: workshop.lease(checked, "authority.sign_in"),
        known: Mutex::default(),
        written,
    })
}

/// The claims that are kept of a user of this provider.
fn kept(external: &config::External) -> Vec<String> {
    let declared = external.claims.declared.iter();
    let declared = declared.filter_map(|one| match one.path.names() {
        [name] => Some(name.clone()),
        _ => None,
    });
    let scim = external.scim.as_ref().and_then(|scim| scim.claim.clone());
    let claims = CLAIMS.into_iter().map(str::to_owned);
    claims.chain(declared).chain(scim).collect()
}

/// Providers whose assertions count, by `iss`.
fn enterprises(
    checked: &Checked,
    configured: &config::Authority,
) -> anyhow::Result<BTreeMap<String, AtEnterprise>> {
    let mut enterprises = BTreeMap::new();
    for (name, clients) in &configured.assertions {
        let Some(config::Issuer::External(external)) = checked.issuers.get(name) else {
            anyhow::bail!("authority.assertions.{name} is not an issuer");
        };
        let enterprise = AtEnterprise {
            clients: clients.clone(),
            subject: config::Relying::subject(external),
            claims: kept(external),
        };
        enterprises.insert(external.issuer.clone(), enterprise);
    }
    Ok(enterprises)
}

fn own_lifetime(checked: &Checked) -> Duration {
    let issuers = checked.issuers.values();
    let lives = issuers.filter_map(|issuer| match issuer {
        config::Issuer::Embedded { max_lifetime } => Some(*max_lifetime),
        config::Issuer::External(_) => None,
    });
    lives.min().unwrap_or_default()
}
