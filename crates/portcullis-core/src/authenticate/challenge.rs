//! What a refused client is told: the `WWW-Authenticate` challenge and the resource's metadata.

use super::Resource;
use serde_json::{Value, json};

/// The `WWW-Authenticate` value (RFC 6750 section 3, RFC 9728 section 5.1).
///
/// `error` is absent where no credentials were sent; `scopes` names what this request needs.
pub fn challenge(resource: &Resource, error: Option<&'static str>, scopes: &[String]) -> String {
    let mut parameters = Vec::new();
    if let Some(error) = error {
        parameters.push(format!("error=\"{error}\""));
    }
    if !scopes.is_empty() {
        parameters.push(format!("scope=\"{}\"", scopes.join(" ")));
    }
    parameters.push(format!("resource_metadata=\"{}\"", resource.metadata_url));
    format!("Bearer {}", parameters.join(", "))
}

/// The protected-resource metadata document (RFC 9728 section 2).
pub fn metadata(resource: &Resource) -> Value {
    let mut document = json!({
        "resource": resource.audience,
        "authorization_servers": resource.issuers,
        "bearer_methods_supported": ["header"],
    });
    if let (Some(document), false) = (
        document.as_object_mut(),
        resource.scopes_supported.is_empty(),
    ) {
        document.insert(
            "scopes_supported".to_owned(),
            json!(resource.scopes_supported),
        );
    }
    document
}
