//! Who is told of alerts, of which, and how.

use super::desk::Desk;
use super::trust::{Written, trust};
use crate::config::alerts::{Alerts, AlertsTo, SyslogBy};
use crate::config::bounds;
use crate::config::checked::ServerName;
use crate::config::problem::Place;
use crate::config::{HttpUrl, raw, raw_alerts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::alert::{Severity, Wanted};
use portcullis_core::secret::Secret;
use std::collections::BTreeMap;

const SEVERITIES: &[(&str, Severity)] = &[
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];
/// What Standard Webhooks asks of a key at least.
const KEY_BYTES: usize = 24;

pub(super) fn alerts(
    desk: &mut Desk<'_>,
    raw: BTreeMap<String, raw_alerts::Alerts>,
) -> BTreeMap<String, Alerts> {
    let top = Place::default().key("alerts");
    if raw.len() > bounds::MAX_ALERTS {
        let reason = format!("too many destinations: at most {}", bounds::MAX_ALERTS);
        desk.refuse(&top, &reason);
    }
    let mut found = BTreeMap::new();
    for (name, raw) in raw.into_iter().take(bounds::MAX_ALERTS) {
        let place = top.key(&name);
        if ServerName::parse(&name).is_none() {
            desk.refuse(
                &place,
                "a name has up to 32 lower-case letters, digits and hyphens, the first no hyphen",
            );
        }
        found.extend(destination(desk, &place, raw).map(|one| (name, one)));
    }
    found
}

fn destination(desk: &mut Desk<'_>, place: &Place, raw: raw_alerts::Alerts) -> Option<Alerts> {
    let wanted = Wanted {
        least: {
            let text = raw.severity.as_deref().unwrap_or(bounds::SEVERITY);
            let chosen = desk.choose(&place.key("severity"), text, SEVERITIES);
            chosen.unwrap_or(Severity::Low)
        },
        events: events(desk, &place.key("events"), raw.events),
        per_minute: desk.count(&place.key("per_minute"), raw.per_minute, &bounds::ALERTS),
        repeat_after: {
            let place = place.key("repeat_after");
            desk.span(&place, raw.repeat_after, &bounds::REPEAT)
        },
    };
    let give_up_place = place.key("give_up_after");
    let give_up_after = desk.span(&give_up_place, raw.give_up_after, &bounds::GIVE_UP);
    let written = Written {
        ca: raw.ca,
        crl: raw.crl,
        ocsp: raw.ocsp,
        pins: raw.pins,
        client_certificate: raw.client_certificate,
        client_key: raw.client_key,
    };
    let is_stdout = raw.stdout.unwrap_or_default();
    if raw.secret.is_some() && raw.webhook.is_none() {
        desk.refuse(&place.key("secret"), "only for a `webhook`");
    }
    let to = match (raw.webhook, raw.syslog, raw.file, is_stdout) {
        (Some(url), None, None, false) => webhook(desk, place, &url, (raw.secret, written)),
        (None, Some(text), None, false) => syslog(desk, place, &text, written),
        (None, None, Some(path), false) => {
            trust(desk, place, written, IS_PLAIN);
            Some(AlertsTo::File(desk.path(&place.key("file"), &path)))
        }
        (None, None, None, true) => {
            trust(desk, place, written, IS_PLAIN);
            Some(AlertsTo::Stdout)
        }
        _ => {
            desk.refuse_with(
                place,
                "not one place to which alerts go",
                "write one of `webhook`, `syslog`, `file` and `stdout = true`",
            );
            None
        }
    };
    Some(Alerts {
        to: to?,
        wanted,
        give_up_after,
    })
}

/// There is no certificate to look at.
const IS_PLAIN: bool = false;

fn webhook(
    desk: &mut Desk<'_>,
    place: &Place,
    url: &str,
    (secret, written): (Option<raw::Reference>, Written),
) -> Option<AlertsTo> {
    let url = desk.url(&place.key("webhook"), url);
    let is_https = url.as_ref().is_none_or(HttpUrl::is_https);
    let trust = trust(desk, place, written, is_https);
    let Some(secret) = secret else {
        desk.refuse_missing(
            place,
            "a `webhook` without `secret`: nobody could tell an alert from a forgery",
            "write secret = { file = \"…\" }",
        );
        return None;
    };
    let place = place.key("secret");
    let text = desk.text(&place, raw::Text::Reference(secret))?;
    let key = match text.expose().strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok(),
        None => Some(text.expose().as_bytes().to_vec()),
    };
    let key = Secret::new(key.unwrap_or_default());
    if key.expose().len() < KEY_BYTES {
        desk.refuse_with(
            &place,
            "too short, or `whsec_` without Base64 after it",
            "take what this says: echo whsec_$(openssl rand -base64 32)",
        );
        return None;
    }
    Some(AlertsTo::Webhook {
        url: url?,
        secret: key,
        trust,
    })
}

fn syslog(desk: &mut Desk<'_>, place: &Place, text: &str, written: Written) -> Option<AlertsTo> {
    let own = place.key("syslog");
    let fix = "write it as in \"tls://siem.example:6514\"";
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let is_tls = scheme == "tls";
    let trust = trust(desk, place, written, is_tls);
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if !matches!(scheme, "tls" | "tcp" | "udp") || !has_port {
        desk.refuse_with(&own, "not a syslog server", fix);
        return None;
    }
    let stand_in = if is_tls { "https" } else { "http" };
    let url = match HttpUrl::parse(&format!("{stand_in}://{rest}")) {
        Ok(url) if !rest.contains(['/', '?']) => url,
        Err(_) if !is_tls => {
            let reason = "without TLS only on loopback: anyone on the way could read and change it";
            desk.refuse_with(&own, reason, fix);
            return None;
        }
        Ok(_) | Err(_) => {
            desk.refuse_with(&own, "not a host and a port", fix);
            return None;
        }
    };
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    Some(AlertsTo::Syslog {
        host: host.to_owned(),
        port: url.port(),
        by: match scheme {
            "tls" => SyslogBy::Tls(trust),
            "tcp" => SyslogBy::Tcp,
            _ => SyslogBy::Udp,
        },
    })
}

fn events(desk: &mut Desk<'_>, place: &Place, texts: Vec<String>) -> Vec<String> {
    if texts.len() > bounds::MAX_WATCHED {
        let reason = format!("too many events: at most {}", bounds::MAX_WATCHED);
        desk.refuse(place, &reason);
    }
    for (index, text) in texts.iter().enumerate().take(bounds::MAX_WATCHED) {
        let (event, reason) = text.split_once('/').unwrap_or((text, "any"));
        let is_word = |word: &str| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !word.is_empty() && word.bytes().all(|byte| is_plain(byte) || byte == b'_')
        };
        let is_event = event
            .split_once('.')
            .is_some_and(|(what, how)| is_word(what) && is_word(how));
        if !is_event || !is_word(reason) {
            desk.refuse_with(
                &place.at(index),
                "not an event of the audit log",
                "write it as in \"authz.deny\" or \"authn.reject/signature\"",
            );
        }
    }
    texts
}
