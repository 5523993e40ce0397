//! Clients register themselves (RFC 7591), and look after their registration (RFC 7592).

use super::{Asking, Ended, Gateway, Live, ended, error, expect, intake};
use crate::authority::{Authority, fresh_id, mark, voucher};
use crate::clock;
use crate::config::Registration;
use crate::listener::{Body, oauth, plain};
use crate::record::Exchange;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use portcullis_authority::client::{BadClient, Metadata};
use portcullis_core::quota::{Rate, network};
use portcullis_core::refusal::{Refusal, Unacceptable, Unavailable};
use portcullis_state::{Failed, Registered, Whose};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// How fast one network may register clients.
const RATE: Rate = Rate {
    per_minute: 10,
    burst: 20,
};
const MAX_BYTES: usize = 64 * 1024;

impl Gateway {
    pub(super) async fn register(
        &self,
        live: &Live,
        authority: &Authority,
        (asking, id): (Asking<'_>, &str),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let registration = authority.registration.as_ref().ok_or(Unacceptable::Path)?;
        let Asking { parts, body, peer } = asking;
        if !id.is_empty() {
            return self
                .registration(live, (authority, registration), (parts, body, id), exchange)
                .await;
        }
        expect(parts, &Method::POST)?;
        let rated = self
            .authority
            .registered
            .take(peer.ip(), RATE, clock::now());
        rated.map_err(Refusal::from)?;
        expect_json(parts)?;
        let body = intake::read_most(body, MAX_BYTES, live.body_timeout).await?;
        exchange.bytes_in = intake::length(&body);
        let metadata = match read(&body, authority, registration) {
            Ok(metadata) => metadata,
            Err(why) => {
                let told = error(400, why.code(), &why.to_string());
                return Ok(ended("oauth.dcr_rejected", Some(why.reason()), told));
            }
        };
        self.enter(authority, (registration, peer), &metadata, exchange)
            .await
    }

    async fn enter(
        &self,
        authority: &Authority,
        (registration, peer): (&Registration, SocketAddr),
        metadata: &Metadata,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (token, now) = (voucher()?, clock::now());
        let client = Registered {
            id: fresh_id()?,
            token: mark(token.expose()),
            network: network(peer.ip()).to_string(),
            metadata: serde_json::to_string(metadata).map_err(|_| Unavailable::State)?,
            made: now,
            until: now.plus(registration.lifetime),
        };
        exchange.fact("client", &client.id);
        let kept = self
            .revocations
            .durable()
            .register(client.clone(), registration.per_network);
        if !kept.await.map_err(|error| failed(&error))? {
            let told = error(
                429,
                "temporarily_unavailable",
                "too many clients are registered",
            );
            return Ok(ended("oauth.dcr_rejected", Some("quota"), told));
        }
        let mut told = told(authority, &client, metadata);
        add(
            &mut told,
            "registration_access_token",
            json!(token.expose()),
        );
        Ok(ended(
            "oauth.client_registered",
            Some("made"),
            oauth(201, &told),
        ))
    }

    /// `GET`, `PUT` and `DELETE` by whoever has the token of the registration.
    async fn registration(
        &self,
        live: &Live,
        (authority, registration): (&Authority, &Registration),
        (parts, body, id): (&Parts, hyper::body::Incoming, &str),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let durable = self.revocations.durable();
        let found = durable.registered(id.to_owned(), clock::now()).await;
        let found = found.map_err(|error| failed(&error))?;
        let Some(client) = found.filter(|client| is_its_own(parts, client)) else {
            let told = error(401, "invalid_token", "not the token of this registration");
            return Ok(ended("oauth.dcr_rejected", Some("token"), told));
        };
        exchange.vouch();
        exchange.fact("client", &client.id);
        match parts.method {
            Method::GET => {
                let metadata: Metadata =
                    serde_json::from_str(&client.metadata).map_err(|_| Unavailable::State)?;
                let told = oauth(200, &told(authority, &client, &metadata));
                Ok(registered("read", told))
            }
            Method::PUT => {
                expect_json(parts)?;
                let body = intake::read_most(body, MAX_BYTES, live.body_timeout).await?;
                let metadata = match read(&body, authority, registration) {
                    Ok(metadata) => metadata,
                    Err(why) => {
                        let told = error(400, why.code(), &why.to_string());
                        return Ok(ended("oauth.dcr_rejected", Some(why.reason()), told));
                    }
                };
                let text = serde_json::to_string(&metadata).map_err(|_| Unavailable::State)?;
                durable
                    .restate(client.id.clone(), text)
                    .await
                    .map_err(|error| failed(&error))?;
                Ok(registered(
                    "replaced",
                    oauth(200, &told(authority, &client, &metadata)),
                ))
            }
            Method::DELETE => {
                let whose = Whose::Client(client.id.clone());
                self.families_end(whose, (&authority.issuer, "client_removed"))
                    .await?;
                durable
                    .unregister(client.id)
                    .await
                    .map_err(|error| failed(&error))?;
                Ok(registered("removed", plain(204)))
            }
            _ => Err(Unacceptable::Method.into()),
        }
    }
}

/// What a client says of itself. Keys elsewhere are for where what strangers name is fetched at all.
fn read(
    body: &[u8],
    authority: &Authority,
    registration: &Registration,
) -> Result<Metadata, BadClient> {
    let redirects = authority.redirects_of_strangers();
    let metadata = match &registration.statements {
        None => Metadata::of_registration(body, &redirects)?,
        Some(statements) => {
            let at = (authority.issuer.as_str(), clock::now());
            Metadata::of_software(body, &redirects, statements, at)?
        }
    };
    if metadata.jwks_uri.is_some() && authority.documents.is_none() {
        return Err(BadClient::Keys);
    }
    Ok(metadata)
}

fn registered(reason: &'static str, response: Response<Body>) -> Ended {
    ended("oauth.client_registered", Some(reason), response)
}

fn failed(error: &Failed) -> Refusal {
    tracing::error!(%error, "a registration was not kept");
    Unavailable::State.into()
}

fn expect_json(parts: &Parts) -> Result<(), Refusal> {
    let media = parts.headers.get(CONTENT_TYPE);
    let media = media.and_then(|value| value.to_str().ok());
    let kind = media
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Unacceptable::MediaType.into())
}

