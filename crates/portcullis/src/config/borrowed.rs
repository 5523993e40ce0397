//! Secrets that are kept elsewhere: where each is, and how we sign in there.

use super::trust::Trust;
use super::url::HttpUrl;
use portcullis_core::secret::Secret;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a file needs of elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Borrowing {
    /// Each secret, as it was when the file was read.
    pub(crate) secrets: Vec<Borrowed>,
    /// How long one is believed.
    pub(crate) ttl: Duration,
}

/// A secret that was read elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Borrowed {
    /// The key of the file that needs it, such as `servers.notes.headers.authorization`.
    pub(crate) key: String,
    /// Where it is.
    pub(crate) wanted: Wanted,
    /// What it was: SHA-256.
    pub(crate) digest: [u8; 32],
}

impl Borrowing {
    /// How we sign in at Azure, if anything is there.
    pub(crate) fn azure(&self) -> Option<&Azure> {
        self.secrets
            .iter()
            .find_map(|borrowed| match &borrowed.wanted {
                Wanted::Azure { azure, .. } => Some(&**azure),
                Wanted::Exec(_) | Wanted::Vault { .. } => None,
            })
    }
}

/// What tells one value of a secret from another, without being one.
pub(crate) fn digest(secret: &Secret<String>) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.expose().as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// Where a secret is. Its `Display` is its name in records.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// A program prints it: an absolute path, then arguments.
    Exec(Vec<String>),
    /// A field of a secret in a KV engine of version 2.
    Vault {
        /// Which vault.
        vault: Arc<Vault>,
        /// The engine's mount.
        mount: String,
        /// The secret's path.
        path: String,
        /// The field.
        field: String,
    },
    /// A secret of Azure Key Vault.
    Azure {
        /// How we sign in.
        azure: Arc<Azure>,
        /// The secret's address.
        url: HttpUrl,
        /// What a token for it must be for.
        resource: &'static str,
    },
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Arguments are not shown: one of them may be what it should not be.
            Self::Exec(words) => write!(out, "exec:{}", words.first().map_or("", String::as_str)),
            Self::Vault {
                vault,
                mount,
                path,
                field,
            } => write!(out, "vault:{}:{mount}/{path}#{field}", vault.name),
            Self::Azure { url, .. } => write!(out, "azure_key_vault:{url}"),
        }
    }
}

/// A vault.
#[derive(Debug)]
pub(crate) struct Vault {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its address, without path.
    pub(crate) address: HttpUrl,
    /// Whom connections to it trust.
    pub(crate) trust: Box<Trust>,
    /// The namespace.
    pub(crate) namespace: Option<String>,
    /// How we sign in.
    pub(crate) sign_in: SignIn,
}

/// How we sign in to a vault.
#[derive(Debug)]
pub(crate) enum SignIn {
    /// With a token that we have.
    Token(Secret<String>),
    /// `AppRole`.
    AppRole {
        /// The role's id.
        role: String,
        /// The secret's id.
        secret: Secret<String>,
        /// Where the method is mounted.
        mount: String,
    },
    /// As a service account.
    Kubernetes {
        /// The role.
        role: String,
        /// The file with the account's token.
        jwt: PathBuf,
        /// Where the method is mounted.
        mount: String,
    },
}

/// How we sign in to Azure Key Vault.
#[derive(Debug)]
pub(crate) struct Azure {
    /// As whom.
    pub(crate) identity: Identity,
    /// Whom connections to it trust.
    pub(crate) trust: Box<Trust>,
}

/// As whom we sign in.
#[derive(Debug)]
pub(crate) enum Identity {
    /// An application (OAuth 2.0 client credentials).
    Application {
        /// The token endpoint.
        endpoint: HttpUrl,
        /// The application.
        client: String,
        /// Its secret.
        secret: Secret<String>,
    },
    /// The machine's managed identity.
    Managed {
        /// Where it is asked.
        endpoint: HttpUrl,
        /// Which of several.
        client: Option<String>,
    },
}
