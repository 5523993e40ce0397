//! Who operates: a verified token of the API's own audience.

use super::{Exchange, Resource, Trouble, Visit};
use crate::clock;
use crate::listener::credentials;
use crate::relay::Gateway;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use portcullis_core::authenticate::{Claimed, Principal, Trust, verify};
use portcullis_core::refusal::Refusal;
use portcullis_core::secret::Secret;
use std::sync::Arc;

/// The token that was presented.
pub(super) fn token(parts: &Parts) -> Secret<String> {
    let value = parts.headers.get(AUTHORIZATION);
    let text = value.and_then(|value| value.to_str().ok());
    let token = text.and_then(|text| text.split_once(' '));
    Secret::new(token.map_or("", |(_, token)| token.trim()).to_owned())
}

impl Gateway {
    /// Verifies the token and counts the request.
    pub(super) async fn operator(
        self: &Arc<Self>,
        visit: &Visit<'_>,
        exchange: &mut Exchange,
    ) -> Result<Principal, Trouble> {
        self.revocations.known()?;
        let credentials = credentials(visit.parts);
        let own = &visit.office.resource;
        // A proof is for the URL of the request, without its query (RFC 9449 section 4.2).
        let resource = Resource {
            url: own.url.clone() + visit.parts.uri.path(),
            ..own.clone()
        };
        let trail = &mut exchange.trail;
        trail.scheme = credentials.scheme();
        trail.nonce = self
            .state
            .proofs
            .offer(trail.scheme, &resource, clock::now());
        let memory = (&self.state.verified, &self.state.proofs);
        let ask = |trust: &Trust| -> Result<Principal, Refusal> {
            Ok(verify(
                &credentials,
                &resource,
                trust,
                memory,
                clock::now(),
            )?)
        };
        let known = self
            .known((&credentials, &resource, visit.peer.ip()), ask)
            .await;
        let principal = match known {
            Ok(principal) => principal,
            Err(refusal) => {
                exchange.trail.claimed = Claimed::of(&credentials);
                self.watch_refused(visit.live, &refusal, visit.peer, exchange);
                return Err(Trouble::Refused(refusal));
            }
        };
        exchange.trail.principal = Some(principal.clone());
        if let Err(refusal) = self.admits(&principal) {
            self.watch_refused(visit.live, &refusal, visit.peer, exchange);
            return Err(Trouble::Refused(refusal));
        }
        self.watch_known(visit.live, &principal, visit.peer, exchange);
        let counted = self
            .operating
            .take_request(&principal, &visit.office.quota, clock::now());
        counted.map_err(|why| Trouble::Refused(why.into()))?;
        Ok(principal)
    }
}
