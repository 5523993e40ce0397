//! The gateway itself: addresses, names, bounds, log.

use super::certificate;
use super::desk::Desk;
use crate::config::bounds;
use crate::config::checked::{Arguments, Audit, Durability, Gateway, Limits, Quota, Sessions};
use crate::config::problem::Place;
use crate::config::quantity::Span;
use crate::config::raw;
use crate::config::url::{HttpUrl, default_port, is_host, port_number};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// The bounds that a server may replace.
#[derive(Clone, Copy)]
pub(super) struct Upstream {
    pub(super) timeout: Duration,
    pub(super) response_bytes: u64,
}

pub(super) fn gateway(desk: &mut Desk<'_>, raw: raw::Gateway) -> Option<Gateway> {
    let place = Place::default().key("gateway");
    let has_tls = raw.tls.is_some();
    let listen = address(
        desk,
        &place.key("listen"),
        raw.listen.as_deref().unwrap_or(bounds::LISTEN),
    );
    let admin = address(
        desk,
        &place.key("admin"),
        raw.admin.as_deref().unwrap_or(bounds::ADMIN),
    );
    if listen.is_some_and(|listen| !listen.ip().is_loopback() && !has_tls) {
        desk.refuse_with(
            &place.key("listen"),
            "an address that others can reach needs TLS",
            "add [gateway.tls] with `certificate` and `key`, or listen on 127.0.0.1",
        );
    }
    if admin.is_some_and(|admin| !admin.ip().is_loopback()) {
        desk.refuse_with(
            &place.key("admin"),
            "the admin address must be loopback: it answers without authentication",
            "write \"127.0.0.1:8849\"",
        );
    }
    if listen.is_some() && listen == admin {
        desk.refuse(&place.key("admin"), "the same address as `listen`");
    }
    let public_url = public_url(desk, raw.public_url.as_deref(), listen, has_tls);
    let own = public_url.as_ref().map(HttpUrl::host);
    let tls = raw.tls.and_then(|raw| certificate::tls(desk, raw, own));
    let data = match raw.data.as_deref() {
        Some(text) => desk.path(&place.key("data"), text),
        None => desk.directory().to_owned(),
    };
    let drain = desk.span(&place.key("drain"), raw.drain, &bounds::DRAIN);
    let (listen, public_url) = (listen?, public_url?);
    let aggregate = raw
        .aggregate
        .unwrap_or(true)
        .then(|| public_url.below("/mcp"));
    let hosts = hosts(desk, &raw.allowed_hosts, listen, &public_url);
    let origins = origins(desk, &raw.allowed_origins, listen, &public_url);
    Some(Gateway {
        listen,
        admin: admin?,
        public_url,
        data,
        hosts,
        origins,
        drain,
        aggregate,
        tls,
    })
}

pub(super) fn limits(desk: &mut Desk<'_>, raw: raw::Limits) -> (Limits, Upstream) {
    let place = Place::default().key("limits");
    let limits = Limits {
        body_bytes: whole(desk.size(&place.key("body"), raw.body, &bounds::BODY)),
        header_timeout: desk.span(
            &place.key("header_timeout"),
            raw.header_timeout,
            &bounds::HEADER_TIMEOUT,
        ),
        body_timeout: desk.span(
            &place.key("body_timeout"),
            raw.body_timeout,
            &bounds::BODY_TIMEOUT,
        ),
        connections: whole(desk.count(
            &place.key("connections"),
            raw.connections,
            &bounds::CONNECTIONS,
        )),
    };
    let upstream = Upstream {
        timeout: desk.span(
            &place.key("upstream_timeout"),
            raw.upstream_timeout,
            &bounds::UPSTREAM_TIMEOUT,
        ),
        response_bytes: desk.size(&place.key("response"), raw.response, &bounds::RESPONSE),
    };
    (limits, upstream)
}

