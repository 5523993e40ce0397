//! The authorization server that clients see: from its configuration to what answers.

use super::{Workshop, own_issuer, scopes};
use crate::authority::Authority;
use crate::config::Checked;
use portcullis_authority::metadata::{Offer, document};
use std::sync::Arc;

pub(super) fn authority(checked: &Checked, workshop: &Workshop<'_>) -> Option<Arc<Authority>> {
    let configured = checked.authority.as_ref()?;
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
    Some(Arc::new(Authority {
        document: document(&offer).to_string().into(),
        signer: Arc::clone(&workshop.signers.issuer),
        issuer,
    }))
}
