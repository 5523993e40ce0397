//! The servers that need their user's consent: from their configuration to what signs in to them.

use super::Workshop;
use super::upstreams::client_for;
use crate::config::{self, Checked, HttpUrl};
use crate::egress::Egress;
use crate::sign_in::{Registered, SignIn};
use crate::tls;
use anyhow::Context as _;
use portcullis_core::egress::Target;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type SignInsByName = BTreeMap<Arc<str>, Arc<SignIn>>;

pub(super) fn sign_ins(
    checked: &Checked,
    (workshop, egress): (&Workshop<'_>, &Arc<Egress>),
) -> anyhow::Result<SignInsByName> {
    let mut all = SignInsByName::new();
    for (name, server) in &checked.servers {
        if let (Some(wanted), config::Upstream::Http(http)) = (&server.sign_in, &server.upstream) {
            let name: Arc<str> = name.as_str().into();
            let tls = client(&name, http, workshop).with_context(|| format!("server {name}"))?;
            let target = Target::parse(&http.url.to_string());
            let sign_in = SignIn {
                server: Arc::clone(&name),
                url: http.url.clone(),
                target: target.with_context(|| format!("server {name}: url"))?,
                public: checked.gateway.public_url.clone(),
                client: wanted.client.as_ref().map(registered),
                document: wanted.document.clone(),
                may_register: wanted.may_register,
                may_assume: wanted.may_assume,
                scopes: wanted.scopes.iter().cloned().collect(),
                tls,
                egress: Arc::clone(egress),
                shared: Arc::clone(workshop.sign_ins),
            };
            all.insert(name, Arc::new(sign_in));
        }
    }
    Ok(all)
}

/// Pins and a certificate of ours are for the server itself, not for its authorization server.
fn client(
    name: &Arc<str>,
    http: &config::Http,
    workshop: &Workshop<'_>,
) -> Result<Option<tls::Client>, tls::BadTls> {
    let trust = config::Trust {
        ca: http.trust.ca.clone(),
        ..config::Trust::default()
    };
    let peer = tls::Peer::Server(Arc::clone(name));
    match client_for(true, &trust, peer, workshop.report) {
        // A machine without roots can still reach what is on loopback.
        Err(tls::BadTls::NoRoots) if !is_https(&http.url) => Ok(None),
        made => made,
    }
}

const fn is_https(url: &HttpUrl) -> bool {
    url.is_https()
}

fn registered(client: &config::RegisteredClient) -> Registered {
    let (issuer, name) = client.issuer.clone();
    Registered {
        issuer,
        name,
        id: client.id.clone(),
        secret: client.secret.clone(),
    }
}
