//! What is no endpoint of a server: metadata, keys, security events, pages.

use super::place::Place;
use super::walk::Walked;
use super::{Gateway, Live};
use crate::keys::Signer;
use crate::listener::{jwks, metadata};
use crate::record::{Came, Exchange};
use hyper::Method;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use portcullis_core::refusal::{Refusal, Unacceptable};
use std::net::SocketAddr;
use std::sync::Arc;

impl Gateway {
    /// What is no endpoint of a server.
    pub(super) async fn beside(
        &self,
        live: &Live,
        (parts, body): (&Parts, Incoming),
        (place, peer): (Place<'_>, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        match place {
            Place::Metadata(server) => self.metadata(live, parts, server, exchange).await,
            Place::Keys => keys((parts, live.published.assertions.as_ref()), exchange).await,
            Place::ServerKeys(server) => {
                keys((parts, live.published.servers.get(server)), exchange).await
            }
            Place::ClientKeys => keys((parts, live.published.client.as_ref()), exchange).await,
            Place::Signals(issuer) => {
                let from = (issuer, peer);
                let heard = self.hear(live, (parts, body), from, exchange).await?;
                Ok(Walked::Whole(heard))
            }
            Place::Scim(issuer, resource) => {
                let from = ((issuer, resource), peer);
                let told = self.provision(live, (parts, body), from, exchange).await?;
                Ok(Walked::Whole(told))
            }
            Place::Authority(page) => {
                let asked = self.authority(live, (parts, body), (page, peer), exchange);
                Ok(Walked::Whole(Box::pin(asked).await?))
            }
            Place::Account(rest) => {
                let account = self.account(live, (parts, body), (rest, peer), exchange);
                Ok(Walked::Whole(account.await?))
            }
            Place::Connect(rest) => {
                let page = self.connect(live, parts, rest, exchange).await?;
                Ok(Walked::Whole(page))
            }
            Place::Endpoint(_) | Place::Nowhere => Err(Unacceptable::Path.into()),
        }
    }

    async fn metadata(
        &self,
        live: &Live,
        parts: &Parts,
        server: &str,
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        if parts.method != Method::GET {
            return Err(Unacceptable::Method.into());
        }
        let resource = &live.rules.server(server)?.gate.resource;
        served(exchange).await?;
        Ok(Walked::Whole(metadata(resource)))
    }
}

async fn keys(
    (parts, keys): (&Parts, Option<&Arc<Signer>>),
    exchange: &mut Exchange,
) -> Result<Walked, Refusal> {
    let keys = keys.ok_or(Unacceptable::Path)?;
    if parts.method != Method::GET {
        return Err(Unacceptable::Method.into());
    }
    served(exchange).await?;
    Ok(Walked::Whole(jwks(keys.document())))
}

/// Records that what is public was read.
async fn served(exchange: &mut Exchange) -> Result<(), Refusal> {
    let came = Came {
        event: "metadata.served",
        reason: None,
        status: 200,
        code: None,
    };
    exchange.settle(came).await.map_err(Refusal::Unavailable)
}
