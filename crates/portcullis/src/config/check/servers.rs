//! What is behind the gateway.

use super::approval::{approval, approvers, risky};
use super::binding::{self, bindings};
use super::credentials;
use super::desk::Desk;
use super::gateway::Upstream as Bounds;
use super::introspection::only_one;
use super::issuers::Issuers;
use super::step_up::step_up;
use super::trust::Written;
use super::upstream::{Reach, upstream};
use super::{catalog, inspect};
use crate::config::bounds;
use crate::config::checked::{Gateway, Grant, Server, ServerName, Tool, Who};
use crate::config::pattern::Pattern;
use crate::config::problem::Place;
use crate::config::quantity::{Count, Range, Size, Span};
use crate::config::raw;
use crate::config::sign_in::sign_in;
use portcullis_core::authenticate::Binding;
use portcullis_core::authorize::Strength;
use portcullis_core::catalog::Terms;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the checks of a server look at besides the server.
pub(super) struct Around<'a> {
    pub(super) gateway: Option<&'a Gateway>,
    pub(super) issuers: &'a Issuers,
    pub(super) upstream: Bounds,
    pub(super) catalog: Terms,
}

/// Servers without a problem, and the names of all.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) known: BTreeMap<ServerName, Server>,
    pub(super) names: BTreeSet<String>,
}

pub(super) fn servers(
    desk: &mut Desk<'_>,
    raw: BTreeMap<String, raw::Server>,
    around: &Around<'_>,
) -> (Servers, Vec<Grant>) {
    let top = Place::default().key("servers");
    let mut servers = Servers::default();
    let mut grants = Vec::new();
    let mut audiences: BTreeMap<String, String> = BTreeMap::new();
    if let Some(all) = around.gateway.and_then(|gateway| gateway.aggregate.clone()) {
        audiences.insert(all, "the endpoint for all servers".to_owned());
    }
    if raw.is_empty() {
        desk.refuse_missing(
            &top,
            "no server",
            "add a table [servers.NAME] with `url` or `command`",
        );
    } else if around.issuers.names.is_empty() {
        desk.refuse_missing(
            &Place::default().key("issuers"),
            "no issuer: every client must be authenticated",
            "add [issuers.local] with `embedded = true`, or [issuers.NAME] with `issuer`",
        );
    }
    for (name, raw) in raw {
        let place = top.key(&name);
        servers.names.insert(name.clone());
        let Some(name) = ServerName::parse(&name) else {
            desk.refuse_with(
                &place,
                "not a name of a server",
                "use up to 32 lower-case letters, digits and hyphens, the first no hyphen",
            );
            continue;
        };
        grants.extend(allow(desk, &place.key("allow"), &name, &raw.allow));
        let Some(server) = server(desk, &place, &name, raw, around) else {
            continue;
        };
        if let Some(first) = audiences.insert(server.audience.clone(), format!("server `{name}`")) {
            desk.refuse_with(
                &place.key("audience"),
                &format!("the same audience as {first}: a token for one would open the other"),
                "give each its own, or remove `audience`",
            );
        }
        servers.known.insert(name, server);
    }
    credentials::apart(desk, &servers.known, &audiences);
    expect_use_of_authorities(desk, &servers, around.gateway);
    (servers, grants)
}

/// Whoever names authorities of clients thinks that their certificates count.
fn expect_use_of_authorities(desk: &mut Desk<'_>, servers: &Servers, gateway: Option<&Gateway>) {
    let tls = gateway.and_then(|gateway| gateway.tls.as_ref());
    let is_named = tls.is_some_and(|tls| tls.client_ca.is_some());
    let mut known = servers.known.values();
    if is_named && !servers.known.is_empty() && known.all(|server| server.mtls == Binding::Off) {
        desk.refuse_with(
            &Place::default().key("gateway").key("tls").key("client_ca"),
            "no server takes tokens that are bound to certificates, so nobody is asked for one",
            "write mtls = \"accepted\" or mtls = \"required\" for a server, or remove it",
        );
    }
}

