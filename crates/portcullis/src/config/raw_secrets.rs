//! The part of the file that says where secrets are, as it is written.

use super::bounds;
use super::raw::Span;
use super::raw_trust::Pins;
use schemars::JsonSchema;
use serde::Deserialize;

/// Secrets that are kept elsewhere: what `exec`, `vault` and `azure_key_vault` name.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Secrets {
    /// How long a secret is believed after it was last read. It is read again when half of this is over. Once all of
    /// it is, what needs the secret is refused until it can be read.
    #[schemars(extend("default" = bounds::SECRET_TTL.default_text(), "x-range" = bounds::SECRET_TTL.words()))]
    pub(super) ttl: Option<Span>,
}

/// A vault: `HashiCorp` Vault or `OpenBao` with a KV secrets engine of version 2. One of `token`, `app_role` and `kubernetes`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Vault {
    /// Its address, such as `https://vault.example:8200`. `https`, or `http` on loopback. Required.
    pub(super) address: Option<String>,
    /// PEM file with a further root to trust for it.
    pub(super) ca: Option<String>,
    /// PEM file with the revocation lists of the authorities that issue its certificates.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
    /// The namespace to work in.
    pub(super) namespace: Option<String>,
    /// A token, best in a file that an agent keeps fresh: `{ file = "…" }` or `{ env = "…" }`.
    pub(super) token: Option<Reference>,
    pub(super) app_role: Option<AppRole>,
    pub(super) kubernetes: Option<Kubernetes>,
}

/// Sign-in by the `AppRole` method.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppRole {
    /// The role's id. Required.
    pub(super) role_id: Option<String>,
    /// What goes with it: `{ file = "…" }` or `{ env = "…" }`. Required.
    pub(super) secret_id: Option<Reference>,
    /// Where the method is mounted.
    #[schemars(extend("default" = bounds::APP_ROLE_MOUNT))]
    pub(super) mount: Option<String>,
}

/// Sign-in by the Kubernetes method.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kubernetes {
    /// The role. Required.
    pub(super) role: Option<String>,
    /// The file with the service account's token; it is read at each sign-in.
    #[schemars(extend("default" = bounds::SERVICE_ACCOUNT))]
    pub(super) jwt: Option<String>,
    /// Where the method is mounted.
    #[schemars(extend("default" = bounds::KUBERNETES_MOUNT))]
    pub(super) mount: Option<String>,
}

/// How the gateway signs in to Azure Key Vault: with `tenant`, `client_id` and `client_secret`, or as the machine's
/// managed identity.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureKeyVault {
    /// The Entra tenant.
    pub(super) tenant: Option<String>,
    /// The application; with `managed_identity`, the identity to use of several.
    pub(super) client_id: Option<String>,
    /// The application's secret: `{ file = "…" }` or `{ env = "…" }`.
    pub(super) client_secret: Option<Reference>,
    /// Whether to sign in as the machine's managed identity.
    #[schemars(extend("default" = false))]
    pub(super) managed_identity: Option<bool>,
    /// Where applications sign in; another one for national clouds.
    #[schemars(extend("default" = bounds::ENTRA))]
    pub(super) authority: Option<String>,
    /// Where the managed identity is asked. Default: the instance metadata service.
    pub(super) identity_endpoint: Option<String>,
    /// PEM file with a further root to trust for these connections.
    pub(super) ca: Option<String>,
    /// As for a server.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
}

/// Text, or where to find it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline, extend("x-type" = "text or secret reference"))]
pub(super) enum Text {
    Literal(String),
    Reference(Reference),
}

/// Where a secret is. One of the keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reference {
    /// A file that holds it; spaces and line ends around it are dropped.
    pub(super) file: Option<String>,
    /// An environment variable that holds it.
    pub(super) env: Option<String>,
    /// A program that prints it, by its absolute path, and its arguments. It is started without a shell and without
    /// any environment variable, and has 10 seconds and 64 KiB. Spaces and line ends around what it prints are dropped.
    pub(super) exec: Option<Vec<String>>,
    /// Its place in a vault: `MOUNT/PATH#FIELD`, or `NAME:MOUNT/PATH#FIELD` where there is more than one `[vaults.NAME]`.
    pub(super) vault: Option<String>,
    /// Its address in Azure Key Vault: `https://NAME.vault.azure.net/secrets/NAME`, with a version if wanted.
    pub(super) azure_key_vault: Option<String>,
}
