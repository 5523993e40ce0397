//! Who has signed in, in the words of whoever vouches for them.

use portcullis_core::authenticate::{Named, Trust, key_of};
use portcullis_core::openid::SignedIn;
use portcullis_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The claim of whoever has groups that nobody names.
const UNKNOWN_GROUPS: &str = "hasgroups";

/// A user who has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User(Person);

/// What is known of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What the provider calls them: the `sub` of tokens.
    pub subject: String,
    /// The provider's `iss`; our own where the owner of the machine has signed in.
    pub issuer: String,
    /// A name to show; untrusted text.
    pub name: Option<String>,
    /// Groups, as policies know them.
    pub groups: Vec<String>,
    /// Roles, as policies know them.
    pub roles: Vec<String>,
    /// The class of the sign-in (`acr`).
    pub acr: Option<String>,
    /// Its methods (`amr`).
    pub amr: Vec<String>,
    /// When it was, in seconds since 1970.
    pub auth_time: u64,
    /// Further claims by which the provider's directory or its events name them, or policies ask for them.
    pub claims: Vec<(String, String)>,
}

impl User {
    /// For those who have seen a user sign in, and for nobody else.
    pub const fn signed_in(person: Person) -> Self {
        Self(person)
    }

    /// Whoever has signed in at the provider. `claims` are those that are kept besides.
    pub fn of(signed_in: &SignedIn, claims: &[String]) -> Self {
        let identity = signed_in.identity();
        let said = &identity.authentication;
        let is_kept = |(name, _): &&(String, String)| claims.contains(name);
        let mut kept: Vec<(String, String)> =
            identity.claims.iter().filter(is_kept).cloned().collect();
        if identity.has_unknown_groups {
            // As Entra says it, so that whoever reads the token knows that nobody knows.
            kept.push((UNKNOWN_GROUPS.to_owned(), "true".to_owned()));
        }
        Self(Person {
            subject: identity.subject.clone(),
            issuer: identity.issuer.clone(),
            name: signed_in.name().map(str::to_owned),
            groups: identity.groups.clone(),
            roles: identity.roles.clone(),
            acr: said.class.clone(),
            amr: said.methods.clone().unwrap_or_default(),
            auth_time: said.time.unwrap_or(identity.issued).seconds(),
            claims: kept,
        })
    }

    /// Whether the user has groups or roles, also such that nobody knows.
    pub fn is_grouped(&self) -> bool {
        let mut claims = self.0.claims.iter();
        let has_more = claims.any(|(name, _)| name == UNKNOWN_GROUPS);
        has_more || !self.0.groups.is_empty() || !self.0.roles.is_empty()
    }

    /// The server-side key of the user at the provider.
    pub fn key(&self) -> Arc<str> {
        key_of(&self.0.issuer, &self.0.subject)
    }

    /// Whether the user was revoked after having signed in then.
    pub fn is_revoked(&self, since: Timestamp, trust: &Trust) -> bool {
        let person = &self.0;
        let named = Named {
            issuer: &person.issuer,
            subject: &person.subject,
            key: &self.key(),
            client: None,
            token_id: None,
            claims: &person.claims,
            issued: since,
        };
        trust.check_named(&named).is_err()
    }
}

impl std::ops::Deref for User {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.0
    }
}
