//! Which events take access away (OpenID CAEP 1.0, RISC 1.0), and from whom (RFC 9493).

use super::{Effect, Receiver, Subject, Unheard, named};
use crate::authenticate::{Topic, moment};
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// What an event means for access.
#[derive(Clone, Copy)]
enum Meaning {
    Nothing,
    Ends,
    /// It ends access unless this member of the event has one of these values.
    EndsUnless(&'static str, &'static [&'static str]),
    Disables,
    Enables,
}

use Meaning::{Disables, Enables, Ends, EndsUnless, Nothing};

/// The longest level, in bytes: it also stands in records.
const MAX_LEVEL_BYTES: usize = 256;

const PREFIX: &str = "https://schemas.openid.net/secevent/";

/// Every type that is known, without the prefix, and the word for it.
const KNOWN: &[(&str, &str, Meaning)] = &[
    ("caep/event-type/session-revoked", "session-revoked", Ends),
    (
        "caep/event-type/token-claims-change",
        "token-claims-change",
        Ends,
    ),
    (
        "caep/event-type/credential-change",
        "credential-change",
        Ends,
    ),
    (
        "caep/event-type/assurance-level-change",
        "assurance-level-change",
        EndsUnless("change_direction", &["increase"]),
    ),
    (
        "caep/event-type/device-compliance-change",
        "device-compliance-change",
        EndsUnless("current_status", &["compliant"]),
    ),
    (
        "caep/event-type/risk-level-change",
        "risk-level-change",
        EndsUnless("current_level", &["LOW", "MEDIUM"]),
    ),
    (
        "caep/event-type/session-established",
        "session-established",
        Nothing,
    ),
    (
        "caep/event-type/session-presented",
        "session-presented",
        Nothing,
    ),
    (
        "risc/event-type/account-disabled",
        "account-disabled",
        Disables,
    ),
    ("risc/event-type/account-purged", "account-purged", Disables),
    (
        "risc/event-type/account-enabled",
        "account-enabled",
        Enables,
    ),
    (
        "risc/event-type/account-credential-change-required",
        "account-credential-change-required",
        Ends,
    ),
    (
        "risc/event-type/credential-compromise",
        "credential-compromise",
        Ends,
    ),
    ("risc/event-type/sessions-revoked", "sessions-revoked", Ends),
    (
        "risc/event-type/recovery-activated",
        "recovery-activated",
        Ends,
    ),
    (
        "risc/event-type/recovery-information-changed",
        "recovery-information-changed",
        Nothing,
    ),
    // Both are about a mail address or a telephone number, by which nobody is known here.
    (
        "risc/event-type/identifier-changed",
        "identifier-changed",
        Nothing,
    ),
    (
        "risc/event-type/identifier-recycled",
        "identifier-recycled",
        Nothing,
    ),
    ("ssf/event-type/verification", "verification", Nothing),
    ("ssf/event-type/stream-updated", "stream-updated", Nothing),
];

/// The one event of a token.
pub(super) fn read(
    claims: &Map<String, Value>,
    receiver: &Receiver,
    (made, latest, now): (Timestamp, Timestamp, Timestamp),
) -> Result<(&'static str, Effect), Unheard> {
    let events = claims.get("events").and_then(Value::as_object);
    let mut events = events.ok_or(Unheard::Claims)?.iter();
    let (Some((kind, event)), None) = (events.next(), events.next()) else {
        return Err(Unheard::Events);
    };
    let event = event.as_object().ok_or(Unheard::Events)?;
    let known = kind
        .strip_prefix(PREFIX)
        .and_then(|kind| KNOWN.iter().find(|(own, ..)| *own == kind));
    let Some((_, word, meaning)) = known else {
        return Ok(("unknown", Effect::Nothing));
    };
    let said = topic(word).filter(|topic| receiver.topics.contains(topic));
    // What cannot be read is as grave as if nobody had asked for it.
    let said = said.and_then(|topic| Some((topic, value(topic, event)?)));
    let effect: fn(Subject) -> Effect = match *meaning {
        Ends | EndsUnless(..) if said.is_some() => Effect::End,
        Nothing => return Ok((word, Effect::Nothing)),
        EndsUnless(member, good) if is_one_of(event.get(member), good) => {
            return Ok((word, Effect::Nothing));
        }
        Ends | EndsUnless(..) => Effect::End,
        Disables => Effect::Disable,
        Enables => Effect::Enable,
    };
    let since = moment(event, "event_timestamp")?.unwrap_or(made);
    if since > latest {
        return Err(Unheard::Time);
    }
    let name = subject(claims.get("sub_id"), receiver)?;
    let subject = Subject {
        name,
        since: since.min(now),
    };
    Ok((
        word,
        match said {
            Some((topic, value)) => Effect::Say(subject, topic, value),
            None => effect(subject),
        },
    ))
}

fn topic(word: &str) -> Option<Topic> {
    match word {
        "device-compliance-change" => Some(Topic::DeviceCompliance),
        "risk-level-change" => Some(Topic::RiskLevel),
        "assurance-level-change" => Some(Topic::AssuranceLevel),
        _ => None,
    }
}

/// What an event says of its topic (CAEP 1.0 sections 3.4, 3.5 and 3.8), in our words.
fn value(topic: Topic, event: &Map<String, Value>) -> Option<String> {
    let text = |member: &str| event.get(member).and_then(Value::as_str);
    match topic {
        Topic::DeviceCompliance => match text("current_status")? {
            "compliant" => Some("true".to_owned()),
            "not-compliant" => Some("false".to_owned()),
            _ => None,
        },
        Topic::RiskLevel => match text("current_level")? {
            "LOW" => Some("low".to_owned()),
            "MEDIUM" => Some("medium".to_owned()),
            "HIGH" => Some("high".to_owned()),
            _ => None,
        },
        Topic::AssuranceLevel => {
            let level = text("current_level")?;
            (!level.is_empty() && level.len() <= MAX_LEVEL_BYTES).then(|| level.to_owned())
        }
    }
}

fn is_one_of(value: Option<&Value>, good: &[&str]) -> bool {
    let value = value.and_then(Value::as_str);
    value.is_some_and(|value| good.contains(&value))
}

/// The subject's name in tokens of this issuer. A format that is not known could mean anybody.
fn subject(id: Option<&Value>, receiver: &Receiver) -> Result<String, Unheard> {
    let id = id.and_then(Value::as_object).ok_or(Unheard::Subject)?;
    let (name, members) = match id.get("format").and_then(Value::as_str) {
        Some("iss_sub") => {
            let issuer = id.get("iss").and_then(Value::as_str);
            if issuer.ok_or(Unheard::Subject)? != receiver.issuer {
                return Err(Unheard::Foreign);
            }
            ("sub", 3)
        }
        Some("opaque") => ("id", 2),
        Some(_) | None => return Err(Unheard::Subject),
    };
    if id.len() != members {
        return Err(Unheard::Subject);
    }
    named(id, name).ok_or(Unheard::Subject)
}
