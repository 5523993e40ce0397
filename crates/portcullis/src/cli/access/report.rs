//! `portcullis access review`: every grant with its last use, and what of rules and scopes is of no use.

use super::grants::{Listed, last, listed, told};
use super::reviewed::Reviewed;
use super::unknown;
use crate::cli::audit::Named;
use crate::cli::policy::counted::Counted;
use crate::cli::policy::inventory::place;
use crate::cli::{Ending, out};
use crate::config::Checked;
use crate::usage::{Count, Usage};
use clap::Args;
use portcullis_audit::time_text;
use portcullis_core::authorize::policy::Policy;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(
    after_help = "TIME is RFC 3339, a day in UTC, or a span before now (90s, 15m, 2h, 90d). Exit codes: 0 listed, 1 a \
line of the log is no record, so that not all was counted, 2 wrong usage, or the log or the configuration cannot be used."
)]
pub(super) struct Report {
    #[command(flatten)]
    named: Named,
    /// Count what the log has since then [default: 90d].
    #[arg(long, value_name = "TIME", default_value = "90d")]
    since: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A rule that is no grant, or the scopes that something asks for.
struct Other {
    name: String,
    place: String,
    scopes: Vec<String>,
    count: Count,
}

/// All that is told.
struct Told {
    policy: String,
    since: u64,
    usage: Usage,
    grants: Vec<Listed>,
    rules: Vec<Other>,
    scopes: Vec<Other>,
    reviewed: Reviewed,
}

impl Report {
    pub(super) fn run(self) -> Ending {
        let found = match self.found() {
            Ok(found) => found,
            Err(error) => return unknown(&format!("{error:#}")),
        };
        out::print(&if self.json {
            format!("{:#}\n", found.json())
        } else {
            found.text()
        });
        found.usage.ending()
    }

    fn found(&self) -> anyhow::Result<Told> {
        let Counted {
            file,
            checked,
            built,
            since,
            usage,
        } = Counted::read(&self.named, &self.since)?;
        let policy = &built.live.rules.policy;
        let reviewed = Reviewed::read(&checked, policy.hash())?;
        Ok(Told {
            reviewed,
            policy: policy.hash().to_owned(),
            since,
            grants: listed(&checked, &file, (policy, &usage))?,
            rules: rules(&checked, (policy, &usage)),
            scopes: scopes(&checked, &usage),
            usage,
        })
    }
}

/// Boundaries and the policies of Cedar files.
fn rules(checked: &Checked, (policy, usage): (&Policy, &Usage)) -> Vec<Other> {
    let own = policy.rules().iter();
    let own = own.filter(|rule| !rule.starts_with("grant:"));
    own.map(|rule| Other {
        name: rule.clone(),
        place: place(checked, rule),
        scopes: Vec::new(),
        count: usage.of_rule(rule),
    })
    .collect()
}

/// What asks for scopes, with how often somebody wanted what needs them.
fn scopes(checked: &Checked, usage: &Usage) -> Vec<Other> {
    let mut all = Vec::new();
    for (name, server) in &checked.servers {
        let asked = |scopes: &std::collections::BTreeSet<String>, tool: Option<&str>| Other {
            name: tool.map_or_else(|| name.to_string(), |tool| format!("{name}__{tool}")),
            place: tool.map_or_else(
                || format!("servers.{name}.scopes"),
                |tool| format!("servers.{name}.tools.{tool}.scopes"),
            ),
            scopes: scopes.iter().cloned().collect(),
            count: usage.of_need(name.as_str(), tool),
        };
        let tools = server.tools.iter();
        let tools = tools.map(|(tool, needs)| asked(&needs.scopes, Some(tool)));
        let own = std::iter::once(asked(&server.scopes, None));
        all.extend(own.chain(tools).filter(|one| !one.scopes.is_empty()));
    }
    all
}

impl Told {
    fn json(&self) -> Value {
        let grants = self
            .grants
            .iter()
            .map(|grant| grant.json(&self.reviewed.json_of(&grant.id)));
        let rules = self.rules.iter().map(|rule| {
            json!({ "rule": rule.name, "place": rule.place, "hits": rule.count.hits, "last": last(rule.count) })
        });
        let scopes = self.scopes.iter().map(|one| {
            json!({
                "needed_by": one.name,
                "place": one.place,
                "scopes": one.scopes,
                "hits": one.count.hits,
                "last": last(one.count),
            })
        });
        json!({
            "policy": self.policy,
            "since": time_text(self.since),
            "log_begins": self.usage.reaches.map(time_text),
            "records": self.usage.records,
            "review": self.reviewed.json(),
            "inventory": self.reviewed.inventory(),
            "grants": grants.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
            "scopes": scopes.collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let (records, since) = (self.usage.records, time_text(self.since));
        let mut lines = vec![
            format!("Policy {}", self.policy),
            format!("Counted {records} records since {since}"),
        ];
        lines.push(match self.usage.reaches {
            None => "The log is empty: no use can be told".to_owned(),
            Some(begins) if begins > self.since => {
                let begins = time_text(begins);
                format!("The log begins at {begins} only: what was before cannot be told")
            }
            Some(begins) => format!("The log begins at {}", time_text(begins)),
        });
        lines.extend(self.reviewed.lines());
        lines.extend([String::new(), "Grants".to_owned()]);
        for grant in &self.grants {
            lines.extend(grant.lines());
            lines.extend(self.reviewed.line_of(&grant.id));
        }
        lines.extend([String::new(), "Other rules".to_owned()]);
        let rules = self.rules.iter();
        lines.extend(rules.map(|rule| {
            let count = told(rule.count);
            format!("  {} ({}): {count}", rule.name, rule.place)
        }));
        lines.extend([String::new(), "Scopes".to_owned()]);
        for one in &self.scopes {
            let (scopes, count) = (one.scopes.join(" "), told(one.count));
            let (name, place) = (&one.name, &one.place);
            lines.push(format!("  {scopes}, for {name} ({place}): {count}"));
        }
        lines.join("\n") + "\n"
    }
}
