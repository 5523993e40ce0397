//! The gateway itself, and what holds for everything behind it.

use super::peers::tls;
use super::{Table, shown};
use crate::config::{
    Admin, Appointed, Arguments, Audit, Durability, Egress, Gateway, Limits, Pkcs11, Quota, Review,
    RotateEvery, Sessions, Who, written,
};
use portcullis_core::misuse;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn gateway(table: &mut Table<'_>, gateway: &Gateway) {
    let Gateway {
        listen,
        admin,
        public_url,
        data,
        hosts,
        origins,
        drain,
        aggregate,
        tls: shown_to_clients,
    } = gateway;
    table.put("listen", listen.to_string());
    table.put("admin", admin.to_string());
    table.put("public_url", public_url.to_string());
    table.put("data", shown(data));
    table.list("allowed_hosts", hosts);
    table.list("allowed_origins", origins);
    table.span("drain", *drain);
    table.put("aggregate", aggregate.is_some());
    if let Some(own) = shown_to_clients {
        tls(&mut table.below("tls"), own);
    }
}

pub(super) fn limits(table: &mut Table<'_>, limits: &Limits) {
    let Limits {
        body_bytes,
        header_timeout,
        body_timeout,
        connections,
    } = limits;
    table.put("body", *body_bytes);
    table.span("header_timeout", *header_timeout);
    table.span("body_timeout", *body_timeout);
    table.put("connections", *connections);
}

pub(super) fn sessions(table: &mut Table<'_>, sessions: &Sessions) {
    let Sessions {
        idle,
        absolute,
        max,
        max_per_principal,
    } = sessions;
    table.span("idle", *idle);
    table.span("absolute", *absolute);
    table.put("max", *max);
    table.put("max_per_principal", *max_per_principal);
}

pub(super) fn quota(table: &mut Table<'_>, quota: &Quota) {
    let Quota {
        requests_per_minute,
        burst,
        concurrency,
        bytes_per_minute,
        tool_requests_per_minute,
        upstream_concurrency,
    } = quota;
    table.put("requests_per_minute", *requests_per_minute);
    table.put("burst", *burst);
    table.put("concurrency", *concurrency);
    table.put("bytes_per_minute", *bytes_per_minute);
    table.put("tool_requests_per_minute", *tool_requests_per_minute);
    table.put("upstream_concurrency", *upstream_concurrency);
}

pub(super) fn audit(table: &mut Table<'_>, audit: &Audit) {
    let Audit {
        directory,
        durability,
        sign_within,
        rotate_bytes,
        keep,
        keep_bytes,
        witness,
        arguments,
    } = audit;
    table.put("directory", shown(directory));
    let durability = match durability {
        Durability::Always => "always".to_owned(),
        Durability::Within(span) => written(*span),
    };
    table.put("durability", durability);
    table.span("sign_within", *sign_within);
    table.put("rotate", *rotate_bytes);
    table.maybe_span("keep", *keep);
    table.maybe("keep_bytes", *keep_bytes);
    table.list("witness", witness.iter().map(|path| shown(path)));
    let arguments = match arguments {
        Arguments::Redacted => "redacted",
        Arguments::Digest => "digest",
    };
    table.put("arguments", arguments);
}

pub(super) fn egress(table: &mut Table<'_>, egress: &Egress) {
    let Egress {
        // The same as it is written.
        allow: _,
        written,
        resolver,
    } = egress;
    table.list("allow", written);
    table.maybe("resolver", resolver.map(|server| server.to_string()));
}

pub(super) fn misuse(table: &mut Table<'_>, limits: &misuse::Limits, file: Option<&Path>) {
    table.maybe("places_file", file.map(shown));
    let misuse::Limits {
        window,
        refusals,
        audiences,
        prefix_v4,
        prefix_v6,
        exempt,
        places,
        max_kmh,
        revoke,
    } = limits;
    table.span("window", *window);
    table.put("refusals", *refusals);
    table.put("audiences", *audiences);
    table.put("prefix_v4", *prefix_v4);
    table.put("prefix_v6", *prefix_v6);
    table.list("exempt", exempt.iter().map(ToString::to_string));
    let place = |place: &misuse::Place| {
        let networks: Vec<String> = place.networks.iter().map(ToString::to_string).collect();
        json!({ "networks": networks, "at": place.at.to_string() })
    };
    table.put("places", places.iter().map(place).collect::<Vec<Value>>());
    table.put("max_kmh", *max_kmh);
    table.list("revoke", revoke.iter().map(|rule| rule.name()));
}

pub(super) fn review(table: &mut Table<'_>, review: &Review) {
    let Review {
        issuer,
        reviewers,
        scopes,
        every,
        within,
    } = review;
    table.put("issuer", issuer.as_str());
    table.list("reviewers", reviewers.iter().map(Who::to_string));
    table.list("scopes", scopes);
    table.span("every", *every);
    table.span("within", *within);
}

pub(super) fn keys(top: &mut Table<'_>, pkcs11: Option<&Pkcs11>, every: &RotateEvery) {
    let RotateEvery { signing, wrapping } = every;
    let mut table = top.below("keys");
    let mut table = table.below("rotate_every");
    for (purpose, every) in signing {
        table.span(purpose.word(), *every);
    }
    table.maybe_span("wrapping", *wrapping);
    let Some(Pkcs11 {
        module,
        token,
        pin,
        issuer,
        assertion,
        client,
        audit,
        catalog,
        wrapping,
    }) = pkcs11
    else {
        return;
    };
    let mut table = top.below("pkcs11");
    table.put("module", shown(module));
    table.put("token", token.as_str());
    table.secret("pin", pin);
    let mut table = table.below("keys");
    for (key, label) in [
        ("issuer", issuer),
        ("assertion", assertion),
        ("client", client),
        ("audit", audit),
        ("catalog", catalog),
        ("wrapping", wrapping),
    ] {
        table.maybe(key, label.as_deref());
    }
}

pub(super) fn admin(table: &mut Table<'_>, admin: &Admin) {
    let Admin {
        listen,
        url,
        // Those of `url` and `listen`.
        hosts: _,
        audience,
        issuers,
        scopes,
        max_token_lifetime,
        dpop,
        dpop_nonce,
        mtls,
        requests_per_minute,
        roles,
        tls: shown_to_operators,
    } = admin;
    table.put("listen", listen.to_string());
    table.put("url", url.origin());
    table.put("audience", audience.as_str());
    table.list("issuers", issuers);
    table.list("scopes", scopes);
    table.maybe_span("max_token_lifetime", *max_token_lifetime);
    table.binding("dpop", *dpop);
    table.put("dpop_nonce", *dpop_nonce);
    table.binding("mtls", *mtls);
    table.put("requests_per_minute", *requests_per_minute);
    let row = |Appointed { role, who, tenant }: &Appointed| {
        let mut row = json!({ "role": role.word(), "who": [who.to_string()] });
        if let (Some(tenant), Some(row)) = (tenant, row.as_object_mut()) {
            row.insert("tenant".to_owned(), tenant.as_str().into());
        }
        row
    };
    table.put("roles", roles.iter().map(row).collect::<Vec<Value>>());
    if let Some(own) = shown_to_operators {
        tls(&mut table.below("tls"), own);
    }
}
