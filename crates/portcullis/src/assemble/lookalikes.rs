//! The names under which tokens of a known provider come if something about it is not set up yet.

use crate::config::{External, Provider};
use portcullis_core::authenticate::Lookalike;

const VERSION_1: &str = "a token of Entra's version 1: set \"requestedAccessTokenVersion\": 2 (older manifests: \
                         accessTokenAcceptedVersion) in the manifest of the API's app registration";
const ORG_SERVER: &str = "a token of Okta's org authorization server, which Okta alone can verify: the client must use the custom \
                          authorization server";
/// Who issues tokens of version 1, in the clouds of Microsoft.
const VERSION_1_ISSUERS: &[&str] = &["https://sts.windows.net", "https://sts.chinacloudapi.cn"];

pub(super) fn lookalikes(external: &External) -> Vec<Lookalike> {
    match external.provider {
        Some(Provider::Entra) => {
            let Some(tenant) = external.issuer.rsplit('/').nth(1) else {
                return Vec::new();
            };
            let of_version_1 = VERSION_1_ISSUERS.iter().map(|issuer| Lookalike {
                issuer: format!("{issuer}/{tenant}/"),
                hint: VERSION_1,
            });
            of_version_1.collect()
        }
        Some(Provider::Okta) => {
            let authority = external.issuer.split("/oauth2/").next();
            let org = authority.map(|authority| Lookalike {
                issuer: authority.to_owned(),
                hint: ORG_SERVER,
            });
            org.into_iter().collect()
        }
        Some(Provider::Auth0 | Provider::Keycloak | Provider::Google | Provider::Oidc) | None => {
            Vec::new()
        }
    }
}
