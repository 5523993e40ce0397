//! The provider's own word about itself, and what is asked of it.

use crate::egress::Target;
use crate::secret::Secret;
use crate::sign_in::{Disbelieved, challenge_of};
use form_urlencoded::Serializer;
use serde::Deserialize;

/// A provider, by its own metadata (OpenID Connect Discovery section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its issuer identifier, byte for byte.
    pub issuer: String,
    /// Where users sign in.
    pub authorization: Target,
    /// Where codes are exchanged.
    pub token: String,
    /// Where users sign out, if there is such a place.
    pub end_session: Option<String>,
    /// Whether its answers say from whom they are (RFC 9207).
    pub names_itself: bool,
}

/// What one authentication request says.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Our name at the provider.
    pub client: &'a str,
    /// Where the answer goes.
    pub redirect: &'a str,
    /// Scopes with a space between them, `openid` among them.
    pub scope: &'a str,
    /// What the answer must bring along.
    pub state: &'a str,
    /// What the ID token must say.
    pub nonce: &'a str,
    /// The secret of which only a digest goes there (RFC 7636).
    pub verifier: &'a str,
    /// The classes of sign-in that are wanted (`acr_values`); empty if any will do.
    pub classes: &'a str,
    /// Whether the user has to sign in anew.
    pub is_anew: bool,
}

#[derive(Deserialize)]
struct Raw {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    end_session_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

/// Where the metadata of a provider may be: the place of OpenID Connect first, then those of RFC 8414.
pub fn metadata_urls(issuer: &str) -> Vec<String> {
    let base = issuer.trim_end_matches('/');
    let mut urls = vec![format!("{base}/.well-known/openid-configuration")];
    if let Ok(mut others) = crate::sign_in::authority_urls(issuer) {
        others.retain(|url| !urls.contains(url));
        urls.append(&mut others);
    }
    urls
}

impl Provider {
    /// Reads what was fetched for this issuer. PKCE is always sent; a provider that does not speak of it (Entra) is
    /// believed to know it, and one that says that it has no S256 is not used.
    ///
    /// # Errors
    /// [`Disbelieved`].
    pub fn parse(document: &[u8], issuer: &str) -> Result<Self, Disbelieved> {
        let raw: Raw = serde_json::from_slice(document).map_err(|_| Disbelieved::Malformed)?;
        if raw.issuer != issuer {
            return Err(Disbelieved::Issuer);
        }
        let methods = raw.code_challenge_methods_supported;
        if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
            return Err(Disbelieved::Pkce);
        }
        let url = |text: String| Target::parse(&text).map_err(Disbelieved::Url).map(|_| text);
        Ok(Self {
            authorization: Target::parse(&raw.authorization_endpoint).map_err(Disbelieved::Url)?,
            token: url(raw.token_endpoint)?,
            end_session: raw.end_session_endpoint.map(url).transpose()?,
            names_itself: raw.authorization_response_iss_parameter_supported == Some(true),
            issuer: raw.issuer,
        })
    }
}

/// Where the user's browser goes to sign in (OpenID Connect Core section 3.1.2.1). No resource is named: what is asked
/// for is who it is, and some providers (Entra) refuse the parameter.
pub fn authorization_url(provider: &Provider, asking: &Asking<'_>) -> String {
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", asking.client)
        .append_pair("redirect_uri", asking.redirect)
        .append_pair("scope", asking.scope)
        .append_pair("state", asking.state)
        .append_pair("nonce", asking.nonce)
        .append_pair("code_challenge", &challenge_of(asking.verifier))
        .append_pair("code_challenge_method", "S256");
    if !asking.classes.is_empty() {
        query.append_pair("acr_values", asking.classes);
    }
    if asking.is_anew {
        query.append_pair("prompt", "login");
    }
    let url = provider.authorization.to_string();
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{}", query.finish())
}

/// The form that exchanges a code (OpenID Connect Core section 3.1.3.1), without what shows who asks.
pub fn redeem(code: &Secret<String>, redirect: &str, verifier: &Secret<String>) -> Secret<String> {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code.expose())
        .append_pair("redirect_uri", redirect)
        .append_pair("code_verifier", verifier.expose());
    Secret::new(form.finish())
}
