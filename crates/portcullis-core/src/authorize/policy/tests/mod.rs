//! The policy engine from outside: what is permitted, forbidden, shown and refused at the door.

use serde_json::value::RawValue;

use super::*;
use crate::authenticate::{Authentication, ClaimValue};
use crate::misuse::Anomaly;

mod conditions;
mod decisions;
mod limits;
mod properties;
mod refusals;

/// A caller in plain words.
#[derive(Debug, Clone, Default)]
struct Caller {
    subject: &'static str,
    client: Option<&'static str>,
    roles: Vec<String>,
    groups: Vec<String>,
    has_unknown_groups: bool,
    scopes: Vec<String>,
    claims: Vec<(String, String)>,
    declared: Vec<(String, ClaimValue)>,
    login: Authentication,
}

const ISSUER: &str = "https://idp.example";
/// Thursday, 2026-01-01T10:00:00Z.
const NOW: i64 = 1_767_261_600;

fn alice() -> Caller {
    Caller {
        subject: "alice",
        ..Caller::default()
    }
}

impl Caller {
    fn role(mut self, role: &str) -> Self {
        self.roles.push(role.to_owned());
        self
    }

    fn scope(mut self, scope: &str) -> Self {
        self.scopes.push(scope.to_owned());
        self
    }

    fn claim(mut self, name: &str, value: &str) -> Self {
        self.claims.push((name.to_owned(), value.to_owned()));
        self
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            issuer: ISSUER,
            vouched_by: ISSUER,
            subject: self.subject,
            client: self.client,
            roles: &self.roles,
            groups: &self.groups,
            has_unknown_groups: self.has_unknown_groups,
            scopes: &self.scopes,
            claims: &self.claims,
            declared: &self.declared,
            authentication: Some(&self.login),
        }
    }

    fn asks<'a>(&'a self, action: Action, target: Target<'a>) -> Question<'a> {
        Question {
            subject: self.subject(),
            action,
            target,
            arguments: None,
            time: NOW,
            era: "2025-11-25",
            network: Some("192.0.2.7"),
            anomaly: Anomaly::CALM,
            rated: None,
        }
    }

    fn calls<'a>(&'a self, name: &'a str, arguments: &'a str) -> Question<'a> {
        let target = Target::Tool {
            server: "notes",
            name,
        };
        let arguments = serde_json::from_str::<&RawValue>(arguments).expect("JSON");
        Question {
            arguments: Some(arguments),
            ..self.asks(Action::CallTool, target)
        }
    }
}

fn compile(cedar: &str, grants: &[Grant]) -> Result<Policy, PolicyError> {
    let file = ("test.cedar".to_owned(), cedar.to_owned());
    Policy::compile(&Sources {
        cedar: &[file],
        grants,
        ..Sources::default()
    })
}

fn cedar(text: &str) -> Policy {
    compile(text, &[]).expect("policies compile")
}

fn grant(who: &str, allow: &[&str]) -> Grant {
    Grant {
        id: format!("{who} {}", allow.join(" ")),
        who: who.parse().expect("who"),
        allow: allow.iter().map(ToString::to_string).collect(),
        until: None,
        held: None,
    }
}

fn granted(who: &str, allow: &[&str]) -> Policy {
    compile("", &[grant(who, allow)]).expect("grants compile")
}

/// A decision in a word: `+` and the rule, `-` and the rule, `no rule` or `unclear`.
fn said(decision: Result<Allowed, Denied>) -> String {
    match decision {
        Ok(Allowed { rule }) => format!("+{rule}"),
        Err(Denied::Forbidden { rule }) => format!("-{rule}"),
        Err(Denied::Beyond { rule }) => format!("beyond {rule}"),
        Err(Denied::Expired { rule }) => format!("over {rule}"),
        Err(Denied::Held { rule, review }) => format!("{rule} held by {review}"),
        Err(Denied::NoRule) => "no rule".to_owned(),
        Err(Denied::UnknownGroups { rule }) => format!("?{rule}"),
        Err(Denied::Indeterminate) => "unclear".to_owned(),
    }
}
