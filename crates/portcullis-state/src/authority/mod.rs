//! What the gateway's own authorization server keeps.

mod consents;

pub use consents::{Consent, MAX_CONSENTS};
