//! May an operator? The roles of the admin API, who has them, over which tenants, and what each may do.
//!
//! These roles are those of `[admin.roles]` and no others: what a token calls a role counts only where a row there names
//! it. Nothing is permitted unless a row gives one of the roles that the table in `routes` names.

mod routes;

use crate::authenticate::Identity;
use crate::authorize::policy::Who;
use crate::review::is_one;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use routes::{Endpoint, NoRoute, Reach, find};

/// What an operator may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Ends sessions, revokes and reinstates, has the configuration read again.
    Operator,
    /// Decides about the access of others.
    Approver,
    /// Reads the audit log.
    Auditor,
    /// Does what a viewer and an operator do, and rotates keys; approves nothing, and audits nothing.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Operator,
        Self::Approver,
        Self::Auditor,
        Self::Admin,
    ];

    /// What the configuration and the audit record call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who has a role.
#[derive(Debug, Clone)]
pub struct Appointment {
    /// Which.
    pub role: Role,
    /// Who.
    pub who: Who,
    /// Over which tenant alone; over everything, if none is named.
    pub tenant: Option<Arc<str>>,
}

/// Who may do what through the admin API.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    /// Who has which role.
    pub appointed: Vec<Appointment>,
    /// What the token of each must have.
    pub scopes: Vec<String>,
}

/// What a role is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Everything.
    Everything,
    /// What belongs to these tenants.
    Tenants(BTreeSet<Arc<str>>),
}

impl Over {
    /// Whether what belongs to one of these tenants is among it; what belongs to none is only where everything is.
    pub fn covers<'a>(&self, tenants: impl IntoIterator<Item = &'a Arc<str>>) -> bool {
        match self {
            Self::Everything => true,
            Self::Tenants(own) => tenants.into_iter().any(|tenant| own.contains(tenant)),
        }
    }
}

/// Proof that an operator may. Only this room makes one.
#[derive(Debug)]
#[must_use]
pub struct Mandate {
    endpoint: Endpoint,
    roles: Vec<Role>,
    over: Over,
}

impl Mandate {
    /// What may be done.
    pub const fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Over what.
    pub const fn over(&self) -> &Over {
        &self.over
    }

    /// The audit record's name for what permits it.
    pub fn rule(&self) -> String {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.word()).collect();
        format!("role:{}", roles.join(","))
    }
}

/// Why an operator may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMandate {
    /// No role that may do this.
    #[error("no role of the caller's may do this")]
    Role,
    /// The role is over a tenant, and this is not a tenant's.
    #[error("a role over a tenant cannot do this")]
    Tenant,
    /// The token lacks a scope.
    #[error("the token lacks a scope that operators need")]
    Scope,
}

impl NoMandate {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Tenant => "tenant",
            Self::Scope => "scope",
        }
    }
}

impl Operators {
    /// Whether somebody may. Who belongs to a tenant is over that tenant at most, whatever a row says.
    ///
    /// # Errors
    /// [`NoMandate`].
    pub fn decide(&self, caller: &Identity, endpoint: Endpoint) -> Result<Mandate, NoMandate> {
        let has = |scope: &String| caller.scopes.contains(scope);
        if !self.scopes.iter().all(has) {
            return Err(NoMandate::Scope);
        }
        let (mut roles, mut tenants) = (BTreeSet::new(), BTreeSet::new());
        let (mut is_everything, mut is_elsewhere) = (false, false);
        for row in &self.appointed {
            if !endpoint.roles().contains(&row.role) || !is_one(&row.who, caller) {
                continue;
            }
            match (&row.tenant, &caller.tenant) {
                (None, None) => is_everything = true,
                (Some(tenant), None) => drop(tenants.insert(Arc::clone(tenant))),
                (None, Some(own)) => drop(tenants.insert(Arc::clone(own))),
                (Some(tenant), Some(own)) if tenant == own => {
                    tenants.insert(Arc::clone(own));
                }
                (Some(_), Some(_)) => {
                    is_elsewhere = true;
                    continue;
                }
            }
            roles.insert(row.role);
        }
        if roles.is_empty() {
            return Err(if is_elsewhere {
                NoMandate::Tenant
            } else {
                NoMandate::Role
            });
        }
        let over = match (is_everything, endpoint.reach()) {
            (true, _) => Over::Everything,
            (false, Reach::Everything) => return Err(NoMandate::Tenant),
            (false, Reach::Tenant) => Over::Tenants(tenants),
        };
        Ok(Mandate {
            endpoint,
            roles: roles.into_iter().collect(),
            over,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::operating_system_user;
    use crate::time::Timestamp;

    fn caller(subject: &str, tenant: Option<&str>) -> Identity {
        let some = operating_system_user(1, "some", Timestamp::default());
        Identity {
            issuer: "https://idp.example".to_owned(),
            subject: subject.to_owned(),
            scopes: vec!["admin".to_owned()],
            tenant: tenant.map(Into::into),
            ..Identity::clone(&some)
        }
    }

    fn row(role: Role, who: &str, tenant: Option<&str>) -> Appointment {
        Appointment {
            role,
            who: who.parse().unwrap(),
            tenant: tenant.map(Into::into),
        }
    }

    #[test]
    fn authz_03_a_role_does_what_the_table_says_over_its_tenant_and_no_more() {
        let operators = Operators {
            appointed: vec![
                row(Role::Viewer, "user:vic", None),
                row(Role::Operator, "user:oli", Some("acme")),
                row(Role::Admin, "user:amy", None),
                row(Role::Approver, "user:pat", None),
            ],
            scopes: vec!["admin".to_owned()],
        };
        let acme = || Over::Tenants([Arc::from("acme")].into());
        for (who, of, endpoint, expected) in [
            ("vic", None, Endpoint::Servers, Ok(Over::Everything)),
            ("vic", None, Endpoint::EndSession, Err(NoMandate::Role)),
            (
                "vic",
                Some("beta"),
                Endpoint::Servers,
                Ok(Over::Tenants([Arc::from("beta")].into())),
            ),
            ("vic", Some("beta"), Endpoint::Keys, Err(NoMandate::Tenant)),
            ("oli", None, Endpoint::EndSession, Ok(acme())),
            ("oli", Some("acme"), Endpoint::EndSession, Ok(acme())),
            (
                "oli",
                Some("beta"),
                Endpoint::EndSession,
                Err(NoMandate::Tenant),
            ),
            ("oli", None, Endpoint::Reload, Err(NoMandate::Tenant)),
            ("oli", None, Endpoint::RotateKey, Err(NoMandate::Role)),
            ("amy", None, Endpoint::RotateKey, Ok(Over::Everything)),
            ("amy", None, Endpoint::DecideReview, Err(NoMandate::Role)),
            ("amy", None, Endpoint::Records, Err(NoMandate::Role)),
            ("pat", None, Endpoint::DecideReview, Ok(Over::Everything)),
            ("pat", None, Endpoint::EndSession, Err(NoMandate::Role)),
            ("eve", None, Endpoint::Servers, Err(NoMandate::Role)),
        ] {
            let decided = operators.decide(&caller(who, of), endpoint);
            let decided = decided.map(|mandate| mandate.over);
            assert_eq!(decided, expected, "{who} {of:?} {endpoint:?}");
        }
        let without = Identity {
            scopes: Vec::new(),
            ..caller("amy", None)
        };
        let decided = operators.decide(&without, Endpoint::Servers);
        assert_eq!(decided.unwrap_err(), NoMandate::Scope);
    }
}
