//! What the authorization server says of itself (RFC 8414, OpenID Connect Discovery 1.0).

use crate::client::GrantType;
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
    /// What clients may have beside the code flow.
    pub grants: &'a [GrantType],
}

/// The document, the same under both names: a client of either specification finds what it must have.
pub fn document(offer: &Offer<'_>) -> Value {
    let at = |path: &str| format!("{}{path}", offer.base);
    let mut scopes: Vec<&str> = offer.scopes.iter().map(String::as_str).collect();
    scopes.push("offline_access");
    let mut grants = vec!["authorization_code", "refresh_token"];
    grants.extend(offer.grants.iter().map(|grant| grant.name()));
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
        "grant_types_supported": grants,
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
    let device = offer.grants.contains(&GrantType::Device);
    if let (true, Some(members)) = (device, document.as_object_mut()) {
        let endpoint = json!(at("/device_authorization"));
        members.insert("device_authorization_endpoint".to_owned(), endpoint);
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
        grants: &[],
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
    fn cd_09_devices_are_told_of_where_some_client_may_be_one() {
        assert!(
            document(&OFFER)
                .get("device_authorization_endpoint")
                .is_none()
        );
        let offer = Offer {
            grants: &[GrantType::Device],
            ..OFFER
        };
        let document = document(&offer);
        let named = &document["device_authorization_endpoint"];
        assert_eq!(named, "https://gate.example/device_authorization");
        let grants = document["grant_types_supported"].as_array().unwrap();
        assert!(grants.contains(&json!(GrantType::Device.name())));
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
