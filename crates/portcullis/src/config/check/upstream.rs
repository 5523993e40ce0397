//! How a server is reached, and with which secrets.

use super::desk::Desk;
use super::sandbox::sandbox;
use super::trust::{Written, trust};
use crate::config::bounds;
use crate::config::checked::{Http, Stdio, Transport, Upstream};
use crate::config::interpolate::{self, Part};
use crate::config::problem::Place;
use crate::config::{HttpUrl, header, raw, raw_sandbox, suspect};
use http::{HeaderName, HeaderValue};
use portcullis_core::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The keys of a server that say how it is reached.
pub(super) struct Reach {
    pub(super) url: Option<raw::Text>,
    pub(super) transport: Option<String>,
    pub(super) trust: Written,
    pub(super) headers: BTreeMap<String, raw::Text>,
    pub(super) command: Option<String>,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, raw::Text>,
    pub(super) inherit_env: Vec<String>,
    pub(super) cwd: Option<String>,
    pub(super) sandbox: Option<raw_sandbox::Sandbox>,
    pub(super) max_processes: Option<i64>,
}

pub(super) fn upstream(desk: &mut Desk<'_>, place: &Place, mut reach: Reach) -> Option<Upstream> {
    match (reach.url.take(), reach.command.take()) {
        (Some(url), None) => {
            let strange = [
                ("args", !reach.args.is_empty()),
                ("env", !reach.env.is_empty()),
                ("inherit_env", !reach.inherit_env.is_empty()),
                ("cwd", reach.cwd.is_some()),
                ("sandbox", reach.sandbox.is_some()),
            ];
            refuse_strange(desk, place, &strange, "`command`");
            if reach.max_processes.is_some() {
                refuse_strange(
                    desk,
                    &place.key("limits"),
                    &[("max_processes", true)],
                    "`command`",
                );
            }
            http(desk, place, url, reach).map(Upstream::Http)
        }
        (None, Some(command)) => {
            let strange = [
                ("transport", reach.transport.is_some()),
                ("headers", !reach.headers.is_empty()),
            ];
            refuse_strange(desk, place, &strange, "`url`");
            refuse_strange(desk, place, &reach.trust.keys(), "`url`");
            stdio(desk, place, &command, reach).map(Upstream::Stdio)
        }
        (Some(_), Some(_)) => {
            desk.refuse_with(
                &place.key("command"),
                "both `url` and `command`",
                "keep one of them",
            );
            None
        }
        (None, None) => {
            desk.refuse_missing(
                place,
                "neither `url` nor `command`",
                "write url = \"https://…\" or command = \"…\"",
            );
            None
        }
    }
}

fn refuse_strange(desk: &mut Desk<'_>, place: &Place, keys: &[(&str, bool)], wanted: &str) {
    for (key, _) in keys.iter().filter(|(_, is_written)| *is_written) {
        desk.refuse_with(
            &place.key(key),
            &format!("only for a server with {wanted}"),
            "remove it",
        );
    }
}

fn http(desk: &mut Desk<'_>, place: &Place, url: raw::Text, reach: Reach) -> Option<Http> {
    let kinds = [
        ("streamable-http", Transport::StreamableHttp),
        ("sse", Transport::Sse),
    ];
    let transport = match reach.transport {
        Some(text) => desk.choose(&place.key("transport"), &text, &kinds),
        None => Some(Transport::StreamableHttp),
    };
    let headers = headers(desk, &place.key("headers"), reach.headers);
    let url = desk
        .text(&place.key("url"), url)
        .and_then(|url| desk.url(&place.key("url"), url.expose()));
    let is_https = url.as_ref().is_none_or(HttpUrl::is_https);
    let trust = trust(desk, place, reach.trust, is_https);
    Some(Http {
        url: url?,
        transport: transport?,
        headers,
        trust,
    })
}

