//! Who has signed in, in the words of whoever vouches for them.

use serde::{Deserialize, Serialize};

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
}

impl std::ops::Deref for User {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.0
    }
}
