//! Which endpoint a path leads to.

use portcullis_core::route::aggregate::AGGREGATE;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Endpoint(&'a str),
    /// The metadata of an endpoint as a protected resource (RFC 9728 section 3.1).
    Metadata(&'a str),
    /// The keys with which servers verify what we tell them.
    Keys,
    /// Those with which the server of that name does, and no other.
    ServerKeys(&'a str),
    /// The keys by which authorization servers know us.
    ClientKeys,
    /// What our authorization server says of itself, or the keys of its tokens.
    Authority(AuthorityPage<'a>),
    /// Where users sign in and see what they have allowed; with what follows.
    Account(&'a str),
    /// Where users let us use servers in their name.
    Connect(&'a str),
    /// Where the issuer of that name pushes security events.
    Signals(&'a str),
    /// Where the directory of the issuer of that name tells of users, and what it speaks of.
    Scim(&'a str, &'a str),
    Nowhere,
}

/// A page of the authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthorityPage<'a> {
    /// RFC 8414, and OpenID Connect Discovery.
    Metadata,
    /// RFC 7517.
    Keys,
    /// Where clients send browsers (RFC 6749 section 3.1).
    Authorize,
    /// Where clients say beforehand what they will ask for (RFC 9126).
    Push,
    /// Where clients without a browser begin (RFC 8628).
    Device,
    /// RFC 6749 section 3.2.
    Token,
    /// RFC 7009.
    Revoke,
    /// RFC 7662.
    Introspect,
    /// RFC 7591, and of one client RFC 7592.
    Register(&'a str),
}

impl<'a> AuthorityPage<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration" => {
                Self::Metadata
            }
            "/.well-known/issuer-jwks.json" => Self::Keys,
            "/authorize" => Self::Authorize,
            "/par" => Self::Push,
            "/device_authorization" => Self::Device,
            "/token" => Self::Token,
            "/revoke" => Self::Revoke,
            "/introspect" => Self::Introspect,
            "/register" => Self::Register(""),
            _ => match path.strip_prefix("/register/") {
                Some(id) if !id.is_empty() && !id.contains('/') => Self::Register(id),
                Some(_) | None => return None,
            },
        })
    }
}

impl<'a> Place<'a> {
    pub(super) fn of(path: &'a str) -> Self {
        if let Some(resource) = path.strip_prefix("/.well-known/oauth-protected-resource") {
            return match Self::of(resource) {
                Self::Endpoint(server) => Self::Metadata(server),
                Self::Metadata(_)
                | Self::Keys
                | Self::ServerKeys(_)
                | Self::ClientKeys
                | Self::Authority(_)
                | Self::Account(_)
                | Self::Connect(_)
                | Self::Signals(_)
                | Self::Scim(..)
                | Self::Nowhere => Self::Nowhere,
            };
        }
        if path == "/.well-known/jwks.json" {
            return Self::Keys;
        }
        let of_server = path.strip_prefix("/credentials/");
        if let Some(server) = of_server.and_then(|rest| rest.strip_suffix("/jwks.json")) {
            return Self::ServerKeys(server);
        }
        if path == "/.well-known/client-jwks.json" {
            return Self::ClientKeys;
        }
        if let Some(page) = AuthorityPage::of(path) {
            return Self::Authority(page);
        }
        if path == "/mcp" {
            return Self::Endpoint(AGGREGATE);
        }
        // Users type this one.
        if path == "/device" {
            return Self::Account("/device");
        }
        let account = path.strip_prefix("/account");
        if let Some(rest) = account.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Self::Account(rest);
        }
        if let Some(rest) = path.strip_prefix("/connect/") {
            return Self::Connect(rest);
        }
        if let Some(issuer) = path.strip_prefix("/signals/") {
            return Self::Signals(issuer);
        }
        if let Some(rest) = path.strip_prefix("/scim/") {
            let (issuer, rest) = rest.split_once('/').unwrap_or_default();
            return match rest.strip_prefix("v2") {
                Some(resource) if resource.starts_with('/') => Self::Scim(issuer, resource),
                Some(_) | None => Self::Nowhere,
            };
        }
        let server = path
            .strip_prefix("/servers/")
            .and_then(|rest| rest.strip_suffix("/mcp"));
        server
            .filter(|name| !name.contains('/') && *name != AGGREGATE)
            .map_or(Self::Nowhere, Place::Endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::{AGGREGATE, AuthorityPage, Place};
    use portcullis_core::points::POINTS;

    /// Where it is decided about what comes to a place: a new one does not compile before it says so.
    const fn point(place: &Place<'_>) -> &'static str {
        match place {
            Place::Endpoint(_) => "identify",
            Place::Metadata(_) | Place::Keys | Place::ServerKeys(_) | Place::ClientKeys => {
                "metadata"
            }
            Place::Authority(page) => match page {
                AuthorityPage::Metadata | AuthorityPage::Keys => "metadata",
                AuthorityPage::Authorize
                | AuthorityPage::Push
                | AuthorityPage::Device
                | AuthorityPage::Token
                | AuthorityPage::Revoke
                | AuthorityPage::Introspect
                | AuthorityPage::Register(_) => "authority",
            },
            Place::Account(_) | Place::Connect(_) => "consent",
            Place::Signals(_) => "signal",
            Place::Scim(..) => "directory",
            Place::Nowhere => "http",
        }
    }

    #[test]
    fn paths_lead_where_they_say() {
        for (path, place) in [
            ("/servers/demo/mcp", Place::Endpoint("demo")),
            (
                "/.well-known/oauth-protected-resource/servers/demo/mcp",
                Place::Metadata("demo"),
            ),
            ("/mcp", Place::Endpoint(AGGREGATE)),
            (
                "/.well-known/oauth-protected-resource/mcp",
                Place::Metadata(AGGREGATE),
            ),
            ("/signals/idp", Place::Signals("idp")),
            (
                "/.well-known/oauth-protected-resource/signals/idp",
                Place::Nowhere,
            ),
            ("/.well-known/jwks.json", Place::Keys),
            ("/.well-known/client-jwks.json", Place::ClientKeys),
            ("/credentials/notes/jwks.json", Place::ServerKeys("notes")),
            ("/credentials/jwks.json", Place::Nowhere),
            (
                "/.well-known/oauth-protected-resource/.well-known/jwks.json",
                Place::Nowhere,
            ),
            ("/connect/x/go", Place::Connect("x/go")),
            ("/connect", Place::Nowhere),
            ("/account", Place::Account("")),
            ("/account/callback", Place::Account("/callback")),
            ("/accounts", Place::Nowhere),
            ("/device", Place::Account("/device")),
            ("/device/", Place::Nowhere),
            ("/signals", Place::Nowhere),
            ("/scim/idp/v2/Users", Place::Scim("idp", "/Users")),
            ("/scim/idp/v2/Users/0a", Place::Scim("idp", "/Users/0a")),
            ("/scim/idp/v2", Place::Nowhere),
            ("/scim/idp/v20/Users", Place::Nowhere),
            ("/scim/idp/Users", Place::Nowhere),
            ("/scim/idp", Place::Nowhere),
            (
                "/.well-known/oauth-protected-resource/scim/idp/v2/Users",
                Place::Nowhere,
            ),
            ("/servers/*/mcp", Place::Nowhere),
            ("/servers/a/b/mcp", Place::Nowhere),
            ("/Servers/demo/mcp", Place::Nowhere),
            ("/servers/demo/mcp/", Place::Nowhere),
            ("/", Place::Nowhere),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn paths_of_the_authority_lead_where_they_say() {
        for (path, place) in [
            (
                "/.well-known/oauth-authorization-server",
                Place::Authority(AuthorityPage::Metadata),
            ),
            (
                "/.well-known/openid-configuration",
                Place::Authority(AuthorityPage::Metadata),
            ),
            (
                "/.well-known/issuer-jwks.json",
                Place::Authority(AuthorityPage::Keys),
            ),
            ("/authorize", Place::Authority(AuthorityPage::Authorize)),
            ("/authorize/", Place::Nowhere),
            (
                "/device_authorization",
                Place::Authority(AuthorityPage::Device),
            ),
            ("/register", Place::Authority(AuthorityPage::Register(""))),
            (
                "/register/x",
                Place::Authority(AuthorityPage::Register("x")),
            ),
            ("/register/", Place::Nowhere),
            ("/register/x/y", Place::Nowhere),
            (
                "/.well-known/oauth-protected-resource/.well-known/openid-configuration",
                Place::Nowhere,
            ),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn authz_01_every_place_has_a_point() {
        for path in [
            "/mcp",
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/jwks.json",
            "/.well-known/client-jwks.json",
            "/credentials/notes/jwks.json",
            "/.well-known/openid-configuration",
            "/.well-known/issuer-jwks.json",
            "/token",
            "/connect/callback",
            "/account",
            "/signals/idp",
            "/scim/idp/v2/Users",
            "/",
        ] {
            let point = point(&Place::of(path));
            assert!(POINTS.iter().any(|own| own.id == point), "{path}: {point}");
        }
    }
}
