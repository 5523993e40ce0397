//! Who may tell us by itself what has happened.

use super::Workshop;
use crate::config::{Checked, Issuer};
use crate::relay::{Directory, Receiving};
use portcullis_core::signals::Receiver;
use std::collections::HashMap;

/// By the issuers' names in the file, which are parts of the paths.
pub(super) fn receivers(checked: &Checked, workshop: &Workshop<'_>) -> HashMap<String, Receiving> {
    let told = |name: &str, issuer: &Issuer| match issuer {
        Issuer::Embedded { .. } => None,
        Issuer::External(external) => {
            let signals = external.signals.as_ref()?;
            Some(Receiving {
                receiver: Receiver {
                    issuer: external.issuer.clone(),
                    audience: signals.audience.clone(),
                },
                bearer: signals.bearer.clone(),
                is_by_subject: external.claims.subject == "sub",
                lease: workshop.lease(checked, &format!("issuers.{name}")),
            })
        }
    };
    let issuers = checked.issuers.iter();
    issuers
        .filter_map(|(name, issuer)| Some((name.clone(), told(name, issuer)?)))
        .collect()
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
