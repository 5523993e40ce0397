//! Could tokens of the issuers be verified from here?

use super::Findings;
use crate::assemble::issuer_name;
use crate::config::{Checked, HttpUrl, Issuer};
use crate::issuers::{Fault, Trusted, examine};
use futures_util::future::join_all;

pub(super) fn look(
    checked: &Checked,
    trusted: &[Trusted],
    findings: &mut Findings,
) -> anyhow::Result<()> {
    findings.look("issuers");
    for (name, issuer) in &checked.issuers {
        look_at_name(name, &issuer_name(checked, issuer), findings);
    }
    let looks = trusted.iter().map(examine);
    let health = super::super::runtime()?.block_on(join_all(looks));
    for (trusted, health) in trusted.iter().zip(health) {
        let issuer = &trusted.issuer.issuer;
        let mut tables = checked.issuers.iter();
        let table = tables.find(|(_, own)| issuer_name(checked, own) == *issuer);
        if let (Some((name, own)), Err(fault)) = (table, health) {
            tell(name, (issuer, own), &fault, findings);
        }
    }
    Ok(())
}

/// What its name alone gives away.
fn look_at_name(name: &str, issuer: &str, findings: &mut Findings) {
    let Ok(url) = HttpUrl::parse(issuer) else {
        return;
    };
    let host = url.host();
    let first = url.path().split('/').nth(1).unwrap_or_default();
    if host.starts_with("sts.") && (host.ends_with(".windows.net") || host.contains("chinacloud")) {
        findings.warning(
            "issuers.version_1",
            format!("issuer {name}: {issuer} issues tokens of Entra's version 1"),
            "write provider = \"entra\", and set \"requestedAccessTokenVersion\": 2 in the manifest of each API",
        );
    } else if ["common", "organizations", "consumers"].contains(&first)
        && host.starts_with("login.")
    {
        findings.error(
            "issuers.any_tenant",
            format!("issuer {name}: no token has the issuer {issuer}"),
            "write provider = \"entra\" and your tenant's id",
        );
    } else if host.contains(".okta") && !url.path().starts_with("/oauth2/") {
        findings.error(
            "issuers.okta_org",
            format!("issuer {name}: tokens of Okta's org server can be verified by Okta only"),
            "write provider = \"okta\" and the id of a custom authorization server",
        );
    }
}

fn tell(name: &str, (issuer, own): (&str, &Issuer), fault: &Fault, findings: &mut Findings) {
    match fault {
        Fault::Named(other) => {
            let fix = if other.trim_end_matches('/') == issuer.trim_end_matches('/') {
                format!("they differ by the slash at the end: write issuer = \"{other}\"")
            } else if other.contains('{') {
                "it speaks for many tenants: write the URL, or the id, of your own".to_owned()
            } else {
                format!("if its tokens have that `iss`, write issuer = \"{other}\"; else ask whoever runs it")
            };
            let what = format!("issuer {name}: the metadata of {issuer} names {other}");
            findings.error("issuers.metadata", what, fix);
        }
        Fault::NoMetadata => findings.error(
            "issuers.metadata",
            format!("issuer {name}: {issuer} has no metadata with a URL for its keys"),
            format!("compare it with the `iss` of a token, or write `issuers.{name}.jwks_uri`"),
        ),
        Fault::NoKeys => findings.error(
            "issuers.keys",
            format!("issuer {name}: {issuer} publishes no key that could verify anything"),
            "it must sign with RSA (2048 bits at least), an elliptic curve or Ed25519, not with a shared secret",
        ),
        Fault::OtherKeys => findings.error(
            "issuers.algorithms",
            format!("issuer {name}: no key of {issuer} is for {}", algorithms(own)),
            format!("write what its tokens have as `alg` into `issuers.{name}.algorithms`"),
        ),
        Fault::Silent(error) => findings.error(
            "issuers.unreachable",
            format!("issuer {name}: {issuer} or its keys: {error}"),
            format!("look at the name, the way there and the proxy; a private authority goes into `issuers.{name}.ca`"),
        ),
    }
}

fn algorithms(issuer: &Issuer) -> String {
    match issuer {
        Issuer::Embedded { .. } => "EdDSA".to_owned(),
        Issuer::External(external) => {
            let names = external.algorithms.iter();
            names
                .map(|name| format!("{name:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_02_names_of_issuers_that_are_of_no_use_are_known() {
        for (issuer, expected) in [
            (
                "https://sts.windows.net/72f988bf/",
                Some("issuers.version_1"),
            ),
            (
                "https://sts.chinacloudapi.cn/72f988bf/",
                Some("issuers.version_1"),
            ),
            ("https://sts.example.com/", None),
            (
                "https://login.microsoftonline.com/common/v2.0",
                Some("issuers.any_tenant"),
            ),
            (
                "https://login.microsoftonline.us/organizations/v2.0",
                Some("issuers.any_tenant"),
            ),
            ("https://login.microsoftonline.com/72f988bf/v2.0", None),
            ("https://login.example.com/other", None),
            ("https://acme.okta.com", Some("issuers.okta_org")),
            ("https://acme.oktapreview.com/", Some("issuers.okta_org")),
            ("https://acme.okta.com/oauth2/default", None),
            ("https://acme.eu.auth0.com/", None),
        ] {
            let mut findings = Findings::default();
            look_at_name("a", issuer, &mut findings);
            let found = findings.found.first().map(|finding| finding.id);
            assert_eq!(found, expected, "{issuer}");
        }
    }
}
