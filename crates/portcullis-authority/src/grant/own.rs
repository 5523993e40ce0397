//! What a client gets for itself (RFC 6749 section 4.4): nobody has allowed it but the operator.

use super::Granted;
use crate::client::{Client, GrantType};
use crate::form::Form;
use crate::request::{Terms, Wrong, resource};
use crate::user::{Person, User};
use std::collections::BTreeSet;

/// Who vouches for clients that come for themselves, as tokens say it: no provider is called so, and no user is one of it.
pub const CLIENTS: &str = "urn:portcullis:clients";

impl Granted {
    /// What this client, which has authenticated, asks for itself: of the scopes of the server those that are written for it.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn itself(client: &Client, form: &Form, terms: &Terms<'_>) -> Result<Self, Wrong> {
        if !client.is_confidential() || !client.grants.contains(&GrantType::Client) {
            return Err(Wrong::Grant);
        }
        let resource = resource(form, terms)?;
        let asked: BTreeSet<&str> = form.words("scope").collect();
        let is_asked = |scope: &&String| asked.is_empty() || asked.contains(scope.as_str());
        let known = resource.scopes_supported.iter();
        let scopes: BTreeSet<&String> = known
            .filter(|scope| client.scopes.contains(*scope))
            .filter(is_asked)
            .collect();
        if scopes.is_empty() && !(resource.scopes_supported.is_empty() && asked.is_empty()) {
            return Err(Wrong::Scope);
        }
        Ok(Self {
            user: User::signed_in(Person {
                subject: client.id.clone(),
                issuer: CLIENTS.to_owned(),
                ..Person::default()
            }),
            client: client.id.clone(),
            server: resource.server.to_string(),
            audience: resource.audience.clone(),
            scopes: scopes.into_iter().cloned().collect(),
            refreshes: false,
        })
    }
}
