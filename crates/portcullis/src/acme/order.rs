//! One order, from the names to their certificate (RFC 8555 section 7.4), by TLS-ALPN-01 (RFC 8737).

use super::Failed;
use crate::tls::{Answering, BadTls, Shown};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use portcullis_core::secret::Secret;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long the server may take to look at the names, and then to sign.
const POLLED: RetryPolicy = RetryPolicy::new().timeout(Duration::from_mins(2));

/// Gets a certificate for these names; gives its key and chain, as PEM.
pub(super) async fn order(
    account: &Account,
    names: &[String],
    shown: &Shown,
) -> Result<Secret<String>, Failed> {
    let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let answering = answer(&mut order, shown).await?;
    let polled = order.poll_ready(&POLLED).await;
    drop(answering);
    if order.state().status == OrderStatus::Invalid {
        return Err(Failed::NotOurs(doubts(&mut order).await));
    }
    polled?;
    let key = Secret::new(order.finalize().await?);
    let chain = order.poll_certificate(&POLLED).await?;
    Ok(Secret::new([key.expose(), chain.as_str()].concat()))
}

/// Answers for every name that the server does not know to be ours yet, and tells it so.
async fn answer<'a>(order: &mut Order, shown: &'a Shown) -> Result<Answering<'a>, Failed> {
    let mut answers = BTreeMap::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let Some(challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(Failed::NoChallenge(name));
        };
        let digest = challenge.key_authorization().digest();
        answers.insert(name.clone(), proof(name, digest.as_ref())?);
    }
    let answering = shown.answer(answers);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) {
            challenge.set_ready().await?;
        }
    }
    Ok(answering)
}

/// What is shown for a name: a certificate of nobody's, with the digest that only the account's owner can know
/// (RFC 8737 section 3).
fn proof(name: String, digest: &[u8]) -> Result<Arc<CertifiedKey>, Failed> {
    let mut params = CertificateParams::new(vec![name]).map_err(Failed::Key)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(Failed::Key)?;
    let certificate = params.self_signed(&key).map_err(Failed::Key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_protocol_versions(&[&TLS13]);
    let keys = builder.crypto_provider().key_provider;
    let key = keys.load_private_key(key).map_err(BadTls::Refused)?;
    // It is no use to compare the two: the library reads no certificate with an extension that it must know and does not.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    Ok(Arc::new(certified))
}

/// What the server says of the names that it does not believe.
async fn doubts(order: &mut Order) -> String {
    let mut doubts = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        let errors = authorization.challenges.iter();
        for error in errors.filter_map(|challenge| challenge.error.as_ref()) {
            doubts.push(format!("{name}: {error}"));
        }
    }
    doubts.join("; ")
}
