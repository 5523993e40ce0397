//! What a client is told by way of the user's browser (RFC 6749 section 4.1.2, RFC 9207).

use form_urlencoded::Serializer;

/// Where an answer goes, and what it brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// A redirect URI of the client.
    pub redirect: String,
    /// The client's own mark.
    pub state: Option<String>,
}

/// Why a request is refused that is known to be of this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Another `response_type` than `code`.
    #[error("response_type must be code")]
    ResponseType,
    /// Another `response_mode` than `query`.
    #[error("response_mode must be query")]
    ResponseMode,
    /// Request objects are not taken.
    #[error("request objects are not supported")]
    Object,
    /// `state` is too long.
    #[error("state is too long")]
    State,
    /// There is no `code_challenge`.
    #[error("code_challenge is missing: PKCE is required")]
    NoChallenge,
    /// `code_challenge_method` is not `S256`.
    #[error("code_challenge_method must be S256")]
    Method,
    /// `code_challenge` is not the digest of anything.
    #[error("code_challenge must be 32 bytes in base64url")]
    Challenge,
    /// There is no `resource`.
    #[error("resource is missing: name the server that the token is for")]
    NoTarget,
    /// `resource` is no server for which there are tokens here.
    #[error("resource is not a server that takes tokens from here")]
    Target,
    /// None of the scopes is one of the server's.
    #[error("no scope of this server")]
    Scope,
    /// `dpop_jkt` is no thumbprint, or that of another key than was proven.
    #[error("dpop_jkt does not fit")]
    Key,
    /// `prompt` is unknown, or contradicts itself.
    #[error("prompt is not supported")]
    Prompt,
    /// `max_age` is no number of seconds.
    #[error("max_age must be a number of seconds")]
    MaxAge,
    /// The user has said no, or somebody for them.
    #[error("the request was declined")]
    Declined,
    /// Nobody is signed in, and nobody may be asked.
    #[error("the user has to sign in")]
    Login,
    /// The user has not agreed, and may not be asked.
    #[error("the user has to consent")]
    Consent,
    /// The client may not ask in this way.
    #[error("not a way in which this client gets tokens")]
    Grant,
    /// There is no room, or something is out of order.
    #[error("not now")]
    Unavailable,
}

impl Wrong {
    /// The error code (RFC 6749 section 4.1.2.1, RFC 8707 section 2, OpenID Connect Core section 3.1.2.6).
    pub const fn code(self) -> &'static str {
        match self {
            Self::ResponseType => "unsupported_response_type",
            Self::Object => "request_not_supported",
            Self::NoTarget | Self::Target => "invalid_target",
            Self::Scope => "invalid_scope",
            Self::Declined => "access_denied",
            Self::Login => "login_required",
            Self::Consent => "consent_required",
            Self::Grant => "unauthorized_client",
            Self::Unavailable => "temporarily_unavailable",
            Self::ResponseMode
            | Self::State
            | Self::NoChallenge
            | Self::Method
            | Self::Challenge
            | Self::Key
            | Self::Prompt
            | Self::MaxAge => "invalid_request",
        }
    }

    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ResponseType => "response_type",
            Self::ResponseMode => "response_mode",
            Self::Object => "request_object",
            Self::State => "state",
            Self::NoChallenge => "no_challenge",
            Self::Method => "method",
            Self::Challenge => "challenge",
            Self::NoTarget => "no_resource",
            Self::Target => "resource",
            Self::Scope => "scope",
            Self::Key => "dpop_jkt",
            Self::Prompt => "prompt",
            Self::MaxAge => "max_age",
            Self::Declined => "declined",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::Grant => "grant_type",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether it is PKCE that is missing or weak.
    pub const fn is_pkce(self) -> bool {
        matches!(self, Self::NoChallenge | Self::Method | Self::Challenge)
    }
}

impl Return {
    /// The answer to a request that is refused; `issuer` is our own name (RFC 9207 section 2).
    pub fn refused(&self, wrong: Wrong, issuer: &str) -> String {
        let why = wrong.to_string();
        location(
            self,
            &[("error", wrong.code()), ("error_description", &why)],
            issuer,
        )
    }
}

/// A redirect with these parameters, the client's `state`, and whose answer it is.
pub fn location(back: &Return, parameters: &[(&str, &str)], issuer: &str) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(parameters);
    if let Some(state) = &back.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer);
    let joint = if back.redirect.contains('?') {
        '&'
    } else {
        '?'
    };
    format!("{}{joint}{}", back.redirect, query.finish())
}
