//! May they? Scopes and Cedar policies decide, by default they do not.

mod actions;
mod forbidden;
mod gate;
mod step_up;
mod anew;
mod elevation;
mod approval;
pub mod policy;

use crate::authenticate::Principal;
use crate::catalog::Rated;
use crate::misuse::Anomaly;
use crate::protocol::{Call, Filter, Kind, Method, Target};
use crate::quota::Slot;
use crate::session::Session;
use crate::time::Timestamp;
use policy::{Action, Denied, Policy, Question, Subject};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

pub use anew::{Anew, Grant, Login, NotAnew, Wanted};
pub use approval::{
    Approval, Approvals, Asked as ToApprove, By, Needed, NotTheirs, Risk, Risky, Visitor,
};
pub use elevation::{Elevations, OwnRequest, may_approve};
pub use forbidden::Forbidden;
pub use gate::Gate;
pub use step_up::{Lack, StepUp, Strength, Strengths};

/// The rule by which a message to all servers together goes on to those that decide about it.
const MEMBERS_DECIDE: &str = "members decide";

/// Proof that a policy permitted this call. Only this room makes one.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    session: Session,
    call: Call,
    slot: Slot,
    rule: String,
}

impl Permit {
    /// The rule that permitted it.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What was permitted.
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// In which conversation.
    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn into_parts(self) -> (Session, Call, Slot, String) {
        (self.session, self.call, self.slot, self.rule)
    }
}

/// The circumstances of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Now.
    pub now: Timestamp,
    /// The client's network address.
    pub network: Option<&'a str>,
    /// How unusual what the caller does is.
    pub anomaly: Anomaly,
}

/// The policy action of a method, whoever sends it; none for what no rule can name.
pub fn action_of(method: &Method) -> Option<Action> {
    actions::of(method).or_else(|| actions::of_server(method))
}

/// Decides about one message, of a tool that is so risky.
///
/// # Errors
/// [`Forbidden`], for every answer that is not a clear yes.
pub fn decide(
    policy: &Policy,
    gate: &Gate,
    (session, call, slot): (Session, Call, Slot),
    rated: Option<&Rated>,
    circumstances: Circumstances<'_>,
) -> Result<Permit, Forbidden> {
    let action = action_asked(&call).ok_or(Forbidden::Method)?;
    gate.check_tenant(session.principal())?;
    gate.check_strength(session.principal(), call.target(), circumstances.now)?;
    gate.check_scopes(session.principal(), call.target())?;
    if gate.is_aggregate {
        return Ok(Permit {
            session,
            call,
            slot,
            rule: MEMBERS_DECIDE.to_owned(),
        });
    }
    let parts = permit_subscriptions((policy, gate), &session, &call, circumstances)?;
    let asked = Asked {
        action,
        target: call.target(),
        arguments: if policy.depends_on_context() {
            call.arguments()
        } else {
            None
        },
        era: call.revision().name(),
        rated,
    };
    let question = question(session.principal(), session.server(), &asked, circumstances);
    let rule = ask(policy, &question).map_err(|why| {
        let whose = (session.principal(), call.target());
        gate.or_more(why, policy, &question, whose)
    })?;
    Ok(Permit {
        session,
        call,
        slot,
        rule: and(rule, parts),
    })
}

fn action_asked(call: &Call) -> Option<Action> {
    match call.kind() {
        Kind::Request(_) | Kind::Notification => actions::of(call.method()),
        Kind::Response(_) => Some(Action::UseServer),
    }
}

/// What the rules that concern a message, or else the use of the server, look at besides what its record holds anyway.
pub(crate) fn looked_at(
    policy: &Policy,
    session: &Session,
    (call, rated): (Option<&Call>, Option<&Rated>),
    circumstances: Circumstances<'_>,
) -> Vec<(&'static str, String)> {
    if !policy.looks_further() {
        return Vec::new();
    }
    let own = call.map_or(Some(Action::UseServer), action_asked);
    let target = call.map_or(&Target::Server, Call::target);
    let mut decided: Vec<(Action, Target)> = Vec::new();
    decided.extend(own.map(|action| (action, target.clone())));
    let watched = call.filter(|call| *call.method() == Method::Listen);
    for uri in watched
        .and_then(Filter::of)
        .into_iter()
        .flat_map(|filter| filter.resource_subscriptions)
    {
        decided.push((Action::ReadResource, Target::Resource(uri.into())));
    }
    let facts = decided.iter().flat_map(|(action, target)| {
        let asked = Asked {
            action: *action,
            target,
            arguments: None,
            era: "",
            rated,
        };
        let (principal, server) = (session.principal(), session.server());
        policy.looked_at(&question(principal, server, &asked, circumstances))
    });
    // Each is the same wherever it is looked at.
    let facts: BTreeMap<&'static str, String> = facts.collect();
    facts.into_iter().collect()
}

/// One `subscriptions/listen` watches many resources: each is decided about as if it were read.
fn permit_subscriptions(
    (policy, gate): (&Policy, &Gate),
    session: &Session,
    call: &Call,
    circumstances: Circumstances<'_>,
) -> Result<BTreeSet<String>, Forbidden> {
    let mut rules = BTreeSet::new();
    if *call.method() != Method::Listen {
        return Ok(rules);
    }
    let filter = Filter::of(call).ok_or(Forbidden::Indeterminate)?;
    for uri in filter.resource_subscriptions {
        let target = Target::Resource(uri.into());
        let asked = Asked {
            action: Action::ReadResource,
            target: &target,
            arguments: None,
            era: call.revision().name(),
            rated: None,
        };
        let question = question(session.principal(), session.server(), &asked, circumstances);
        let whose = (session.principal(), &target);
        let rule = ask(policy, &question);
        rules.insert(rule.map_err(|why| gate.or_more(why, policy, &question, whose))?);
    }
    Ok(rules)
}

