//! Has somebody said yes to just this call? An approval is for one caller, one server, one tool and one set of arguments, is
//! used once and ends by itself (DYN-01, ATK-070).

mod held;
mod text;

use super::{Forbidden, Gate, Permit};
use crate::authenticate::key_of;
use crate::authorize::policy::Who;
use crate::elicit::QUESTION;
use crate::protocol::{Call, Headers, Revision, Target, with_params};
use crate::time::Timestamp;
use aws_lc_rs::digest::{Context, SHA256};
use memchr::memmem;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use held::Approvals;

/// Longer arguments nobody reads on a page: such a call cannot be approved.
const MAX_ARGUMENT_BYTES: usize = 16 * 1024;

/// What a call of a tool needs, if it has to be approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Who says yes or no.
    pub by: By,
    /// How long an open question is good, and an approval after it.
    pub lasts: Duration,
    /// How much is at stake.
    pub risk: Risk,
}

/// From which risk on calls have to be approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risky {
    /// Those of tools whose score is over it.
    pub over: u32,
    /// What they need.
    pub approval: Approval,
}

impl Risky {
    /// What is needed for a tool of that score. One whose risk nobody knows is risky.
    fn needs(&self, score: Option<u32>) -> Option<&Approval> {
        let is_risky = score.is_none_or(|score| score > self.over);
        is_risky.then_some(&self.approval)
    }
}

/// Who may approve a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Whoever calls, at a page of ours.
    Caller,
    /// One of these, and never whoever calls.
    Others(Vec<Who>),
}

/// How much is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// A click is enough.
    Low,
    /// The page looks different, and wants the name of the tool to be typed.
    High,
}

/// A call that somebody has to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    digest: [u8; 32],
    caller: Arc<str>,
    subject: String,
    client: Option<String>,
    server: Arc<str>,
    tool: Box<str>,
    arguments: String,
    rule: Approval,
}

/// What a page shows of a call.
#[derive(Debug, Clone)]
pub struct Asked {
    needed: Needed,
}

/// Somebody who looks at the page.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Who vouches for them.
    pub issuer: &'a str,
    /// What they are called there.
    pub subject: &'a str,
    /// Their roles.
    pub roles: &'a [String],
    /// Their groups.
    pub groups: &'a [String],
}

/// Why it is not for somebody to approve a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTheirs {
    /// Somebody else has begun it.
    #[error("somebody else's call")]
    AnotherUser,
    /// It is their own, and a second person must; one name at two issuers is taken for one person.
    #[error("their own call")]
    OwnCall,
    /// They are none of those who may.
    #[error("not one of those who may approve")]
    NotNamed,
}

impl Needed {
    /// For its record: the beginning of the digest.
    pub fn id(&self) -> String {
        self.digest
            .iter()
            .take(8)
            .fold(String::new(), |mut id, byte| {
                use fmt::Write as _;
                let _written = write!(id, "{byte:02x}");
                id
            })
    }

    /// At which server.
    pub const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// Which tool.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// Who has to say yes, and to what.
    pub const fn rule(&self) -> &Approval {
        &self.rule
    }

