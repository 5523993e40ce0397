//! What issuers say of their subjects by themselves, of device, risk and assurance: it counts beside what tokens say, and
//! against those that were issued before.

use super::{ClaimKind, ClaimValue, DeclaredClaim, Identity, Issuer, MAX_SKEW, Trust};
use crate::authenticate::Unauthenticated;
use crate::time::Timestamp;
use std::collections::HashMap;

/// What is said something of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Whether the device is as it should be: `true` or `false`.
    DeviceCompliance,
    /// `low`, `medium` or `high`.
    RiskLevel,
    /// A level in the issuer's words.
    AssuranceLevel,
}

impl Topic {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Self); 3] = [
        ("device-compliance", Self::DeviceCompliance),
        ("risk-level", Self::RiskLevel),
        ("assurance-level", Self::AssuranceLevel),
    ];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceCompliance => "device-compliance",
            Self::RiskLevel => "risk-level",
            Self::AssuranceLevel => "assurance-level",
        }
    }

    /// The type of a claim for it.
    pub const fn kind(self) -> ClaimKind {
        match self {
            Self::DeviceCompliance => ClaimKind::Bool,
            Self::RiskLevel | Self::AssuranceLevel => ClaimKind::Text,
        }
    }

    fn value(self, text: &str) -> ClaimValue {
        match self {
            Self::DeviceCompliance => ClaimValue::Bool(text == "true"),
            Self::RiskLevel | Self::AssuranceLevel => ClaimValue::Text(text.to_owned()),
        }
    }
}

/// One thing that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Saying {
    topic: Topic,
    value: ClaimValue,
    since: Timestamp,
}

/// All that was said: by issuer and `sub`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Said(HashMap<String, HashMap<String, Vec<Saying>>>);

impl Said {
    /// An issuer says this of the subject that it calls so, since then.
    pub fn say(
        &mut self,
        (issuer, sub): (&str, &str),
        topic: Topic,
        (text, since): (&str, Timestamp),
    ) {
        let subjects = self.0.entry(issuer.to_owned()).or_default();
        let sayings = subjects.entry(sub.to_owned()).or_default();
        sayings.push(Saying {
            topic,
            value: topic.value(text),
            since,
        });
    }

    fn of(&self, issuer: &Issuer, identity: &Identity) -> Option<&[Saying]> {
        let subjects = self.0.get(&issuer.issuer)?;
        let sub = if issuer.claims.subject == "sub" {
            identity.subject.as_str()
        } else {
            let mut claims = identity.claims.iter();
            claims.find(|(name, _)| name == "sub")?.1.as_str()
        };
        subjects.get(sub).map(Vec::as_slice)
    }
}

impl Trust {
    /// Puts what was said in place of what an older token says.
    pub(super) fn hold_against(&self, issuer: &Issuer, mut identity: Identity) -> Identity {
        if issuer
            .claims
            .declared
            .iter()
            .all(|claim| claim.pushed.is_none())
        {
            return identity;
        }
        let own = std::mem::take(&mut identity.declared);
        identity.declared = self.declared(issuer, &identity, &own);
        identity.own_declared = Some(own);
        identity
    }

    /// Whether what is known of a caller is what was known when the token was verified. Cost for whose policies read
    /// nothing of the kind: one comparison.
    ///
    /// # Errors
    /// [`Unauthenticated::Changed`].
    pub fn check_said(&self, identity: &Identity) -> Result<(), Unauthenticated> {
        let Some(own) = &identity.own_declared else {
            return Ok(());
        };
        let issuer = self.issuers.get(&identity.issuer);
        let is_same =
            issuer.is_some_and(|issuer| self.declared(issuer, identity, own) == identity.declared);
        if is_same {
            Ok(())
        } else {
            Err(Unauthenticated::Changed)
        }
    }

    /// What the claims of a token are worth now.
    fn declared(
        &self,
        issuer: &Issuer,
        identity: &Identity,
        own: &[(String, ClaimValue)],
    ) -> Vec<(String, ClaimValue)> {
        let sayings = self.revoked.said.of(issuer, identity).unwrap_or_default();
        let skew = issuer.skew.min(MAX_SKEW);
        let worth = |claim: &DeclaredClaim| {
            let own = own.iter().find(|(name, _)| *name == claim.name);
            let said = sayings.iter().find(|one| Some(one.topic) == claim.pushed);
            let value = match (own, said) {
                // An issuer's clock may be ahead of ours: in doubt a token was issued before.
                (Some((_, own)), Some(said)) if identity.issued > said.since.plus(skew) => own,
                (_, Some(said)) => &said.value,
                (Some((_, own)), None) => own,
                (None, None) => return None,
            };
            Some((claim.name.clone(), value.clone()))
        };
        issuer.claims.declared.iter().filter_map(worth).collect()
    }
}
