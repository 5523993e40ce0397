//! What was written for the rules: who they are for, and where each stands.

use crate::assemble::{grant_of, issuer_name};
use crate::config::{Checked, TextFile, Who};
use std::collections::BTreeMap;

/// What a configuration says of its rules beside the rules.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// `iss` by the names of issuers.
    pub(super) issuers: BTreeMap<String, String>,
    pub(super) grants: Vec<Entry>,
    policies: Vec<TextFile>,
}

/// A grant.
#[derive(Debug)]
pub(super) struct Entry {
    id: Option<String>,
    place: String,
    pub(super) server: String,
    pub(super) who: Who,
}

impl Book {
    pub(crate) fn of(checked: &Checked) -> Self {
        let issuers = checked.issuers.iter();
        let issuers = issuers.map(|(name, issuer)| (name.clone(), issuer_name(checked, issuer)));
        let grants = checked.grants.iter().map(|grant| Entry {
            id: grant_of(grant).map(|named| named.id).ok(),
            place: format!("{}, line {}", grant.key, grant.line),
            server: grant.server.to_string(),
            who: grant.who.clone(),
        });
        Self {
            issuers: issuers.collect(),
            grants: grants.collect(),
            policies: checked.policies.clone(),
        }
    }

    /// Where the name of a grant or a policy is written.
    pub(crate) fn place(&self, rule: &str) -> Option<String> {
        let named = rule.strip_prefix("grant:");
        let mut grants = self.grants.iter();
        if let Some(grant) = grants.find(|grant| named.is_some() && grant.id.as_deref() == named) {
            return Some(grant.place.clone());
        }
        let id = format!("@id({rule:?})");
        self.policies.iter().find_map(|file| {
            let before = file.text.split_once(&id)?.0;
            let line = before.matches('\n').count().saturating_add(1);
            Some(format!("{}:{line}", file.path.display()))
        })
    }
}