    fn of(permit: &Permit, tool: &str, rule: &Approval) -> Option<Self> {
        let (session, call) = (permit.session(), permit.call());
        let principal = session.principal();
        let arguments = call.arguments();
        let arguments = arguments.map_or(RawValue::NULL, |arguments| arguments);
        if arguments.get().len() > MAX_ARGUMENT_BYTES {
            return None;
        }
        let (caller, server) = (Arc::clone(&principal.key), Arc::clone(session.server()));
        let mut hash = Context::new(&SHA256);
        let canonical = text::canonical(arguments)?;
        let client = principal.client.as_deref().unwrap_or_default();
        for part in [&*caller, client, &*server, tool, &canonical] {
            hash.update(&u64::try_from(part.len()).ok()?.to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        Some(Self {
            digest,
            caller,
            subject: principal.subject.clone(),
            client: principal.client.clone(),
            server,
            tool: tool.into(),
            arguments: text::shown(arguments)?,
            rule: rule.clone(),
        })
    }

    /// The same caller, by the same client, server and tool.
    fn is_like(&self, other: &Self) -> bool {
        let whose = (&self.caller, &self.client) == (&other.caller, &other.client);
        whose && (&self.server, &self.tool) == (&other.server, &other.tool)
    }
}

impl Asked {
    /// The call.
    pub const fn needed(&self) -> &Needed {
        &self.needed
    }

    /// Who calls, as their issuer names them.
    pub fn subject(&self) -> &str {
        &self.needed.subject
    }

    /// The program that calls for them.
    pub fn client(&self) -> Option<&str> {
        self.needed.client.as_deref()
    }

    /// The arguments, without what looks like a secret.
    pub fn arguments(&self) -> &str {
        &self.needed.arguments
    }

    /// Whether it is for this visitor to decide.
    ///
    /// # Errors
    /// [`NotTheirs`].
    pub fn expect(&self, visitor: &Visitor<'_>) -> Result<(), NotTheirs> {
        match &self.needed.rule.by {
            By::Caller if *key_of(visitor.issuer, visitor.subject) == *self.needed.caller => Ok(()),
            By::Caller => Err(NotTheirs::AnotherUser),
            By::Others(_) if visitor.subject == self.needed.subject => Err(NotTheirs::OwnCall),
            By::Others(named) => visitor.expect_named(named),
        }
    }
}

impl Visitor<'_> {
    /// Whether they are one of these.
    ///
    /// # Errors
    /// [`NotTheirs::NotNamed`].
    pub fn expect_named(&self, named: &[Who]) -> Result<(), NotTheirs> {
        if named.iter().any(|who| is_meant(who, self)) {
            Ok(())
        } else {
            Err(NotTheirs::NotNamed)
        }
    }
}

fn is_meant(who: &Who, visitor: &Visitor<'_>) -> bool {
    match who {
        Who::Subject { issuer, subject } => {
            issuer
                .as_deref()
                .is_none_or(|issuer| issuer == visitor.issuer)
                && subject == visitor.subject
        }
        Who::Role(role) => visitor.roles.contains(role),
        Who::Group(group) => visitor.groups.contains(group),
        Who::Anyone | Who::Client(_) | Who::Issuer(_) => false,
    }
}

impl NotTheirs {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::AnotherUser => "another_user",
            Self::OwnCall => "own_call",
            Self::NotNamed => "not_approver",
        }
    }
}

impl Gate {
    /// Whether what was permitted needs no approval, or has one, which is used up then.
    ///
    /// # Errors
    /// [`Forbidden::Approval`], [`Forbidden::OtherCall`] or [`Forbidden::TooLong`].
    pub(crate) fn take_approval(
        &self,
        approvals: &Approvals,
        permit: Permit,
        (now, score): (Timestamp, Option<u32>),
    ) -> Result<Permit, Forbidden> {
        let Target::Tool(tool) = permit.call().target() else {
            return Ok(permit);
        };
        let own = self.strengths.approvals.get(&**tool);
        let risky = || self.strengths.risky.as_ref()?.needs(score);
        let Some(rule) = own.or_else(risky) else {
            return Ok(permit.without_our_answer());
        };
        let needed = Needed::of(&permit, tool, rule);
        let needed = needed.ok_or_else(|| Forbidden::TooLong {
            rule: rule_of(tool),
        })?;
        approvals.take(needed, now)?;
        Ok(permit.without_our_answer())
    }
}

impl Permit {
    /// What a client answers to our question is not for the server, which has asked nothing.
    pub(crate) fn without_our_answer(self) -> Self {
        let is_ours = self.call.revision().is_stateless()
            && memmem::find(self.call.body(), QUESTION.as_bytes()).is_some();
        let body = is_ours.then(|| without_answer(self.call.body())).flatten();
        let headers = Headers::absent();
        let call = body.map(|body| Call::parse(body, &headers, None::<Revision>));
        match call {
            Some(Ok(call)) => Self { call, ..self },
            Some(Err(_)) | None => self,
        }
    }
}

fn without_answer(body: &[u8]) -> Option<bytes::Bytes> {
    with_params(body, |params| {
        let answers = params.get("inputResponses")?;
        let mut answers: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(answers.get()).ok()?;
        answers.remove(QUESTION)?;
        if answers.is_empty() {
            params.remove("inputResponses");
        } else {
            params.insert("inputResponses".to_owned(), to_raw_value(&answers).ok()?);
        }
        Some(())
    })
}

fn rule_of(tool: &str) -> String {
    format!("approval:{tool}")
}

#[cfg(test)]
mod tests;
