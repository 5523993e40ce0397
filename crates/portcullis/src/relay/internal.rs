//! Headers that only we, or a proxy, may set: a client that sends one is told of. None of them ever goes up.

use super::{Gateway, Live};
use crate::clock;
use crate::flood::Deed;
use crate::record::{Exchange, note};
use hyper::header::{HeaderMap, HeaderName};
use portcullis_audit::{Principal as Named, Record};
use portcullis_core::authenticate::Identity;
use std::net::SocketAddr;

const EVENT: &str = "request.internal_header_stripped";

/// By which proxies and gateways say who calls, or where a request goes; in the order of their names.
const BELIEVED: &[&str] = &[
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-auth-request-access-token",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-user",
    "x-authenticated-user",
    "x-authorization",
    "x-consumer-id",
    "x-consumer-username",
    "x-forwarded-access-token",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-goog-iap-jwt-assertion",
    "x-mcp-servername",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-ms-client-principal-name",
    "x-ms-token-aad-access-token",
    "x-ms-token-aad-id-token",
    "x-original-url",
    "x-remote-groups",
    "x-remote-user",
    "x-rewrite-url",
    "x-user-id",
    "x-webauth-user",
];
/// The same with other beginnings.
const OTHERS: &[&str] = &[
    "cf-access-authenticated-user-email",
    "cf-access-jwt-assertion",
    "mcp-init-host",
    "remote-user",
    "router-key",
];
/// The most names in one record.
const MAX_NAMES: usize = 8;

impl Gateway {
    /// Looks at what a caller who is known has sent beside the message. Cost: one look at the name of each header.
    pub(super) fn watch_headers(
        &self,
        live: &Live,
        headers: &HeaderMap,
        (caller, peer): (&Identity, SocketAddr),
        exchange: &Exchange,
    ) {
        let server = exchange.server.as_deref();
        let own = server.and_then(|server| live.own_headers.get(server));
        let own = own.into_iter().flatten();
        let configured = own.filter(|name| headers.contains_key(*name));
        let believed = headers.keys().filter(|name| is_believed(name.as_str()));
        let mut names: Vec<&str> = Vec::new();
        names.extend(configured.map(HeaderName::as_str));
        let reason = if names.is_empty() {
            "identity"
        } else {
            "configured"
        };
        names.extend(believed.map(HeaderName::as_str));
        if names.is_empty() {
            return;
        }
        let deed = Deed {
            peer,
            event: EVENT,
            reason,
            claimed: None,
        };
        if !self.floods.admits(&deed, clock::now()) {
            return;
        }
        names.sort_unstable();
        names.dedup();
        names.truncate(MAX_NAMES);
        let mut record = Record::new(EVENT);
        record.reason = Some(reason.into());
        record.peer = Some(peer);
        record.server = server.map(Into::into);
        record.trace = (!exchange.trace.is_empty()).then(|| exchange.trace.as_str().into());
        record.principal = Some(Named {
            iss: caller.vouched_by().into(),
            sub: caller.subject.as_str().into(),
        });
        record.client = caller.client.as_deref().map(Into::into);
        record.detail.set("headers", names.join(", ").as_str());
        note(&self.recorder, record);
    }
}

fn is_believed(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => BELIEVED.binary_search(&name).is_ok(),
        Some(b'c' | b'm' | b'r') => OTHERS.contains(&name),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tok_04_knows_the_headers_that_proxies_believe_and_no_others() {
        assert!(BELIEVED.is_sorted(), "they are searched");
        for name in BELIEVED.iter().chain(OTHERS) {
            assert!(is_believed(name), "{name}");
            assert!(!is_believed(&name.to_uppercase()), "names are lower case");
        }
        for name in [
            "content-type",
            "mcp-session-id",
            "x-forwarded-for",
            "x-request-id",
            "",
        ] {
            assert!(!is_believed(name), "{name}");
        }
    }
}
