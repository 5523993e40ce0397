//! How a client learns that its user has to open a page of ours: in the way that it has said it understands.

use crate::authorize::{Lack, Needed, StepUp};
use crate::catalog::{Kind, Unapproved};
use crate::refusal::{Refusal, Unanswered};
use crate::secret::Secret;
use serde_json::Value;
use std::sync::Arc;

/// The question by which stateless clients are asked (2026-07-28), and the name of its answer.
pub const QUESTION: &str = "portcullis";

/// The way in which a client is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// As an error that says it to people.
    #[default]
    Told,
    /// As `URLElicitationRequiredError` (2025-11-25): the client opens URLs for its user, and asks again.
    Elicited,
    /// As a result that asks back (`input_required`, 2026-07-28).
    AskedBack,
}

impl Way {
    /// The way for whoever has sent this message, and has not said in a session that it opens URLs.
    pub fn of(message: &[u8]) -> Self {
        let Ok(message) = serde_json::from_slice::<Value>(message) else {
            return Self::Told;
        };
        let says = |place: &str| message.pointer(place).is_some_and(Value::is_object);
        let method = message.get("method").and_then(Value::as_str);
        // Nothing else may be answered so (basic/patterns/mrtr).
        let may_ask = matches!(
            method,
            Some("tools/call" | "resources/read" | "prompts/get")
        );
        if says("/params/_meta/io.modelcontextprotocol~1clientCapabilities") {
            let is_said =
                says("/params/_meta/io.modelcontextprotocol~1clientCapabilities/elicitation/url");
            return if is_said && may_ask {
                Self::AskedBack
            } else {
                Self::Told
            };
        }
        if opens_urls(&message) {
            Self::Elicited
        } else {
            Self::Told
        }
    }
}

/// Where whoever calls can agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// A page of ours, for this caller only.
    pub url: Secret<String>,
    /// The server that needs it.
    pub server: Arc<str>,
    /// What for.
    pub purpose: Purpose,
    /// How the client is told.
    pub way: Way,
}

/// What somebody has to open a page of ours for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To sign in at a server.
    SignIn,
    /// To sign in anew, since the login behind the token is not good enough.
    StepUp {
        /// What it lacks.
        lack: Lack,
        /// What was seen, and all that is needed.
        detail: Box<StepUp>,
    },
    /// To approve a call of their own.
    Approval {
        /// Which.
        needed: Box<Needed>,
    },
    /// To decide about what a server defines, which is withheld.
    Definition {
        /// Why it is withheld.
        why: Unapproved,
        /// Of what kind.
        kind: Kind,
        /// Its name.
        name: Box<str>,
    },
    /// To have somebody else approve a call: whoever calls passes the link on.
    SecondPerson {
        /// Which.
        needed: Box<Needed>,
    },
}

impl Purpose {
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::SignIn => "consent",
            Self::StepUp { lack, .. } => lack.reason(),
            Self::Approval { .. } => "caller",
            Self::SecondPerson { .. } => "second_person",
            Self::Definition { .. } => "called",
        }
    }

    /// The point that decides about it.
    pub(crate) const fn point(&self) -> &'static str {
        match self {
            Self::SignIn => "consent",
            Self::StepUp { .. } => "step_up",
            Self::Approval { .. } | Self::SecondPerson { .. } | Self::Definition { .. } => {
                "approval"
            }
        }
    }

    /// The call that is to be approved, if one is.
    pub fn needed(&self) -> Option<&Needed> {
        match self {
            Self::SignIn | Self::StepUp { .. } | Self::Definition { .. } => None,
            Self::Approval { needed } | Self::SecondPerson { needed } => Some(needed),
        }
    }
}

impl Consent {
    /// What clients of 2025-11-25 call it (`elicitationId`): what no other page is called.
    pub fn id(&self) -> &str {
        self.url.expose().rsplit('/').next().unwrap_or_default()
    }

    pub(crate) const fn event(&self) -> &'static str {
        match self.purpose {
            Purpose::SignIn => "oauth.consent_needed",
            Purpose::StepUp { .. } => "authn.step_up_required",
            Purpose::Approval { .. } | Purpose::SecondPerson { .. } => "approval.required",
            Purpose::Definition { why, .. } => why.event(),
        }
    }

    pub(crate) const fn public(&self) -> (i32, &'static str) {
        let code = match self.way {
            Way::Elicited => -32042,
            Way::Told | Way::AskedBack => 403,
        };
        match self.purpose {
            Purpose::SignIn => (code, "consent needed"),
            Purpose::StepUp { .. } => (code, "stronger login needed"),
            Purpose::Approval { .. }
            | Purpose::SecondPerson { .. }
            | Purpose::Definition { .. } => (code, "approval needed"),
        }
    }
}

impl Refusal {
    /// The same, told in the client's way, where somebody has to open a page of ours. What somebody else has to open is
    /// told in words: a client would open it for the wrong person.
    #[must_use]
    pub fn in_way(self, way: impl FnOnce() -> Way) -> Self {
        let Self::Unanswered(Unanswered::Consent(consent)) = self else {
            return self;
        };
        let way = match consent.purpose {
            Purpose::SignIn
            | Purpose::StepUp { .. }
            | Purpose::Approval { .. }
            | Purpose::Definition { .. } => way(),
            Purpose::SecondPerson { .. } => Way::Told,
        };
        Unanswered::Consent(Consent { way, ..consent }).into()
    }
}

/// Whether the client that sent this `initialize` says that it opens URLs for its user.
pub(crate) fn says_so(message: &[u8]) -> bool {
    serde_json::from_slice(message).is_ok_and(|message| opens_urls(&message))
}

fn opens_urls(message: &Value) -> bool {
    let said = message.pointer("/params/capabilities/elicitation/url");
    said.is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_e02_nobody_is_asked_in_a_way_that_they_have_not_said() {
        let stateless = |method: &str, capabilities: &str| {
            format!(
                r#"{{"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#
            )
        };
        let url = r#"{"elicitation":{"url":{}}}"#;
        let form = r#"{"elicitation":{"form":{}}}"#;
        let first = |capabilities: &str| {
            format!(r#"{{"method":"initialize","params":{{"capabilities":{capabilities}}}}}"#)
        };
        let later = r#"{"method":"tools/call","params":{"name":"x"}}"#.to_owned();
        for (message, expected) in [
            (stateless("tools/call", url), Way::AskedBack),
            (stateless("resources/read", url), Way::AskedBack),
            (stateless("tools/list", url), Way::Told),
            (stateless("tools/call", form), Way::Told),
            (stateless("tools/call", r#"{"elicitation":{}}"#), Way::Told),
            (
                stateless("tools/call", r#"{"elicitation":{"url":true}}"#),
                Way::Told,
            ),
            (first(url), Way::Elicited),
            (first(form), Way::Told),
            (later, Way::Told),
            ("{".to_owned(), Way::Told),
        ] {
            assert_eq!(Way::of(message.as_bytes()), expected, "{message}");
        }
    }
}
