//! What a record of the log tells of a decision, and what it does not.

use super::asked::{Asked, Who, Wish};
use super::court::Court;
use super::said::put;
use super::verdict::Verdict;
use anyhow::{Context as _, bail};
use portcullis_audit::{Effect, Filter, Found, newest_first, time_text};
use portcullis_authority::grant::PROVIDER;
use portcullis_core::authenticate::Claims;
use portcullis_core::authorize::action_of;
use portcullis_core::authorize::policy::Action;
use portcullis_core::catalog::Rated;
use portcullis_core::misuse::Anomaly;
use portcullis_core::protocol::{Method, Revision};
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value};
use std::path::Path;

/// The record of an exchange.
pub(crate) struct Recorded(Found);

/// Whether the rules of today decide as those of then, if that can be told.
pub(crate) struct Alike {
    pub(crate) is_so: Option<bool>,
    pub(crate) words: Vec<String>,
}

/// The exchange that was answered with this correlation id.
pub(crate) fn find(log: &Path, id: &str) -> anyhow::Result<Option<Recorded>> {
    let is_hexadecimal = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if id.len() != 32 || !is_hexadecimal {
        bail!("a correlation id has 32 hexadecimal digits");
    }
    let filter = Filter {
        trace: Some(id.to_ascii_lowercase()),
        ..Filter::default()
    };
    let named = || format!("cannot read the log in {}", log.display());
    for found in newest_first(log, filter).with_context(named)? {
        let found = found.with_context(named)?;
        // Others with this id tell of what came with the exchange.
        if found.record.duration_us.is_some() {
            return Ok(Some(Recorded(found)));
        }
    }
    Ok(None)
}

