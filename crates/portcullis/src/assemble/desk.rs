//! Where an issuer is asked about tokens.

use crate::config::External;
use crate::issuers::Desk;
use crate::secrets::Lease;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use portcullis_core::authenticate::{Form, Introspection, encode};
use portcullis_core::secret::Secret;
use std::sync::Arc;

/// Which tokens it is asked about.
pub(super) fn introspection(external: &External) -> Introspection {
    match &external.introspection {
        None => Introspection::Never,
        Some(asked) if asked.always => Introspection::Always,
        Some(_) => Introspection::Opaque,
    }
}

/// With what we authenticate there (RFC 6749 section 2.3.1).
pub(super) fn desk(external: &External, lease: Lease) -> anyhow::Result<Option<Arc<Desk>>> {
    let Some(asked) = &external.introspection else {
        return Ok(None);
    };
    let (id, secret) = (
        encode(&asked.client_id),
        encode(asked.client_secret.expose()),
    );
    let pair = Secret::new(format!("{id}:{secret}"));
    let basic = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
    let credentials = HeaderValue::from_str(basic.expose()).context("introspection")?;
    let endpoint = asked.endpoint.clone();
    let form = if asked.signed {
        Form::Signed {
            client: asked.client_id.clone(),
        }
    } else {
        Form::Plain
    };
    Ok(Some(Arc::new(Desk::new(
        endpoint,
        credentials,
        (form, asked.ttl),
        lease,
    ))))
}
