//! What may help whoever has to find out why a token was refused: for operators, and never for the client.

use super::jwt::{decode, text};
use super::{Claimed, Credentials, Issuer, Resource, Trust, Unauthenticated};
use serde_json::{Map, Value};

/// An issuer's name that tokens of the same provider may have, and that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookalike {
    /// The name, as `iss` has it.
    pub issuer: String,
    /// What mends it.
    pub hint: &'static str,
}

/// The same issuer, but for the slash at the end.
const SLASH: &str = "`iss` and the configured issuer differ by the slash at the end: write `issuer` exactly as in the token";
const ENCRYPTED: &str = "the token is encrypted for its issuer: the client must ask for a token for this server \
                         (`audience` or `resource` in its request)";
const OPAQUE: &str = "the token is no JWT: the client must ask for a token for this server (`audience` or `resource` in \
                      its request), or `introspection` must be configured";
const GRAPH: &str = "the token is for Microsoft Graph: the client must ask for a scope of this server's API, as in \
                     api://APPLICATION-ID/SCOPE";
const ACCOUNT: &str = "the token is for Keycloak's own account console: give the client an audience mapper for this server";
const CLIENT_AS_AUDIENCE: &str =
    "`aud` is the client itself, as in an ID token: the client must send its access token";

/// Microsoft Graph, whose tokens nobody else can verify.
const GRAPH_AUDIENCES: &[&str] = &[
    "00000003-0000-0000-c000-000000000000",
    "https://graph.microsoft.com",
];

/// A text of ours that explains the refusal; what the token says of itself only leads to it.
pub(crate) fn hint(
    why: &Unauthenticated,
    credentials: &Credentials<'_>,
    (resource, trust): (&Resource, &Trust),
) -> Option<&'static str> {
    let (_, token) = credentials.token().ok()?;
    match why {
        Unauthenticated::Malformed | Unauthenticated::Algorithm if is_encrypted(token) => {
            Some(ENCRYPTED)
        }
        Unauthenticated::Malformed if !token.contains('.') => Some(OPAQUE),
        Unauthenticated::Issuer => of_issuer(&Claimed::of(credentials)?.issuer?, resource, trust),
        Unauthenticated::Audience => of_audience(&payload(token)?),
        Unauthenticated::Malformed
        | Unauthenticated::Missing
        | Unauthenticated::Scheme
        | Unauthenticated::Duplicate
        | Unauthenticated::Query
        | Unauthenticated::Header
        | Unauthenticated::Algorithm
        | Unauthenticated::Type
        | Unauthenticated::UnknownKey { .. }
        | Unauthenticated::Signature
        | Unauthenticated::Expired
        | Unauthenticated::NotYet
        | Unauthenticated::Lifetime
        | Unauthenticated::Subject
        | Unauthenticated::Claim { .. }
        | Unauthenticated::Bound
        | Unauthenticated::Proof(_)
        | Unauthenticated::Certificate(_)
        | Unauthenticated::Revoked { .. }
        | Unauthenticated::Changed
        | Unauthenticated::Unasked { .. }
        | Unauthenticated::Inactive => None,
    }
}

/// A JWE in compact form (RFC 7516 section 3.1) has five parts.
fn is_encrypted(token: &str) -> bool {
    token.split('.').count() == 5
}

fn payload(token: &str) -> Option<Map<String, Value>> {
    decode(token.split('.').nth(1)?).ok()
}

/// INVARIANT: `claimed` is cut, so it is compared with what is as short.
fn of_issuer(claimed: &str, resource: &Resource, trust: &Trust) -> Option<&'static str> {
    let known = |name: &String| trust.issuers.get(name);
    let trusted: Vec<&Issuer> = resource.issuers.iter().filter_map(known).collect();
    let mut lookalikes = trusted.iter().flat_map(|issuer| &issuer.lookalikes);
    if let Some(found) = lookalikes.find(|other| Claimed::cut(&other.issuer) == claimed) {
        return Some(found.hint);
    }
    let bare = |name: &str| name.trim_end_matches('/').to_owned();
    let is_same = |issuer: &&Issuer| bare(&Claimed::cut(&issuer.issuer)) == bare(claimed);
    trusted.iter().any(is_same).then_some(SLASH)
}

