//! Who the gateway is at an authorization server: as registered, by its document, or by registering itself.
//!
//! INVARIANT: what one authorization server gave is looked up by that server's issuer, and shown to no other.

use super::discover::NoSignIn;
use super::stored::Known;
use super::{SignIn, lock};
use crate::clock;
use crate::upstream::{Notice, Report};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use portcullis_core::sign_in::{Authority, Client, Disbelieved, Registration, Way};
use portcullis_state::{Durable, MAX_CLIENTS, NotSealed, RegisteredClient, Sealer, Slot};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Whose key seals clients, and for what.
const TENANT: &str = "gateway";
const PURPOSE: &str = "upstream.client";
/// How long a client is used that the authorization server does not end before. Grants keep the one that they began with.
const LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Clients that were registered by ourselves: one for each authorization server and redirect URL.
pub(super) struct Clients {
    held: Mutex<HashMap<Place, Known>>,
    kept: Option<(Durable, Sealer)>,
}

/// An issuer and a redirect URL.
type Place = (String, String);

/// The name of a row: no two places have the same, as no issuer has a space.
fn row((issuer, redirect): &Place) -> String {
    format!("{issuer} {redirect}")
}

fn slot(row: &str) -> Slot<'_> {
    Slot {
        tenant: TENANT,
        purpose: PURPOSE,
        row,
    }
}

impl Clients {
    pub(super) async fn open(
        durable: Durable,
        sealer: Sealer,
        report: &Report,
    ) -> Result<Self, NotSealed> {
        let mut held = HashMap::new();
        for found in durable.registered_clients().await? {
            let place = (found.issuer, found.redirect);
            let row = row(&place);
            let opened = sealer.reveal(slot(&row), &found.sealed).await;
            match opened.ok().and_then(|written| Known::read(&written)) {
                Some(known) => drop(held.insert(place, known)),
                None => report.tell(&Notice {
                    event: "oauth.client_unreadable",
                    reason: "sealed",
                    server: None,
                    owner: None,
                    detail: &[("issuer", &place.0)],
                }),
            }
        }
        Ok(Self {
            held: Mutex::new(held),
            kept: Some((durable, sealer)),
        })
    }

    pub(super) fn nowhere() -> Self {
        Self {
            held: Mutex::default(),
            kept: None,
        }
    }

    fn find(&self, place: &Place) -> Option<Client> {
        let held = lock(&self.held);
        let known = held.get(place)?;
        (known.until > clock::now()).then(|| known.client.clone())
    }

    /// Keeps a client on the disk, and uses it from then on.
    async fn keep(&self, place: Place, known: Known) -> Result<(), NotSealed> {
        if let Some((durable, sealer)) = &self.kept {
            let text = known.write().ok_or(NotSealed::Unfit)?;
            let sealed = sealer.seal(slot(&row(&place)), &text).await?;
            let (issuer, redirect) = place.clone();
            let until = known.until.seconds();
            let kept = RegisteredClient {
                issuer,
                redirect,
                until,
                sealed,
            };
            durable.keep_registered_client(kept).await?;
        }
        let mut held = lock(&self.held);
        if held.len() >= MAX_CLIENTS as usize && !held.contains_key(&place) {
            let first = held.iter().min_by_key(|(_, known)| known.until);
            if let Some(first) = first.map(|(place, _)| place.clone()) {
                held.remove(&first);
            }
        }
        held.insert(place, known);
        Ok(())
    }

    async fn forget(&self, place: &Place) {
        lock(&self.held).remove(place);
        let Some((durable, _)) = &self.kept else {
            return;
        };
        if let Err(error) = durable.forget_registered_client(&place.0, &place.1).await {
            tracing::error!(issuer = place.0, %error, "a client stays in the database");
        }
    }
}

impl SignIn {
    /// Who we are there: as registered, else by our document, else by registering ourselves, where that is allowed.
    pub(super) async fn client(&self, authority: &Authority) -> Result<Client, NoSignIn> {
        if let Some(own) = &self.client {
            return Ok(Client {
                id: own.id.clone(),
                secret: own.secret.clone(),
                way: authority.way(own.secret.is_some()),
            });
        }
        if authority.takes_documents
            && let Some(id) = self.document.clone().or_else(|| self.document_url())
        {
            return Ok(Client {
                id,
                secret: None,
                way: Way::Open,
            });
        }
        let Some(url) = authority
            .registration
            .as_ref()
            .filter(|_| self.may_register)
        else {
            return Err(Disbelieved::NoClient.into());
        };
        let place = self.place(&authority.issuer);
        if let Some(known) = self.shared.clients.find(&place) {
            return Ok(known);
        }
        let known = self.register(url, authority).await?;
        let client = known.client.clone();
        self.shared.clients.keep(place, known).await?;
        self.shared.report.tell(&Notice {
            event: "oauth.registered",
            reason: "registered",
            server: Some(&self.server),
            owner: None,
            detail: &[("issuer", &authority.issuer), ("client_id", &client.id)],
        });
        Ok(client)
    }

    async fn register(&self, url: &str, authority: &Authority) -> Result<Known, NoSignIn> {
        let way = if authority.ways.contains(&Way::Open) {
            Way::Open
        } else {
            authority.way(true)
        };
        let redirect = self.redirect();
        let body = serde_json::to_vec(&Registration::new(&redirect, way)).unwrap_or_default();
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        let answer = self.send(url, request).await?;
        if !answer.status.is_success() {
            return Err(NoSignIn::Status(answer.status.as_u16()));
        }
        let (client, ends) = Client::parse(&answer.body, authority)?;
        let longest = clock::now().plus(LIFETIME);
        Ok(Known {
            client,
            until: ends.map_or(longest, |ends| ends.min(longest)),
        })
    }

    /// The authorization server says that it does not know us. What the operator wrote is the operator's to mend; a client
    /// that we registered ourselves is forgotten, and the next sign-in registers another.
    pub(super) async fn disowned(&self, issuer: &str) {
        self.shared.clients.forget(&self.place(issuer)).await;
    }

    fn place(&self, issuer: &str) -> Place {
        (issuer.to_owned(), self.redirect())
    }
}
