//! `[tenants]` as it is written. The comments are the reference that users read.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Who shares this gateway without ever reaching what is another's, whatever `allow`, grants and policies say. NAME is up
/// to 32 lower-case letters, digits and hyphens; audit records call it `tenant:NAME`. A server that no tenant names is for
/// callers of no tenant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tenant {
    /// The servers that its callers may reach, as far as rules let them, and nobody else. One that several tenants name is
    /// shared by them.
    #[serde(default)]
    pub(super) servers: Vec<String>,
    /// The issuers whose callers all belong to it; no other tenant names them.
    #[serde(default)]
    pub(super) issuers: Vec<String>,
    /// For an issuer of several tenants: the claim and the text by which its tokens show that the caller belongs to this
    /// one, such as `idp = "org_id=17"`. A token of that issuer that belongs to no tenant is refused.
    #[serde(default)]
    #[schemars(extend("x-name" = "ISSUER"))]
    pub(super) members: BTreeMap<String, String>,
}
