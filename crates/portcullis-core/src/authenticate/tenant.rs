//! To which tenant a caller belongs: an issuer's callers all to one, or each to the one that a claim names.

use super::{ClaimPath, Unauthenticated};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tenant of an issuer's callers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Membership {
    /// They belong to none.
    #[default]
    Nobody,
    /// All belong to this one.
    All(Arc<str>),
    /// The text of a claim says to which; a token in which it names none of these is refused.
    By {
        /// The claim.
        claim: ClaimPath,
        /// The tenants by what the claim says.
        tenants: BTreeMap<String, Arc<str>>,
    },
}

impl Membership {
    /// The tenant of whoever has these claims.
    pub(super) fn of(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Option<Arc<str>>, Unauthenticated> {
        match self {
            Self::Nobody => Ok(None),
            Self::All(tenant) => Ok(Some(Arc::clone(tenant))),
            Self::By { claim, tenants } => {
                let said = claim.find(claims).and_then(Value::as_str);
                let tenant = said.and_then(|said| tenants.get(said));
                let name = || claim.names().join(".");
                let refused = || Unauthenticated::Claim { name: name() };
                tenant.map(Arc::clone).map(Some).ok_or_else(refused)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn authz_03_a_claim_names_one_tenant_or_the_token_is_refused() {
        let by = Membership::By {
            claim: ClaimPath::new(vec!["org".to_owned(), "id".to_owned()]),
            tenants: [("17".to_owned(), "acme".into())].into(),
        };
        for (claims, expected) in [
            (json!({ "org": { "id": "17" } }), Some("acme")),
            (json!({ "org": { "id": "18" } }), None),
            (json!({ "org": { "id": 17 } }), None),
            (json!({ "org": { "id": ["17"] } }), None),
            (json!({ "org.id": "17" }), None),
            (json!({}), None),
        ] {
            let claims = claims.as_object().unwrap();
            let found = by.of(claims);
            assert_eq!(found.ok().flatten().as_deref(), expected, "{claims:?}");
        }
        let claims = Map::new();
        let all = Membership::All("acme".into()).of(&claims);
        assert_eq!(all.unwrap().as_deref(), Some("acme"));
        assert_eq!(Membership::Nobody.of(&claims), Ok(None));
    }
}
