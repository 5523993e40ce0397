//! Is it raised for them just now? What a privileged tool needs besides all rules: an elevation that somebody else has
//! approved, for this caller, this server and this tool, and for a while (TOK-16).

use super::{Forbidden, Gate};
use crate::authenticate::{Identity, key_of};
use crate::protocol::Target;
use crate::time::Timestamp;
use std::collections::HashMap;

/// Who has been raised to what, and until when.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Elevations(HashMap<(String, String, String), Timestamp>);

impl Elevations {
    /// Raises somebody, by who vouches for them and their `sub`, to a tool of a server.
    pub fn raise(
        &mut self,
        (issuer, subject): (&str, &str),
        (server, tool): (&str, &str),
        until: Timestamp,
    ) {
        let key = key_of(issuer, subject).to_string();
        let own = self.0.entry((key, server.to_owned(), tool.to_owned()));
        let end = own.or_default();
        *end = until.max(*end);
    }
}

/// Nobody approves what they have asked for themselves; one name at two issuers is taken for one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody approves their own elevation: a second person must")]
pub struct OwnRequest;

/// Whether somebody may decide about the elevation that this person has asked for.
///
/// # Errors
/// [`OwnRequest`].
pub fn may_approve(identity: &Identity, subject: &str) -> Result<(), OwnRequest> {
    if identity.subject == subject {
        return Err(OwnRequest);
    }
    Ok(())
}

impl Gate {
    /// Whether what is called needs an elevation.
    pub(crate) fn is_privileged(&self, target: &Target) -> bool {
        match target {
            Target::Tool(tool) => self.privileged.contains_key(&**tool),
            Target::Resource(_) | Target::Prompt(_) | Target::Task(_) | Target::Server => false,
        }
    }

    /// Whether what is called needs no elevation, or the caller has one.
    ///
    /// # Errors
    /// [`Forbidden::Elevation`].
    pub(crate) fn check_elevation(
        &self,
        elevations: &Elevations,
        caller: (&Identity, &Target),
        now: Timestamp,
    ) -> Result<(), Forbidden> {
        let (identity, Target::Tool(tool)) = caller else {
            return Ok(());
        };
        if !self.privileged.contains_key(&**tool) {
            return Ok(());
        }
        let server = self.resource.server.to_string();
        let key = (identity.key.to_string(), server, tool.to_string());
        match elevations.0.get(&key) {
            Some(until) if now < *until => Ok(()),
            Some(_) | None => Err(Forbidden::Elevation {
                rule: format!("elevation:{tool}"),
            }),
        }
    }
}
