//! Has the user agreed? Only what was approved becomes a code.

use crate::client::{Client, Kind};
use crate::request::Asked;
use crate::user::User;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::time::Timestamp;

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

/// What a user has agreed to before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// To which client.
    pub client: String,
    /// Where its answers go.
    pub redirect: String,
    /// For which server.
    pub server: String,
    /// What for.
    pub scopes: Vec<String>,
    /// What the client said of itself then ([`metadata`]).
    pub metadata: String,
    /// Up to when it counts.
    pub until: Timestamp,
}

/// What the user has to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Open {
    /// Scopes that were not agreed to.
    pub new: Vec<String>,
    /// Whether others of the same were.
    pub is_more: bool,
}

/// Holds a request of a user who is signed in against what this user has agreed to.
///
/// It is covered only by an agreement with the same client, saying the same of itself, for the same redirect URI and
/// server, that names every scope and has not ended. Whoever has registered itself is never covered, and neither is a
/// request that wants the user asked, or wants it not asked (`prompt`).
///
/// # Errors
/// The request, and what is open.
pub fn weigh(
    user: &User,
    asked: Asked,
    given: &[Given],
    now: Timestamp,
) -> Result<Approved, (Asked, Open)> {
    let open = open(&asked, given, now);
    let prompt = asked.prompt();
    let may_be_covered = match asked.client().kind {
        Kind::Registered | Kind::Document => !prompt.none && !prompt.consent,
        Kind::Dynamic => false,
    };
    match open {
        None if may_be_covered => Ok(Approved::by(user.clone(), asked)),
        open => Err((asked, open.unwrap_or_default())),
    }
}

/// What no agreement covers; none if one covers all.
fn open(asked: &Asked, given: &[Given], now: Timestamp) -> Option<Open> {
    let metadata = metadata(asked.client());
    let is_of_this = |given: &&Given| {
        given.client == asked.client().id
            && given.redirect == asked.back().redirect
            && given.server == **asked.server()
            && given.metadata == metadata
            && given.until > now
    };
    let Some(before) = given.iter().find(is_of_this) else {
        return Some(Open {
            new: asked.scopes().to_vec(),
            is_more: false,
        });
    };
    let is_new = |scope: &&String| !before.scopes.contains(scope);
    let new: Vec<String> = asked.scopes().iter().filter(is_new).cloned().collect();
    // Whoever agreed to some scopes did not agree to everything.
    let is_wider = asked.scopes().is_empty() != before.scopes.is_empty();
    (is_wider || !new.is_empty()).then_some(Open { new, is_more: true })
}

/// What a client says of itself, as a digest: its name, how it is known, how it authenticates, where answers may go.
pub fn metadata(client: &Client) -> String {
    let mut text = format!(
        "{:?}\n{:?}\n{}\n",
        client.kind,
        client.name,
        client.is_confidential()
    );
    for redirect in client.redirects() {
        text.push_str(redirect.as_str());
        text.push('\n');
    }
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()).as_ref())
}
