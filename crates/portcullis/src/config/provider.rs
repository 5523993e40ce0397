//! The identity providers that have a preset.

/// An identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Microsoft Entra ID, with tokens of version 2.
    Entra,
    /// A custom authorization server of Okta.
    Okta,
    /// A tenant of Auth0.
    Auth0,
    /// A realm of Keycloak.
    Keycloak,
    /// Google, at which users sign in; nobody but Google can read its access tokens, so that callers have none of it.
    Google,
    /// Any other whose access tokens have the type `JWT`.
    Oidc,
}

impl Provider {
    /// All of them by the name that the file has.
    pub(crate) const ALL: &[(&str, Self)] = &[
        ("entra", Self::Entra),
        ("okta", Self::Okta),
        ("auth0", Self::Auth0),
        ("keycloak", Self::Keycloak),
        ("google", Self::Google),
        ("oidc", Self::Oidc),
    ];

    /// Its name in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Auth0 => "auth0",
            Self::Keycloak => "keycloak",
            Self::Google => "google",
            Self::Oidc => "oidc",
        }
    }
}
