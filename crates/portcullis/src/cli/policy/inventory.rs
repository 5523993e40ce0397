//! `portcullis policy inventory`: every point of decision and every rule, how often each has decided, and which never can.

use super::counted::Counted;
use super::{shadow, unknown};
use crate::assemble::grant_of;
use crate::cli::audit::Named;
use crate::cli::{Ending, out};
use crate::config::Checked;
use crate::explaining::Book;
use crate::usage::{Count, Usage};
use clap::Args;
use portcullis_audit::time_text;
use portcullis_core::authorize::policy::Policy;
use portcullis_core::points::{ADMIN, POINTS};
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(
    after_help = "TIME is RFC 3339, a day in UTC, or a span before now (90s, 15m, 2h, 90d). Exit codes: 0 listed, 1 a \
line of the log is no record, so that not all was counted, 2 wrong usage, or the log or the configuration cannot be used."
)]
pub(super) struct Inventory {
    #[command(flatten)]
    named: Named,
    /// Count what the log has since then [default: 90d].
    #[arg(long, value_name = "TIME", default_value = "90d")]
    since: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A rule of the configuration.
struct Rule {
    kind: &'static str,
    name: String,
    place: String,
    count: Count,
    until: Option<u64>,
    shadowed: Option<String>,
}

/// All that is listed.
struct Listing {
    policy: String,
    since: u64,
    usage: Usage,
    rules: Vec<Rule>,
}

impl Inventory {
    pub(super) fn run(self) -> Ending {
        let listing = match self.listing() {
            Ok(listing) => listing,
            Err(error) => return unknown(&format!("{error:#}")),
        };
        out::print(&if self.json {
            format!("{:#}\n", listing.json())
        } else {
            listing.text()
        });
        listing.usage.ending()
    }

    fn listing(&self) -> anyhow::Result<Listing> {
        let Counted {
            checked,
            built,
            since,
            usage,
            ..
        } = Counted::read(&self.named, &self.since)?;
        let policy = &built.live.rules.policy;
        let mut rules = of_grants(&checked, policy, &usage)?;
        rules.extend(of_boundaries(&checked, &usage));
        rules.extend(of_files(&checked, policy, &usage));
        rules.extend(of_scopes(&checked, &usage));
        Ok(Listing {
            policy: policy.hash().to_owned(),
            since,
            usage,
            rules,
        })
    }
}

fn of_grants(checked: &Checked, policy: &Policy, usage: &Usage) -> anyhow::Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for grant in &checked.grants {
        let name = format!("grant:{}", grant_of(grant)?.id);
        rules.push(Rule {
            kind: "grant",
            place: format!("{}, line {}", grant.key, grant.line),
            count: usage.of_rule(&name),
            until: grant.until.map(|until| until.micros()),
            shadowed: shadow::of_grant(checked, policy, grant)?,
            name,
        });
    }
    Ok(rules)
}

fn of_boundaries(checked: &Checked, usage: &Usage) -> Vec<Rule> {
    let boundaries = checked.boundaries.iter();
    let rule = |name: &String| {
        let rule = format!("boundary:{name}");
        Rule {
            kind: "boundary",
            place: format!("boundary.{name}"),
            count: usage.of_rule(&rule),
            until: None,
            shadowed: None,
            name: rule,
        }
    };
    boundaries.map(|boundary| rule(&boundary.name)).collect()
}

/// The policies of Cedar files: whatever is neither a grant nor a boundary.
fn of_files(checked: &Checked, policy: &Policy, usage: &Usage) -> Vec<Rule> {
    let own = policy.rules().iter();
    let own = own.filter(|rule| !rule.starts_with("grant:") && !rule.starts_with("boundary:"));
    own.map(|rule| Rule {
        kind: "cedar",
        place: place(checked, rule),
        count: usage.of_rule(rule),
        until: None,
        shadowed: None,
        name: rule.clone(),
    })
    .collect()
}

/// Where a rule stands; a policy without an `@id` is named by that.
pub(in crate::cli) fn place(checked: &Checked, rule: &str) -> String {
    if let Some(boundary) = rule.strip_prefix("boundary:") {
        return format!("boundary.{boundary}");
    }
    let place = Book::of(checked).place(rule);
    place.unwrap_or_else(|| rule.to_owned())
}

fn of_scopes(checked: &Checked, usage: &Usage) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (name, server) in &checked.servers {
        if !server.scopes.is_empty() {
            rules.push(Rule {
                kind: "scopes",
                name: format!("scopes:{name}"),
                place: format!("servers.{name}.scopes"),
                count: usage.of_scopes(name.as_str(), None),
                until: None,
                shadowed: None,
            });
        }
        for (tool, needs) in server
            .tools
            .iter()
            .filter(|(_, tool)| !tool.scopes.is_empty())
        {
            let adds_nothing = needs.scopes.is_subset(&server.scopes);
            rules.push(Rule {
                kind: "scopes",
                name: format!("scopes:{name}__{tool}"),
                place: format!("servers.{name}.tools.{tool}.scopes"),
                count: usage.of_scopes(name.as_str(), Some(tool)),
                until: None,
                shadowed: adds_nothing.then(|| "every request to the server needs them".to_owned()),
            });
        }
    }
    rules
}

impl Listing {
    fn json(&self) -> Value {
        let points = POINTS.iter().chain([&ADMIN]).map(|point| {
            let count = self.usage.of_point(point.id);
            json!({
                "id": point.id,
                "decides": point.decides,
                "inputs": point.inputs,
                "room": point.room,
                "hits": count.hits,
                "last": last(count),
            })
        });
        let rules = self.rules.iter().map(|rule| {
            json!({
                "rule": rule.name,
                "kind": rule.kind,
                "place": rule.place,
                "hits": rule.count.hits,
                "last": last(rule.count),
                "until": rule.until.map(time_text),
                "shadowed": rule.shadowed,
            })
        });
        json!({
            "policy": self.policy,
            "since": time_text(self.since),
            "records": self.usage.records,
            "points": points.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let (records, since) = (self.usage.records, time_text(self.since));
        let mut lines = vec![
            format!("Policy {}", self.policy),
            format!("Counted {records} records since {since}"),
            String::new(),
            "Points of decision".to_owned(),
        ];
        for point in POINTS.iter().chain([&ADMIN]) {
            let count = told(self.usage.of_point(point.id));
            lines.push(format!("  {}: {count}; {}", point.id, point.decides));
        }
        lines.extend([String::new(), "Rules".to_owned()]);
        for rule in &self.rules {
            lines.push(format!(
                "  {} ({}): {}",
                rule.name,
                rule.place,
                told(rule.count)
            ));
            let until = rule.until.map(time_text);
            lines.extend(until.map(|until| format!("    ends {until}")));
            let shadowed = rule.shadowed.as_ref();
            lines.extend(shadowed.map(|why| format!("    changes nothing: {why}")));
        }
        lines.join("\n") + "\n"
    }
}

fn told(count: Count) -> String {
    match count.hits {
        0 => "never".to_owned(),
        hits => format!("{hits} times, last {}", time_text(count.last)),
    }
}

fn last(count: Count) -> Option<String> {
    (count.hits > 0).then(|| time_text(count.last))
}
