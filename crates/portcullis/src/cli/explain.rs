//! `portcullis explain`: whether a token would be accepted, and why not, by the very function that says so to clients.

use super::check::{Judged, judge};
use super::{Ending, default_data, out, runtime};
use crate::clock;
use crate::config::Checked;
use crate::issuers::{Fault, Source, Trusted, embedded, keys_of};
use crate::keys::{Purpose, Signer};
use crate::lifecycle::Home;
use anyhow::Context as _;
use clap::Args;
use futures_util::future::join_all;
use portcullis_core::authenticate::{
    BadCertificate, BadProof, Binding, Credentials, Identity, KeySet, Keys, Trust, Unauthenticated,
};
use portcullis_core::pipeline::{self, Head, Rules, State, Trail};
use portcullis_core::refusal::Refusal;
use portcullis_core::secret::Secret;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

/// The longest token that is read from stdin.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

#[derive(Debug, Args)]
#[command(
    after_help = "The token comes on stdin and is shown nowhere. Exit codes: 0 it would be accepted, 1 it would be refused, \
2 wrong usage or nothing can be told."
)]
pub(super) struct Explain {
    /// The server that it is for, or `*` for the endpoint of all servers.
    #[arg(long, value_name = "NAME")]
    server: String,
    /// The data directory of the gateway [default: portcullis in the user's data home].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file [default: portcullis.toml in the data directory].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A token that was put to the rules.
struct Tried {
    known: Result<Identity, Refusal>,
    trail: Trail,
}

impl Explain {
    pub(super) fn run(self) -> Ending {
        self.ending().unwrap_or_else(|error| {
            out::error(&format!("{error:#}"));
            Ending::Unknown
        })
    }

    fn ending(&self) -> anyhow::Result<Ending> {
        let file = match (&self.config, &self.data) {
            (Some(file), _) => file.clone(),
            (None, Some(data)) => data.join("portcullis.toml"),
            (None, None) => default_data()?.join("portcullis.toml"),
        };
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let (checked, built) = match judge(&file, &text)? {
            Judged::Good(checked, built) => (checked, built),
            Judged::Unbuildable(..) | Judged::Flawed(_) => {
                out::error("the configuration is not good: run `portcullis check`");
                return Ok(Ending::Unknown);
            }
        };
        if built.live.rules.server(&self.server).is_err() {
            out::error("no such server in the configuration");
            return Ok(Ending::Unknown);
        }
        let token = read_token()?;
        let (trust, silent) = trust(&checked, &built.trusted)?;
        let tried = self.attempt(&built.live.rules, &trust, &token);
        out::print(&self.told(&tried, &silent));
        Ok(match tried.known {
            Ok(_)
            | Err(Refusal::Unauthenticated(
                Unauthenticated::Proof(BadProof::Missing)
                | Unauthenticated::Certificate(BadCertificate::Missing),
            )) => Ending::Good,
            Err(Refusal::Unauthenticated(Unauthenticated::Unasked { .. })) => Ending::Unknown,
            Err(_) => Ending::Bad,
        })
    }

    fn attempt(&self, rules: &Rules, trust: &Trust, token: &Secret<String>) -> Tried {
        // Where no bearer token is taken, one that is presented so is refused before anything of it is looked at.
        let gate = rules.server(&self.server).map(|server| &server.gate);
        let scheme = match gate.map(|gate| gate.resource.dpop) {
            Ok(Binding::Required) => "DPoP",
            Ok(Binding::Off | Binding::Accepted) | Err(_) => "Bearer",
        };
        let mut trail = Trail::default();
        let brought = (scheme, token);
        let known = present((rules, trust), &self.server, brought, &mut trail);
        Tried { known, trail }
    }