/// The rules that permit it, and those that permit its parts.
fn and(rule: String, parts: BTreeSet<String>) -> String {
    let others = parts.into_iter().filter(|part| *part != rule);
    let others: Vec<String> = others.collect();
    [vec![rule], others].concat().join(", ")
}

/// Decides whether they may use the server at all, for what is no message: HTTP `GET` and `DELETE`.
///
/// # Errors
/// [`Forbidden`], for every answer that is not a clear yes.
pub fn decide_use(
    policy: &Policy,
    gate: &Gate,
    session: &Session,
    circumstances: Circumstances<'_>,
) -> Result<String, Forbidden> {
    gate.check_tenant(session.principal())?;
    gate.check_strength(session.principal(), &Target::Server, circumstances.now)?;
    gate.check_scopes(session.principal(), &Target::Server)?;
    if gate.is_aggregate {
        return Ok(MEMBERS_DECIDE.to_owned());
    }
    let era = session.open().map_or("", |open| open.revision.name());
    let asked = Asked {
        action: Action::UseServer,
        target: &Target::Server,
        arguments: None,
        era,
        rated: None,
    };
    let question = question(session.principal(), session.server(), &asked, circumstances);
    let whose = (session.principal(), &Target::Server);
    ask(policy, &question).map_err(|why| gate.or_more(why, policy, &question, whose))
}

/// Decides about a request of the server's to the client (`sampling`, `elicitation`, `roots`).
///
/// # Errors
/// [`Forbidden`], for every answer that is not a clear yes.
pub fn decide_reverse(
    policy: &Policy,
    gate: &Gate,
    principal: &Principal,
    (method, era): (&Method, &str),
    circumstances: Circumstances<'_>,
) -> Result<String, Forbidden> {
    let action = actions::of_server(method).ok_or(Forbidden::Method)?;
    gate.check_tenant(principal)?;
    if gate.is_aggregate {
        return Ok(MEMBERS_DECIDE.to_owned());
    }
    let server = &gate.resource.server;
    let asked = Asked {
        action,
        target: &Target::Server,
        arguments: None,
        era,
        rated: None,
    };
    ask(policy, &question(principal, server, &asked, circumstances))
}

/// Whether a list may show this to them: exactly if some call of it could be permitted.
pub fn is_visible(
    policy: &Policy,
    gate: &Gate,
    principal: &Principal,
    (target, rated): (&Target, Option<&Rated>),
    now: Timestamp,
) -> bool {
    if gate.is_aggregate {
        return true;
    }
    let action = match target {
        Target::Tool(_) => Action::CallTool,
        Target::Resource(_) => Action::ReadResource,
        Target::Prompt(_) => Action::GetPrompt,
        Target::Task(_) | Target::Server => return false,
    };
    let question = Question {
        subject: subject(principal),
        action,
        target: policy_target(&gate.resource.server, target),
        arguments: None,
        time: seconds(now),
        era: "",
        network: None,
        anomaly: Anomaly::CALM,
        rated,
    };
    // A missing scope or a stronger authentication can be asked for (step-up), but what is never callable as things
    // stand is not shown.
    gate.check_tenant(principal).is_ok() && policy.is_visible(&question)
}

struct Asked<'a> {
    action: Action,
    target: &'a Target,
    arguments: Option<&'a RawValue>,
    era: &'a str,
    rated: Option<&'a Rated>,
}

fn question<'a>(
    principal: &'a Principal,
    server: &'a str,
    asked: &Asked<'a>,
    circumstances: Circumstances<'a>,
) -> Question<'a> {
    Question {
        subject: subject(principal),
        action: asked.action,
        target: policy_target(server, asked.target),
        arguments: asked.arguments,
        time: seconds(circumstances.now),
        era: asked.era,
        network: circumstances.network,
        anomaly: circumstances.anomaly,
        rated: asked.rated,
    }
}

fn ask(policy: &Policy, question: &Question<'_>) -> Result<String, Forbidden> {
    match policy.decide(question) {
        Ok(allowed) => Ok(allowed.rule),
        Err(Denied::NoRule) => Err(Forbidden::NoRule),
        Err(Denied::Expired { rule }) => Err(Forbidden::Expired { rule }),
        Err(Denied::Held { rule, review }) => Err(Forbidden::Held { rule, review }),
        Err(Denied::Beyond { rule }) => Err(Forbidden::Beyond { rule }),
        Err(Denied::Forbidden { rule }) => Err(Forbidden::Rule { rule }),
        Err(Denied::UnknownGroups { rule }) => Err(Forbidden::UnknownGroups { rule }),
        Err(Denied::Indeterminate) => Err(Forbidden::Indeterminate),
    }
}

fn subject(principal: &Principal) -> Subject<'_> {
    Subject {
        issuer: &principal.issuer,
        vouched_by: principal.vouched_by(),
        subject: &principal.subject,
        client: principal.client.as_deref(),
        roles: &principal.roles,
        groups: &principal.groups,
        has_unknown_groups: principal.has_unknown_groups,
        scopes: &principal.scopes,
        claims: &principal.claims,
        declared: &principal.declared,
        authentication: Some(&principal.authentication),
    }
}

fn policy_target<'a>(server: &'a str, target: &'a Target) -> policy::Target<'a> {
    match target {
        Target::Tool(name) => policy::Target::Tool { server, name },
        Target::Resource(uri) => policy::Target::Resource { server, uri },
        Target::Prompt(name) => policy::Target::Prompt { server, name },
        Target::Task(_) | Target::Server => policy::Target::Server { server },
    }
}

fn seconds(now: Timestamp) -> i64 {
    i64::try_from(now.seconds()).unwrap_or(i64::MAX)
}
