//! Is this the owner of the machine? A link from the terminal says so once, a passkey from then on; nothing that has to
//! be remembered does.

mod authenticator;
mod link;
mod passkey;
mod public_key;

pub use link::{LINK_LIFETIME, Link, Unopened};
pub use passkey::{Asked, MAX_PASSKEYS, Passkey, Place, Purpose, Unproved};

#[cfg(test)]
mod tests;
