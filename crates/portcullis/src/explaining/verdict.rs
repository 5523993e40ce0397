//! What came of a question, in words and as JSON.

use portcullis_core::authenticate::Unauthenticated;
use portcullis_core::authorize::Forbidden;
use portcullis_core::refusal::Refusal;
use serde_json::{Value, json};
use std::fmt;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Permitted, by this rule.
    Allowed { rule: String },
    /// Not permitted.
    Denied {
        /// The audit record's word for it.
        reason: &'static str,
        /// The rule that forbids, if one does.
        rule: Option<String>,
        /// All scopes that are needed, if scopes would help.
        scopes: Vec<String>,
    },
    /// It never came to a decision.
    Unjudged(String),
}

impl Verdict {
    /// A refusal as the answer of the rules, if they gave it.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        let reason = refusal.event().1;
        match refusal {
            Refusal::Forbidden(Forbidden::Scope { required, .. }) => Verdict::Denied {
                reason,
                rule: None,
                scopes: required.clone(),
            },
            Refusal::Forbidden(why) => Verdict::Denied {
                reason,
                rule: why.rule().map(str::to_owned),
                scopes: Vec::new(),
            },
            Refusal::Unauthenticated(Unauthenticated::Issuer) => Verdict::Denied {
                reason,
                rule: None,
                scopes: Vec::new(),
            },
            Refusal::Unacceptable(_)
            | Refusal::Unauthenticated(_)
            | Refusal::NoSession(_)
            | Refusal::Malformed(_)
            | Refusal::Exhausted(_)
            | Refusal::NoTask(_)
            | Refusal::Unapproved(_)
            | Refusal::Unfit(_)
            | Refusal::Unanswered(_)
            | Refusal::BadAnswer(_)
            | Refusal::Unavailable(_) => {
                let (event, _) = refusal.event();
                Verdict::Unjudged(format!("{refusal} ({event}, {reason})"))
            }
        }
    }

    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Allowed { rule } => json!({ "effect": "allow", "rule": rule }),
            Self::Denied {
                reason,
                rule,
                scopes,
            } => json!({ "effect": "deny", "reason": reason, "rule": rule, "scopes": scopes }),
            Self::Unjudged(why) => json!({ "effect": null, "why": why }),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { rule } => write!(out, "allowed by {rule}"),
            Self::Denied {
                reason,
                rule,
                scopes,
            } => {
                write!(out, "denied ({reason})")?;
                if let Some(rule) = rule {
                    write!(out, " by {rule}")?;
                }
                if !scopes.is_empty() {
                    write!(out, ", scopes needed: {}", scopes.join(" "))?;
                }
                Ok(())
            }
            Self::Unjudged(_) => out.write_str("no decision"),
        }
    }
}
