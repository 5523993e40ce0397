//! The authorization server that clients see.

use super::Table;
use super::peers::trust;
use super::servers::identification;
use crate::config::{Authority, Documents, Registration, Relying};
use portcullis_authority::client::{Client, Need};
use portcullis_authority::redirect::{Policy, Redirect};

pub(super) fn authority(table: &mut Table<'_>, authority: &Authority) {
    let Authority {
        access_tokens,
        refresh_tokens,
        sign_ins,
        grouped_sign_ins,
        redirects,
        documents,
        clients,
        consents,
        scopes,
        sign_in,
        registration,
        assertions,
    } = authority;
    table.span("access_tokens", *access_tokens);
    table.span("refresh_tokens", *refresh_tokens);
    table.span("sign_ins", *sign_ins);
    table.span("grouped_sign_ins", *grouped_sign_ins);
    table.span("consents", *consents);
    answers(table, redirects);
    table.put("documents", documents.is_some());
    if let Some(Documents {
        hosts,
        trust: of_hosts,
    }) = documents
    {
        if let Some(hosts) = hosts {
            table.list("document_hosts", hosts);
        }
        trust(table, of_hosts);
    }
    for one in clients {
        client(&mut table.below("clients").below(&one.id), one);
    }
    for (scope, words) in scopes {
        table.below("scopes").put(scope, words.as_str());
    }
    if let Some(own) = sign_in {
        relying(&mut table.below("sign_in"), own);
    }
    if let Some(Registration {
        lifetime,
        per_network,
        statements,
    }) = registration
    {
        let mut table = table.below("registration");
        table.span("lifetime", *lifetime);
        table.put("per_network", *per_network);
        if let Some(statements) = statements {
            table.list("statements", statements.issuers.keys());
            table.put("require_statement", statements.need == Need::Required);
        }
    }
    for (issuer, clients) in assertions {
        let mut table = table.below("assertions");
        table.below(issuer).list("clients", clients);
    }
}

/// Where answers go.
fn answers(table: &mut Table<'_>, redirects: &Policy) {
    let Policy {
        hosts,
        schemes,
        loopback,
    } = redirects;
    if let Some(hosts) = hosts {
        table.list("redirect_hosts", hosts);
    }
    table.list("redirect_schemes", schemes);
    table.put("loopback", *loopback);
}

fn client(table: &mut Table<'_>, client: &Client) {
    table.maybe("name", client.name.as_deref());
    let redirects = client.redirects().iter();
    table.list("redirect_uris", redirects.map(Redirect::as_str));
    let beside = client.grants.iter().map(|grant| grant.name());
    let by_code = (!client.redirects().is_empty()).then_some("authorization_code");
    let refreshes = client.refreshes.then_some("refresh_token");
    table.list(
        "grant_types",
        by_code.into_iter().chain(refreshes).chain(beside),
    );
    table.list("scopes", &client.scopes);
}

fn relying(table: &mut Table<'_>, relying: &Relying) {
    let Relying {
        provider,
        client_id,
        identification: shows,
        scopes,
        domains,
    } = relying;
    table.put("provider", provider.as_str());
    table.put("client_id", client_id.as_str());
    identification(table, shows);
    table.list("scopes", scopes);
    table.list("hosted_domains", domains);
}
