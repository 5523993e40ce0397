//! Codes and refresh tokens become access tokens (RFC 6749 sections 4.1.3 and 6).

use super::direct::Direct;
use super::{Asking, Ended, Gateway, Live, ended, error, form};
use crate::authority::{Authority, fresh_id, mark, voucher};
use crate::clock;
use crate::listener::oauth;
use crate::record::Exchange;
use portcullis_authority::Form;
use portcullis_authority::client::{Client, GrantType};
use portcullis_authority::grant::{Against, Bound, Given, Granted, NoGrant, Request, Said, claims};
use portcullis_core::authenticate::{Thumbprint, Trust};
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use portcullis_state::{Family, Next, Presented, Taken, Voucher};
use serde_json::{Value, json};
use std::sync::Arc;

/// A token request of a client that is known.
struct Wanted {
    client: Arc<Client>,
    key: Option<Thumbprint>,
    form: Form,
    voucher: Voucher,
    now: Timestamp,
}

/// What is needed to decide about it, wherever that is done.
struct Deciding {
    wanted: Wanted,
    issuer: String,
    vouches: String,
    live: Arc<Live>,
    trust: Arc<Trust>,
    next: Next,
}

impl Gateway {
    pub(super) async fn token(
        &self,
        live: &Live,
        authority: &Authority,
        asking: Asking<'_>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Asking { parts, body, peer } = asking;
        let form = match form(live, parts, body, exchange).await? {
            Ok(form) => form,
            Err(told) => return Ok(told),
        };
        if let Some(direct) = Direct::of(&form) {
            let from = (&form, parts, peer);
            return self
                .directly(live, authority, (direct, from), exchange)
                .await;
        }
        let (voucher, shown) = match shown(&form) {
            Ok(shown) => shown,
            Err([code, reason, why]) => {
                let told = error(400, code, why);
                return Ok(ended("oauth.token_refused", Some(reason), told));
            }
        };
        let known = self.authenticated(authority, &form, (parts, peer), exchange);
        let client = match known.await? {
            Ok(client) => client,
            Err(told) => return Ok(told),
        };
        if voucher == Voucher::Device {
            let polled = self.polled(&client, &shown, exchange).await?;
            if let Some(told) = polled {
                return Ok(told);
            }
        }
        let key = match self.proven(parts, authority, "oauth.token_refused") {
            Ok(key) => key,
            Err(told) => return Ok(*told),
        };
        let wanted = Wanted {
            client,
            key,
            form,
            voucher,
            now: clock::now(),
        };
        self.give(authority, wanted, shown, exchange).await
    }

    async fn give(
        &self,
        authority: &Authority,
        wanted: Wanted,
        shown: String,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        // Somebody may have been revoked meanwhile.
        self.revocations.known()?;
        let refresh = voucher()?;
        let (voucher, now) = (wanted.voucher, wanted.now);
        let deciding = Deciding {
            next: Next {
                digest: mark(refresh.expose()),
                bound: String::new(),
                until: now.plus(authority.refresh_tokens),
            },
            issuer: authority.issuer.clone(),
            vouches: authority.signs_in_with().to_owned(),
            live: self.live.load_full(),
            trust: self.issuers.trust(),
            wanted,
        };
        let durable = self.revocations.durable();
        let own = (authority.issuer.clone(), now);
        let decide = move |presented: &Presented| deciding.decide(presented);
        let taken = durable.take((voucher, mark(&shown)), own, decide).await;
        let taken = taken.map_err(|error| {
            tracing::error!(%error, "a grant was not looked up");
            Unavailable::State
        })?;
        match taken {
            Taken::Good(family, (granted, given)) => {
                known(&family, exchange);
                let refresh = granted.refreshes.then_some(refresh);
                let told = (&granted, &given);
                let told = issue(authority, told, (&family, refresh), (now, exchange)).await?;
                Ok(ended(
                    "oauth.token_issued",
                    Some(reason(voucher)),
                    oauth(200, &told),
                ))
            }
            Taken::Again(family) => {
                known(&family, exchange);
                let event = match voucher {
                    Voucher::Code | Voucher::Device => "oauth.code_replay",
                    Voucher::Refresh => "oauth.refresh_reuse",
                };
                Ok(refused(event, NoGrant::Again))
            }
            Taken::Over(family) => {
                known(&family, exchange);
                Ok(refused("oauth.token_refused", NoGrant::Over))
            }
            Taken::Refused(family, why) => {
                known(&family, exchange);
                let event = if why == NoGrant::Verifier {
                    "oauth.pkce_rejected"
                } else {
                    "oauth.token_refused"
                };
                Ok(refused(event, why))
            }
            Taken::Unknown => Ok(refused("oauth.token_refused", NoGrant::Unknown)),
        }
    }
}

