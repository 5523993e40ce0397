//! What the gateway's own authorization server keeps: what it has given, and to whom.
//!
//! Codes and tokens are here as digests only: whoever reads the database can show none.

mod consents;
mod clients;
mod families;
mod devices;
mod ending;
mod owner;
#[cfg(test)]
mod tests;

pub use clients::{MAX_REGISTERED, Registered};
pub use consents::{Consent, MAX_CONSENTS};
pub use devices::{MAX_DEVICES, Polled, Waiting};
pub use ending::{Gone, Whose};
pub(crate) use families::prune;
pub use families::{Family, MAX_FAMILIES, NewCode, Next, Presented, Taken, Voucher};
pub use owner::{OwnerLink, OwnerPasskey};