fn of_audience(claims: &Map<String, Value>) -> Option<&'static str> {
    let audience = text(claims, "aud")?;
    if GRAPH_AUDIENCES.contains(&&*audience) {
        Some(GRAPH)
    } else if audience == "account" {
        Some(ACCOUNT)
    } else if text(claims, "azp").as_ref() == Some(&audience) || claims.contains_key("nonce") {
        Some(CLIENT_AS_AUDIENCE)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::Claims;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::time::Duration;

    const ISSUER: &str = "https://idp.example/tenants/00000000-0000-0000-0000-000000000000/v2.0";

    /// The first words of the hint for a token with these claims, at a server that trusts one issuer.
    fn check(why: &Unauthenticated, claims: &Value, expected: &str) {
        let issuer = Issuer {
            issuer: ISSUER.to_owned(),
            algorithms: Vec::new(),
            token_types: Vec::new(),
            max_lifetime: Duration::ZERO,
            skew: Duration::ZERO,
            claims: Claims::default(),
            lookalikes: vec![Lookalike {
                issuer: "https://sts.example/".to_owned(),
                hint: "an old one",
            }],
            introspection: crate::authenticate::Introspection::Never,
        };
        let trust = Trust {
            issuers: HashMap::from([(ISSUER.to_owned(), issuer)]),
            keys: crate::authenticate::Keys::default(),
            revoked: Arc::default(),
            generation: 1,
        };
        let resource = Resource {
            issuers: vec![ISSUER.to_owned()],
            ..Resource::default()
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = match claims.as_str() {
            Some(token) => token.to_owned(),
            None => format!("{}.{}.c2ln", part(&json!({})), part(claims)),
        };
        let authorization = format!("Bearer {token}");
        let credentials = Credentials {
            authorization: Some(authorization.as_bytes()),
            count: 1,
            ..Credentials::default()
        };
        let found = hint(why, &credentials, (&resource, &trust)).unwrap_or_default();
        assert!(
            found.starts_with(expected) && found.is_empty() == expected.is_empty(),
            "{claims}: {found}"
        );
    }

    #[test]
    fn auth_02_explains_what_can_be_mended() {
        use Unauthenticated::{Algorithm, Audience, Expired, Issuer, Malformed};
        check(
            &Issuer,
            &json!({"iss": "https://sts.example/"}),
            "an old one",
        );
        check(
            &Issuer,
            &json!({"iss": format!("{ISSUER}/")}),
            "`iss` and the configured",
        );
        check(&Issuer, &json!({"iss": "https://other.example"}), "");
        check(&Issuer, &json!({"iss": 7}), "");
        check(&Issuer, &json!({}), "");
        check(&Malformed, &json!("opaque"), "the token is no JWT");
        check(&Malformed, &json!("a.b"), "");
        check(&Malformed, &json!("a..c.d.e"), "the token is encrypted");
        check(&Algorithm, &json!("a..c.d.e"), "the token is encrypted");
        check(&Algorithm, &json!({}), "");
        check(
            &Audience,
            &json!({"aud": "account"}),
            "the token is for Keycloak",
        );
        check(
            &Audience,
            &json!({"aud": "https://graph.microsoft.com"}),
            "the token is for Microsoft",
        );
        check(
            &Audience,
            &json!({"aud": "a", "azp": "a"}),
            "`aud` is the client",
        );
        check(&Audience, &json!({"aud": "a", "azp": "b"}), "");
        check(&Audience, &json!({"aud": ["account"]}), "");
        check(&Expired, &json!({"aud": "account"}), "");
    }
}
