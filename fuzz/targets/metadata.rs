//! Whatever a server and an authorization server publish: it is about themselves, or not believed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::egress::Target;
use portcullis_core::sign_in::{Authority, Client, ProtectedResource, Tokens, authority_urls};
use std::sync::LazyLock;

const ISSUER: &str = "https://as.example";
static SERVER: LazyLock<Target> =
    LazyLock::new(|| Target::parse("https://u.example/mcp").expect("a URL"));

fuzz_target!(|document: &[u8]| {
    if let Ok(resource) = ProtectedResource::parse(document, &SERVER) {
        let named = Target::parse(&resource.resource).expect("a URL");
        assert_eq!(named.origin(), SERVER.origin());
        assert!(!resource.authorities.is_empty());
        for issuer in &resource.authorities {
            for url in authority_urls(issuer).unwrap_or_default() {
                assert!(Target::parse(&url).is_ok(), "{url}");
            }
        }
    }
    if let Ok(authority) = Authority::parse(document, ISSUER) {
        assert_eq!(authority.issuer, ISSUER);
        assert!(Target::parse(&authority.token).is_ok());
        if let Ok((client, _)) = Client::parse(document, &authority) {
            assert!(!client.id.is_empty() && client.id.is_ascii());
        }
    }
    if let Ok(tokens) = Tokens::parse(document) {
        assert!(
            tokens
                .access
                .expose()
                .bytes()
                .all(|byte| byte.is_ascii_graphic())
        );
        assert!(tokens.lifetime.as_secs() <= 86_400);
    }
});
