//! What must outlive the process, in one embedded database in the data directory.
//!
//! Nothing here is on the path of an exchange: the gateway reads what has changed and decides by what it holds in
//! memory. Other processes, such as the command line, write to the same database.
#![forbid(unsafe_code)]

mod durable;
mod revocations;
mod grants;
mod clients;
mod authority;
mod reviews;
mod catalog;
mod sealed;

pub use authority::{
    Consent, Family, Gone, MAX_CONSENTS, MAX_DEVICES, MAX_FAMILIES, MAX_REGISTERED, NewCode, Next,
    OwnerLink, OwnerPasskey, Polled, Presented, Registered, Taken, Voucher, Waiting, Whose,
};
pub use catalog::{
    Approved, Catalog, Decision, Forged, MAX_EVENTS, MAX_THINGS, Notary, Noticed, Outcome,
    Sighting, Standings, Undone as NotDecided,
};
pub use clients::{MAX_CLIENTS, RegisteredClient};
pub use durable::{Durable, Examined, Failed, NotOpened, examine};
pub use grants::{Grant, MAX_GRANTS};
pub use reviews::{
    Actor, Approval, Decided, Elevation, Event, HeldGrant, INVENTORY, Item, MAX_ITEMS, MAX_REVIEWS,
    NewElevation, NewReview, Person, Review, Standing, Undone, Verdict,
};
pub use revocations::{
    Change, Heard, KEPT, Kind, Lifted, MAX_HEARD, MAX_NAME_BYTES, MAX_REASON_BYTES,
    MAX_REVOCATIONS, MAX_SAYINGS, MAX_TOLD, MAX_USERS, News, Page, Provision, Revocation, SAID_FOR,
    Saying, Sought, Source, Told, Whom,
};
pub use sealed::{
    Ask, MAX_LABEL_BYTES, MAX_SECRET_BYTES, MAX_SLOT_BYTES, MAX_TENANTS, NotSealed, Rewrapped,
    Sealer, Slot, Token, WrappingKeys,
};
