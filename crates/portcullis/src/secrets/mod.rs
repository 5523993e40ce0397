//! Secrets that are kept elsewhere: how each is read, how long it is believed, and what is recorded of it.

mod exec;
mod vault;
mod azure;
mod lease;
mod keep;

use crate::clock;
use crate::config::{HttpUrl, Secret, Trust, Wanted};
use crate::egress::{Egress, NoAnswer, Site};
use crate::tls::{Client, Peer};
use crate::upstream::Report;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use portcullis_audit::Record;
use serde::de::DeserializeOwned;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

pub(crate) use keep::{Keeping, keep};
pub(crate) use lease::{Lease, Leases};

/// How long one secret may take.
const EACH: Duration = Duration::from_secs(10);
/// How long all secrets of a file may take together, in milliseconds.
const ALL_MILLIS: u64 = 30_000;

/// Why a secret was not read. No variant has a word of it, nor of what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    /// The vault is sealed, or not the active one.
    #[error("the vault is sealed or in standby")]
    Sealed,
    /// We may not sign in, or not read it.
    #[error("access was denied")]
    Denied,
    /// There is none.
    #[error("there is no such secret")]
    Missing,
    /// It is there, but is no text.
    #[error("it is not a text of one value, or it is empty")]
    Unfit,
    /// Nobody answers.
    #[error("cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// What was answered makes no sense.
    #[error("an answer that makes no sense (status {0})")]
    Broken(u16),
    /// No TLS.
    #[error("no TLS: a certificate in `ca` cannot be used, or the machine has no trust roots")]
    Tls,
    /// The program cannot be started.
    #[error("the program cannot be started")]
    NotStarted,
    /// The program can be changed by others.
    #[error("the program is not a file, or others than its owner can write it")]
    Unsafe,
    /// The program says that it failed.
    #[error("the program ended with exit code {0}")]
    Failed(i32),
    /// The program prints too much.
    #[error("the program printed too much")]
    TooLong,
}

impl Lost {
    /// The word for it in records.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Unfit => "unfit",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Broken(_) => "broken",
            Self::Tls => "tls",
            Self::NotStarted => "not_started",
            Self::Unsafe => "unsafe",
            Self::Failed(_) => "failed",
            Self::TooLong => "too_long",
        }
    }

    const fn of(answer: &NoAnswer) -> Self {
        match answer {
            NoAnswer::Timeout => Self::Timeout,
            NoAnswer::Broken => Self::Broken(200),
            NoAnswer::Tls => Self::Tls,
            NoAnswer::Unreachable | NoAnswer::Denied { .. } => Self::Unreachable,
        }
    }
}

/// That a secret was read, or was not.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    key: String,
    reference: String,
    lost: Option<Lost>,
}

impl Read {
    /// Its record: where the secret is and what needs it, never what it is.
    pub(crate) fn record(&self) -> Record {
        let mut record = Record::new(match self.lost {
            None => "secret.read",
            Some(_) => "secret.unavailable",
        });
        record.reason = self.lost.map(|lost| lost.reason().into());
        record.detail.set("reference", self.reference.as_str());
        record.detail.set("key", self.key.as_str());
        record
    }
}

/// One reading of all secrets of a file: signs in once in each place, and asks nobody again who did not answer. It
/// waits, so no thread that serves may call it.
#[derive(Default)]
pub(crate) struct Sources {
    runtime: OnceCell<Option<Runtime>>,
    began: OnceCell<u64>,
    /// By the vault's name.
    vaults: RefCell<BTreeMap<String, Result<vault::SignedIn, Lost>>>,
    azure: RefCell<BTreeMap<&'static str, Result<azure::SignedIn, Lost>>>,
    reads: RefCell<Vec<Read>>,
}

impl Sources {
    /// Reads a secret for a key of the file.
    ///
    /// # Errors
    /// [`Lost`].
    pub(crate) fn fetch(&self, wanted: &Wanted, key: &str) -> Result<Secret<String>, Lost> {
        let found = self.within_time(wanted);
        self.reads.borrow_mut().push(Read {
            key: key.to_owned(),
            reference: wanted.to_string(),
            lost: found.as_ref().err().copied(),
        });
        found
    }

