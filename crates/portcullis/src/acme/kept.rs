//! What is kept on disk: the account at each server, and each certificate with its key.

use super::Failed;
use super::wire::Wire;
use crate::config::Acme;
use crate::keys;
use crate::lifecycle::Home;
use crate::tls::{certificates, certified, validity};
use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use portcullis_core::secret::Secret;
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Held {
    certified: Arc<CertifiedKey>,
    from: u64,
    until: u64,
}

impl Held {
    /// Reads a key and its chain.
    ///
    /// # Errors
    /// They do not fit together, or are not for all of these names.
    pub(super) fn read(pem: &str, names: &[String]) -> Result<Self, Failed> {
        let chain = certificates(pem)?;
        let leaf = chain.first().ok_or(Failed::Other)?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|_| Failed::Other)?;
        for name in names {
            let name = ServerName::try_from(name.as_str()).map_err(|_| Failed::Other)?;
            verify_server_name(&parsed, &name).map_err(|_| Failed::Other)?;
        }
        let valid = validity(leaf).filter(|(from, until)| from < until);
        let (from, until) = valid.ok_or(Failed::Other)?;
        Ok(Self {
            certified: certified(pem, pem).map_err(|_| Failed::Other)?,
            from,
            until,
        })
    }

    pub(crate) const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// From and until which second since 1970 it is valid.
    pub(crate) const fn valid(&self) -> (u64, u64) {
        (self.from, self.until)
    }

    pub(super) const fn until(&self) -> u64 {
        self.until
    }

    /// Whether it is valid at that second.
    pub(super) fn holds(&self, now: u64) -> bool {
        (self.from..self.until).contains(&now)
    }

    /// The second at which a new one is wanted: two thirds of its time are over.
    pub(super) const fn renewal(&self) -> u64 {
        self.from + (self.until - self.from) / 3 * 2
    }
}

/// The certificate for these names that was got before; `None` if there is none that is sound.
///
/// # Errors
/// Others can read the file.
pub(crate) fn held(home: &Home, acme: &Acme) -> anyhow::Result<Option<Held>> {
    let path = path(home, acme);
    let Some(pem) = keys::read_private(&path)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(pem.expose()).unwrap_or_default();
    match Held::read(text, &acme.names) {
        Ok(held) => Ok(Some(held)),
        Err(error) => {
            tracing::warn!(%error, "{} is of no use", path.display());
            Ok(None)
        }
    }
}

/// Keeps a certificate with its key.
pub(super) async fn keep(home: &Home, acme: &Acme, pem: Secret<String>) -> Result<(), Failed> {
    write(
        path(home, acme),
        Secret::new(pem.expose().as_bytes().to_vec()),
    )
    .await
}

/// Our account at the server, made on first use.
pub(super) async fn account(home: &Home, acme: &Acme, wire: Wire) -> Result<Account, Failed> {
    let bound = acme.external_account.as_ref();
    let of = std::iter::once(acme.directory.to_string());
    let of = of.chain(bound.map(|bound| bound.id.clone()));
    let name = format!("account-{}.json", short(of));
    let path = directory(home).join(name);
    let of = path.clone();
    let kept = spawn_blocking(move || keys::read_private(&of)).await;
    if let Some(kept) = kept
        .map_err(anyhow::Error::from)
        .flatten()
        .map_err(Failed::Disk)?
    {
        let credentials: AccountCredentials = serde_json::from_slice(kept.expose())
            .with_context(|| {
                format!(
                    "{} is broken; remove it, and there will be a new account",
                    path.display()
                )
            })
            .map_err(Failed::Disk)?;
        let account = Account::builder_with_http(Box::new(wire));
        return Ok(account.from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let made = Account::builder_with_http(Box::new(wire));
    let bound = bound.map(|bound| ExternalAccountKey::new(bound.id.clone(), bound.key.expose()));
    let made = made.create(&new, acme.directory.to_string(), bound.as_ref());
    let (account, credentials) = made.await?;
    let text = serde_json::to_vec(&credentials).map_err(|error| Failed::Disk(error.into()))?;
    write(path, Secret::new(text)).await?;
    Ok(account)
}

async fn write(path: PathBuf, content: Secret<Vec<u8>>) -> Result<(), Failed> {
    let writing = spawn_blocking(move || {
        keys::private_directory(path.parent().unwrap_or(Path::new(".")))?;
        keys::replace_private(&path, content.expose())
            .with_context(|| format!("cannot write {}", path.display()))
    });
    writing
        .await
        .map_err(|error| Failed::Disk(error.into()))?
        .map_err(Failed::Disk)
}

/// Another server, or other names, have another file.
fn path(home: &Home, acme: &Acme) -> PathBuf {
    let of = std::iter::once(acme.directory.to_string()).chain(acme.names.iter().cloned());
    directory(home).join(format!("certificate-{}.pem", short(of)))
}

fn directory(home: &Home) -> PathBuf {
    home.0.join("acme")
}

fn short(of: impl IntoIterator<Item = String>) -> String {
    let of: Vec<String> = of.into_iter().collect();
    let whole = digest(&SHA256, of.join("\n").as_bytes());
    let first = whole.as_ref().first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::Held;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    const NAMES: [&str; 2] = ["a.example.test", "b.example.test"];

    /// A key, and a certificate of its own for these names in 2026.
    fn made(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (key.serialize_pem(), certificate.pem())
    }

    #[test]
    fn rec_03_takes_no_certificate_for_another_key_or_name() {
        let names = NAMES.map(str::to_owned);
        let (key, chain) = made(&NAMES);
        let held = Held::read(&[key.as_str(), &chain].concat(), &names).unwrap();
        let (from, until) = held.valid();
        assert_eq!(held.renewal(), from + (until - from) / 3 * 2);
        assert!(held.holds(from) && held.holds(until - 1));
        assert!(!held.holds(from - 1) && !held.holds(until));

        let (other, _) = made(&NAMES);
        let (own, narrow) = made(&NAMES[..1]);
        for (what, pem) in [
            ("the key of another", [other.as_str(), &chain].concat()),
            ("a name too few", [own.as_str(), &narrow].concat()),
            ("no key", chain.clone()),
            ("no certificate", key),
            ("nothing", String::new()),
        ] {
            assert!(Held::read(&pem, &names).is_err(), "{what}");
        }
    }
}
