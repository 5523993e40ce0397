//! `portcullis policy explain`: why something was decided so, in plain words.

use super::{table, unknown};
use crate::cli::audit::{self, Named};
use crate::cli::{Ending, out};
use crate::clock;
use crate::explaining::{self, Asked, Outcome, Told, Who, Wish, explain, explain_record};
use anyhow::Context as _;
use clap::Args;
use portcullis_core::catalog::Rated;
use portcullis_core::misuse::Anomaly;
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value, json};

#[derive(Debug, Args)]
#[command(
    after_help = "With --id, the record says who asked for what; --role, --group, --scope, --claim and --arguments add what \
a record does not hold. Without, the flags say all. Exit codes: 0 told, 1 there is no such record, 2 wrong usage, or it \
cannot be told."
)]
pub(super) struct Explain {
    #[command(flatten)]
    named: Named,
    /// The correlation id of a refusal, which is the trace id of its record.
    #[arg(long, value_name = "ID", conflicts_with_all = ["server", "user", "issuer", "client", "tool", "resource", "prompt", "ask", "method", "era", "time", "network", "anomaly"])]
    id: Option<String>,
    /// The server.
    #[arg(long, value_name = "NAME", required_unless_present = "id")]
    server: Option<String>,
    /// The subject of the token.
    #[arg(long, value_name = "SUB")]
    user: Option<String>,
    /// The name of its issuer in the configuration.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// A role that the token names; may be given several times, as may the next three.
    #[arg(long, value_name = "NAME")]
    role: Vec<String>,
    /// A group.
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// A scope.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Another claim: a text, or JSON behind `:=`.
    #[arg(long, value_name = "NAME=TEXT|NAME:=JSON")]
    claim: Vec<String>,
    /// The OAuth client.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    #[arg(long, value_name = "URI")]
    resource: Option<String>,
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// What the server asks the client: sampling, elicitation or roots.
    #[arg(long, value_name = "WHAT")]
    ask: Option<String>,
    /// The method, where it is no plain call.
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// The arguments of the call, a JSON object.
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    /// The revision of the protocol [default: 2026-07-28].
    #[arg(long, value_name = "DATE")]
    era: Option<String>,
    /// When: RFC 3339, or a span before now [default: now].
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// The client's address.
    #[arg(long, value_name = "IP")]
    network: Option<String>,
    /// How unusual what the caller does is, from 0 to 100.
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u8).range(0..=100))]
    anomaly: Option<u8>,
    /// How risky the tool is (`context.tool.risk`), from 0 to 100; unless you say, nobody knows, and it counts as 100.
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u32).range(0..=100))]
    risk: Option<u32>,
    /// A rule that found something in the tool's definition (`context.tool.findings`); beside --risk, once for each.
    #[arg(long, value_name = "RULE", requires = "risk")]
    finding: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self) -> Ending {
        let told = match &self.id {
            Some(id) => self.of_record(id),
            None => self.of_flags(),
        };
        match told {
            Ok(Some(Told {
                words,
                json,
                outcome,
            })) => {
                out::print(&if self.json {
                    format!("{json:#}\n")
                } else {
                    words.join("\n") + "\n"
                });
                match outcome {
                    Outcome::Told => Ending::Good,
                    Outcome::Unknown => Ending::Unknown,
                }
            }
            Ok(None) => {
                out::error("the log has no record with this id");
                Ending::Bad
            }
            Err(error) => unknown(&format!("{error:#}")),
        }
    }

    fn of_flags(&self) -> anyhow::Result<Option<Told>> {
        let court = table::court(&audit::configuration(&self.named)?)?;
        let now = clock::now();
        let time = match &self.time {
            None => now,
            Some(text) => Timestamp::from_micros(
                audit::parse(text, now.micros()).context("--time is no time: see --help")?,
            ),
        };
        let wish = Wish {
            method: self.method.clone(),
            tool: self.tool.clone(),
            resource: self.resource.clone(),
            prompt: self.prompt.clone(),
            ask: self.ask.clone(),
            arguments: self.arguments()?,
            era: self.era.clone(),
        };
        let (era, what) = wish.read().map_err(anyhow::Error::msg)?;
        let who = Who {
            user: self.user.clone(),
            issuer: self.issuer.clone(),
            client: self.client.clone(),
            ..self.added()?
        };
        let asked = Asked {
            who,
            server: self.server.clone().unwrap_or_default(),
            what,
            era,
            time,
            network: self.network.clone(),
            anomaly: self.anomaly.map_or(Anomaly::CALM, Anomaly::assumed),
            rated: self
                .risk
                .map(|risk| Rated::of(risk, self.finding.iter().map(String::as_str))),
        };
        explain(&court, &asked).map(Some)
    }

    fn of_record(&self, id: &str) -> anyhow::Result<Option<Told>> {
        let log = audit::place(&self.named)?.log;
        let Some(recorded) = explaining::find(&log, id)? else {
            return Ok(None);
        };
        let court = table::court(&audit::configuration(&self.named)?)?;
        explain_record(&recorded, &court, self.added()?, self.arguments()?).map(Some)
    }

    /// What the flags say of a caller beside its name.
    fn added(&self) -> anyhow::Result<Who> {
        let mut claims = Map::new();
        for claim in &self.claim {
            let usage = "--claim is NAME=TEXT or NAME:=JSON";
            let (name, text) = claim.split_once('=').context(usage)?;
            let (name, value) = match name.strip_suffix(':') {
                Some(name) => (name, serde_json::from_str(text).context(usage)?),
                None => (name, json!(text)),
            };
            claims.insert(name.to_owned(), value);
        }
        let who = Who {
            roles: self.role.clone(),
            groups: self.group.clone(),
            scopes: self.scope.clone(),
            claims,
            ..Who::default()
        };
        who.check().map_err(anyhow::Error::msg)?;
        Ok(who)
    }

    fn arguments(&self) -> anyhow::Result<Option<Map<String, Value>>> {
        let arguments = self.arguments.as_deref().map(serde_json::from_str);
        arguments
            .transpose()
            .context("--arguments is no JSON object")
    }
}
