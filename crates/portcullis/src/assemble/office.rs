//! The admin API of a configuration: who is believed there, and who may do what.

use super::issuer_name;
use crate::config::{self, Checked};
use crate::keys::Purpose;
use crate::lifecycle::Home;
use crate::listener::Edge;
use crate::operators::{METADATA, Office};
use anyhow::Context as _;
use portcullis_core::authenticate::Resource;
use portcullis_core::authorize::policy::Who;
use portcullis_core::operate::{Appointment, Operators};
use portcullis_core::quota::{self, Rate};
use portcullis_core::review::Reviewers;
use std::collections::HashMap;
use std::sync::Arc;

/// What a reload replaces of the admin API; nothing if there is none.
pub(super) fn office(checked: &Checked) -> anyhow::Result<Option<Arc<Office>>> {
    let Some(admin) = &checked.admin else {
        return Ok(None);
    };
    let issuers = admin.issuers.iter();
    let issuers = issuers.filter_map(|name| checked.issuers.get(name));
    let appointed: anyhow::Result<Vec<Appointment>> = admin.roles.iter().map(appointment).collect();
    let within = checked.review.as_ref().map(|review| review.within);
    Ok(Some(Arc::new(Office {
        edge: Edge {
            hosts: admin.hosts.iter().cloned().collect(),
            origins: [admin.url.origin()].into(),
        },
        resource: Resource {
            audience: admin.audience.clone(),
            metadata_url: admin.url.below(METADATA),
            issuers: issuers.map(|issuer| issuer_name(checked, issuer)).collect(),
            max_lifetime: admin.max_token_lifetime,
            scopes: admin.scopes.clone(),
            scopes_supported: admin.scopes.clone(),
            url: admin.url.origin(),
            dpop: admin.dpop,
            mtls: admin.mtls,
            needs_nonce: admin.dpop_nonce,
            ..Resource::default()
        },
        operators: Operators {
            appointed: appointed?,
            scopes: admin.scopes.clone(),
        },
        quota: quota(admin.requests_per_minute),
        reviewers: reviewers_of(checked)?.zip(within),
        log: checked.audit.directory.clone(),
        overlaps: Purpose::ALL.map(|purpose| overlap(checked, purpose)).into(),
        home: Home(checked.gateway.data.clone()),
    })))
}

/// Who may start reviews and decide in them, if grants are reviewed.
///
/// # Errors
/// Somebody who is named is nobody.
pub(crate) fn reviewers_of(checked: &Checked) -> anyhow::Result<Option<Reviewers>> {
    let Some(review) = &checked.review else {
        return Ok(None);
    };
    let issuer = checked.issuers.get(&review.issuer);
    let who: anyhow::Result<Vec<Who>> = review.reviewers.iter().map(who_is).collect();
    Ok(Some(Reviewers {
        issuer: issuer_name(checked, issuer.context("no such issuer")?),
        who: who?,
        scopes: review.scopes.clone(),
    }))
}

fn appointment(row: &config::Appointed) -> anyhow::Result<Appointment> {
    Ok(Appointment {
        role: row.role,
        who: who_is(&row.who)?,
        tenant: row.tenant.as_deref().map(Into::into),
    })
}

fn who_is(who: &config::Who) -> anyhow::Result<Who> {
    Ok(who.to_string().parse()?)
}

/// How long what a key has signed counts after it; none for one that is in a token.
fn overlap(checked: &Checked, purpose: Purpose) -> (Purpose, Option<std::time::Duration>) {
    let place = checked.pkcs11.as_ref();
    let in_token = place.and_then(|place| purpose.label(place));
    let overlap = in_token.is_none().then(|| purpose.overlap(checked));
    (purpose, overlap)
}

/// Only requests are counted.
fn quota(per_minute: u32) -> quota::Limits {
    let rate = Rate {
        per_minute: per_minute.into(),
        burst: per_minute.into(),
    };
    quota::Limits {
        requests: rate,
        tool_requests: None,
        per_tool: HashMap::new(),
        concurrency: u32::MAX,
        bytes: Rate {
            per_minute: u64::MAX,
            burst: u64::MAX,
        },
        upstream_concurrency: u32::MAX,
    }
}
