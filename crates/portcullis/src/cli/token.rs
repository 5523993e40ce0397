//! `portcullis token`: a short-lived access token of the embedded issuer, for people without an identity provider.

use super::{Ending, default_data, out, serve};
use crate::assemble::own_issuer;
use crate::clock;
use crate::config::{self, Checked};
use crate::issuers::embedded::{Claims, mint};
use crate::keys::{Purpose, Signer};
use crate::lifecycle::Home;
use anyhow::{Context as _, bail};
use clap::Args;
use portcullis_core::authenticate::Thumbprint;
use portcullis_core::route::aggregate::AGGREGATE;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct Token {
    /// The data directory of the gateway.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The configuration file [default: portcullis.toml in the data directory].
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// The server that the token is for, or `*` for the endpoint of all servers.
    #[arg(long)]
    server: String,
    /// Whom it names.
    #[arg(long, default_value = "local")]
    subject: String,
    /// A scope; may be given several times [default: all that the server knows].
    #[arg(long)]
    scope: Vec<String>,
    /// How long it lives, in seconds.
    #[arg(long, default_value_t = 3600)]
    lifetime: u64,
    /// The SHA-256 thumbprint (RFC 7638) of the client's key that it is bound to; then it needs proofs (RFC 9449).
    #[arg(long, allow_hyphen_values = true)]
    jkt: Option<String>,
    /// A PEM file with the client certificate that it is bound to (RFC 8705).
    #[arg(long, value_name = "FILE", conflicts_with = "jkt")]
    certificate: Option<PathBuf>,
}

#[derive(Deserialize)]
struct RunningGateway {
    pid: i32,
    public_url: String,
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let data = match (&self.data, &self.config) {
            (Some(data), _) => data.clone(),
            (None, Some(_)) => PathBuf::new(),
            (None, None) => default_data()?,
        };
        let file = self
            .config
            .clone()
            .unwrap_or_else(|| data.join("portcullis.toml"));
        let checked = match running(&data, &file)? {
            Ok(checked) => checked,
            Err(problems) => {
                out::error(&problems.to_string());
                return Ok(Ending::Bad);
            }
        };
        let token = self.token(&checked)?;
        out::print(&format!("{token}\n"));
        Ok(Ending::Good)
    }

    fn token(&self, checked: &Checked) -> anyhow::Result<String> {
        let servers = self.servers(checked)?;
        let trusts = |name| servers.iter().any(|server| server.issuers.contains(name));
        let own = checked
            .issuers
            .iter()
            .find_map(|(name, issuer)| match issuer {
                config::Issuer::Embedded { max_lifetime } if trusts(name) => Some(*max_lifetime),
                config::Issuer::Embedded { .. } | config::Issuer::External(_) => None,
            });
        let Some(longest) = own else {
            bail!(
                "server {:?} does not trust the embedded issuer: get its tokens from your identity provider",
                self.server
            );
        };
        let longest = longest.min(longest_at(&servers));
        let lifetime = Duration::from_secs(self.lifetime);
        if lifetime.is_zero() || lifetime > longest {
            bail!("--lifetime must be from 1 to {} seconds", longest.as_secs());
        }
        let scopes = if self.scope.is_empty() {
            all_scopes(&servers)
        } else {
            self.scope.clone()
        };
        let home = Home(checked.gateway.data.clone());
        let key = Signer::open(&home, Purpose::Issuer, checked)
            .context("no key of the embedded issuer: start the gateway once")?;
        let claims = Claims {
            issuer: &own_issuer(checked),
            subject: &self.subject,
            audience: self.audience(checked, &servers)?,
            scopes: &scopes,
            lifetime,
            bound: self.bound()?,
        };
        Ok(mint(&key, &claims, clock::now())?.expose().clone())
    }

    /// What it is bound to, as `cnf` says it.
    fn bound(&self) -> anyhow::Result<Option<(&'static str, String)>> {
        if let Some(key) = &self.jkt {
            if Thumbprint::parse(key).is_none() {
                bail!("--jkt must be the SHA-256 of a key (RFC 7638) in base64url: 43 characters");
            }
            return Ok(Some(("jkt", key.clone())));
        }
        let Some(file) = &self.certificate else {
            return Ok(None);
        };
        let leaf = CertificateDer::from_pem_file(file)
            .with_context(|| format!("no certificate in {}", file.display()))?;
        Ok(Some(("x5t#S256", Thumbprint::of(&leaf).to_string())))
    }

    /// The server of that name, or all of them.
    fn servers<'a>(&self, checked: &'a Checked) -> anyhow::Result<Vec<&'a config::Server>> {
        let is_meant =
            |name: &config::ServerName| self.server == AGGREGATE || name.as_str() == self.server;
        let meant = checked.servers.iter();
        let meant: Vec<_> = meant.filter(|(name, _)| is_meant(name)).collect();
        if meant.is_empty() {
            let known: Vec<&str> = checked
                .servers
                .keys()
                .map(config::ServerName::as_str)
                .collect();
            bail!(
                "no server {:?}; there are: {}",
                self.server,
                known.join(", ")
            );
        }
        Ok(meant.into_iter().map(|(_, server)| server).collect())
    }

    fn audience<'a>(
        &self,
        checked: &'a Checked,
        servers: &[&'a config::Server],
    ) -> anyhow::Result<&'a str> {
        let all = checked.gateway.aggregate.as_deref();
        if self.server == AGGREGATE {
            return all
                .context("there is no endpoint for all servers: [gateway] aggregate = false");
        }
        let server = servers.first().context("no server")?;
        Ok(&server.audience)
    }
}

/// How long a token may live if not all of these servers are to refuse it.
fn longest_at(servers: &[&config::Server]) -> Duration {
    let bounds = servers.iter().map(|server| server.max_token_lifetime);
    let longest = bounds.map(|bound| bound.unwrap_or(Duration::MAX)).max();
    longest.unwrap_or_default()
}

fn all_scopes(servers: &[&config::Server]) -> Vec<String> {
    let scopes: BTreeSet<&String> = servers
        .iter()
        .flat_map(|server| {
            let tools = server.tools.values().flat_map(|tool| &tool.scopes);
            server.scopes.iter().chain(tools)
        })
        .collect();
    scopes.into_iter().cloned().collect()
}

/// The configuration, under the address that the gateway runs at.
pub(super) fn running(
    data: &std::path::Path,
    file: &std::path::Path,
) -> anyhow::Result<Result<Checked, config::Problems>> {
    let told = std::fs::read_to_string(Home(data.to_owned()).running()).ok();
    let told: Option<RunningGateway> = told.and_then(|told| serde_json::from_str(&told).ok());
    let told = told.filter(|told| {
        super::process(told.pid).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    });
    match told {
        None => serve::read(file),
        Some(told) => super::up::read_at(file, &told.public_url),
    }
}
