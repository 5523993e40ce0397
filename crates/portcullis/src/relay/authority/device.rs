//! Clients without a browser: they get a code for their users, and ask until these have decided (RFC 8628).

use super::authorize::family;
use super::{Asking, Ended, Gateway, Live, ended, error, form, resources, terms};
use crate::authority::{Authority, mark, voucher};
use crate::clock;
use crate::listener::oauth;
use crate::random;
use crate::record::Exchange;
use form_urlencoded::Serializer;
use portcullis_authority::Form;
use portcullis_authority::client::{Client, GrantType};
use portcullis_authority::consent::Approved;
use portcullis_authority::request::{Asked, Device, UserCode};
use portcullis_core::quota::{Rate, network};
use portcullis_core::refusal::{Refusal, Unacceptable, Unavailable};
use portcullis_core::time::Timestamp;
use portcullis_state::{Failed, Polled, Waiting};
use serde_json::json;
use std::net::SocketAddr;
use std::time::Duration;

/// How fast devices of one network may begin.
const RATE: Rate = Rate {
    per_minute: 60,
    burst: 60,
};
/// How long a user may take.
const LIFETIME: Duration = Duration::from_mins(10);
/// How long a device waits between two questions.
const PAUSE: Duration = Duration::from_secs(5);

impl Gateway {
    /// A device begins (RFC 8628 section 3.1).
    pub(super) async fn device(
        &self,
        live: &Live,
        authority: &Authority,
        asking: Asking<'_>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        if !authority.has_devices() {
            return Err(Unacceptable::Path.into());
        }
        let Asking { parts, body, peer } = asking;
        let rated = self.authority.devices.take(peer.ip(), RATE, clock::now());
        rated.map_err(Refusal::from)?;
        let form = match form(live, parts, body, exchange).await? {
            Ok(form) => form,
            Err(told) => return Ok(told),
        };
        let known = self.authenticated(authority, &form, (parts, peer), exchange);
        let client = match known.await? {
            Ok(client) => client,
            Err(told) => return Ok(told),
        };
        let proven = match self.proven(parts, authority, "oauth.request_refused") {
            Ok(proven) => proven,
            Err(told) => return Ok(*told),
        };
        let secret = voucher()?;
        let code = UserCode::of(&random::bytes()?).ok_or(Unavailable::Entropy)?;
        let device = Device {
            digest: mark(secret.expose()),
            code: code.clone(),
        };
        let resources = resources(live);
        let against = (&terms(authority, &resources), proven);
        let asked = match Asked::by_device(&form, &client, against, device.clone()) {
            Ok(asked) => asked,
            Err(wrong) => {
                let told = error(400, wrong.code(), &wrong.to_string());
                return Ok(ended("oauth.request_refused", Some(wrong.reason()), told));
            }
        };
        exchange.server = Some(asked.server().clone());
        exchange.fact("device", &name(&device));
        exchange.fact("scopes", &asked.scopes().join(" "));
        let waiting = waiting((&asked, &device), &form, (peer, clock::now()));
        let kept = self.revocations.durable().keep_device(waiting).await;
        if !kept.map_err(|error| lost(&error))? {
            let told = error(503, "temporarily_unavailable", "too many devices wait");
            return Ok(ended("oauth.request_refused", Some("full"), told));
        }
        let told = json!({
            "device_code": secret.expose(),
            "user_code": code.to_string(),
            "verification_uri": authority.at("/device"),
            "verification_uri_complete": authority.at(&format!("/device?user_code={code}")),
            "expires_in": LIFETIME.as_secs(),
            "interval": PAUSE.as_secs(),
        });
        Ok(ended("oauth.device_started", None, oauth(200, &told)))
    }

    /// What a device is told that may not collect anything; none if it may.
    pub(super) async fn polled(
        &self,
        client: &Client,
        shown: &str,
        exchange: &mut Exchange,
    ) -> Result<Option<Ended>, Refusal> {
        if !client.grants.contains(&GrantType::Device) {
            let told = error(400, "unauthorized_client", "not a grant of this client");
            return Ok(Some(ended("oauth.token_refused", Some("grant_type"), told)));
        }
        let digest = mark(shown);
        exchange.fact("device", digest.get(..16).unwrap_or_default());
        let durable = self.revocations.durable();
        let polled = durable.poll_device(digest, client.id.clone(), clock::now());
        let polled = polled.await.map_err(|error| lost(&error))?;
        let waits =
            |reason, code, why| ended("oauth.device_pending", Some(reason), error(400, code, why));
        let refused =
            |reason, code, why| ended("oauth.token_refused", Some(reason), error(400, code, why));
        Ok(match polled {
            Polled::Granted => None,
            Polled::Pending => {
                let code = "authorization_pending";
                Some(waits("pending", code, "the user has not decided yet"))
            }
            Polled::TooSoon => Some(waits("too_soon", "slow_down", "asked too soon")),
            Polled::Over => Some(refused("over", "expired_token", "begin again")),
            Polled::Denied => Some(refused("declined", "access_denied", "the user said no")),
            Polled::Unknown => Some(refused("unknown", "invalid_grant", "no such device")),
        })
    }

    /// The device that shows this code, and what it asks for now: its client and the server may have changed.
    pub(in crate::relay) async fn awaited_device(
        &self,
        live: &Live,
        authority: &Authority,
        (code, peer): (&UserCode, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Option<Asked>, Refusal> {
        let durable = self.revocations.durable();
        let found = durable.device_of(mark(code.letters()), clock::now()).await;
        let Some(waiting) = found.map_err(|error| lost(&error))? else {
            return Ok(None);
        };
        let client = self.client(authority, (&waiting.client, peer), exchange);
        let (Ok(client), Ok(form)) = (client.await?, Form::read(waiting.asked.as_bytes())) else {
            return Ok(None);
        };
        let device = Device {
            digest: waiting.digest,
            code: code.clone(),
        };
        exchange.fact("device", &name(&device));
        let resources = resources(live);
        let against = (&terms(authority, &resources), None);
        let asked = Asked::by_device(&form, &client, against, device);
        Ok(asked.ok())
    }

    /// What was approved is the device's to collect. Says whether it still waited.
    pub(in crate::relay) async fn let_in(
        &self,
        authority: &Authority,
        (approved, device): (&Approved, &Device),
        exchange: &mut Exchange,
    ) -> Result<bool, Refusal> {
        let family = family(authority, approved)?;
        exchange.fact("family", &family.id);
        exchange.fact("device", &name(device));
        let bound = approved.asked().key().map(|key| key.to_string());
        let durable = self.revocations.durable();
        let digest = device.digest.clone();
        let granted = durable.grant_device(digest, family, bound.unwrap_or_default());
        granted.await.map_err(|error| lost(&error))
    }

    /// The device is told no when it asks.
    pub(in crate::relay) async fn keep_out(
        &self,
        device: &Device,
        exchange: &mut Exchange,
    ) -> Result<(), Refusal> {
        exchange.fact("device", &name(device));
        let durable = self.revocations.durable();
        let denied = durable.deny_device(device.digest.clone(), clock::now());
        denied.await.map(drop).map_err(|error| lost(&error))
    }
}

/// What is kept of it. What it asks for is read again when its user comes.
fn waiting(
    (asked, device): (&Asked, &Device),
    form: &Form,
    (peer, now): (SocketAddr, Timestamp),
) -> Waiting {
    let mut kept = Serializer::new(String::new());
    for name in ["resource", "scope"] {
        form.value(name).map(|value| kept.append_pair(name, value));
    }
    let key = asked.key().map(|key| key.to_string());
    key.as_ref().map(|key| kept.append_pair("dpop_jkt", key));
    Waiting {
        digest: device.digest.clone(),
        user_code: mark(device.code.letters()),
        client: asked.client().id.clone(),
        network: network(peer.ip()).to_string(),
        asked: kept.finish(),
        made: now,
        until: now.plus(LIFETIME),
        pause: PAUSE,
    }
}

/// What records call a device.
fn name(device: &Device) -> String {
    device.digest.get(..16).unwrap_or_default().to_owned()
}

fn lost(error: &Failed) -> Refusal {
    tracing::error!(%error, "what devices wait for cannot be read or kept");
    Unavailable::State.into()
}
