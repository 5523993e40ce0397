//! The endpoints of the authorization server that clients see.

use super::Gateway;
use super::beside::served;
use super::place::AuthorityPage;
use crate::authority::Authority;
use crate::listener::{Body, document, jwks};
use crate::record::Exchange;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use portcullis_core::refusal::{Refusal, Unacceptable};

impl Gateway {
    pub(super) async fn authority(
        &self,
        authority: &Authority,
        parts: &Parts,
        page: AuthorityPage,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        match page {
            AuthorityPage::Metadata => {
                expect_get(parts)?;
                served(exchange).await?;
                Ok(document(authority.document.clone()))
            }
            AuthorityPage::Keys => {
                expect_get(parts)?;
                served(exchange).await?;
                Ok(jwks(authority.signer.document()))
            }
        }
    }
}

fn expect_get(parts: &Parts) -> Result<(), Refusal> {
    if parts.method == Method::GET {
        return Ok(());
    }
    Err(Unacceptable::Method.into())
}
