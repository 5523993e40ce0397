//! Whose tokens are meant, or which one.

use crate::assemble::own_issuer;
use crate::cli::{default_data, token};
use crate::config::{Checked, Issuer};
use crate::lifecycle::Home;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use portcullis_authority::client::GrantType;
use portcullis_authority::grant::CLIENTS;
use portcullis_core::secret::Secret;
use portcullis_state::{Kind, Whom};
use serde::Deserialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The issuer of the users of the operating system, whom `wrap` serves.
const SYSTEM: &str = "os";
/// No token is longer.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// Where the database is.
#[derive(Debug, Args)]
pub(in crate::cli) struct Place {
    /// The data directory of the gateway [default: portcullis in the user's data home].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file [default: portcullis.toml in the data directory].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What the command line says of whom it means.
#[derive(Debug, Args)]
pub(super) struct Meant {
    #[command(flatten)]
    name: Name,
    /// Who issued the tokens, as their `iss` says; `os` for users of the operating system, whom `wrap` serves
    /// [default: the embedded issuer].
    #[arg(long, value_name = "ISS", conflicts_with = "token")]
    issuer: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Name {
    /// One token, by its `jti`.
    #[arg(long, value_name = "JTI")]
    token_id: Option<String>,
    /// One token, read from stdin; what counts are its `iss` and `jti`.
    #[arg(long, value_name = "-", value_parser = ["-"])]
    token: Option<String>,
    /// All tokens of a subject (`sub`).
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
    /// All tokens of an OAuth client (`client_id`, or `azp`).
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// All tokens in which a claim is this text, such as `oid=…`.
    #[arg(long, value_name = "CLAIM=VALUE")]
    claim: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    jti: Option<String>,
}

/// A data directory, and its configuration as far as there is one.
pub(in crate::cli) struct Found {
    pub(in crate::cli) home: Home,
    pub(in crate::cli) checked: Option<Checked>,
}

impl Place {
    /// Finds the data directory; a configuration that is there must be good.
    pub(in crate::cli) fn find(&self) -> anyhow::Result<Found> {
        let data = match (&self.data, &self.config) {
            (Some(data), _) => data.clone(),
            (None, Some(file)) => file.parent().unwrap_or(Path::new("")).to_owned(),
            (None, None) => default_data()?,
        };
        let file = self
            .config
            .clone()
            .unwrap_or_else(|| data.join("portcullis.toml"));
        let checked = if self.config.is_some() || file.exists() {
            match token::running(&data, &file)? {
                Ok(checked) => Some(checked),
                Err(problems) => bail!("{problems}"),
            }
        } else {
            None
        };
        let configured = checked.as_ref().map(|checked| checked.gateway.data.clone());
        let data = self.data.clone().or(configured).unwrap_or(data);
        if !data.is_dir() {
            bail!("there is no gateway's data in {}", data.display());
        }
        Ok(Found {
            home: Home(data),
            checked,
        })
    }
}

impl Meant {
    /// Whose tokens, or which one.
    pub(super) fn whom(self, found: &Found) -> anyhow::Result<Whom> {
        let Name {
            token_id,
            token,
            subject,
            client,
            claim,
        } = self.name;
        let (kind, name) = match (token_id, subject, client, claim) {
            (Some(id), ..) => (Kind::Token, id),
            (_, Some(subject), ..) => (Kind::Subject, subject),
            (_, _, Some(client), _) => (Kind::Client, client),
            (.., Some(claim)) => (Kind::Claim, claim),
            (None, None, None, None) => {
                debug_assert!(token.is_some(), "the command line wants one of the five");
                let claims = read_token()?;
                let id = claims
                    .jti
                    .context("the token has no `jti`: revoke its subject or its client instead")?;
                return Ok(Whom {
                    kind: Kind::Token,
                    issuer: found.issuer(Some(claims.iss))?,
                    name: id,
                });
            }
        };
        let issuer = found.issuer(self.issuer)?;
        Ok(Whom { kind, issuer, name })
    }
}

impl Found {
    /// The issuer of that name. One that nobody here trusts would be a slip of the pen, and revoke nothing.
    fn issuer(&self, named: Option<String>) -> anyhow::Result<String> {
        let known = self.issuers();
        match named {
            Some(named) if named == SYSTEM || self.checked.is_none() => Ok(named),
            Some(named) if known.contains(&named) => Ok(named),
            Some(named) => bail!(
                "no server here trusts the issuer {named:?}; there are: {}",
                known.join(", ")
            ),
            None => {
                let own = self.checked.as_ref().filter(|checked| has_own(checked));
                let own = own.map(own_issuer);
                own.with_context(|| {
                    format!(
                        "name the issuer with --issuer; there are: {}",
                        [known, vec![SYSTEM.to_owned()]].concat().join(", ")
                    )
                })
            }
        }
    }

    fn issuers(&self) -> Vec<String> {
        let Some(checked) = &self.checked else {
            return Vec::new();
        };
        let all = checked.issuers.values();
        let all = all.map(|issuer| match issuer {
            Issuer::Embedded { .. } => own_issuer(checked),
            Issuer::External(external) => external.issuer.clone(),
        });
        let mut clients = checked
            .authority
            .iter()
            .flat_map(|authority| &authority.clients);
        let has_agents = clients.any(|client| client.grants.contains(&GrantType::Client));
        all.chain(has_agents.then(|| CLIENTS.to_owned())).collect()
    }
}

fn has_own(checked: &Checked) -> bool {
    let mut all = checked.issuers.values();
    all.any(|issuer| matches!(issuer, Issuer::Embedded { .. }))
}

/// The claims of a token on stdin. Nobody verifies it: whoever may revoke may revoke any.
fn read_token() -> anyhow::Result<Claims> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(MAX_TOKEN_BYTES);
    input
        .read_to_string(&mut text)
        .context("no token on stdin")?;
    let text = Secret::new(text);
    let payload = text.expose().trim().split('.').nth(1);
    let bytes = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let claims = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claims.context("what came on stdin is no JWT with an `iss`")
}
