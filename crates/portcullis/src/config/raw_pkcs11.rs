//! `[pkcs11]` as it is written. The comments are the reference that users read.

use super::raw::Reference;
use schemars::JsonSchema;
use serde::Deserialize;

/// A hardware security module, or another token with a PKCS #11 module, that holds keys of the gateway's own. They sign
/// there and never leave it. Default: keys are files in the data directory.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pkcs11 {
    /// The module: the absolute path of a shared library. It is loaded into the gateway, so nobody but its owner may be able
    /// to write it. Required.
    pub(super) module: Option<String>,
    /// The label of the token. Required.
    pub(super) token: Option<String>,
    /// The PIN of its user: `{ file = "…" }` or `{ env = "…" }`. Required.
    pub(super) pin: Option<Reference>,
    /// Required. Without any (`keys = {}`), keys that are in the token hand over to files.
    pub(super) keys: Option<Pkcs11Keys>,
}

/// Which keys are there, by their labels. Each signs nothing else.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pkcs11Keys {
    /// The key (Ed25519) of the embedded issuer.
    pub(super) issuer: Option<String>,
    /// The key (P-256) that signs what servers are shown of callers.
    pub(super) assertion: Option<String>,
    /// The key (P-256) by which authorization servers know the gateway.
    pub(super) client: Option<String>,
    /// The key (Ed25519) that signs checkpoints of the audit log. The one that did, a file or in the same token, hands over
    /// to it when the gateway starts, and must be there until then.
    pub(super) audit: Option<String>,
    /// The key (Ed25519) that signs what is approved of what servers define.
    pub(super) catalog: Option<String>,
    /// How the labels of keys begin that wrap others (AES-256, made by `portcullis keys rewrap`); up to 64 bytes. No other
    /// gateway may have the same.
    pub(super) wrapping: Option<String>,
}
