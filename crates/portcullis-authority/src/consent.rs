//! Has the user agreed? Only what was approved becomes a code.

use crate::request::Asked;
use crate::user::User;

/// A request to which its user has agreed.
#[derive(Debug, Clone)]
pub struct Approved {
    asked: Asked,
    user: User,
}

impl Approved {
    /// The user has agreed to just this, on our page.
    pub const fn by(user: User, asked: Asked) -> Self {
        Self { asked, user }
    }

    /// To what.
    pub const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Who.
    pub const fn user(&self) -> &User {
        &self.user
    }
}
