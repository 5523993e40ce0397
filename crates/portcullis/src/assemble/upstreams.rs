//! How each server is reached: from its configuration to an upstream.

use super::Workshop;
use super::credentials::{Beside, credentials};
use crate::config::{self, HttpUrl};
use crate::confining::confinement;
use crate::secrets::Lease;
use crate::tls;
use crate::upstream::http::Http;
use crate::upstream::pipes::{Pipes, Plan, Source};
use crate::upstream::site::Site;
use crate::upstream::sse::Target;
use crate::upstream::stdio::{Launch, Limits as PipeLimits};
use crate::upstream::{Around, Direct, Report, Upstream};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{HeaderName, HeaderValue};
use portcullis_sandbox::Spec;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// How this very binary is started again, even while its file is being replaced.
const SELF: &str = "/proc/self/exe";
/// The most connections to one server over SSE: one for each session.
const MAX_LINKS: usize = 256;

pub(super) fn client_for(
    is_https: bool,
    trust: &config::Trust,
    peer: tls::Peer,
    report: &Report,
) -> Result<Option<tls::Client>, tls::BadTls> {
    is_https
        .then(|| tls::Client::new(trust, peer, report))
        .transpose()
}

pub(super) fn upstream(
    name: &Arc<str>,
    server: &config::Server,
    (beside, lease): (&Beside<'_>, Lease),
) -> anyhow::Result<Upstream> {
    let workshop = beside.workshop;
    let around = Around {
        server: Arc::clone(name),
        tasks: workshop.tasks.clone(),
        report: workshop.report.clone(),
        inside: Arc::clone(&workshop.aggregate),
        question_timeout: server.question_timeout,
        lease,
    };
    let direct = match &server.upstream {
        config::Upstream::Http(http) if http.transport == config::Transport::Sse => {
            let target = Target {
                http: Http::new(site(name, (http, server), beside)?, workshop.tasks.clone()),
                origin: http.url.origin(),
                path: http.url.path().to_owned(),
            };
            let longest = u32::try_from(server.response_bytes).unwrap_or(u32::MAX);
            let source = Source::Link(Arc::new(target), longest);
            let pipes = pipes(name, (source, MAX_LINKS), server, workshop);
            return Ok(Upstream::with_sessions(pipes, around));
        }
        config::Upstream::Http(http) => {
            let site = site(name, (http, server), beside)?;
            Direct::Http(Http::new(site, workshop.tasks.clone()))
        }
        config::Upstream::Stdio(stdio) => {
            let source = Source::Process(launch(stdio, server));
            let most = usize::try_from(stdio.max_processes).unwrap_or(usize::MAX);
            pipes(name, (source, most), server, workshop)
        }
    };
    Ok(Upstream::new(direct, around))
}

fn pipes(
    name: &Arc<str>,
    (source, most): (Source, usize),
    server: &config::Server,
    workshop: &Workshop<'_>,
) -> Direct {
    let plan = Plan {
        server: Arc::clone(name),
        source,
        timeout: server.upstream_timeout,
        most,
    };
    Direct::Pipes(Pipes::new(
        plan,
        workshop.tasks.clone(),
        workshop.report.clone(),
    ))
}

fn site(
    name: &Arc<str>,
    (http, server): (&config::Http, &config::Server),
    beside: &Beside<'_>,
) -> anyhow::Result<Site> {
    let workshop = beside.workshop;
    let url: &HttpUrl = &http.url;
    let host = url
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let tls = match client_for(
        url.is_https(),
        &http.trust,
        tls::Peer::Server(Arc::clone(name)),
        workshop.report,
    )? {
        None => None,
        Some(client) => Some((
            client,
            ServerName::try_from(host.clone()).context("no TLS server name")?,
        )),
    };
    let mut headers = Vec::new();
    for (name, value) in &http.headers {
        let name: HeaderName = name.parse().context("header name")?;
        let mut value = HeaderValue::from_str(value.expose())
            .with_context(|| format!("value of header {name}"))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(Site {
        address: (host, url.port()),
        host: HeaderValue::from_str(&url.authority()).context("host")?,
        path: url.query().map_or_else(
            || url.path().to_owned(),
            |query| format!("{}?{query}", url.path()),
        ),
        tls,
        headers,
        credentials: credentials(name, server, beside)?,
        sign_in: beside.sign_ins.get(name).cloned(),
        timeout: server.upstream_timeout,
        most: server.response_bytes,
    })
}

fn launch(stdio: &config::Stdio, server: &config::Server) -> Launch {
    Launch {
        launcher: PathBuf::from(SELF),
        spec: Spec {
            command: stdio.command.clone().into_os_string(),
            args: stdio.args.iter().map(Into::into).collect(),
            cwd: Some(stdio.cwd.clone()),
            env: stdio
                .env
                .iter()
                .map(|(name, value)| (name.into(), value.expose().into()))
                .collect(),
            confinement: stdio
                .sandbox
                .as_ref()
                .map(|sandbox| Box::new(confinement(sandbox, &stdio.command))),
        },
        limits: PipeLimits {
            line_bytes: u32::try_from(server.response_bytes).unwrap_or(u32::MAX),
            ..PipeLimits::default()
        },
    }
}

/// Tells whether an upstream's configuration has changed, secrets included, without keeping any; `own` is our name.
pub(super) fn fingerprint(
    server: &config::Server,
    (own, egress, lease): (&str, &config::Egress, &Lease),
) -> String {
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    if let Some(sign_in) = &server.sign_in {
        let secret = sign_in.client.as_ref().and_then(|own| own.secret.as_ref());
        hash.update(secret.map_or(b"", |secret| secret.expose().as_bytes()));
        hash.update(&[0]);
    }
    if server.credentials.is_some() || server.sign_in.is_some() {
        hash.update(format!("{own:?} {egress:?}").as_bytes());
    }
    hash.update(format!("{server:?}").as_bytes());
    // The same value may come from elsewhere now, or not any more.
    hash.update(&[u8::from(lease.is_bound())]);
    let secrets = match &server.upstream {
        config::Upstream::Http(http) => &http.headers,
        config::Upstream::Stdio(stdio) => &stdio.env,
    };
    if let config::Upstream::Http(http) = &server.upstream
        && let Some(client) = &http.trust.client
    {
        hash.update(client.key.expose().as_bytes());
        hash.update(&[0]);
    }
    for secret in server.credentials.iter().flat_map(|shown| shown.secrets()) {
        hash.update(secret.expose().as_bytes());
        hash.update(&[0]);
    }
    for (name, value) in secrets {
        for part in [name, value.expose()] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
    }
    URL_SAFE_NO_PAD.encode(hash.finish())
}

pub(super) fn by_name(upstreams: &super::Upstreams) -> BTreeMap<Arc<str>, Arc<Upstream>> {
    let named = upstreams.iter();
    named
        .map(|(name, (_, upstream))| (Arc::clone(name), Arc::clone(upstream)))
        .collect()
}
