//! What an exchange's trail says beside the fields of its record.

use portcullis_audit::Record;
use portcullis_core::catalog::schemas::Unfit;
use portcullis_core::pipeline::Trail;

pub(crate) fn of_trail(record: &mut Record, trail: &Trail) {
    if trail.context_changed {
        record.detail.set("session_context", "changed");
    }
    if let Some(approval) = &trail.approval {
        record.detail.set("approval", approval.as_str());
    }
    if let Some(review) = &trail.review {
        record.detail.set("review", review.as_str());
    }
    if let Some(hint) = trail.hint {
        record.detail.set("hint", hint);
    }
    if let Some(definition) = &trail.definition {
        record
            .detail
            .set("definition", definition.to_string().as_str());
    }
    if let Some(unfit) = &trail.unfit {
        of_unfit(record, unfit);
    }
    for (name, fact) in &trail.looked_at {
        record.detail.set(name, fact.as_str());
    }
    let principal = trail.principal.as_ref();
    if let Some(principal) = principal.filter(|principal| principal.provider.is_some()) {
        // The record names whoever vouches; `jti` is one of who has made the token.
        record.detail.set("token_iss", principal.issuer.as_str());
    }
    if principal.is_some_and(|principal| principal.has_unknown_groups) {
        record.detail.set("groups", "unknown");
    }
    let claimed = trail.claimed.as_ref();
    if let Some(issuer) = claimed.and_then(|claimed| claimed.issuer.as_deref()) {
        record.detail.set("claimed_issuer", issuer);
    }
    if let Some(server) = trail.issued_for.as_deref() {
        record.detail.set("issued_for", server);
    }
    if let Some(key) = claimed.and_then(|claimed| claimed.key.as_deref()) {
        record.detail.set("claimed_kid", key);
    }
}

/// Where something does not fit its schema, and which keyword says so.
pub(crate) fn of_unfit(record: &mut Record, unfit: &Unfit) {
    if let Some(place) = unfit.place() {
        record.detail.set("pointer", place);
    }
    if let Some(keyword) = unfit.keyword() {
        record.detail.set("keyword", keyword);
    }
}
