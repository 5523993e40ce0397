//! Grants: the one-line permissions of the configuration, and the Cedar policies they stand for.
//!
//! A pattern of `allow` is one of
//! ```text
//! SERVER__TOOL             tools: notes__search, notes__*, *__search
//! *                        every tool of every server
//! resource:SERVER__URI     resources: resource:notes__note:///public/*
//! prompt:SERVER__NAME      prompts: prompt:notes__summarize
//! sampling:SERVER          the server may ask the client for a model's answer,
//! elicitation:SERVER       ask the user,
//! roots:SERVER             ask for the client's roots
//! ```
//! where each `*` stands for any text, also none, and all else for itself. The first `__` ends the
//! server; a server with `__` in its name is named in a Cedar file. A grant of a tool, a resource or a prompt
//! implies the use of its server and its list, of which the caller sees only what it may use.

use serde_json::{Value, json};

use super::names::{SEPARATOR, part_id, principal_id};

/// One permission of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Names the grant in the audit record, as `grant:<id>`.
    pub id: String,
    /// To whom.
    pub who: Who,
    /// What: at least one pattern `SERVER__TOOL`, `resource:SERVER__URI`, `prompt:SERVER__NAME`,
    /// `sampling:SERVER`, `elicitation:SERVER`, `roots:SERVER` or `*` for every tool of every
    /// server. Each `*` in a pattern stands for any text.
    pub allow: Vec<String>,
    /// The second since 1970 from which on it grants nothing; never if absent.
    pub until: Option<i64>,
    /// The review that holds it back.
    pub held: Option<Held>,
}

/// What holds a grant back although it is written and has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The second since 1970 from which on it grants nothing.
    pub from: i64,
    /// The number of the review.
    pub review: u64,
}

/// To whom something is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Every authenticated principal: `anyone`.
    Anyone,
    /// A subject: `user:alice`, or `user:https://idp.example|alice` of that issuer only.
    Subject {
        /// Who vouches for it; if absent, the subject of any trusted issuer is meant.
        issuer: Option<String>,
        /// `sub` of the token.
        subject: String,
    },
    /// Whoever has the role: `role:analyst`.
    Role(String),
    /// Whoever is in the group: `group:engineering`.
    Group(String),
    /// Whoever acts through the OAuth client: `client:ide`.
    Client(String),
    /// Whoever has a token of that issuer, by its `iss`. No text stands for it.
    Issuer(String),
}

/// Why a text names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchWho {
    /// It does not begin with a known word.
    #[error("must be anyone, user:NAME, role:NAME, group:NAME or client:NAME")]
    UnknownKind,
    /// Nothing follows the colon.
    #[error("has no name after the colon")]
    Empty,
    /// The name has a wildcard, which would be taken literally.
    #[error("names one principal and has no wildcards: anyone is written anyone")]
    Wildcard,
}

impl Who {
    /// An issuer is a URL; a bar without one before it belongs to the subject (`auth0|4711`).
    pub(super) fn subject(name: &str) -> Self {
        match name.split_once('|') {
            Some((issuer, subject)) if issuer.contains("://") => Self::Subject {
                issuer: Some(issuer.to_owned()),
                subject: subject.to_owned(),
            },
            _ => Self::Subject {
                issuer: None,
                subject: name.to_owned(),
            },
        }
    }

    /// The principal's part of the scope, and what the scope cannot say.
    pub(super) fn to_cedar(&self) -> (Value, Option<Value>) {
        let one_of = |kind, id| (json!({"op": "in", "entity": entity(kind, id)}), None);
        let anyone = json!({"op": "All"});
        match self {
            Self::Anyone => (anyone, None),
            Self::Subject {
                issuer: Some(issuer),
                subject,
            } => {
                let id = principal_id(issuer, subject);
                (
                    json!({"op": "==", "entity": entity("Principal", &id)}),
                    None,
                )
            }
            Self::Subject {
                issuer: None,
                subject,
            } => (anyone, Some(equals("subject", subject))),
            Self::Issuer(issuer) => (anyone, Some(equals("issuer", issuer))),
            Self::Role(role) => one_of("Role", role),
            Self::Group(group) => one_of("Group", group),
            Self::Client(client) => {
                let known = json!({"has": {"left": {"Var": "principal"}, "attr": "client"}});
                let same = equals("client", client);
                (anyone, Some(json!({"&&": {"left": known, "right": same}})))
            }
        }
    }
}

