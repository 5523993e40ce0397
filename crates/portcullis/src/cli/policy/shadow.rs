//! Rules that change nothing: what others permit anyway, and what others forbid anyway.
//!
//! What is found is so. What depends on conditions, on several rules together, or on who has which roles is not found.

use crate::assemble::grant_of;
use crate::config::{Checked, Grant, Kind, Names, Who};
use portcullis_core::authorize::policy::{Action, Policy, Question, Subject, Target};
use portcullis_core::misuse::Anomaly;

/// A name that stands for every name that no rule names by itself.
const UNNAMED: &str = "\u{0}";

/// Why a grant changes nothing; none if it may.
pub(in crate::cli) fn of_grant(
    checked: &Checked,
    policy: &Policy,
    grant: &Grant,
) -> anyhow::Result<Option<String>> {
    let own = format!("grant:{}", grant_of(grant)?.id);
    for other in &checked.grants {
        if is_wider(other, grant) {
            let wider = format!("grant:{}", grant_of(other)?.id);
            return Ok(Some(format!(
                "{wider} (line {}) gives the same and more",
                other.line
            )));
        }
    }
    let roles = match &grant.who {
        Who::Role(role) => vec![role.clone()],
        Who::Anyone | Who::User(_) | Who::Group(_) | Who::Client(_) | Who::Issuer(_) => Vec::new(),
    };
    let groups = match &grant.who {
        Who::Group(group) => vec![group.clone()],
        Who::Anyone | Who::User(_) | Who::Role(_) | Who::Client(_) | Who::Issuer(_) => Vec::new(),
    };
    let questions = questions(grant, &roles, &groups);
    if let Some(first) = questions.first() {
        let always = policy.always(first);
        if let Some(forbids) = always.forbids.first() {
            return Ok(Some(format!("{forbids} forbids all that it names")));
        }
    }
    let others = |question: &Question<'_>| {
        let permits = policy.always(question).permits;
        permits.into_iter().find(|other| *other != own)
    };
    let wider: Option<Vec<&str>> = questions.iter().map(others).collect();
    let wider = wider.unwrap_or_default();
    Ok(wider
        .first()
        .map(|wider| format!("{wider} permits the same")))
}

/// Whether `one` permits whatever `other` does, for as long.
fn is_wider(one: &Grant, other: &Grant) -> bool {
    let is_another = one.key != other.key;
    let holds_as_long = match (one.until, other.until) {
        (None, _) => true,
        (Some(one), Some(other)) => one >= other,
        (Some(_), None) => false,
    };
    let names_all = one.server == other.server
        && one.pattern.kind == other.pattern.kind
        && one.pattern.names.covers(&other.pattern.names);
    is_another && holds_as_long && names_all && holds_for_all(&one.who, &other.who)
}

/// Whether everyone whom `other` names is named by `one`.
fn holds_for_all(one: &Who, other: &Who) -> bool {
    match (one, other) {
        (Who::Anyone, _) => true,
        // A subject of any issuer, and the same of one.
        (Who::User(one), Who::User(other)) => {
            let rest = other
                .split_once('|')
                .filter(|(issuer, _)| issuer.contains("://"));
            one == other || rest.is_some_and(|(_, subject)| subject == one)
        }
        (one, other) => one == other,
    }
}

/// What the grant permits, asked for by somebody of whom nothing is known but what the grant says.
fn questions<'a>(grant: &'a Grant, roles: &'a [String], groups: &'a [String]) -> Vec<Question<'a>> {
    let server = grant.server.as_str();
    let name = match &grant.pattern.names {
        Names::Exact(name) => name.as_str(),
        Names::All | Names::Prefix(_) => UNNAMED,
    };
    let (tool, at) = (Target::Tool { server, name }, Target::Server { server });
    let (uri, prompt) = (
        Target::Resource { server, uri: name },
        Target::Prompt { server, name },
    );
    let asked = |name: &str| grant.pattern.names.contains(name);
    let targets = match grant.pattern.kind {
        Kind::Tool => vec![
            (Action::CallTool, tool),
            (Action::ListTools, at),
            (Action::UseServer, at),
        ],
        Kind::Resource => vec![
            (Action::ReadResource, uri),
            (Action::SubscribeResource, uri),
            (Action::Complete, uri),
            (Action::ListResources, at),
            (Action::UseServer, at),
        ],
        Kind::Prompt => vec![
            (Action::GetPrompt, prompt),
            (Action::Complete, prompt),
            (Action::ListPrompts, at),
            (Action::UseServer, at),
        ],
        Kind::Ask => [
            ("sampling", Action::Sample),
            ("elicitation", Action::Elicit),
            ("roots", Action::ListRoots),
        ]
        .into_iter()
        .filter(|(name, _)| asked(name))
        .map(|(_, action)| (action, at))
        .collect(),
    };
    let question = |(action, target)| Question {
        subject: somebody(roles, groups),
        action,
        target,
        arguments: None,
        time: 0,
        era: "",
        network: None,
        anomaly: Anomaly::CALM,
        rated: None,
    };
    targets.into_iter().map(question).collect()
}

/// Of whom nothing is known but these.
const fn somebody<'a>(roles: &'a [String], groups: &'a [String]) -> Subject<'a> {
    Subject {
        issuer: UNNAMED,
        vouched_by: UNNAMED,
        subject: UNNAMED,
        client: None,
        roles,
        groups,
        has_unknown_groups: false,
        scopes: &[],
        claims: &[],
        declared: &[],
        authentication: None,
    }
}
