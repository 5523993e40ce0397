//! What does a directory tell of its users (SCIM 2.0, RFC 7643 and 7644)? A request becomes an [`Asked`], and a change what
//! it means for access.
//!
//! It is apart from the walk, and no directory of its own: of a user is kept what tells whose tokens are meant.

mod body;
mod documents;
mod query;

pub use documents::{Document, found, listed, problem};

/// The largest body that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The most users in one answer.
pub const MAX_LISTED: usize = 100;
/// The longest attribute that is kept, in bytes: no longer than a `sub` that is accepted.
pub const MAX_TEXT_BYTES: usize = 512;
/// The most operations of one `PATCH`.
pub const MAX_OPERATIONS: usize = 64;

/// A user, as far as one is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Our id.
    pub id: String,
    /// `userName`; no two users of an issuer differ in case only.
    pub user_name: String,
    /// `externalId`: the directory's own id.
    pub external_id: Option<String>,
    /// Whether the user has access.
    pub active: bool,
}

/// An attribute by which users are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `id`, which is ours.
    Id,
    /// `userName`.
    UserName,
    /// `externalId`.
    ExternalId,
}

/// What a directory asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// What this service is.
    Document(Document),
    /// Users.
    Search(Search),
    /// A change.
    Step(Step),
}

/// Which users.
#[derive(Debug, PartialEq, Eq)]
pub enum Search {
    /// The one of that id; it must be there.
    One(String),
    /// Those of which an attribute has a value; at most one has.
    Where(Attribute, String),
    /// All, from that place on (the first is 0), and so many.
    All(usize, usize),
}

/// A change of one user.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A new one.
    Create(Draft),
    /// What is said of the one of that id takes the place of what was.
    Merge(String, Draft),
    /// The one of that id is gone.
    Delete(String),
}

/// What a request says of a user.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Draft {
    /// `userName`.
    pub user_name: Option<String>,
    /// `externalId`.
    pub external_id: Option<String>,
    /// `active`.
    pub active: Option<bool>,
}

/// A change that may be made, whole or not at all.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The user after it; none if it is gone.
    pub user: Option<User>,
    /// What it means for access, in order. The names are those of [`User::named`].
    pub effects: Vec<Effect>,
}

/// What a change means for access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The tokens of whoever has that name are worth nothing any more, new ones included.
    Disable(String),
    /// New tokens are accepted again, as far as this service had disabled them.
    Enable(String),
}

/// Why a request changes nothing (RFC 7644 section 3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not the bearer token that was agreed on.
    #[error("the bearer token is missing or wrong")]
    Bearer,
    /// No such resource.
    #[error("there is no such resource")]
    Unknown,
    /// Not with this method.
    #[error("this resource does not take this method")]
    Method,
    /// Not `application/scim+json` or `application/json`.
    #[error("the body is no application/scim+json")]
    Media,
    /// A body beyond [`MAX_BODY_BYTES`], or more than [`MAX_OPERATIONS`].
    #[error("the request is too large")]
    TooLarge,
    /// Not JSON of one reading, or not the shape of the message.
    #[error("the body has not the form of this request")]
    Syntax,
    /// Not the schemas of the message.
    #[error("the schemas are not those of this request")]
    Schema,
    /// A value that its attribute does not take.
    #[error("an attribute has a value that it does not take")]
    Value,
    /// The attribute by which tokens name the user would be missing.
    #[error("the attribute by which tokens name the user is missing")]
    Unmapped,
    /// A path that is not understood.
    #[error("a path is not understood")]
    Path,
    /// A filter that is not understood.
    #[error("only filters of the form `userName eq \"...\"` are understood")]
    Filter,
    /// Another user has this name.
    #[error("another user has this userName or externalId")]
    Taken,
    /// There is no room for more users.
    #[error("there are too many users or revocations")]
    Full,
}

impl Problem {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Unknown => "unknown",
            Self::Method => "method",
            Self::Media => "media_type",
            Self::TooLarge => "too_large",
            Self::Syntax => "syntax",
            Self::Schema => "schema",
            Self::Value => "value",
            Self::Unmapped => "unmapped",
            Self::Path => "path",
            Self::Filter => "filter",
            Self::Taken => "taken",
            Self::Full => "full",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Bearer => 401,
            Self::Unknown => 404,
            Self::Method => 405,
            Self::Taken => 409,
            Self::TooLarge => 413,
            Self::Media => 415,
            Self::Full => 503,
            Self::Syntax
            | Self::Schema
            | Self::Value
            | Self::Unmapped
            | Self::Path
            | Self::Filter => 400,
        }
    }

    /// `scimType`, where there is one.
    pub const fn kind(self) -> Option<&'static str> {
        match self {
            Self::Syntax | Self::Schema => Some("invalidSyntax"),
            Self::Value | Self::Unmapped => Some("invalidValue"),
            Self::Path => Some("invalidPath"),
            Self::Filter => Some("invalidFilter"),
            Self::Taken => Some("uniqueness"),
            Self::Bearer
            | Self::Unknown
            | Self::Method
            | Self::Media
            | Self::TooLarge
            | Self::Full => None,
        }
    }
}

