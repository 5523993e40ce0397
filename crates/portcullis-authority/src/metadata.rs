//! What the authorization server says of itself (RFC 8414, OpenID Connect Discovery 1.0).

use portcullis_core::authenticate::PROOF_ALGORITHMS;
use serde_json::{Value, json};

/// What a client's assertion may be signed with (RFC 7523), as the metadata names it.
pub const ASSERTION_ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "PS256", "RS256"];

/// What there is to say.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The issuer, byte for byte as in tokens; from the configuration.
    pub issuer: &'a str,
    /// Where clients reach us: the issuer without a slash at its end.
    pub base: &'a str,
    /// All scopes of all servers.
    pub scopes: &'a [String],
    /// Whether clients may register themselves (RFC 7591).
    pub registers: bool,
    /// Whether the URL of a document can be a client's id.
    pub takes_documents: bool,
}

/// The document, the same under both names: a client of either specification finds what it must have.
pub fn document(offer: &Offer<'_>) -> Value {
    let at = |path: &str| format!("{}{path}", offer.base);
    let mut scopes: Vec<&str> = offer.scopes.iter().map(String::as_str).collect();
    scopes.push("offline_access");
    let mut document = json!({
        "issuer": offer.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "pushed_authorization_request_endpoint": at("/par"),
        "revocation_endpoint": at("/revoke"),
        "introspection_endpoint": at("/introspect"),
        "jwks_uri": at("/.well-known/issuer-jwks.json"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "dpop_signing_alg_values_supported": PROOF_ALGORITHMS,
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": offer.takes_documents,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    });
    if let (true, Some(members)) = (offer.registers, document.as_object_mut()) {
        members.insert("registration_endpoint".to_owned(), json!(at("/register")));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer<'static> = Offer {
        issuer: "https://gate.example",
        base: "https://gate.example",
        scopes: &[],
        registers: false,
        takes_documents: true,
    };

    #[test]
    fn cd_05_metadata_says_what_clients_must_find() {
        let document = document(&OFFER);
        assert_eq!(document["issuer"], "https://gate.example");
        assert_eq!(
            document["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(document["client_id_metadata_document_supported"], true);
        assert_eq!(
            document["authorization_response_iss_parameter_supported"],
            true
        );
        assert!(document.get("registration_endpoint").is_none());
    }

    #[test]
    fn cd_12_registration_is_named_where_there_is_one() {
        let offer = Offer {
            registers: true,
            ..OFFER
        };
        let named = document(&offer)["registration_endpoint"].clone();
        assert_eq!(named, "https://gate.example/register");
    }
}
