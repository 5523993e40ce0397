//! Metadata: of a protected resource (RFC 9728), and of an authorization server (RFC 8414, OpenID Connect Discovery).

use super::Disbelieved;
use super::challenge::is_scope;
use crate::egress::Target;
use serde::Deserialize;

/// Entries of one list that are read; a longer one is refused.
const MAX_ENTRIES: usize = 256;

/// What a server says about itself as a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedResource {
    /// What it calls itself; a token is asked for by this name (RFC 8707).
    pub resource: String,
    /// Its authorization servers; never empty.
    pub authorities: Vec<String>,
    /// The scopes that it knows.
    pub scopes: Vec<String>,
    /// Whether it says nothing of itself, and this is what is assumed of a server of 2025-03-26.
    pub is_assumed: bool,
}

/// An authorization server, by its own metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its issuer identifier, byte for byte.
    pub issuer: String,
    /// Where the user goes.
    pub authorization: Target,
    /// Where codes and refresh tokens are exchanged.
    pub token: String,
    /// Where a client registers itself (RFC 7591).
    pub registration: Option<String>,
    /// Where tokens are given back (RFC 7009).
    pub revocation: Option<String>,
    /// How a client authenticates.
    pub ways: Vec<Way>,
    /// Whether a URL can be a client's id (client id metadata documents).
    pub takes_documents: bool,
    /// Whether its answers say from whom they are (RFC 9207).
    pub names_itself: bool,
    /// Whether refresh tokens have to be asked for.
    pub offers_offline: bool,
}

/// How a client authenticates at the token endpoint (RFC 7591 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `none`: a public client.
    Open,
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
}

#[derive(Deserialize)]
struct RawResource {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

#[derive(Deserialize)]
struct RawAuthority {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    scopes_supported: Option<Vec<String>>,
    client_id_metadata_document_supported: Option<bool>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

/// Where the metadata of a server may be, in the order of the MCP specification, unless its challenge says.
pub fn resource_urls(server: &Target) -> Vec<String> {
    let (origin, path) = (server.origin(), plain(server));
    let well_known = format!("{origin}/.well-known/oauth-protected-resource");
    let mut urls = vec![format!("{well_known}{path}"), well_known];
    urls.dedup();
    urls
}

/// Where the metadata of an authorization server may be, in the order of the MCP specification.
///
/// # Errors
/// [`Disbelieved::Url`]: its issuer identifier is no URL that would be fetched, or has a query (RFC 8414 section 2).
pub fn authority_urls(issuer: &str) -> Result<Vec<String>, Disbelieved> {
    let target = Target::parse(issuer).map_err(Disbelieved::Url)?;
    if target.path().contains('?') {
        return Err(Disbelieved::Issuer);
    }
    let (origin, path) = (target.origin(), plain(&target));
    let mut urls = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ];
    urls.dedup();
    Ok(urls)
}

/// The path without query and without a slash at its end.
fn plain(target: &Target) -> &str {
    let path = target.path().split('?').next().unwrap_or_default();
    path.trim_end_matches('/')
}

impl ProtectedResource {
    /// Reads what was fetched for this server.
    ///
    /// # Errors
    /// [`Disbelieved`].
    pub fn parse(document: &[u8], server: &Target) -> Result<Self, Disbelieved> {
        let raw: RawResource =
            serde_json::from_slice(document).map_err(|_| Disbelieved::Malformed)?;
        let named = Target::parse(&raw.resource).map_err(|_| Disbelieved::Resource)?;
        // The same, or what it is a part of: a server may be one of several paths of a resource.
        let (own, part) = (plain(&named), plain(server));
        let is_below = part
            .strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if named.origin() != server.origin() || named.path().contains('?') || !is_below {
            return Err(Disbelieved::Resource);
        }
        if raw.authorization_servers.len() > MAX_ENTRIES || raw.scopes_supported.len() > MAX_ENTRIES
        {
            return Err(Disbelieved::Malformed);
        }
        if raw.authorization_servers.is_empty() {
            return Err(Disbelieved::NoAuthority);
        }
        Ok(Self {
            resource: raw.resource,
            authorities: raw.authorization_servers,
            scopes: raw
                .scopes_supported
                .into_iter()
                .filter(|scope| is_scope(scope))
                .collect(),
            is_assumed: false,
        })
    }