impl Recorded {
    /// What it says, for people.
    pub(crate) fn words(&self) -> Vec<String> {
        let record = &self.0.record;
        let text = |text: &Option<portcullis_audit::Text>| {
            text.as_ref().map(|text| format!("{:?}", text.as_str()))
        };
        let who = record.principal.as_ref().map_or_else(
            || "somebody unknown".to_owned(),
            |who| format!("{:?} of {:?}", who.sub.as_str(), who.iss.as_str()),
        );
        let through = text(&record.client).map(|client| format!(" through {client}"));
        let target = text(&record.target).map(|target| format!(" of {target}"));
        let server = text(&record.server).map(|server| format!(" at {server}"));
        let mut words = vec![format!(
            "{}: {who}{} asked for {}{}{}.",
            time_text(self.0.stamp.time),
            through.unwrap_or_default(),
            text(&record.method).unwrap_or_else(|| "nothing that was read".to_owned()),
            target.unwrap_or_default(),
            server.unwrap_or_default(),
        )];
        let reason = record
            .reason
            .as_ref()
            .map(|reason| format!(" ({})", reason.as_str()));
        let rule = record
            .decision
            .as_ref()
            .map(|decision| decision.rule.as_str());
        let rule = rule.filter(|rule| !rule.is_empty());
        words.push(format!(
            "It came to {}{}{}.",
            record.event.as_str(),
            reason.unwrap_or_default(),
            rule.map(|rule| format!(", by {rule}")).unwrap_or_default()
        ));
        words
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.0.line).unwrap_or_default()
    }

    /// The question that it was, as far as it tells, with what is known beside it.
    pub(crate) fn asked(
        &self,
        court: &Court,
        added: Who,
        arguments: Option<Map<String, Value>>,
    ) -> Result<Asked, String> {
        let record = &self.0.record;
        if record.decision.is_none() {
            return Err("no rule was asked, the request was refused before".to_owned());
        }
        let who = record.principal.as_ref().ok_or("it names nobody")?;
        let made_by = record.detail.get("token_iss").unwrap_or(who.iss.as_str());
        let issuer = court.issuer_name(made_by);
        let issuer = issuer.ok_or("the configuration has no such issuer")?;
        let server = record.server.as_ref().ok_or("it names no server")?;
        let era = record.detail.get("revision").and_then(Revision::parse);
        let method = record.method.as_ref().map_or("", |method| method.as_str());
        let target = record
            .target
            .as_ref()
            .map(|target| target.as_str().to_owned());
        let wish = wish(method, target, era)?;
        let (era, what) = Wish { arguments, ..wish }.read()?;
        let mut added = added;
        if made_by != who.iss.as_str() {
            let vouched = (PROVIDER.to_owned(), Value::from(who.iss.as_str()));
            added.claims.extend([vouched]);
        }
        self.recall(&mut added.claims, court.claims_of(issuer));
        Ok(Asked {
            who: Who {
                user: Some(who.sub.as_str().to_owned()),
                issuer: Some(issuer.to_owned()),
                client: record
                    .client
                    .as_ref()
                    .map(|client| client.as_str().to_owned()),
                ..added
            },
            server: server.as_str().to_owned(),
            what,
            era,
            time: Timestamp::from_micros(self.0.stamp.time),
            network: record.peer.map(|peer| peer.ip().to_string()),
            anomaly: record
                .detail
                .get("anomaly")
                .and_then(|score| score.parse().ok())
                .map_or(Anomaly::CALM, Anomaly::assumed),
            rated: self.rated(),
        })
    }

    /// How risky the tool was, if rules looked at that.
    fn rated(&self) -> Option<Rated> {
        let detail = &self.0.record.detail;
        let risk = detail.get("tool_risk")?.parse().ok()?;
        let findings = detail.get("tool_findings").unwrap_or_default();
        Some(Rated::of(risk, findings.split_whitespace()))
    }

    /// Adds what the record tells of facts that rules looked at; what was added by hand goes before it.
    fn recall(&self, told: &mut Map<String, Value>, names: Option<&Claims>) {
        let detail = &self.0.record.detail;
        let json = |name| serde_json::from_str::<Value>(detail.get(name)?).ok();
        let age = detail.get("auth_age").and_then(|age| age.parse().ok());
        let now = Timestamp::from_micros(self.0.stamp.time).seconds();
        let time = age.and_then(|age| now.checked_sub(age)).map(Value::from);
        let mut facts = Map::new();
        let claims = json("claims").unwrap_or_default();
        for claim in names.into_iter().flat_map(|names| &names.declared) {
            if let Some(value) = claims.get(&claim.name) {
                put(&mut facts, &claim.path, value.clone());
            }
        }
        let class = detail.get("acr").map(Value::from);
        let login = [("acr", class), ("amr", json("amr")), ("auth_time", time)];
        for (name, value) in login {
            facts.extend(value.map(|value| (name.to_owned(), value)));
        }
        for (name, value) in facts {
            told.entry(name).or_insert(value);
        }
    }

    /// Whether today's rules would decide as the record says; `is_told` if what it does not hold was added.
    pub(crate) fn alike(
        &self,
        court: &Court,
        asked: &Asked,
        is_told: bool,
    ) -> anyhow::Result<Alike> {
        let record = &self.0.record;
        let decision = record.decision.as_ref().context("no decision")?;
        let policy = &court.rules.policy;
        let is_same_policy = decision.policy.as_str() == policy.hash();
        let reason = record.reason.as_ref().map(|reason| reason.as_str());
        let agrees = match court.judge(asked)? {
            Verdict::Allowed { .. } => decision.effect == Effect::Allow,
            Verdict::Denied { reason: now, .. } => {
                decision.effect == Effect::Deny && reason == Some(now)
            }
            Verdict::Unjudged(_) => false,
        };
        let mut words = vec![if is_same_policy {
            "The rules are those of then.".to_owned()
        } else {
            "The rules are others than those of then.".to_owned()
        }];
        // Scopes of servers are no part of what a policy's hash is of.
        let is_so = if is_told || (is_same_policy && agrees) {
            Some(agrees)
        } else if is_same_policy && reason != Some("scope") {
            Some(true)
        } else {
            None
        };
        words.push(match is_so {
            Some(true) => "Today's rules would decide alike.".to_owned(),
            Some(false) => "Today's rules would decide otherwise.".to_owned(),
            None => "Whether today's rules would decide alike cannot be told: a record holds no roles, groups, scopes or other claims. Add them with --role, --group, --scope and --claim.".to_owned(),
        });
        if policy.depends_on_context() && record.arguments.is_some() {
            words.push("Rules look at arguments or circumstances, and a record does not hold arguments as they were: --arguments adds them.".to_owned());
        }
        Ok(Alike { is_so, words })
    }
}

/// The request that is decided about as the recorded one.
fn wish(method: &str, target: Option<String>, era: Option<Revision>) -> Result<Wish, String> {
    let era = era.unwrap_or(Revision::V2025_11_25);
    let mut wish = Wish {
        era: Some(era.name().to_owned()),
        ..Wish::default()
    };
    let is_plain = ["GET", "DELETE", "response"].contains(&method);
    let action = action_of(&Method::parse(method)).or(is_plain.then_some(Action::UseServer));
    match action.ok_or("its method is one that no rule can name")? {
        Action::CallTool => wish.tool = target,
        Action::GetPrompt => wish.prompt = target,
        Action::ReadResource | Action::SubscribeResource => {
            wish.method = Some(method.to_owned());
            wish.resource = target;
        }
        Action::ListTools | Action::ListResources | Action::ListPrompts => {
            wish.method = Some(method.to_owned());
        }
        Action::UseServer if era.is_stateless() => {
            wish.method = Some("server/discover".to_owned());
        }
        Action::UseServer => wish.method = Some("ping".to_owned()),
        Action::Complete => return Err("it does not tell what was to be completed".to_owned()),
        Action::Sample | Action::Elicit | Action::ListRoots => {
            return Err("it tells of an answer, not of what the server asked".to_owned());
        }
    }
    Ok(wish)
}
