//! Where a server was seen, as the history of what it defines tells.

use super::Upstream;
use portcullis_core::catalog::Provenance;

impl Upstream {
    /// Its era, as far as it is known, its transport and its address.
    pub(crate) fn provenance(&self) -> Provenance {
        let (transport, origin) = self.direct.place();
        let era = match (self.stateless.spoken(), self.sessions.spoken()) {
            (Some(true), Some(true)) => "both",
            (Some(true), _) => "stateless",
            (_, Some(true)) => "sessions",
            _ => "unknown",
        };
        Provenance {
            era: era.to_owned(),
            transport: transport.to_owned(),
            origin,
        }
    }
}