pub(super) fn sessions(desk: &mut Desk<'_>, raw: raw::Sessions) -> Sessions {
    let place = Place::default().key("sessions");
    let (wrote_idle, wrote_each) = (raw.idle.is_some(), raw.max_per_principal.is_some());
    let idle = desk.span(&place.key("idle"), raw.idle, &bounds::IDLE);
    let absolute = desk.span(&place.key("absolute"), raw.absolute, &bounds::ABSOLUTE);
    let max = desk.count(&place.key("max"), raw.max, &bounds::MAX_SESSIONS);
    let each = desk.count(
        &place.key("max_per_principal"),
        raw.max_per_principal,
        &bounds::MAX_PER_PRINCIPAL,
    );
    if wrote_idle && idle > absolute {
        desk.refuse(
            &place.key("idle"),
            &format!("longer than `absolute`, {}", Span(absolute)),
        );
    }
    if wrote_each && each > max {
        desk.refuse(
            &place.key("max_per_principal"),
            &format!("more than `max`, {max}"),
        );
    }
    // A default gives way to what is written.
    Sessions {
        idle: idle.min(absolute),
        absolute,
        max: whole(max),
        max_per_principal: whole(each.min(max)),
    }
}

pub(super) fn quota(desk: &mut Desk<'_>, raw: raw::Quota) -> Quota {
    let place = Place::default().key("quota");
    Quota {
        requests_per_minute: desk.count(
            &place.key("requests_per_minute"),
            raw.requests_per_minute,
            &bounds::REQUESTS,
        ),
        burst: desk.count(&place.key("burst"), raw.burst, &bounds::BURST),
        concurrency: desk.count(
            &place.key("concurrency"),
            raw.concurrency,
            &bounds::CONCURRENCY,
        ),
        bytes_per_minute: desk.size(
            &place.key("bytes_per_minute"),
            raw.bytes_per_minute,
            &bounds::BYTES,
        ),
        tool_requests_per_minute: desk.count(
            &place.key("tool_requests_per_minute"),
            raw.tool_requests_per_minute,
            &bounds::TOOL_REQUESTS,
        ),
        upstream_concurrency: desk.count(
            &place.key("upstream_concurrency"),
            raw.upstream_concurrency,
            &bounds::UPSTREAM_CONCURRENCY,
        ),
    }
}

pub(super) fn audit(desk: &mut Desk<'_>, raw: raw::Audit, gateway: &Gateway) -> Audit {
    let place = Place::default().key("audit");
    let durability = match raw.durability {
        Some(text) if text == "always" => Durability::Always,
        text => Durability::Within(desk.span(
            &place.key("durability"),
            text.map(raw::Span),
            &bounds::DURABILITY,
        )),
    };
    let directory = match raw.directory.as_deref() {
        Some(text) => desk.path(&place.key("directory"), text),
        None => gateway.data.join("audit"),
    };
    let mut witness = Vec::new();
    for (index, text) in raw.witness.iter().enumerate() {
        witness.push(desk.path(&place.key("witness").at(index), text));
    }
    let kinds = [
        ("redacted", Arguments::Redacted),
        ("digest", Arguments::Digest),
    ];
    let arguments = raw
        .arguments
        .and_then(|text| desk.choose(&place.key("arguments"), &text, &kinds))
        .unwrap_or(Arguments::Redacted);
    let rotate_bytes = desk.size(&place.key("rotate"), raw.rotate, &bounds::ROTATE);
    let place_of = place.key("sign_within");
    let sign_within = desk.span(&place_of, raw.sign_within, &bounds::SIGN_WITHIN);
    let keep = raw
        .keep
        .map(|raw| desk.span(&place.key("keep"), Some(raw), &bounds::KEEP));
    let keep_bytes = raw
        .keep_bytes
        .map(|raw| desk.size(&place.key("keep_bytes"), Some(raw), &bounds::KEEP_BYTES));
    Audit {
        directory,
        durability,
        sign_within,
        rotate_bytes,
        keep,
        keep_bytes,
        witness,
        arguments,
    }
}