fn headers(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, raw::Text>,
) -> BTreeMap<String, Secret<String>> {
    let mut headers = BTreeMap::new();
    for (name, text) in raw {
        let place = place.key(&name);
        let Ok(header) = HeaderName::try_from(&name) else {
            desk.refuse(&place, "not a name of a header");
            continue;
        };
        let name = header.as_str();
        if header::is_own(name) {
            desk.refuse_with(&place, "the gateway writes this header itself", "remove it");
            continue;
        }
        if is_bare_secret(name, name == "authorization", &text) {
            refuse_bare_secret(desk, &place, &name.to_uppercase().replace('-', "_"));
            continue;
        }
        let Some(value) = desk.text(&place, text) else {
            continue;
        };
        if HeaderValue::try_from(value.expose().as_str()).is_err() {
            desk.refuse(
                &place,
                "a header's value is one line of visible ASCII characters",
            );
            continue;
        }
        if headers.insert(name.to_owned(), value).is_some() {
            desk.refuse(
                &place,
                "written twice: the case of a header's name does not count",
            );
        }
    }
    headers
}

fn stdio(desk: &mut Desk<'_>, place: &Place, command: &str, reach: Reach) -> Option<Stdio> {
    if command.trim().is_empty() || command.contains('\0') {
        desk.refuse(&place.key("command"), "not a program");
        return None;
    }
    let is_bare = !command.contains(['/', '\\']);
    let command = if is_bare {
        PathBuf::from(command)
    } else {
        desk.path(&place.key("command"), command)
    };
    for (index, argument) in reach.args.iter().enumerate() {
        if argument.contains('\0') {
            desk.refuse(
                &place.key("args").at(index),
                "an argument cannot hold a zero byte",
            );
        }
    }
    let mut env = env(desk, &place.key("env"), reach.env);
    for (index, name) in reach.inherit_env.iter().enumerate() {
        let place = place.key("inherit_env").at(index);
        if !interpolate::is_variable(name) {
            desk.refuse(&place, "not a name of an environment variable");
        } else if env.contains_key(name) {
            desk.refuse_with(&place, "also in `env`", "keep one of them");
        } else if let Some(value) = desk.variable(name) {
            env.insert(name.clone(), value);
        }
    }
    let cwd = match reach.cwd {
        Some(text) => desk.path(&place.key("cwd"), &text),
        None => desk.directory().to_owned(),
    };
    // Whoever asks for walls gets no server without them.
    let sandbox = match reach.sandbox {
        None => None,
        Some(raw) => Some(sandbox(desk, &place.key("sandbox"), raw)?),
    };
    let place = place.key("limits").key("max_processes");
    let max_processes = desk.count(&place, reach.max_processes, &bounds::MAX_PROCESSES);
    Some(Stdio {
        command,
        args: reach.args,
        env,
        cwd,
        max_processes,
        sandbox,
    })
}

fn env(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, raw::Text>,
) -> BTreeMap<String, Secret<String>> {
    let mut env = BTreeMap::new();
    for (name, text) in raw {
        let place = place.key(&name);
        if !interpolate::is_variable(&name) {
            desk.refuse(&place, "not a name of an environment variable");
            continue;
        }
        let is_setting = matches!(&text, raw::Text::Literal(text) if suspect::is_setting(text));
        if !is_setting && is_bare_secret(&name, false, &text) {
            refuse_bare_secret(desk, &place, &name);
            continue;
        }
        let Some(value) = desk.text(&place, text) else {
            continue;
        };
        if value.expose().contains('\0') {
            desk.refuse(&place, "a variable cannot hold a zero byte");
        }
        env.insert(name, value);
    }
    env
}

/// Whether text without a reference is, by its name or its shape, a secret.
fn is_bare_secret(name: &str, is_always: bool, text: &raw::Text) -> bool {
    let raw::Text::Literal(text) = text else {
        return false;
    };
    let has_reference = interpolate::parts(text)
        .is_none_or(|parts| parts.iter().any(|part| matches!(part, Part::Reference(_))));
    !has_reference && (is_always || suspect::is_secret_name(name) || suspect::is_secret_value(text))
}

fn refuse_bare_secret(desk: &mut Desk<'_>, place: &Place, variable: &str) {
    desk.refuse_with(
        place,
        "a secret must not stand in this file",
        &format!(
            "write {{ file = \"secrets/…\" }}, {{ env = \"{variable}\" }} or \"${{{variable}}}\""
        ),
    );
}
