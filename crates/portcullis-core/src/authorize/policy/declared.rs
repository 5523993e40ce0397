//! What the configuration declares for policies to speak of: named networks, and claims with a type.

use super::problem::Problem;
use crate::authenticate::{ClaimKind, DeclaredClaim};
use crate::misuse::Block;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

/// A named network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// What policies call it.
    pub name: String,
    /// Its addresses.
    pub networks: Vec<Block>,
}

/// The zones of an address, in the order of their names; an address that is not known is in none.
pub(super) fn zones_of<'z>(zones: &'z [Zone], network: Option<&str>) -> Vec<&'z str> {
    let address = network.and_then(|text| text.parse::<IpAddr>().ok());
    let Some(address) = address.map(|address| address.to_canonical()) else {
        return Vec::new();
    };
    let holds = |zone: &&Zone| zone.networks.iter().any(|block| block.contains(address));
    let own = zones.iter().filter(holds);
    own.map(|zone| zone.name.as_str()).collect()
}

/// Where the schema has the claims that are declared.
const PLACE: &str = "claims: {},";

/// The schema with the claims that are declared.
pub(super) fn schema(schema: &str, claims: &[(String, DeclaredClaim)]) -> Result<String, Problem> {
    let mut kinds = BTreeMap::new();
    for (_, claim) in claims {
        let before = kinds.insert(claim.name.as_str(), claim.kind);
        if before.is_some_and(|before| before != claim.kind) {
            let message = format!("the claim {:?} has two types", claim.name);
            return Err(Problem::new("claims", message));
        }
    }
    let attributes: Vec<String> = kinds
        .iter()
        .map(|(name, kind)| format!("{name:?}?: {}", kind_in_cedar(*kind)))
        .collect();
    let record = format!("claims: {{ {} }},", attributes.join(", "));
    Ok(schema.replacen(PLACE, &record, 1))
}

/// All that is declared, for the hash of the policies: they mean something else where that is something else.
pub(super) fn text(zones: &[Zone], claims: &[(String, DeclaredClaim)]) -> String {
    let mut text = String::new();
    // INVARIANT: writing to a text never fails.
    for zone in zones {
        let networks: Vec<String> = zone.networks.iter().map(ToString::to_string).collect();
        let _written = writeln!(text, "zone {:?} {}", zone.name, networks.join(" "));
    }
    for (issuer, claim) in claims {
        let (name, path, kind) = (&claim.name, claim.path.names(), claim.kind.name());
        let _written = writeln!(text, "claim {name:?} {kind} of {issuer:?} at {path:?}");
        if let Some(topic) = claim.pushed {
            let _written = writeln!(text, "or what is said of {}", topic.name());
        }
    }
    text
}

const fn kind_in_cedar(kind: ClaimKind) -> &'static str {
    match kind {
        ClaimKind::Bool => "Bool",
        ClaimKind::Long => "Long",
        ClaimKind::Text => "String",
        ClaimKind::Texts => "Set<String>",
    }
}
