//! What one server asks for besides policies: scopes, and how its callers have authenticated.

use super::policy::{Policy, Question};
use super::{Forbidden, Grant, StepUp, Strength, Strengths};
use crate::authenticate::{Principal, Resource};
use crate::protocol::Target;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What may be done with one server.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The server as a protected resource.
    pub resource: Resource,
    /// What single tools need on top of the server's scopes.
    pub tool_scopes: HashMap<String, Vec<String>>,
    /// What is needed of the authentication behind a token.
    pub strengths: Strengths,
    /// The tools that need an elevation, each with how long one may last.
    pub privileged: HashMap<String, Duration>,
    /// The tenants whose callers it is for, and no others; if there are none, it is for those of no tenant.
    pub tenants: Vec<Arc<str>>,
    /// Whether it stands for other servers: then each of those decides for itself
    /// ([`crate::pipeline::admit_member`]), and nothing is decided here.
    pub is_aggregate: bool,
}

impl Gate {
    /// Whether the caller is of a tenant that the server is for, whatever rules say.
    ///
    /// # Errors
    /// [`Forbidden::Tenant`].
    pub(crate) fn check_tenant(&self, principal: &Principal) -> Result<(), Forbidden> {
        let is_theirs = match &principal.tenant {
            None => self.tenants.is_empty(),
            Some(tenant) => self.tenants.contains(tenant),
        };
        if is_theirs || self.is_aggregate {
            return Ok(());
        }
        let own = principal.tenant.as_deref().unwrap_or("none");
        Err(Forbidden::Tenant {
            rule: format!("tenant:{own}"),
        })
    }

    /// Everything that a call to `target` needs.
    fn scopes(&self, target: &Target) -> Vec<String> {
        let mut scopes = self.resource.scopes.clone();
        if let Target::Tool(tool) = target {
            scopes.extend(self.tool_scopes.get(&**tool).into_iter().flatten().cloned());
        }
        scopes
    }

    /// What was denied although a policy would permit it after a better login, or with more scopes: then it says so, and
    /// which (AUTH-05, AUTH-10, TOK-10).
    pub(super) fn or_more(
        &self,
        why: Forbidden,
        policy: &Policy,
        question: &Question<'_>,
        (principal, target): (&Principal, &Target),
    ) -> Forbidden {
        match why {
            Forbidden::NoRule
            | Forbidden::Expired { .. }
            | Forbidden::Held { .. }
            | Forbidden::Beyond { .. }
            | Forbidden::Rule { .. } => {}
            Forbidden::Scope { .. }
            | Forbidden::Tenant { .. }
            | Forbidden::Elevation { .. }
            | Forbidden::Approval(_)
            | Forbidden::OtherCall { .. }
            | Forbidden::TooLong { .. }
            | Forbidden::StepUp { .. }
            | Forbidden::UnknownGroups { .. }
            | Forbidden::Indeterminate
            | Forbidden::Method => return why,
        }
        if let Some(step_up) = self.step_up(policy, question, (principal, target)) {
            return step_up;
        }
        let missing = policy.missing_scopes(question);
        if missing.is_empty() {
            return why;
        }
        let mut required = self.scopes(target);
        required.extend(missing);
        Forbidden::Scope {
            required,
            held: principal.named_scopes(),
        }
    }

    /// The login that rules ask for, unless the caller's is that good already: then another would not help.
    fn step_up(
        &self,
        policy: &Policy,
        question: &Question<'_>,
        (principal, target): (&Principal, &Target),
    ) -> Option<Forbidden> {
        let (required, rule) = policy.step_up(question, self.strengths.of(target))?;
        let now = Timestamp::from_seconds(u64::try_from(question.time).ok()?);
        let lack = required.check(&principal.authentication, now).err()?;
        let detail = StepUp {
            rule: Some(rule),
            ..self.lacking(principal, target, (required, now))
        };
        Some(Forbidden::StepUp {
            lack,
            detail: Box::new(detail),
        })
    }

    fn lacking(
        &self,
        principal: &Principal,
        target: &Target,
        (required, now): (Strength, Timestamp),
    ) -> StepUp {
        let seen = &principal.authentication;
        StepUp {
            seen: seen.clone(),
            age: seen.age(now),
            required,
            rule: None,
            scopes: self.scopes(target),
            held: principal.named_scopes(),
            grant: Grant::of(principal, &self.resource.server, target),
        }
    }

    /// The token's own words, held against what the call needs at this moment; nothing of it is remembered.
    ///
    /// # Errors
    /// [`Forbidden::StepUp`], which names the scopes too, so that one new token is enough.
    pub(crate) fn check_strength(
        &self,
        principal: &Principal,
        target: &Target,
        now: Timestamp,
    ) -> Result<(), Forbidden> {
        let (required, seen) = (self.strengths.of(target), &principal.authentication);
        required.check(seen, now).map_err(|lack| Forbidden::StepUp {
            lack,
            detail: Box::new(self.lacking(principal, target, (required.clone(), now))),
        })
    }

    /// When this caller may not listen any more because the authentication is too old.
    pub fn listens_until(&self, principal: &Principal) -> Option<Timestamp> {
        self.strengths.server.until(&principal.authentication)
    }

    pub(super) fn check_scopes(
        &self,
        principal: &Principal,
        target: &Target,
    ) -> Result<(), Forbidden> {
        let own = self.resource.scopes.iter();
        let tool = match target {
            Target::Tool(tool) => self.tool_scopes.get(&**tool),
            Target::Resource(_) | Target::Prompt(_) | Target::Task(_) | Target::Server => None,
        };
        let has_all = own
            .chain(tool.into_iter().flatten())
            .all(|scope| principal.scopes.contains(scope));
        if has_all {
            Ok(())
        } else {
            Err(Forbidden::Scope {
                required: self.scopes(target),
                held: principal.named_scopes(),
            })
        }
    }
}
