//! What a refused client is told: the `WWW-Authenticate` challenges and the resource's metadata.

use super::{BadProof, Binding, PROOF_ALGORITHMS, Resource, Scheme, Unauthenticated};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The `WWW-Authenticate` values (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1), for what was
/// presented like that.
///
/// `error` is absent where no credentials were sent; `scopes` names what this request needs. Who sent a bearer token
/// is told that it could be a bound one; who sent a bound one is not told of less.
pub fn challenges(
    resource: &Resource,
    scheme: Scheme,
    error: Option<&'static str>,
    scopes: &[String],
) -> Vec<String> {
    let error = error.map(|error| format!("error=\"{error}\""));
    written(resource, scheme, Vec::from_iter(error), scopes)
}

/// The scopes to ask for where these are needed: they, and what of use the token has already. A client that asks for
/// exactly the scopes of a challenge then loses nothing.
pub fn wanted(resource: &Resource, needed: &[String], held: &[String]) -> Vec<String> {
    let is_kept =
        |scope: &&String| resource.scopes_of_use.contains(*scope) && !needed.contains(scope);
    let kept = held.iter().filter(is_kept);
    needed.iter().chain(kept).cloned().collect()
}

/// The same for a caller who has to authenticate better, or once more (RFC 9470 section 3).
///
/// `classes` are the `acr` values to choose from, the preferred one first; `max_age` says how old the login may be.
pub fn step_up_challenges(
    resource: &Resource,
    scheme: Scheme,
    (classes, max_age): (&[String], Option<Duration>),
    scopes: &[String],
) -> Vec<String> {
    let mut parameters = vec![
        r#"error="insufficient_user_authentication""#.to_owned(),
        r#"error_description="stronger or newer authentication needed""#.to_owned(),
    ];
    if !classes.is_empty() {
        parameters.push(format!("acr_values=\"{}\"", classes.join(" ")));
    }
    if let Some(max_age) = max_age {
        parameters.push(format!("max_age=\"{}\"", max_age.as_secs()));
    }
    written(resource, scheme, parameters, scopes)
}

fn written(
    resource: &Resource,
    scheme: Scheme,
    mut parameters: Vec<String>,
    scopes: &[String],
) -> Vec<String> {
    if !scopes.is_empty() {
        parameters.push(format!("scope=\"{}\"", scopes.join(" ")));
    }
    parameters.push(format!("resource_metadata=\"{}\"", resource.metadata_url));
    let parameters = parameters.join(", ");
    let algorithms = format!("algs=\"{}\"", PROOF_ALGORITHMS.join(" "));
    let bearer = format!("Bearer {parameters}");
    let bound = format!("DPoP {parameters}, {algorithms}");
    match (resource.dpop, scheme) {
        (Binding::Off, Scheme::Bearer | Scheme::Dpop) => vec![bearer],
        (Binding::Accepted, Scheme::Bearer) => vec![bearer, format!("DPoP {algorithms}")],
        (Binding::Accepted, Scheme::Dpop) | (Binding::Required, Scheme::Bearer | Scheme::Dpop) => {
            vec![bound]
        }
    }
}

/// The error code of a challenge; `None` where nothing was presented that could be wrong, or nothing helps.
pub(super) const fn error(why: &Unauthenticated, scheme: Scheme) -> Option<&'static str> {
    match why {
        Unauthenticated::Missing | Unauthenticated::Scheme => None,
        Unauthenticated::Duplicate | Unauthenticated::Query => Some("invalid_request"),
        Unauthenticated::Proof(why) => Some(match (why, scheme) {
            (BadProof::Nonce, _) => "use_dpop_nonce",
            (BadProof::OtherKey, _) | (BadProof::Missing, Scheme::Bearer) => "invalid_token",
            (BadProof::Missing, Scheme::Dpop)
            | (
                BadProof::Duplicate
                | BadProof::Malformed
                | BadProof::Signature
                | BadProof::Method
                | BadProof::Url
                | BadProof::Token
                | BadProof::Time
                | BadProof::Replay
                | BadProof::Full,
                _,
            ) => "invalid_dpop_proof",
        }),
        Unauthenticated::Malformed
        | Unauthenticated::Header
        | Unauthenticated::Algorithm
        | Unauthenticated::Type
        | Unauthenticated::Issuer
        | Unauthenticated::UnknownKey { .. }
        | Unauthenticated::Signature
        | Unauthenticated::Expired
        | Unauthenticated::NotYet
        | Unauthenticated::Lifetime
        | Unauthenticated::Audience
        | Unauthenticated::Subject
        | Unauthenticated::Claim { .. }
        | Unauthenticated::Bound
        | Unauthenticated::Certificate(_)
        | Unauthenticated::Unasked { .. }
        | Unauthenticated::Inactive
        | Unauthenticated::Revoked { .. }
        | Unauthenticated::Changed => Some("invalid_token"),
    }
}

/// The protected-resource metadata document (RFC 9728 section 2).
pub fn metadata(resource: &Resource) -> Value {
    let mut document = Map::new();
    let mut say = |name: &str, value: Value| document.insert(name.to_owned(), value);
    say("resource", json!(resource.audience));
    say("authorization_servers", json!(resource.issuers));
    say("bearer_methods_supported", json!(["header"]));
    if !resource.scopes_supported.is_empty() {
        say("scopes_supported", json!(resource.scopes_supported));
    }
    if resource.dpop != Binding::Off {
        say("dpop_signing_alg_values_supported", json!(PROOF_ALGORITHMS));
        let is_required = resource.dpop == Binding::Required;
        say("dpop_bound_access_tokens_required", json!(is_required));
    }
    if resource.mtls != Binding::Off {
        say("tls_client_certificate_bound_access_tokens", json!(true));
    }
    Value::Object(document)
}