    /// What is assumed of a server that says nothing of itself: its origin is its authorization server (MCP 2025-03-26,
    /// authorization, section 2.3.2).
    pub fn assumed(server: &Target) -> Self {
        Self {
            resource: server.to_string(),
            authorities: vec![server.origin()],
            scopes: Vec::new(),
            is_assumed: true,
        }
    }
}

impl Authority {
    /// Reads what was fetched for this issuer.
    ///
    /// # Errors
    /// [`Disbelieved`].
    pub fn parse(document: &[u8], issuer: &str) -> Result<Self, Disbelieved> {
        let raw: RawAuthority =
            serde_json::from_slice(document).map_err(|_| Disbelieved::Malformed)?;
        if raw.issuer != issuer {
            return Err(Disbelieved::Issuer);
        }
        let methods = raw.code_challenge_methods_supported.unwrap_or_default();
        if !methods.iter().any(|method| method == "S256") {
            return Err(Disbelieved::Pkce);
        }
        let url = |text: String| Target::parse(&text).map_err(Disbelieved::Url).map(|_| text);
        let authorization = Target::parse(&raw.authorization_endpoint).map_err(Disbelieved::Url)?;
        let ways = raw.token_endpoint_auth_methods_supported;
        let scopes = raw.scopes_supported.unwrap_or_default();
        Ok(Self {
            authorization,
            token: url(raw.token_endpoint)?,
            registration: raw.registration_endpoint.map(url).transpose()?,
            revocation: raw.revocation_endpoint.map(url).transpose()?,
            // RFC 8414 section 2: basic is what counts where nothing is said.
            ways: ways.map_or_else(|| vec![Way::Basic], |ways| known(&ways)),
            takes_documents: raw.client_id_metadata_document_supported == Some(true),
            names_itself: raw.authorization_response_iss_parameter_supported == Some(true),
            offers_offline: scopes.iter().any(|scope| scope == "offline_access"),
            issuer: raw.issuer,
        })
    }

    /// What is assumed of one that says nothing of itself (MCP 2025-03-26, authorization, section 2.3.3): its endpoints are
    /// below its origin, and it knows PKCE, as it must. Of other ways than those it is not asked.
    ///
    /// # Errors
    /// [`Disbelieved::Url`]: it is no origin that would be fetched.
    pub fn assumed(issuer: &str) -> Result<Self, Disbelieved> {
        let origin = Target::parse(issuer).map_err(Disbelieved::Url)?.origin();
        let at = |path: &str| format!("{origin}{path}");
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization: Target::parse(&at("/authorize")).map_err(Disbelieved::Url)?,
            token: at("/token"),
            registration: Some(at("/register")),
            revocation: None,
            // A secret is no more than it asks for.
            ways: vec![Way::Open, Way::Basic],
            takes_documents: false,
            names_itself: false,
            offers_offline: false,
        })
    }

    /// How a client with this secret, or without one, authenticates.
    pub fn way(&self, has_secret: bool) -> Way {
        let offers = |way: Way| self.ways.contains(&way);
        match has_secret {
            true if offers(Way::Basic) || !offers(Way::Post) => Way::Basic,
            true => Way::Post,
            false => Way::Open,
        }
    }
}

fn known(ways: &[String]) -> Vec<Way> {
    let way = |text: &String| match text.as_str() {
        "none" => Some(Way::Open),
        "client_secret_basic" => Some(Way::Basic),
        "client_secret_post" => Some(Way::Post),
        _ => None,
    };
    ways.iter().filter_map(way).collect()
}
