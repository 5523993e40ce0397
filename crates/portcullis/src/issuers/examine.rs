//! One look at an issuer, by the way that a running gateway takes: what it would find there.

use super::fetch::{NoAnswer, Way};
use super::{Source, Trusted, own_keys};
use portcullis_core::authenticate::KeySet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a look may take: three documents, and the keys.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most of a stranger's name that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// Why tokens of an issuer could not be verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Its metadata names another issuer.
    #[error("its metadata names {0}")]
    Named(String),
    /// There is no metadata, or none with an acceptable URL for keys.
    #[error("no metadata with a URL for keys")]
    NoMetadata,
    /// It answers, but with nothing that is a key.
    #[error("no usable keys")]
    NoKeys,
    /// No key is for an algorithm that is accepted.
    #[error("no key for an algorithm that is accepted")]
    OtherKeys,
    /// It cannot be reached, or answers with an error.
    #[error("{0}")]
    Silent(String),
}

/// Asks an issuer for its keys, and looks whether they are of use. Our own is always well.
///
/// # Errors
/// [`Fault`].
pub(crate) async fn examine(trusted: &Trusted) -> Result<(), Fault> {
    match &trusted.source {
        Source::Embedded(_) => Ok(()),
        Source::Remote { .. } => {
            let keys = keys_of(trusted).await?;
            let is_of_use = keys.has_key_for(&trusted.issuer.algorithms);
            is_of_use.then_some(()).ok_or(Fault::OtherKeys)
        }
    }
}

/// The keys of an issuer as they are published now; of our own, those that it was built with.
///
/// # Errors
/// [`Fault`].
pub(crate) async fn keys_of(trusted: &Trusted) -> Result<Arc<KeySet>, Fault> {
    let (jwks, tls, egress) = match &trusted.source {
        Source::Embedded(own) => return own_keys(own).ok_or(Fault::NoKeys),
        Source::Remote {
            jwks, tls, egress, ..
        } => (jwks, tls, egress),
    };
    let way = Way {
        issuer: &trusted.issuer.issuer,
        tls: tls.as_ref(),
        egress,
    };
    match timeout(PATIENCE, way.keys(jwks.as_ref())).await {
        Ok(Ok(keys)) => Ok(Arc::new(keys)),
        Ok(Err(NoAnswer::Named(name))) => Err(Fault::Named(shown(&name))),
        Ok(Err(NoAnswer::Metadata | NoAnswer::Url)) => Err(Fault::NoMetadata),
        Ok(Err(NoAnswer::Keys)) => Err(Fault::NoKeys),
        Ok(Err(
            error @ (NoAnswer::Unsent(_)
            | NoAnswer::Status(_)
            | NoAnswer::Broken
            | NoAnswer::Secret
            | NoAnswer::Unsigned(_)),
        )) => Err(Fault::Silent(error.to_string())),
        Err(_) => Err(Fault::Silent("did not answer in time".to_owned())),
    }
}

/// What a stranger wrote, so that a terminal shows it as text.
fn shown(name: &str) -> String {
    let visible = name.chars().filter(char::is_ascii_graphic);
    visible.take(MAX_SHOWN).collect()
}