/// A request that whoever may has sent.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// What follows the base URL, such as `/Users`.
    pub path: &'a str,
    /// The query, as it came.
    pub query: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// Reads a request.
///
/// # Errors
/// [`Problem`]; it contains nothing of the request.
pub fn read(request: &Request<'_>) -> Result<Asked, Problem> {
    let Request { method, path, .. } = *request;
    if let Some(document) = Document::at(path) {
        return match method {
            "GET" => Ok(Asked::Document(document)),
            _ => Err(Problem::Method),
        };
    }
    if path == "/Users" {
        return match method {
            "GET" => query::search(request.query).map(Asked::Search),
            "POST" => body::resource(request.body).map(|draft| Asked::Step(Step::Create(draft))),
            _ => Err(Problem::Method),
        };
    }
    let id = path.strip_prefix("/Users/").ok_or(Problem::Unknown)?;
    if !is_id(id) {
        return Err(Problem::Unknown);
    }
    let id = id.to_owned();
    match method {
        "GET" => Ok(Asked::Search(Search::One(id))),
        "PUT" => body::resource(request.body).map(|draft| Asked::Step(Step::Merge(id, draft))),
        "PATCH" => body::operations(request.body).map(|draft| Asked::Step(Step::Merge(id, draft))),
        "DELETE" => Ok(Asked::Step(Step::Delete(id))),
        _ => Err(Problem::Method),
    }
}

/// Ours are hexadecimal; no other can be one.
fn is_id(text: &str) -> bool {
    let is_ours = |byte: u8| byte.is_ascii_hexdigit();
    (1..=64).contains(&text.len()) && text.bytes().all(is_ours)
}

impl User {
    /// What tokens call this user, if they go by that attribute.
    pub fn named(&self, by: Attribute) -> Option<&str> {
        match by {
            Attribute::Id => Some(&self.id),
            Attribute::UserName => Some(&self.user_name),
            Attribute::ExternalId => self.external_id.as_deref(),
        }
    }
}

impl Step {
    /// Whom it is about; none if that is a new user.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create(_) => None,
            Self::Merge(id, _) | Self::Delete(id) => Some(id),
        }
    }

    /// Makes the change to what is known of the user, who is called `id` if new. Tokens name the user as `by` says.
    ///
    /// Who has another name afterwards loses access under the old one: it could be given to somebody else.
    ///
    /// # Errors
    /// [`Problem::Unknown`], [`Problem::Unmapped`] or [`Problem::Value`].
    pub fn apply(self, before: Option<User>, id: &str, by: Attribute) -> Result<Applied, Problem> {
        match (self, before) {
            (Self::Create(draft), _) => {
                let active = draft.active.unwrap_or(true);
                let user = User {
                    id: id.to_owned(),
                    user_name: draft.user_name.ok_or(Problem::Value)?,
                    external_id: draft.external_id,
                    active,
                };
                let effects = vec![effect(&user, by)?];
                Ok(Applied {
                    user: Some(user),
                    effects,
                })
            }
            (Self::Merge(..) | Self::Delete(_), None) => Err(Problem::Unknown),
            (Self::Merge(_, draft), Some(before)) => merge(before, draft, by),
            (Self::Delete(_), Some(before)) => {
                let name = before.named(by).ok_or(Problem::Unmapped)?.to_owned();
                Ok(Applied {
                    user: None,
                    effects: vec![Effect::Disable(name)],
                })
            }
        }
    }
}

fn merge(before: User, draft: Draft, by: Attribute) -> Result<Applied, Problem> {
    let was = before.named(by).map(str::to_owned);
    let is_told = draft.active.is_some();
    let user = User {
        id: before.id,
        user_name: draft.user_name.unwrap_or(before.user_name),
        external_id: draft.external_id.or(before.external_id),
        active: draft.active.unwrap_or(before.active),
    };
    let now = effect(&user, by)?;
    let is_other = was.as_deref() != user.named(by);
    let mut effects: Vec<Effect> = was
        .filter(|_| is_other)
        .map(Effect::Disable)
        .into_iter()
        .collect();
    if is_told || is_other {
        effects.push(now);
    }
    Ok(Applied {
        user: Some(user),
        effects,
    })
}

/// What it means that this user is there, active or not.
fn effect(user: &User, by: Attribute) -> Result<Effect, Problem> {
    let name = user.named(by).ok_or(Problem::Unmapped)?.to_owned();
    Ok(if user.active {
        Effect::Enable(name)
    } else {
        Effect::Disable(name)
    })
}

#[cfg(test)]
mod tests;