    fn told(&self, tried: &Tried, silent: &[String]) -> String {
        let server = &self.server;
        let mut text = match &tried.known {
            Ok(identity) => format!("accepted at {server}\n{}", told_of(identity)),
            Err(Refusal::Unauthenticated(Unauthenticated::Proof(BadProof::Missing))) => format!(
                "accepted at {server}, if a proof by the key comes with it to which it is bound (DPoP)\n"
            ),
            Err(Refusal::Unauthenticated(Unauthenticated::Certificate(
                BadCertificate::Missing,
            ))) => {
                format!(
                    "accepted at {server}, over a connection with the client certificate to which it is bound (mutual TLS)\n"
                )
            }
            Err(Refusal::Unauthenticated(Unauthenticated::Unasked { .. })) => {
                format!(
                    "only its issuer can tell: the gateway would ask it ({server} has `introspection`)\n"
                )
            }
            Err(refusal) => format!("refused at {server}: {}: {refusal}\n", refusal.event().1),
        };
        if let Some(hint) = tried.trail.hint {
            // INVARIANT: writing to a text never fails.
            let _written = writeln!(text, "  {hint}");
        }
        if let Some(claimed) = &tried.trail.claimed {
            let names = [("iss", &claimed.issuer), ("kid", &claimed.key)];
            for (name, value) in names {
                let _written = writeln!(
                    text,
                    "  it says {name} = {:?}",
                    value.as_deref().unwrap_or_default()
                );
            }
        }
        for problem in silent {
            let _written = writeln!(text, "  {problem}");
        }
        text + "revocations, rules and quotas were not looked at\n"
    }
}

/// Presents a token to a server as a bearer of it would, without any proof of a key.
pub(super) fn bearer(
    deciding: (&Rules, &Trust),
    server: &str,
    token: &Secret<String>,
    trail: &mut Trail,
) -> Result<Identity, Refusal> {
    present(deciding, server, ("Bearer", token), trail)
}

fn present(
    deciding: (&Rules, &Trust),
    server: &str,
    (scheme, token): (&str, &Secret<String>),
    trail: &mut Trail,
) -> Result<Identity, Refusal> {
    let authorization = Secret::new(format!("{scheme} {}", token.expose()));
    let head = Head {
        server,
        credentials: Credentials {
            authorization: Some(authorization.expose().as_bytes()),
            count: 1,
            ..Credentials::default()
        },
        session: None,
    };
    let session = pipeline::identify(deciding, &State::default(), &head, clock::now(), trail);
    session.map(|session| Identity::clone(session.principal()))
}

fn told_of(identity: &Identity) -> String {
    let groups = if identity.has_unknown_groups {
        " and others"
    } else {
        ""
    };
    let implied = match identity.implied.as_slice() {
        [] => String::new(),
        some => format!(", which imply {some:?}"),
    };
    format!(
        "  user {:?} of {:?}\n  client {:?}\n  scopes {:?}{implied}\n  roles {:?}\n  groups {:?}{groups}\n  until {} s from now\n",
        identity.subject,
        identity.vouched_by(),
        identity.client.as_deref().unwrap_or_default(),
        identity.named_scopes(),
        identity.roles,
        identity.groups,
        identity.expires.since(clock::now()).as_secs(),
    )
}

/// All that is trusted, with the keys as they are published now, and what could not be had.
pub(super) fn trust(
    checked: &Checked,
    trusted: &[Trusted],
) -> anyhow::Result<(Trust, Vec<String>)> {
    let fetched = trusted.iter().map(|trusted| async move {
        match &trusted.source {
            Source::Embedded(_) => own_keys(checked),
            Source::Remote { .. } => {
                let told = |fault: Fault| format!("{fault}; see `portcullis doctor`");
                keys_of(trusted).await.map_err(told)
            }
        }
    });
    let fetched = runtime()?.block_on(join_all(fetched));
    let mut keys = HashMap::new();
    let mut silent = Vec::new();
    for (one, found) in trusted.iter().zip(fetched) {
        let name = &one.issuer.issuer;
        match found {
            Ok(set) => {
                keys.insert(name.clone(), set);
            }
            Err(why) => silent.push(format!("no keys of {name}: {why}")),
        }
    }
    let issuers = trusted.iter().map(|one| &one.issuer);
    let issuers = issuers.map(|issuer| (issuer.issuer.clone(), issuer.clone()));
    let trust = Trust {
        issuers: issuers.collect(),
        keys: Keys(keys),
        revoked: Arc::default(),
        generation: 1,
    };
    Ok((trust, silent))
}

fn own_keys(checked: &Checked) -> Result<Arc<KeySet>, String> {
    let home = Home(checked.gateway.data.clone());
    let key = Signer::open(&home, Purpose::Issuer, checked).and_then(|key| embedded::key_set(&key));
    key.map(Arc::new).map_err(|error| format!("{error:#}"))
}

pub(super) fn read_token() -> anyhow::Result<Secret<String>> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(MAX_TOKEN_BYTES);
    input
        .read_to_string(&mut text)
        .context("no token on stdin")?;
    let text = Secret::new(text);
    Ok(Secret::new(text.expose().trim().to_owned()))
}
