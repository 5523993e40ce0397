//! `portcullis policy explain`: why something was decided so, in plain words.

use super::asked::{Asked, Who, Wish};
use super::court::Court;
use super::recorded;
use super::verdict::Verdict;
use super::{table, unknown};
use crate::cli::audit::{self, Named};
use crate::cli::{Ending, out};
use crate::clock;
use anyhow::{Context as _, bail};
use clap::Args;
use portcullis_core::catalog::Rated;
use portcullis_core::misuse::Anomaly;
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value, json};

/// The most callers that are tried to find out who would be permitted.
const MAX_NEAR: usize = 256;

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

/// Who would be permitted, and by which rule.
struct Near {
    who: String,
    rule: String,
}

impl Explain {
    pub(super) fn run(self) -> Ending {
        let told = match &self.id {
            Some(id) => self.of_record(id),
            None => self.of_flags(),
        };
        match told {
            Ok(Some((words, json, ending))) => {
                out::print(&if self.json {
                    format!("{json:#}\n")
                } else {
                    words.join("\n") + "\n"
                });
                ending
            }
            Ok(None) => {
                out::error("the log has no record with this id");
                Ending::Bad
            }
            Err(error) => unknown(&format!("{error:#}")),
        }
    }

    fn of_flags(&self) -> anyhow::Result<Option<(Vec<String>, Value, Ending)>> {
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
        let (words, json, ending) = explain(&court, &asked)?;
        Ok(Some((words, json, ending)))
    }

    fn of_record(&self, id: &str) -> anyhow::Result<Option<(Vec<String>, Value, Ending)>> {
        let log = audit::place(&self.named)?.log;
        let Some(recorded) = recorded::find(&log, id)? else {
            return Ok(None);
        };
        let court = table::court(&audit::configuration(&self.named)?)?;
        let added = self.added()?;
        let arguments = self.arguments()?;
        let is_told = arguments.is_some()
            || [&self.role, &self.group, &self.scope, &self.claim]
                .iter()
                .any(|told| !told.is_empty());
        let mut words = recorded.words();
        let mut json = json!({ "record": recorded.json(), "alike": null, "today": null });
        let asked = match recorded.asked(&court, added, arguments) {
            Ok(asked) => asked,
            Err(why) => {
                words.push(format!(
                    "What today's rules would say cannot be told: {why}."
                ));
                return Ok(Some((words, json, Ending::Unknown)));
            }
        };
        let (today, told, _) = explain(&court, &asked)?;
        let alike = recorded.alike(&court, &asked, is_told)?;
        words.extend(alike.words);
        words.push("Today, with what is known:".to_owned());
        words.extend(today.iter().map(|line| format!("  {line}")));
        if let Some(json) = json.as_object_mut() {
            json.insert("alike".to_owned(), json!(alike.is_so));
            json.insert("today".to_owned(), told);
        }
        let ending = match alike.is_so {
            Some(_) => Ending::Good,
            None => Ending::Unknown,
        };
        Ok(Some((words, json, ending)))
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

/// What the rules say, in words and as JSON.
fn explain(court: &Court, asked: &Asked) -> anyhow::Result<(Vec<String>, Value, Ending)> {
    let (verdict, facts) = court.hear(asked)?;
    let near = near(court, asked, &verdict)?;
    let (mut words, ending) = match &verdict {
        Verdict::Allowed { rule } => {
            let place = court.place(rule);
            (vec![format!("Allowed by {rule}{place}.")], Ending::Good)
        }
        Verdict::Denied {
            reason,
            rule,
            scopes,
        } => (
            denied(court, asked, (*reason, rule.as_deref(), scopes)),
            Ending::Good,
        ),
        Verdict::Unjudged(why) => (
            vec![format!("It never comes to a decision of the rules: {why}.")],
            Ending::Unknown,
        ),
    };
    let shown = near.iter().map(|near| {
        let place = court.place(&near.rule);
        format!(
            "It would be allowed to {}, by {}{place}.",
            near.who, near.rule
        )
    });
    words.extend(shown);
    let facts = facts.iter();
    let facts: Vec<String> = facts
        .map(|(name, fact)| format!("{name} = {fact}"))
        .collect();
    if !facts.is_empty() {
        words.push(format!("The rules look at {}.", facts.join("; ")));
    }
    let implied = court.implied(asked);
    if !implied.is_empty() {
        words.push(format!("Its scopes imply {}.", implied.join(" ")));
    }
    let near = near
        .iter()
        .map(|near| json!({ "who": near.who, "rule": near.rule }));
    let json = json!({
        "verdict": verdict.json(),
        "implied": implied,
        "looked_at": facts,
        "near": near.collect::<Vec<_>>(),
        "words": words,
    });
    Ok((words, json, ending))
}

fn denied(
    court: &Court,
    asked: &Asked,
    (reason, rule, scopes): (&str, Option<&str>, &[String]),
) -> Vec<String> {
    let rule = rule.unwrap_or_default();
    let place = court.place(rule);
    let (held, implied) = (&asked.who.scopes, court.implied(asked));
    match reason {
        "scope" => {
            let has = |scope: &String| held.contains(scope) || implied.contains(scope);
            let missing: Vec<&str> = scopes
                .iter()
                .filter(|scope| !has(scope))
                .map(String::as_str)
                .collect();
            vec![
                format!("Denied (scope): the token lacks {}.", missing.join(" ")),
                format!("All that it needs: {}.", scopes.join(" ")),
            ]
        }
        "no_rule" => vec!["Denied (no_rule): nothing permits it, and nothing is permitted by default.".to_owned()],
        "expired" => vec![format!("Denied (expired): {rule}{place} permitted it until its time was over.")],
        "boundary" => vec![format!("Denied (boundary): it lies beyond {rule}, which nothing exceeds, whatever is granted.")],
        "forbidden" => vec![format!("Denied (forbidden): {rule}{place} forbids it, whatever is granted.")],
        "indeterminate" => vec!["Denied (indeterminate): a rule that concerns it could not be evaluated, or its arguments are no JSON object that can be looked through.".to_owned()],
        "issuer" => vec![format!("Denied (issuer): the server {:?} does not trust the issuer of the token.", asked.server)],
        "unknown_method" => vec!["Denied (unknown_method): no rule can name this method.".to_owned()],
        other => vec![format!("Denied ({other}).")],
    }
}

/// Who would be permitted what this caller is not: each principal that a grant of the server names is tried.
fn near(court: &Court, asked: &Asked, verdict: &Verdict) -> anyhow::Result<Vec<Near>> {
    let is_near = match verdict {
        Verdict::Denied { reason, .. } => ["no_rule", "expired"].contains(reason),
        Verdict::Allowed { .. } | Verdict::Unjudged(_) => false,
    };
    let mut found = Vec::new();
    if !is_near {
        return Ok(found);
    }
    for (words, who) in court.others(asked).into_iter().take(MAX_NEAR) {
        let instead = Asked {
            who,
            ..asked.clone()
        };
        if let Verdict::Allowed { rule } = court.judge(&instead)? {
            found.push(Near { who: words, rule });
        }
    }
    Ok(found)
}

/// Refuses what no record could be about.
pub(super) fn expect_id(id: &str) -> anyhow::Result<()> {
    let is_hexadecimal = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if id.len() != 32 || !is_hexadecimal {
        bail!("a correlation id has 32 hexadecimal digits");
    }
    Ok(())
}
