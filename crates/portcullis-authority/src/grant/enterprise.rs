//! What an enterprise has granted at its identity provider (Identity Assertion JWT Authorization Grant): its users are not
//! asked here, so only providers and clients that the operator names have this way.

use super::Granted;
use crate::client::Client;
use crate::form::Form;
use crate::request::{Terms, Wrong, target};
use crate::user::User;
use portcullis_core::openid::Assertion;
use std::collections::BTreeSet;

impl Granted {
    /// What this assertion gives this client, which has authenticated: for a server that the assertion names, and of its scopes
    /// what the assertion has. `claims` are those that are kept of the user.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn asserted(
        client: &Client,
        form: &Form,
        (assertion, claims): (&Assertion, &[String]),
        terms: &Terms<'_>,
    ) -> Result<Self, Wrong> {
        if !client.is_confidential() {
            return Err(Wrong::Grant);
        }
        let named = match (form.value("resource"), assertion.resources()) {
            (Some(named), resources) if resources.iter().any(|one| one == named) => named,
            (None, [only]) => only,
            (Some(_), _) => return Err(Wrong::Target),
            (None, _) => return Err(Wrong::NoTarget),
        };
        let resource = target(named, terms)?;
        let asked: BTreeSet<&str> = form.words("scope").collect();
        let asserted = assertion.scopes();
        let is_meant = |scope: &&String| {
            asserted.contains(*scope) && (asked.is_empty() || asked.contains(scope.as_str()))
        };
        let known = resource.scopes_supported.iter();
        let scopes: BTreeSet<&String> = known.filter(is_meant).collect();
        if scopes.is_empty() && !resource.scopes_supported.is_empty() {
            return Err(Wrong::Scope);
        }
        Ok(Self {
            user: User::of(assertion.user(), claims),
            client: client.id.clone(),
            server: resource.server.to_string(),
            audience: resource.audience.clone(),
            scopes: scopes.into_iter().cloned().collect(),
            refreshes: false,
        })
    }
}