pub(super) fn address(desk: &mut Desk<'_>, place: &Place, text: &str) -> Option<SocketAddr> {
    let address: Option<SocketAddr> = text.parse().ok();
    let Some(address) = address else {
        desk.refuse_with(
            place,
            "not an IP address and port",
            "write it as in \"127.0.0.1:8848\" or \"[::1]:8848\"",
        );
        return None;
    };
    if address.port() == 0 {
        desk.refuse_with(
            place,
            "the port must be known beforehand",
            "write a port from 1 to 65535",
        );
        return None;
    }
    Some(address)
}

fn public_url(
    desk: &mut Desk<'_>,
    text: Option<&str>,
    listen: Option<SocketAddr>,
    has_tls: bool,
) -> Option<HttpUrl> {
    let place = Place::default().key("gateway").key("public_url");
    if let Some(text) = text {
        let url = desk.url(&place, text)?;
        if url.query().is_some() {
            desk.refuse(&place, "the gateway's own URL has no query");
        }
        return Some(url);
    }
    let listen = listen?;
    if listen.ip().is_unspecified() {
        desk.refuse_with(
            &place,
            "`public_url` is needed: no client can reach an unspecified address",
            "write public_url = \"https://name.of.this.gateway\"",
        );
        return None;
    }
    let scheme = if has_tls { "https" } else { "http" };
    // A listen address without TLS that is not loopback has been refused already.
    HttpUrl::parse(&format!("{scheme}://{listen}")).ok()
}

pub(super) fn hosts(
    desk: &mut Desk<'_>,
    allowed: &[String],
    listen: SocketAddr,
    public_url: &HttpUrl,
) -> BTreeSet<String> {
    let place = Place::default().key("gateway").key("allowed_hosts");
    let port = listen.port();
    let names = ["localhost", "127.0.0.1", "[::1]"];
    let mut hosts: BTreeSet<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
    hosts.insert(listen.to_string());
    hosts.insert(public_url.authority());
    hosts.insert(format!("{}:{}", public_url.host(), public_url.port()));
    for (index, text) in allowed.iter().enumerate() {
        let host = text.to_ascii_lowercase();
        let (name, written) = match host.rsplit_once(':') {
            Some((name, written)) if is_host(name) => (name, Some(written)),
            Some(_) | None => (host.as_str(), None),
        };
        if !is_host(name) || written.is_some_and(|written| port_number(written).is_none()) {
            desk.refuse_with(
                &place.at(index),
                "not a host name",
                "write `name` or `name:port`, without scheme and path",
            );
            continue;
        }
        if written.is_none() {
            hosts.insert(format!("{host}:{port}"));
        }
        hosts.insert(host);
    }
    if port == default_port(public_url.is_https()) {
        hosts.extend(names.iter().map(|name| (*name).to_owned()));
    }
    hosts
}

fn origins(
    desk: &mut Desk<'_>,
    allowed: &[String],
    listen: SocketAddr,
    public_url: &HttpUrl,
) -> BTreeSet<String> {
    let place = Place::default().key("gateway").key("allowed_origins");
    let port = listen.port();
    let mut origins: BTreeSet<String> = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .filter_map(|name| HttpUrl::parse(&format!("http://{name}:{port}")).ok())
        .map(|url| url.origin())
        .collect();
    origins.insert(public_url.origin());
    for (index, text) in allowed.iter().enumerate() {
        let place = place.at(index);
        if text == "*" || text == "null" {
            desk.refuse_with(
                &place,
                "an origin must be named: any web page could speak for its visitor",
                "write \"https://app.example\"",
            );
            continue;
        }
        let Some(url) = desk.url(&place, text) else {
            continue;
        };
        if url.path() != "/" || url.query().is_some() {
            desk.refuse_with(
                &place,
                "an origin has no path",
                &format!("write \"{}\"", url.origin()),
            );
        }
        origins.insert(url.origin());
    }
    origins
}

/// Bounds keep every number far below what a `usize` of any platform of ours holds.
fn whole(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}