impl Deciding {
    fn decide(self, presented: &Presented) -> Result<((Granted, Given), Option<Next>), NoGrant> {
        let Self { wanted, live, .. } = &self;
        let family = &presented.family;
        let read = |_| NoGrant::Unknown;
        let granted: Granted = serde_json::from_str(&family.granted).map_err(read)?;
        let server = live.rules.servers.get(&*granted.server);
        let request = Request {
            client: &wanted.client,
            key: wanted.key,
            form: &wanted.form,
        };
        let against = Against {
            issuer: &self.issuer,
            resource: server.map(|server| &server.gate.resource),
            trust: &self.trust,
            vouches: &self.vouches,
            made: family.made,
        };
        let given = match wanted.voucher {
            Voucher::Code => {
                let bound: Bound = serde_json::from_str(&presented.bound).map_err(read)?;
                granted.redeem(&bound, &request, &against)?
            }
            Voucher::Device => granted.collect(&presented.bound, &request, &against)?,
            Voucher::Refresh => granted.refresh(&presented.bound, &request, &against)?,
        };
        let next = Next {
            bound: given.sealed.map(|key| key.to_string()).unwrap_or_default(),
            ..self.next
        };
        let next = granted.refreshes.then_some(next);
        Ok(((granted, given), next))
    }
}

/// Signs what is given.
pub(super) async fn issue(
    authority: &Authority,
    (granted, given): (&Granted, &Given),
    (family, refresh): (&Family, Option<Secret<String>>),
    (now, exchange): (Timestamp, &mut Exchange),
) -> Result<Value, Refusal> {
    let lifetime = authority
        .access_tokens
        .min(given.lifetime.unwrap_or(authority.access_tokens))
        .min(family.until.since(now));
    let id = fresh_id()?;
    let said = Said {
        issuer: &authority.issuer,
        id: &id,
        family: &family.id,
        times: (now, now.plus(lifetime)),
    };
    let claims = claims(granted, given, &said);
    let signed = authority.signer.sign("at+jwt", &claims).await;
    let token = signed.map_err(|_| Unavailable::Entropy)?;
    exchange.fact("jti", &id);
    exchange.fact("server", &granted.server);
    let mut told = json!({
        "access_token": token.expose(),
        "token_type": if given.key.is_some() { "DPoP" } else { "Bearer" },
        "expires_in": lifetime.as_secs(),
        "scope": given.scopes.join(" "),
    });
    if let (Some(refresh), Some(told)) = (refresh, told.as_object_mut()) {
        told.insert("refresh_token".to_owned(), json!(refresh.expose()));
    }
    Ok(told)
}

/// What is shown, of which kind; else error code, reason and words.
fn shown(form: &Form) -> Result<(Voucher, String), [&'static str; 3]> {
    let (voucher, name) = match form.value("grant_type") {
        Some("authorization_code") => (Voucher::Code, "code"),
        Some("refresh_token") => (Voucher::Refresh, "refresh_token"),
        Some(name) if name == GrantType::Device.name() => (Voucher::Device, "device_code"),
        Some(_) => return Err(["unsupported_grant_type", "grant_type", "no such grant here"]),
        None => return Err(["invalid_request", "grant_type", "grant_type is missing"]),
    };
    let shown = form.value(name).map(|shown| (voucher, shown.to_owned()));
    shown.ok_or(["invalid_request", "missing", "there is nothing to exchange"])
}

/// What was shown was given by us, whoever shows it.
fn known(family: &Family, exchange: &mut Exchange) {
    exchange.vouch();
    exchange.fact("family", &family.id);
    exchange.fact(
        "for",
        &portcullis_core::authenticate::key_of(&family.issuer, &family.subject),
    );
}

const fn reason(voucher: Voucher) -> &'static str {
    match voucher {
        Voucher::Code => "code",
        Voucher::Refresh => "refresh",
        Voucher::Device => "device",
    }
}

fn refused(event: &'static str, why: NoGrant) -> Ended {
    let told = error(400, why.code(), &why.to_string());
    ended(event, Some(why.reason()), told)
}
