//! Who signs tokens: a preset as the keys that it stands for.

use super::Table;
use super::peers::trust;
use crate::config::{
    Algorithm, External, Introspection, Issuer, Poll, Provider, Scim, Signals, TokenType, veil,
};
use portcullis_core::authenticate::{Claims, DeclaredClaim, Topic};
use portcullis_core::scim::Attribute;

pub(super) fn issuer(table: &mut Table<'_>, issuer: &Issuer) {
    match issuer {
        Issuer::Embedded { max_lifetime } => {
            table.put("embedded", matches!(issuer, Issuer::Embedded { .. }));
            table.span("max_lifetime", *max_lifetime);
        }
        Issuer::External(other) => external(table, other),
    }
}

fn external(table: &mut Table<'_>, external: &External) {
    let External {
        issuer,
        jwks_uri,
        algorithms,
        token_types,
        max_lifetime,
        skew,
        claims: named,
        provider,
        trust: of_issuer,
        signals: pushed,
        scim: directory,
        introspection: asked,
    } = external;
    table.maybe("provider", provider.map(Provider::name));
    table.put("issuer", issuer.as_str());
    table.maybe("jwks_uri", jwks_uri.as_ref().map(ToString::to_string));
    let algorithms = algorithms.iter().copied();
    table.list("algorithms", algorithms.map(Algorithm::name));
    let token_types = token_types.iter().copied();
    table.list("token_types", token_types.map(TokenType::name));
    table.span("max_lifetime", *max_lifetime);
    table.span("skew", *skew);
    claims(table, named);
    trust(table, of_issuer);
    if let Some(pushed) = pushed {
        signals(&mut table.below("signals"), pushed);
    }
    if let Some(directory) = directory {
        scim(&mut table.below("scim"), directory);
    }
    if let Some(asked) = asked {
        introspection(&mut table.below("introspection"), asked);
    }
}

fn claims(table: &mut Table<'_>, claims: &Claims) {
    let Claims {
        scopes,
        implied,
        roles,
        groups,
        subject,
        client_subject,
        client,
        declared,
        required,
        one_of,
        forbidden,
        // Told with tenants, and with the authorization server.
        membership: _,
        provider: _,
    } = claims;
    table.put("scope_claim", scopes.as_str());
    for (scope, implied) in implied.table() {
        table.below("scope_implies").list(scope, implied);
    }
    table.list("roles_claim", roles.names());
    table.list("groups_claim", groups.names());
    table.put("subject_claim", subject.as_str());
    table.put("client_subject", *client_subject);
    table.maybe("client_claim", client.as_deref());
    for (name, texts) in required {
        table.below("required_claims").list(name, texts);
    }
    table.list("one_of_claims", one_of);
    table.list("forbidden_claims", forbidden);
    for DeclaredClaim {
        name,
        path,
        kind,
        pushed,
    } in declared
    {
        let mut table = table.below("claims");
        let mut table = table.below(name);
        table.put("type", kind.name());
        table.list("claim", path.names());
        table.maybe("pushed", pushed.map(Topic::name));
    }
}

fn signals(table: &mut Table<'_>, signals: &Signals) {
    let Signals {
        audience,
        bearer,
        poll,
    } = signals;
    table.put("audience", audience.as_str());
    if let Some(bearer) = bearer {
        table.secret("bearer", bearer);
    }
    let Some(Poll {
        url,
        bearer,
        stale_after,
        denies,
    }) = poll
    else {
        return;
    };
    let mut table = table.below("poll");
    table.put("url", veil::url(&url.to_string()));
    table.secret("bearer", bearer);
    table.span("stale_after", *stale_after);
    table.put("on_stale", if *denies { "deny" } else { "record" });
}

fn scim(table: &mut Table<'_>, scim: &Scim) {
    let Scim {
        bearer,
        attribute,
        claim,
    } = scim;
    table.secret("bearer", bearer);
    let attribute = match attribute {
        Attribute::Id => "id",
        Attribute::UserName => "userName",
        Attribute::ExternalId => "externalId",
    };
    table.put("attribute", attribute);
    table.maybe("claim", claim.as_deref());
}

fn introspection(table: &mut Table<'_>, introspection: &Introspection) {
    let Introspection {
        endpoint,
        client_id,
        client_secret,
        ttl,
        always,
        signed,
    } = introspection;
    table.maybe("endpoint", endpoint.as_ref().map(ToString::to_string));
    table.put("client_id", client_id.as_str());
    table.secret("client_secret", client_secret);
    table.span("ttl", *ttl);
    table.put("always", *always);
    table.put("signed", *signed);
}
