//! Tokens for which no user is asked here: a client comes for itself (RFC 6749 section 4.4), or with what an enterprise's
//! provider asserts of a user (ID-JAG, RFC 7523 section 2.1).

use super::token::issue;
use super::{Ended, Gateway, Live, ended, error, resources, terms};
use crate::authority::{Authority, fresh_id, mark};
use crate::clock;
use crate::listener::oauth;
use crate::record::Exchange;
use hyper::http::request::Parts;
use portcullis_authority::Form;
use portcullis_authority::client::{Client, GrantType};
use portcullis_authority::grant::{Against, Granted, NoGrant, Request};
use portcullis_authority::request::{Terms, Wrong};
use portcullis_core::authenticate::{Resource, Thumbprint, Unauthenticated, key_of};
use portcullis_core::openid::{Assertion, Enterprise, NotSignedIn, read_assertion};
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::time::Timestamp;
use portcullis_state::Family;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Which of both.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direct {
    Itself,
    Asserted,
}

/// A request of a client that has authenticated.
struct Wanted<'a> {
    client: Arc<Client>,
    key: Option<Thumbprint>,
    form: &'a Form,
}

/// Why there is no token.
enum No {
    Wrong(Wrong),
    Grant(NoGrant),
    Assertion(NotSignedIn),
    Replayed,
}

impl Direct {
    pub(super) fn of(form: &Form) -> Option<Self> {
        match GrantType::of(form.value("grant_type")?)? {
            GrantType::Client => Some(Self::Itself),
            GrantType::Assertion => Some(Self::Asserted),
            GrantType::Device => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Itself => "client",
            Self::Asserted => "assertion",
        }
    }
}

impl Gateway {
    pub(super) async fn directly(
        &self,
        live: &Live,
        authority: &Authority,
        (direct, (form, parts, peer)): (Direct, (&Form, &Parts, SocketAddr)),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let known = self.authenticated(authority, form, (parts, peer), exchange);
        let client = match known.await? {
            Ok(client) => client,
            Err(told) => return Ok(told),
        };
        let key = match self.proven(parts, authority, "oauth.token_refused") {
            Ok(key) => key,
            Err(told) => return Ok(*told),
        };
        // Somebody may have been revoked meanwhile.
        self.revocations.known()?;
        let wanted = Wanted { client, key, form };
        let resources = resources(live);
        let terms = terms(authority, &resources);
        let granted = match direct {
            // Whenever it was revoked: it has not signed in since.
            Direct::Itself => Granted::itself(&wanted.client, form, &terms)
                .map(|granted| (granted, Timestamp::default()))
                .map_err(No::Wrong),
            Direct::Asserted => self.asserted(authority, &wanted, &terms).await?,
        };
        let (granted, made) = match granted {
            Ok(granted) => granted,
            Err(why) => return Ok(why.told()),
        };
        let server = live.rules.servers.get(&*granted.server);
        let resource = server.map(|server| &server.gate.resource);
        let granted = (&granted, resource, made);
        self.hand_out(authority, granted, (direct, &wanted), exchange)
            .await
    }

    async fn hand_out(
        &self,
        authority: &Authority,
        (granted, resource, made): (&Granted, Option<&Resource>, Timestamp),
        (direct, wanted): (Direct, &Wanted<'_>),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (trust, now) = (self.issuers.trust(), clock::now());
        let request = Request {
            client: &wanted.client,
            key: wanted.key,
            form: wanted.form,
        };
        let against = Against {
            issuer: &authority.issuer,
            resource,
            trust: &trust,
            vouches: &granted.user.issuer,
            made,
        };
        let given = match granted.hand_out(&request, &against) {
            Ok(given) => given,
            Err(why) => return Ok(No::Grant(why).told()),
        };
        let user = &granted.user;
        exchange.fact("for", &key_of(&user.issuer, &user.subject));
        // Nothing can be renewed: the family is that of one token.
        let family = Family {
            id: fresh_id()?,
            issuer: user.issuer.clone(),
            subject: user.subject.clone(),
            client: granted.client.clone(),
            granted: String::new(),
            made: now,
            until: now.plus(authority.access_tokens),
        };
        exchange.fact("family", &family.id);
        let told = issue(
            authority,
            (granted, &given),
            (&family, None),
            (now, exchange),
        )
        .await?;
        let reason = Some(direct.word());
        Ok(ended("oauth.token_issued", reason, oauth(200, &told)))
    }

    /// What the assertion grants that came along, if it is good and was not used before; and when it was made.
    async fn asserted(
        &self,
        authority: &Authority,
        wanted: &Wanted<'_>,
        terms: &Terms<'_>,
    ) -> Result<Result<(Granted, Timestamp), No>, Refusal> {
        let client = &wanted.client;
        let providers: BTreeMap<&str, &str> = authority
            .enterprises
            .iter()
            .filter(|(_, enterprise)| enterprise.clients.contains(&client.id))
            .map(|(issuer, enterprise)| (issuer.as_str(), enterprise.subject.as_str()))
            .collect();
        if providers.is_empty() || !client.is_confidential() {
            return Ok(Err(No::Wrong(Wrong::Grant)));
        }
        let Some(token) = wanted.form.value("assertion") else {
            return Ok(Err(No::Grant(NoGrant::Unknown)));
        };
        let expected = Enterprise {
            providers: &providers,
            own: &authority.issuer,
            client: &client.id,
            key: wanted.key,
        };
        let assertion = match self.judged(token, &expected).await {
            Ok(assertion) => assertion,
            Err(why) => return Ok(Err(No::Assertion(why))),
        };
        let identity = assertion.user().identity();
        let issuer = &identity.issuer;
        let claims = authority.enterprises.get(issuer);
        let claims = claims.map_or(&[][..], |enterprise| &enterprise.claims);
        let granted = Granted::asserted(client, wanted.form, (&assertion, claims), terms);
        let granted = match granted {
            Ok(granted) => granted,
            Err(wrong) => return Ok(Err(No::Wrong(wrong))),
        };
        let once = format!("assertion:{}:{issuer}{}", issuer.len(), assertion.id());
        let until = (assertion.until(), clock::now());
        let durable = self.revocations.durable();
        let is_new = durable.use_assertion(mark(&once), until).await;
        let is_new = is_new.map_err(|_| Unavailable::State)?;
        Ok(if is_new {
            Ok((granted, identity.issued))
        } else {
            Err(No::Replayed)
        })
    }

    /// An unknown key may only mean that ours are old: then they are fetched, and it is looked at once more.
    async fn judged(
        &self,
        token: &str,
        expected: &Enterprise<'_>,
    ) -> Result<Assertion, NotSignedIn> {
        let trust = self.issuers.trust();
        let first = read_assertion(token, expected, &trust, clock::now());
        let Err(NotSignedIn::Token(Unauthenticated::UnknownKey { issuer })) = &first else {
            return first;
        };
        if !self.issuers.refresh(issuer, trust.generation).await {
            return first;
        }
        read_assertion(token, expected, &self.issuers.trust(), clock::now())
    }
}

impl No {
    fn told(&self) -> Ended {
        let (code, reason, why) = match self {
            Self::Wrong(wrong) => (wrong.code(), wrong.reason(), wrong.to_string()),
            Self::Grant(why) => (why.code(), why.reason(), why.to_string()),
            Self::Assertion(why) => ("invalid_grant", why.reason(), why.to_string()),
            Self::Replayed => {
                let why = "an assertion that was used before";
                ("invalid_grant", "replayed", why.to_owned())
            }
        };
        let event = "oauth.token_refused";
        ended(event, Some(reason), error(400, code, &why))
    }
}
