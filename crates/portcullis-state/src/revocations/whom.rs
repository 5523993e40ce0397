//! Whose tokens a revocation means, and who has made it.

/// What a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One token, by its `jti`.
    Token,
    /// All tokens of a subject, by `sub`.
    Subject,
    /// All tokens of an OAuth client, by `client_id`.
    Client,
    /// All tokens in which a claim has a value: its name, `=` and the value.
    Claim,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::Claim => "claim",
        }
    }
}

/// Where a revocation comes from. One does not take back what another has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An operator.
    Operator,
    /// The issuer: a session, a credential or a claim has ended.
    Event,
    /// The issuer: the account is disabled, until it is enabled again.
    Disabled,
    /// The issuer's directory: the user is not active, until it is again.
    Directory,
    /// A rule about misuse.
    Misuse,
}

impl Source {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Event => "event",
            Self::Disabled => "disabled",
            Self::Directory => "directory",
            Self::Misuse => "misuse",
        }
    }
}

/// Whose tokens, or which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// What `name` is.
    pub kind: Kind,
    /// The tokens' `iss`; `os` for the users of the operating system.
    pub issuer: String,
    /// `jti`, `sub`, `client_id`, or a claim and its value.
    pub name: String,
}

impl Whom {
    /// The claim and its value, if it is one that is meant.
    pub fn claim(&self) -> Option<(&str, &str)> {
        match self.kind {
            Kind::Token | Kind::Subject | Kind::Client => None,
            Kind::Claim => self.name.split_once('='),
        }
    }
}