fn is_its_own(parts: &Parts, client: &Registered) -> bool {
    let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(sent), None) = (sent.next(), sent.next()) else {
        return false;
    };
    let token = sent
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Bearer "));
    let token = token.map(mark).unwrap_or_default();
    verify_slices_are_equal(token.as_bytes(), client.token.as_bytes()).is_ok()
}

/// RFC 7591 section 3.2.1.
fn told(authority: &Authority, client: &Registered, metadata: &Metadata) -> Value {
    let refreshing = ["authorization_code", "refresh_token"];
    let grants = refreshing.get(..1 + usize::from(metadata.refreshes));
    let has_keys = metadata.jwks.is_some() || metadata.jwks_uri.is_some();
    let mut told = json!({
        "client_id": client.id,
        "client_id_issued_at": client.made.seconds(),
        "registration_client_uri": authority.at(&format!("/register/{}", client.id)),
        "redirect_uris": metadata.redirect_uris,
        "grant_types": grants,
        "response_types": ["code"],
        "token_endpoint_auth_method": if has_keys { "private_key_jwt" } else { "none" },
        "application_type": metadata.application_type,
        "dpop_bound_access_tokens": metadata.dpop_bound_access_tokens,
    });
    if let Some(name) = &metadata.client_name {
        add(&mut told, "client_name", json!(name));
    }
    if let Some(jwks) = &metadata.jwks {
        add(&mut told, "jwks", jwks.clone());
    }
    if let Some(uri) = &metadata.jwks_uri {
        add(&mut told, "jwks_uri", json!(uri));
    }
    if let Some(statement) = &metadata.software_statement {
        add(&mut told, "software_statement", json!(statement));
    }
    told
}

fn add(told: &mut Value, name: &str, value: Value) {
    if let Some(members) = told.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