fn server(
    desk: &mut Desk<'_>,
    place: &Place,
    name: &ServerName,
    mut raw: raw::Server,
    around: &Around<'_>,
) -> Option<Server> {
    let terms = catalog::terms(desk, place, &raw, around.catalog);
    let reach = reach(&mut raw);
    let upstream = upstream(desk, place, reach);
    let issuers = issuers(desk, &place.key("issuers"), raw.issuers, around.issuers);
    let is_of_entra = around.issuers.has_entra(&issuers);
    let audience = match raw.audience {
        None if is_of_entra => no_audience(desk, place),
        written => audience(desk, &place.key("audience"), written, name, around.gateway),
    };
    only_one(desk, &place.key("issuers"), &issuers, around.issuers);
    let bound = binding::Written {
        dpop: raw.dpop,
        dpop_nonce: raw.dpop_nonce,
        mtls: raw.mtls,
    };
    let has_tls = around.gateway.is_none_or(|gateway| gateway.tls.is_some());
    let bound = bindings(desk, place, &bound, (has_tls, "[gateway.tls]"));
    let beside = (upstream.as_ref(), around.issuers.count(&issuers));
    let credentials = raw
        .credentials
        .map(|raw| credentials::credentials(desk, &place.key("credentials"), raw, beside));
    let beside = (upstream.as_ref(), credentials.is_some());
    let own = around.gateway.map(|gateway| &gateway.public_url);
    let sign_in = raw
        .sign_in
        .map(|raw| sign_in(desk, &place.key("sign_in"), raw, beside, own));
    let strength = raw.step_up.map_or_else(Strength::default, |raw| {
        step_up(desk, &place.key("step_up"), raw, &Strength::default())
    });
    let beside = (&strength, credentials.is_some());
    let contents = inspect::contents(desk, place, raw.inspect, &mut raw.tools);
    let tools = tools(desk, &place.key("tools"), raw.tools, beside);
    let limits = limits(desk, &place.key("limits"), raw.limits, &around.upstream);
    Some(Server {
        upstream: upstream?,
        terms,
        approvers: approvers(desk, place, &raw.approvers, terms),
        contents,
        issuers,
        max_token_lifetime: lifetime(desk, place, raw.max_token_lifetime),
        audience: audience?,
        scopes: scopes(desk, &place.key("scopes"), raw.scopes),
        dpop: bound.dpop,
        dpop_nonce: bound.dpop_nonce,
        mtls: bound.mtls,
        step_up: strength,
        tools,
        risky: risky(desk, place, raw.risky_tools, terms),
        credentials: match credentials {
            None => None,
            Some(found) => Some(found?),
        },
        sign_in: match sign_in {
            None => None,
            Some(found) => Some(found?),
        },
        upstream_timeout: limits.upstream_timeout,
        question_timeout: limits.question_timeout,
        response_bytes: limits.response_bytes,
    })
}

fn lifetime(desk: &mut Desk<'_>, place: &Place, raw: Option<raw::Span>) -> Option<Duration> {
    let place = place.key("max_token_lifetime");
    raw.map(|span| desk.span(&place, Some(span), &bounds::MAX_LIFETIME))
}

fn reach(raw: &mut raw::Server) -> Reach {
    Reach {
        url: raw.url.take(),
        transport: raw.transport.take(),
        trust: Written {
            ca: raw.ca.take(),
            crl: raw.crl.take(),
            ocsp: raw.ocsp.take(),
            pins: raw.pins.take(),
            client_certificate: raw.client_certificate.take(),
            client_key: raw.client_key.take(),
        },
        headers: std::mem::take(&mut raw.headers),
        command: raw.command.take(),
        args: std::mem::take(&mut raw.args),
        env: std::mem::take(&mut raw.env),
        inherit_env: std::mem::take(&mut raw.inherit_env),
        cwd: raw.cwd.take(),
        sandbox: raw.sandbox.take(),
        max_processes: raw.limits.max_processes,
    }
}

/// The bounds of one server.
struct Limits {
    upstream_timeout: Duration,
    question_timeout: Duration,
    response_bytes: usize,
}

fn limits(desk: &mut Desk<'_>, place: &Place, raw: raw::ServerLimits, all: &Bounds) -> Limits {
    let timeout = Range {
        default: Span(all.timeout),
        ..bounds::UPSTREAM_TIMEOUT
    };
    let response = Range {
        default: Size(all.response_bytes),
        ..bounds::RESPONSE
    };
    let response = desk.size(&place.key("response"), raw.response, &response);
    let (upstream, question) = (place.key("upstream_timeout"), place.key("question_timeout"));
    Limits {
        upstream_timeout: desk.span(&upstream, raw.upstream_timeout, &timeout),
        question_timeout: desk.span(&question, raw.question_timeout, &bounds::QUESTION_TIMEOUT),
        response_bytes: usize::try_from(response).unwrap_or(usize::MAX),
    }
}

