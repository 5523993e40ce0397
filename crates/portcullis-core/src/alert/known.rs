//! What is an alert without being asked for.

use super::{Occurrence, Severity};
use crate::misuse::Rule;

/// Events that are alerts, with a title. Those of misuse have the rule as their id.
pub const KNOWN: &[(&str, Severity, &str)] = &[
    (
        "exfil.budget_exceeded",
        Severity::High,
        "A principal moves more than its budget",
    ),
    (
        "oauth.refresh_reuse",
        Severity::High,
        "A refresh token was used twice",
    ),
    (
        "oauth.iss_mismatch",
        Severity::High,
        "An authorization server answered in place of another",
    ),
    (
        "oauth.metadata_rejected",
        Severity::Medium,
        "The metadata of an authorization server is not what it must be",
    ),
    (
        "session.principal_mismatch",
        Severity::High,
        "A session id was used by somebody else",
    ),
    (
        "handle.principal_mismatch",
        Severity::High,
        "A handle was used by somebody else",
    ),
    (
        "tool.definition_changed",
        Severity::High,
        "A server defines something otherwise than it was approved",
    ),
    ("access.revoked", Severity::Medium, "Access was revoked"),
    (
        "access.review_overdue",
        Severity::Medium,
        "A review of access is overdue",
    ),
    (
        "signal.feed_stale",
        Severity::High,
        "An issuer's security events do not arrive",
    ),
    ("key.unavailable", Severity::High, "A key cannot be used"),
    (
        "key.overdue",
        Severity::Medium,
        "A key is not replaced in time",
    ),
    ("key.rejected", Severity::High, "A new key was not taken up"),
    (
        "secret.unavailable",
        Severity::Medium,
        "A secret cannot be read",
    ),
    (
        "secret.expired",
        Severity::High,
        "A secret could not be read in time, and what needs it has stopped",
    ),
    (
        "tls.pin_mismatch",
        Severity::High,
        "A peer shows a key that is not pinned",
    ),
    (
        "tls.rejected",
        Severity::Medium,
        "A peer's certificate was refused",
    ),
    (
        "tls.expired",
        Severity::High,
        "A certificate, pin or revocation list is out of date",
    ),
    (
        "tls.renewal_failed",
        Severity::Medium,
        "The certificate could not be renewed",
    ),
    (
        "egress.denied",
        Severity::Medium,
        "A peer sent the gateway where none may",
    ),
    (
        "state.unreadable",
        Severity::Critical,
        "The database of revocations cannot be read: nobody is served",
    ),
    (
        "audit.torn_line",
        Severity::Medium,
        "The audit log ended in the middle of a record",
    ),
    (
        "gateway.panic",
        Severity::High,
        "An exchange was ended by a fault in the gateway",
    ),
    (
        "config.rejected",
        Severity::Medium,
        "A new configuration was not taken up",
    ),
    (
        "flood.summarised",
        Severity::Low,
        "More was refused to strangers than is recorded one by one",
    ),
    (
        "alert.failed",
        Severity::Medium,
        "A destination of alerts cannot be reached",
    ),
    ("alert.dropped", Severity::High, "Alerts were not delivered"),
];

const MISUSE: &str = "token.misuse";

/// Whether there may be an alert for it unasked; cheap, as every record is asked.
pub fn is_event(event: &str) -> bool {
    event == MISUSE || KNOWN.iter().any(|(known, ..)| *known == event)
}

pub(super) fn find<'a>(seen: &Occurrence<'a>) -> Option<(&'a str, &'static str, Severity)> {
    if seen.event == MISUSE {
        let rule = Rule::ALL
            .into_iter()
            .find(|rule| Some(rule.name()) == seen.reason)?;
        let (title, severity) = of_rule(rule);
        return Some((seen.reason?, title, severity));
    }
    // What misuse revokes, its own alert has told.
    if seen.event == "access.revoked" && seen.by.is_some_and(|by| by.starts_with("misuse:")) {
        return None;
    }
    let known = KNOWN.iter().find(|(event, ..)| *event == seen.event);
    known.map(|(_, severity, title)| (seen.event, *title, *severity))
}

const fn of_rule(rule: Rule) -> (&'static str, Severity) {
    match rule {
        Rule::TokenNetworks => ("One token from two networks", Severity::High),
        Rule::TokenKeys => ("One token bound to two keys", Severity::High),
        Rule::AudienceProbing => (
            "Tokens are tried at servers for which they are not meant",
            Severity::Medium,
        ),
        Rule::InvalidBurst => ("Many invalid tokens from one network", Severity::Medium),
        Rule::IssuerBurst => ("Many invalid tokens of one issuer", Severity::Medium),
        Rule::UsedAfterRevocation => ("A revoked token is used", Severity::High),
        Rule::ProofReplay => ("A proof of possession was used before", Severity::High),
        Rule::ImpossibleTravel => (
            "One principal at two places, faster than anybody travels",
            Severity::High,
        ),
        Rule::Volume => ("A principal moves more than its budget", Severity::High),
    }
}
