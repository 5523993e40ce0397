//! Who may tell us by itself what has happened.

use super::Workshop;
use super::upstreams::client_for;
use crate::config::{Checked, External, Issuer, Poll};
use crate::egress::Site;
use crate::relay::{Directory, Feed, OnStale, Receiving};
use crate::tls::Peer;
use anyhow::Context as _;
use hyper::header::HeaderValue;
use portcullis_core::secret::Secret;
use portcullis_core::signals::Receiver;
use std::collections::HashMap;

/// By the issuers' names in the file, which are parts of the paths.
pub(super) fn receivers(
    checked: &Checked,
    workshop: &Workshop<'_>,
) -> anyhow::Result<HashMap<String, Receiving>> {
    let mut receivers = HashMap::new();
    for (name, issuer) in &checked.issuers {
        let Issuer::External(external) = issuer else {
            continue;
        };
        let Some(signals) = &external.signals else {
            continue;
        };
        let poll = signals.poll.as_ref();
        let receiving = Receiving {
            receiver: Receiver {
                issuer: external.issuer.clone(),
                audience: signals.audience.clone(),
                topics: external
                    .claims
                    .declared
                    .iter()
                    .filter_map(|claim| claim.pushed)
                    .collect(),
            },
            bearer: signals.bearer.clone(),
            is_by_subject: external.claims.subject == "sub",
            feed: poll
                .map(|poll| feed(external, poll, workshop))
                .transpose()?,
            lease: workshop.lease(checked, &format!("issuers.{name}")),
        };
        receivers.insert(name.clone(), receiving);
    }
    Ok(receivers)
}

fn feed(external: &External, poll: &Poll, workshop: &Workshop<'_>) -> anyhow::Result<Feed> {
    let bearer = Secret::new(format!("Bearer {}", poll.bearer.expose()));
    let mut authorization = HeaderValue::from_str(bearer.expose()).context("signals.poll")?;
    authorization.set_sensitive(true);
    let peer = Peer::Issuer(external.issuer.clone());
    let is_https = poll.url.is_https();
    Ok(Feed {
        site: Site::Written(poll.url.clone()),
        authorization,
        tls: client_for(is_https, &external.trust, peer, workshop.report)?,
        stale_after: poll.stale_after,
        on_stale: if poll.denies {
            OnStale::Deny
        } else {
            OnStale::Record
        },
    })
}

/// Whose directories tell of users, by the same names.
pub(super) fn directories(
    checked: &Checked,
    workshop: &Workshop<'_>,
) -> HashMap<String, Directory> {
    let told = |name: &str, issuer: &Issuer| match issuer {
        Issuer::Embedded { .. } => None,
        Issuer::External(external) => {
            let scim = external.scim.as_ref()?;
            let public = &checked.gateway.public_url;
            Some(Directory {
                issuer: external.issuer.clone(),
                base: public.below(&format!("/scim/{name}/v2")),
                bearer: scim.bearer.clone(),
                lease: workshop.lease(checked, &format!("issuers.{name}")),
                by: scim.attribute,
                claim: scim
                    .claim
                    .clone()
                    .filter(|claim| *claim != external.claims.subject),
            })
        }
    };
    let issuers = checked.issuers.iter();
    issuers
        .filter_map(|(name, issuer)| Some((name.clone(), told(name, issuer)?)))
        .collect()
}
