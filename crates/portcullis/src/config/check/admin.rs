//! The admin API: where it is, who is believed there, and who may do what.

use super::binding::{self, bindings};
use super::certificate::clients;
use super::desk::Desk;
use super::gateway::{address, hosts};
use super::grants::who_is;
use super::issuers::Issuers;
use super::scopes;
use super::servers::Servers;
use crate::config::bounds;
use crate::config::checked::{Gateway, Issuer, Who};
use crate::config::granted::{Admin, Appointed, Tenant};
use crate::config::problem::Place;
use crate::config::raw_admin as raw;
use crate::config::raw_tenant;
use crate::config::trust::{Certificate, Tls};
use crate::config::url::HttpUrl;
use portcullis_core::operate::Role;
use portcullis_core::secret::Secret;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What the check looks at besides the table.
struct Around<'a> {
    gateway: Option<&'a Gateway>,
    issuers: &'a Issuers,
    servers: &'a Servers,
    tenants: &'a BTreeMap<String, Tenant>,
}

/// Who shares the gateway, and who operates it.
pub(super) fn shared(
    desk: &mut Desk<'_>,
    (tenants, admin): (BTreeMap<String, raw_tenant::Tenant>, Option<raw::Admin>),
    (gateway, issuers, servers): (Option<&Gateway>, &Issuers, &Servers),
) -> (BTreeMap<String, Tenant>, Option<Admin>) {
    let tenants = super::tenants::tenants(desk, tenants, servers, issuers);
    let around = Around {
        gateway,
        issuers,
        servers,
        tenants: &tenants,
    };
    let admin = admin.and_then(|raw| self::admin(desk, raw, &around));
    (tenants, admin)
}

fn admin(desk: &mut Desk<'_>, raw: raw::Admin, around: &Around<'_>) -> Option<Admin> {
    let place = Place::default().key("admin");
    let has_tls = raw.tls.is_some();
    let listen = listen(
        desk,
        &place.key("listen"),
        raw.listen.as_deref(),
        (has_tls, around),
    );
    let tls = raw.tls.and_then(|raw| tls(desk, &place.key("tls"), raw));
    let url = url(
        desk,
        &place.key("url"),
        raw.url.as_deref(),
        (listen, has_tls),
    );
    let audience = raw.audience.or_else(|| Some(url.as_ref()?.below("/api")));
    expect_own(desk, &place.key("audience"), audience.as_deref(), around);
    believed(desk, &place, &raw.issuers, around.issuers);
    let written = binding::Written {
        dpop: raw.dpop,
        dpop_nonce: raw.dpop_nonce,
        mtls: raw.mtls,
    };
    let bound = bindings(desk, &place, &written, (has_tls, "[admin.tls]"));
    let scopes = scopes(desk, &place.key("scopes"), raw.scopes);
    let longest = raw.max_token_lifetime.map(|span| {
        let place = place.key("max_token_lifetime");
        desk.span(&place, Some(span), &bounds::MAX_LIFETIME)
    });
    let rate = place.key("requests_per_minute");
    let requests_per_minute = desk.count(&rate, raw.requests_per_minute, &bounds::ADMIN_REQUESTS);
    let roles = roles(desk, &place.key("roles"), raw.roles, around);
    let (listen, url) = (listen?, url?);
    Some(Admin {
        listen,
        hosts: hosts(desk, &[], listen, &url),
        url,
        audience: audience?,
        issuers: raw.issuers,
        scopes: scopes.into_iter().collect(),
        max_token_lifetime: longest,
        dpop: bound.dpop,
        dpop_nonce: bound.dpop_nonce,
        mtls: bound.mtls,
        requests_per_minute,
        roles,
        tls,
    })
}

