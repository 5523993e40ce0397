//! Who of a configuration's callers belongs to whom, and whose the servers are.

use crate::config::Checked;
use portcullis_core::authenticate::{ClaimPath, Membership};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tenants whose callers a server is for.
pub(super) fn tenants_of(checked: &Checked, server: &str) -> Vec<Arc<str>> {
    let named = checked.tenants.iter();
    let named = named.filter(|(_, tenant)| tenant.servers.contains(server));
    named.map(|(name, _)| name.as_str().into()).collect()
}

/// To whom the callers of an issuer belong.
pub(super) fn membership(checked: &Checked, issuer: &str) -> Membership {
    let mut texts = BTreeMap::new();
    let mut claim = None;
    for (name, tenant) in &checked.tenants {
        if tenant.issuers.contains(issuer) {
            return Membership::All(name.as_str().into());
        }
        if let Some((own, text)) = tenant.members.get(issuer) {
            claim = Some(own);
            texts.insert(text.clone(), name.as_str().into());
        }
    }
    let Some(claim) = claim else {
        return Membership::Nobody;
    };
    let names = if claim.contains("://") {
        vec![claim.clone()]
    } else {
        claim.split('.').map(str::to_owned).collect()
    };
    Membership::By {
        claim: ClaimPath::new(names),
        tenants: texts,
    }
}