fn no_audience(desk: &mut Desk<'_>, place: &Place) -> Option<String> {
    desk.refuse_missing(
        place,
        "no `audience`: Entra's tokens never have the server's URL",
        "write the Application (client) ID of the API that is registered for this server",
    );
    None
}

fn audience(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Option<String>,
    name: &ServerName,
    gateway: Option<&Gateway>,
) -> Option<String> {
    let Some(audience) = raw else {
        return gateway.map(|gateway| gateway.public_url.below(&format!("/servers/{name}/mcp")));
    };
    if audience.is_empty() {
        desk.refuse_with(
            place,
            "an empty audience",
            "remove it: the default is the server's own URL",
        );
        return None;
    }
    if audience
        .contains(|letter: char| letter == '*' || letter.is_whitespace() || letter.is_control())
    {
        desk.refuse_with(
            place,
            "an audience is one name, without asterisk and spaces",
            "remove it: the default is the server's own URL",
        );
        return None;
    }
    Some(audience)
}

fn issuers(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Option<Vec<String>>,
    issuers: &Issuers,
) -> BTreeSet<String> {
    let Some(names) = raw else {
        return issuers.names.clone();
    };
    if names.is_empty() {
        desk.refuse_with(
            place,
            "no issuer: every client must be authenticated",
            "name at least one, or remove the key to accept all",
        );
    }
    for (index, name) in names.iter().enumerate() {
        if !issuers.names.contains(name) {
            let known = issuers.names.iter().map(String::as_str);
            desk.refuse_unknown(&place.at(index), "no issuer has this name", name, known);
        }
    }
    names.into_iter().collect()
}

fn allow(desk: &mut Desk<'_>, place: &Place, name: &ServerName, texts: &[String]) -> Vec<Grant> {
    let mut grants = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match Pattern::parse(text) {
            Ok(pattern) => grants.push(Grant {
                who: Who::Anyone,
                server: name.clone(),
                pattern,
                until: None,
                line: desk.line(&place.at(index)),
                key: place.at(index).to_string(),
            }),
            Err(problem) => desk.refuse(&place.at(index), &problem.to_string()),
        }
    }
    grants
}

/// Scopes as RFC 6749 section 3.3 writes them.
pub(in crate::config) fn scopes(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Vec<String>,
) -> BTreeSet<String> {
    for (index, scope) in raw.iter().enumerate() {
        let is_inside = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if scope.is_empty() || !scope.bytes().all(is_inside) {
            desk.refuse_with(
                &place.at(index),
                "not a scope",
                "write each scope as one item of the list",
            );
        }
    }
    raw.into_iter().collect()
}

fn tools(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, raw::Tool>,
    (server, has_credentials): (&Strength, bool),
) -> BTreeMap<String, Tool> {
    let mut tools = BTreeMap::new();
    for (name, raw) in raw {
        let place = place.key(&name);
        if name.is_empty() || name.contains(|letter: char| letter == '*' || letter.is_whitespace())
        {
            desk.refuse_with(
                &place,
                "not a name of a tool",
                "write the whole name, without asterisk",
            );
        }
        let requests_per_minute = raw.requests_per_minute.map(|count| {
            let range = Range {
                default: Count(1),
                ..bounds::TOOL_REQUESTS
            };
            desk.count(&place.key("requests_per_minute"), Some(count), &range)
        });
        if raw.upstream_scopes.is_some() && !has_credentials {
            desk.refuse_with(
                &place.key("upstream_scopes"),
                "this server gets no tokens of its own",
                "remove it, or add a table `credentials` to the server",
            );
        }
        let elevation = raw.elevation.map(|raw| {
            let place = place.key("elevation");
            desk.span(&place, Some(raw), &bounds::ELEVATION)
        });
        let own = raw.upstream_scopes;
        let own = own.map(|own| scopes(desk, &place.key("upstream_scopes"), own));
        let scopes = scopes(desk, &place.key("scopes"), raw.scopes);
        let tool = Tool {
            upstream_scopes: own.unwrap_or_else(|| scopes.clone()),
            scopes,
            step_up: raw
                .step_up
                .map(|raw| step_up(desk, &place.key("step_up"), raw, server)),
            elevation,
            approval: raw
                .approval
                .map(|raw| approval(desk, &place.key("approval"), raw)),
            requests_per_minute,
        };
        tools.insert(name, tool);
    }
    tools
}