    /// What was read, and what was not. The tokens that were got for it are given back.
    pub(crate) fn finish(self) -> Vec<Read> {
        if let Some(Some(runtime)) = self.runtime.get() {
            for signed_in in self.vaults.take().into_values().flatten() {
                runtime.block_on(vault::sign_out(&signed_in));
            }
        }
        self.reads.into_inner()
    }

    fn within_time(&self, wanted: &Wanted) -> Result<Secret<String>, Lost> {
        let began = *self.began.get_or_init(clock::millis);
        let left = ALL_MILLIS.saturating_sub(clock::millis().saturating_sub(began));
        let patience = EACH.min(Duration::from_millis(left));
        let runtime = self.runtime.get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_all().build().ok()
        });
        let runtime = runtime.as_ref().ok_or(Lost::NotStarted)?;
        let found = runtime.block_on(async { timeout(patience, self.read(wanted)).await });
        let found = found.unwrap_or(Err(Lost::Timeout));
        if let Err(lost @ (Lost::Timeout | Lost::Unreachable | Lost::Sealed)) = &found {
            self.give_up(wanted, *lost);
        }
        let found = found?;
        let text = found.expose().trim();
        if text.is_empty() || text.contains('\0') {
            return Err(Lost::Unfit);
        }
        Ok(Secret::new(text.to_owned()))
    }

    async fn read(&self, wanted: &Wanted) -> Result<Secret<String>, Lost> {
        match wanted {
            Wanted::Exec(words) => exec::read(words).await,
            Wanted::Vault {
                vault,
                mount,
                path,
                field,
            } => {
                let known = self.vaults.borrow().get(&vault.name).cloned();
                let signed_in = match known {
                    Some(known) => known?,
                    None => self.remember(&vault.name, vault::sign_in(vault).await)?,
                };
                vault::read(&signed_in, mount, (path, field)).await
            }
            Wanted::Azure {
                azure,
                url,
                resource,
            } => {
                let known = self.azure.borrow().get(resource).cloned();
                if let Some(known) = known {
                    return azure::read(&known?, url).await;
                }
                let signed_in = azure::sign_in(azure, resource).await;
                self.azure.borrow_mut().insert(resource, signed_in.clone());
                let signed_in = signed_in?;
                azure::read(&signed_in, url).await
            }
        }
    }

    fn remember(
        &self,
        name: &str,
        signed_in: Result<vault::SignedIn, Lost>,
    ) -> Result<vault::SignedIn, Lost> {
        let mut all = self.vaults.borrow_mut();
        all.insert(name.to_owned(), signed_in.clone());
        signed_in
    }

    /// Who did not answer is not waited for again.
    fn give_up(&self, wanted: &Wanted, lost: Lost) {
        match wanted {
            Wanted::Exec(_) => {}
            Wanted::Vault { vault, .. } => {
                let mut all = self.vaults.borrow_mut();
                all.insert(vault.name.clone(), Err(lost));
            }
            Wanted::Azure { resource, .. } => {
                self.azure.borrow_mut().insert(resource, Err(lost));
            }
        }
    }
}

/// Sends a request to a vault and reads its answer, if it is a good one.
async fn ask<T: DeserializeOwned>(
    url: &HttpUrl,
    tls: Option<&Client>,
    request: Request<Full<Bytes>>,
    lost: fn(StatusCode) -> Lost,
) -> Result<T, Lost> {
    let site = Site::Written(url.clone());
    let answered = Egress::to_written().send(&site, tls, request, EACH).await;
    let answer = answered.map_err(|error| Lost::of(&error))?;
    if answer.status != StatusCode::OK {
        return Err(lost(answer.status));
    }
    let read = serde_json::from_slice(&answer.body);
    read.map_err(|_| Lost::Broken(answer.status.as_u16()))
}

/// TLS for an address, verified as everywhere.
fn tls_for(url: &HttpUrl, trust: &Trust, name: &str) -> Result<Option<Client>, Lost> {
    if !url.is_https() {
        return Ok(None);
    }
    // What is refused shows as a secret that was not read.
    let client = Client::new(trust, Peer::Vault(name.to_owned()), &Report::new(|_| ()));
    client.map(Some).map_err(|_| Lost::Tls)
}
