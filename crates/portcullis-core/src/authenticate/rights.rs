//! What a caller's token gives, held against what another one of the same caller gave; and with another login behind it.

use super::{Authentication, Identity, Principal};
use std::sync::Arc;

impl Principal {
    /// The same with another login behind it.
    pub(crate) fn with_login(self, authentication: Authentication) -> Self {
        let identity = Identity {
            authentication,
            ..(*self.0).clone()
        };
        Self(Arc::new(identity), self.1)
    }

    /// Whether another token of the same caller gives the same rights: roles and groups, by a login of the same class, and
    /// no scope that this one has not. Who shows fewer scopes is judged by those, and may step up again.
    pub(crate) fn has_rights_of(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        let holds =
            |whole: &[String], part: &[String]| part.iter().all(|name| whole.contains(name));
        let same = |one: &[String], other: &[String]| holds(one, other) && holds(other, one);
        self.authentication.class == other.authentication.class
            && self.has_unknown_groups == other.has_unknown_groups
            && holds(&self.scopes, &other.scopes)
            && same(&self.roles, &other.roles)
            && same(&self.groups, &other.groups)
    }
}
