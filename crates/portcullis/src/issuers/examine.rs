//! One look at an issuer, by the way that a running gateway takes: what it would find there.

use super::fetch::{NoAnswer, Way};
use super::{Source, Trusted};
use std::time::Duration;
use tokio::time::timeout;

/// How long a look may take: three documents, and the keys.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most of a stranger's name that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// Why tokens of an issuer could not be verified.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Its metadata names another issuer.
    Named(String),
    /// There is no metadata, or none with an acceptable URL for keys.
    NoMetadata,
    /// It answers, but with nothing that is a key.
    NoKeys,
    /// No key is for an algorithm that is accepted.
    OtherKeys,
    /// It cannot be reached, or answers with an error.
    Silent(String),
}

/// Asks an issuer for its keys. Our own is always well.
///
/// # Errors
/// [`Fault`].
pub(crate) async fn examine(trusted: &Trusted) -> Result<(), Fault> {
    let Source::Remote {
        jwks, tls, egress, ..
    } = &trusted.source
    else {
        return Ok(());
    };
    let way = Way {
        issuer: &trusted.issuer.issuer,
        tls: tls.as_ref(),
        egress,
    };
    let keys = match timeout(PATIENCE, way.keys(jwks.as_ref())).await {
        Ok(Ok(keys)) => keys,
        Ok(Err(NoAnswer::Named(name))) => return Err(Fault::Named(shown(&name))),
        Ok(Err(NoAnswer::Metadata | NoAnswer::Url)) => return Err(Fault::NoMetadata),
        Ok(Err(NoAnswer::Keys)) => return Err(Fault::NoKeys),
        Ok(Err(
            error @ (NoAnswer::Unsent(_)
            | NoAnswer::Status(_)
            | NoAnswer::Broken
            | NoAnswer::Secret),
        )) => {
            return Err(Fault::Silent(error.to_string()));
        }
        Err(_) => return Err(Fault::Silent("did not answer in time".to_owned())),
    };
    if keys.has_key_for(&trusted.issuer.algorithms) {
        Ok(())
    } else {
        Err(Fault::OtherKeys)
    }
}

/// What a stranger wrote, so that a terminal shows it as text.
fn shown(name: &str) -> String {
    let visible = name.chars().filter(char::is_ascii_graphic);
    visible.take(MAX_SHOWN).collect()
}