fn listen(
    desk: &mut Desk<'_>,
    place: &Place,
    text: Option<&str>,
    (has_tls, around): (bool, &Around<'_>),
) -> Option<SocketAddr> {
    let listen = address(desk, place, text.unwrap_or(bounds::ADMIN_API))?;
    if !listen.ip().is_loopback() && !has_tls {
        desk.refuse_with(
            place,
            "an address that others can reach needs TLS",
            "add [admin.tls] with `certificate` and `key`, or listen on 127.0.0.1",
        );
    }
    let gateway = around.gateway;
    if gateway.is_some_and(|own| own.listen == listen || own.admin == listen) {
        let fix = "give the admin API an address of its own";
        desk.refuse_missing(place, "the same address as one of [gateway]", fix);
    }
    Some(listen)
}

fn url(
    desk: &mut Desk<'_>,
    place: &Place,
    text: Option<&str>,
    (listen, has_tls): (Option<SocketAddr>, bool),
) -> Option<HttpUrl> {
    let scheme = if has_tls { "https" } else { "http" };
    let Some(text) = text else {
        let listen = listen?;
        if listen.ip().is_unspecified() {
            let fix = "write url = \"https://name.of.this.host:8850\"";
            desk.refuse_missing(place, "nobody can reach an unspecified address", fix);
        }
        return HttpUrl::parse(&format!("{scheme}://{listen}")).ok();
    };
    let url = desk.url(place, text)?;
    if url.path() != "/" || url.query().is_some() {
        desk.refuse(place, "the URL of the admin API has no path and no query");
    }
    Some(url)
}

/// A token for a server must open nothing here, nor the other way round.
fn expect_own(desk: &mut Desk<'_>, place: &Place, audience: Option<&str>, around: &Around<'_>) {
    let Some(audience) = audience else { return };
    let of_all = around.gateway.and_then(|own| own.aggregate.as_deref());
    let mut servers = around.servers.known.values();
    let is_of_server = servers.any(|server| server.audience == audience);
    if audience.is_empty() || is_of_server || of_all == Some(audience) {
        desk.refuse_missing(
            place,
            "the audience of the admin API is its own: a token for a server would open it",
            "remove it: the default is `url` and `/api`",
        );
    }
}

fn believed(desk: &mut Desk<'_>, place: &Place, names: &[String], issuers: &Issuers) {
    if names.is_empty() {
        let fix = "name those of [issuers] whose tokens operators have";
        desk.refuse_missing(
            place,
            "no `issuers`: every operator must be authenticated",
            fix,
        );
    }
    let list = place.key("issuers");
    for (index, name) in names.iter().enumerate() {
        let place = list.at(index);
        if !issuers.names.contains(name) {
            let known = issuers.names.iter().map(String::as_str);
            desk.refuse_unknown(&place, "no issuer has this name", name, known);
        }
        if let Some(Issuer::Embedded { .. }) = issuers.known.get(name) {
            desk.refuse_with(
                &place,
                "whoever has the machine can make tokens of an embedded issuer, for anybody",
                "name an identity provider of the operators",
            );
        }
    }
}

fn roles(
    desk: &mut Desk<'_>,
    list: &Place,
    raw: Vec<raw::Row>,
    around: &Around<'_>,
) -> Vec<Appointed> {
    let words = Role::ALL.map(|role| (role.word(), role));
    let mut roles = Vec::new();
    for (index, row) in raw.into_iter().enumerate().take(bounds::MAX_ENTRIES) {
        let place = list.at(index);
        let Some(word) = row.role.filter(|_| !row.who.is_empty()) else {
            desk.refuse_missing(&place, "a row needs `role` and `who`", "write both");
            continue;
        };
        let role = desk.choose(&place.key("role"), &word, &words);
        if let Some(tenant) = &row.tenant
            && !around.tenants.contains_key(tenant)
        {
            let known = around.tenants.keys().map(String::as_str);
            desk.refuse_unknown(
                &place.key("tenant"),
                "no tenant has this name",
                tenant,
                known,
            );
        }
        for (index, text) in row.who.iter().enumerate() {
            let place = place.key("who").at(index);
            let who = who_is(desk, &place, text);
            if let Some(Who::Anyone | Who::Issuer(_)) = who {
                desk.refuse_with(
                    &place,
                    "a role is for those who are named",
                    "write \"user:NAME\", \"role:NAME\", \"group:NAME\" or \"client:NAME\"",
                );
            }
            let tenant = row.tenant.clone();
            roles.extend(
                role.zip(who)
                    .map(|(role, who)| Appointed { role, who, tenant }),
            );
        }
    }
    roles
}

fn tls(desk: &mut Desk<'_>, place: &Place, raw: raw::Tls) -> Option<Tls> {
    let (Some(chain), Some(key)) = (raw.certificate, raw.key) else {
        let why = "TLS needs `certificate` and `key`";
        desk.refuse_missing(place, why, "name both files");
        return None;
    };
    let chain = desk.pem(&place.key("certificate"), &chain, "CERTIFICATE");
    let key = desk.pem(&place.key("key"), &key, "PRIVATE KEY");
    let (client_ca, client_crl) = clients(desk, place, raw.client_ca, raw.client_crl)?;
    Some(Tls {
        certificate: Certificate::Files {
            chain: chain?,
            key: Secret::new(key?.text),
        },
        client_ca,
        client_crl,
    })
}