/// Why a pattern grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadPattern {
    #[error("has no `__` between the server and the name")]
    NoSeparator,
    #[error("has an empty part")]
    Empty,
    #[error("is of an unknown kind")]
    UnknownKind,
}

impl BadPattern {
    pub(super) fn hint(self, pattern: &str) -> String {
        match self {
            Self::NoSeparator => format!("all of a server: {pattern}__*"),
            Self::Empty => "any text is written *".to_owned(),
            Self::UnknownKind => {
                "kinds are resource:, prompt:, sampling:, elicitation: and roots:".to_owned()
            }
        }
    }
}

impl Grant {
    /// The Cedar policies, in their JSON form, that one pattern of this grant stands for.
    ///
    /// They are built as trees: no text of the configuration is ever parsed as policy text.
    pub(super) fn to_cedar(&self, pattern: &str) -> Result<Vec<Value>, BadPattern> {
        let policies = match Pattern::parse(pattern)? {
            Pattern::Part { part, server, name } => vec![
                self.permit(part.actions, of_part(part, server, name)),
                self.permit(&[part.list, "server/use"], of_server(server)),
            ],
            Pattern::Ask { action, server } => vec![self.permit(&[action], of_server(server))],
        };
        Ok(policies)
    }

    fn permit(&self, actions: &[&str], on: On) -> Value {
        let actions: Vec<Value> = actions.iter().map(|id| entity("Action", id)).collect();
        let (principal, who) = self.who.to_cedar();
        let conditions: Vec<Value> = who
            .into_iter()
            .chain(on.conditions)
            .map(|body| json!({"kind": "when", "body": body}))
            .collect();
        let mut annotations = json!({"id": self.rule()});
        let held = self
            .held
            .filter(|held| self.until.is_none_or(|until| held.from < until));
        let until = held.map(|held| held.from).or(self.until);
        if let (Some(until), Some(annotations)) = (until, annotations.as_object_mut()) {
            annotations.insert(UNTIL.to_owned(), json!(until.to_string()));
        }
        if let (Some(held), Some(annotations)) = (held, annotations.as_object_mut()) {
            annotations.insert(REVIEW.to_owned(), json!(held.review.to_string()));
        }
        json!({
            "effect": "permit",
            "principal": principal,
            "action": {"op": "in", "entities": actions},
            "resource": on.resource,
            "conditions": conditions,
            "annotations": annotations,
        })
    }

    /// The name of this grant in the audit record.
    pub fn rule(&self) -> String {
        [RULE_PREFIX, &self.id].concat()
    }
}

/// Begins the rule of every grant, and of nothing else.
pub(super) const RULE_PREFIX: &str = "grant:";
/// The annotation with the second from which on a grant permits nothing.
pub(super) const UNTIL: &str = "until";
/// The annotation that has the number of the review by which a grant ends.
pub(super) const REVIEW: &str = "review";

pub(super) enum Pattern<'a> {
    Part {
        part: &'static Part,
        server: &'a str,
        name: &'a str,
    },
    Ask {
        action: &'static str,
        server: &'a str,
    },
}

/// A kind of thing that belongs to a server.
pub(super) struct Part {
    prefix: &'static str,
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) actions: &'static [&'static str],
    pub(super) list: &'static str,
}

pub(super) const TOOL: Part = Part {
    prefix: "",
    kind: "Tool",
    name: "name",
    actions: &["tools/call"],
    list: "tools/list",
};

