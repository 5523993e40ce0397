//! What our keys are for.

use crate::config::Pkcs11;

/// What a key of ours signs. Each signs nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Tokens of the embedded issuer.
    Issuer,
    /// What servers are told of their callers.
    Assertion,
    /// What authorization servers are told of the gateway.
    Client,
    /// Checkpoints of the audit log.
    Audit,
    /// What is approved of what servers define.
    Catalog,
}

impl Purpose {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Issuer,
        Self::Assertion,
        Self::Client,
        Self::Audit,
        Self::Catalog,
    ];

    /// What it is called.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Assertion => "assertion",
            Self::Client => "client",
            Self::Audit => "audit",
            Self::Catalog => "catalog",
        }
    }

    /// The label of the key in the token, if it is there.
    pub(crate) fn label(self, place: &Pkcs11) -> Option<&str> {
        match self {
            Self::Issuer => place.issuer.as_deref(),
            Self::Assertion => place.assertion.as_deref(),
            Self::Client => place.client.as_deref(),
            Self::Audit => place.audit.as_deref(),
            Self::Catalog => place.catalog.as_deref(),
        }
    }
}