pub(super) const PARTS: &[Part] = &[
    Part {
        prefix: "resource:",
        kind: "Resource",
        name: "uri",
        actions: &[
            "resources/read",
            "resources/subscribe",
            "completion/complete",
        ],
        list: "resources/list",
    },
    Part {
        prefix: "prompt:",
        kind: "Prompt",
        name: "name",
        actions: &["prompts/get", "completion/complete"],
        list: "prompts/list",
    },
];

pub(super) const ASKS: &[(&str, &str)] = &[
    ("sampling:", "sampling/createMessage"),
    ("elicitation:", "elicitation/create"),
    ("roots:", "roots/list"),
];

impl<'a> Pattern<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, BadPattern> {
        if text == "*" {
            let (part, server, name) = (&TOOL, "*", "*");
            return Ok(Self::Part { part, server, name });
        }
        for (prefix, action) in ASKS {
            if let Some(server) = text.strip_prefix(prefix) {
                let server = Some(server).filter(|server| !server.is_empty());
                let server = server.ok_or(BadPattern::Empty)?;
                return Ok(Self::Ask { action, server });
            }
        }
        let part = PARTS.iter().find(|part| text.starts_with(part.prefix));
        let part = part.unwrap_or(&TOOL);
        let rest = text.strip_prefix(part.prefix).unwrap_or(text);
        let (server, name) = rest.split_once(SEPARATOR).ok_or(BadPattern::NoSeparator)?;
        if server.contains(':') {
            return Err(BadPattern::UnknownKind);
        }
        if server.is_empty() || name.is_empty() {
            return Err(BadPattern::Empty);
        }
        Ok(Self::Part { part, server, name })
    }
}

/// The resource's part of the scope, and what the scope cannot say.
struct On {
    resource: Value,
    conditions: Vec<Value>,
}

fn of_part(part: &Part, server: &str, name: &str) -> On {
    if !server.contains('*') && !name.contains('*') {
        let id = part_id(server, name);
        return On {
            resource: json!({"op": "==", "entity": entity(part.kind, &id)}),
            conditions: Vec::new(),
        };
    }
    let mut resource = json!({"op": "is", "entity_type": part.kind});
    let mut conditions = Vec::new();
    if server.contains('*') {
        conditions.extend(matches("server", server));
    } else {
        resource = json!({
            "op": "is",
            "entity_type": part.kind,
            "in": {"entity": entity("Server", server)},
        });
    }
    conditions.extend(matches(part.name, name));
    On {
        resource,
        conditions,
    }
}

fn of_server(server: &str) -> On {
    if server.contains('*') {
        return On {
            resource: json!({"op": "is", "entity_type": "Server"}),
            conditions: matches("name", server).into_iter().collect(),
        };
    }
    On {
        resource: json!({"op": "==", "entity": entity("Server", server)}),
        conditions: Vec::new(),
    }
}

pub(super) fn entity(kind: &str, id: &str) -> Value {
    json!({"type": kind, "id": id})
}

fn equals(attribute: &str, text: &str) -> Value {
    let left = json!({".": {"left": {"Var": "principal"}, "attr": attribute}});
    json!({"==": {"left": left, "right": {"Value": text}}})
}

/// The condition that an attribute of the resource matches; none if everything does.
pub(super) fn matches(attribute: &str, pattern: &str) -> Option<Value> {
    if pattern == "*" {
        return None;
    }
    let left = json!({".": {"left": {"Var": "resource"}, "attr": attribute}});
    let mut elements = Vec::new();
    for (index, literal) in pattern.split('*').enumerate() {
        if index > 0 {
            elements.push(json!("Wildcard"));
        }
        if !literal.is_empty() {
            elements.push(json!({"Literal": literal}));
        }
    }
    Some(json!({"like": {"left": left, "pattern": elements}}))
}
