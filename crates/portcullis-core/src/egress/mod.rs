//! May we go where a peer sends us?
//!
//! A server or an issuer names URLs that we are to fetch. What it names is read strictly ([`Target`]), every address
//! that the name has is held against the ranges that are nobody's business ([`class_of`]), and only what passed can be
//! connected to ([`Pinned`]). What the operator wrote is the operator's word and does not come here.

mod target;
mod address;
mod allow;
mod dns;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use address::{Class, class_of, embedded};
pub use allow::{Allowance, NotAllowance};
pub use dns::{NoAddresses, addresses, question};
pub use target::{Host, Target};

/// Why a peer's URL is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No absolute URL of the strict grammar, or too long.
    #[error("not an absolute URL")]
    Malformed,
    /// Neither `https`, nor `http` to this machine.
    #[error("the scheme is not https")]
    Scheme,
    /// It carries a user name or a password.
    #[error("a user name in the URL")]
    User,
    /// It carries a fragment.
    #[error("a fragment in the URL")]
    Fragment,
    /// Another port than 443, and the configuration does not allow the place.
    #[error("a port that is not allowed")]
    Port,
    /// The name has no address.
    #[error("the name has no address")]
    Nowhere,
    /// One of its addresses is special.
    #[error("a {} address", .0.name())]
    Address(Class),
}

impl Denied {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Scheme => "scheme",
            Self::User => "user",
            Self::Fragment => "fragment",
            Self::Port => "port",
            Self::Nowhere => "nowhere",
            Self::Address(_) => "address",
        }
    }

    /// The class of the address, where one was the reason.
    pub const fn class(self) -> Option<Class> {
        match self {
            Self::Address(class) => Some(class),
            Self::Malformed
            | Self::Scheme
            | Self::User
            | Self::Fragment
            | Self::Port
            | Self::Nowhere => None,
        }
    }
}

/// Addresses that were checked; a connection is made to one of these and to nothing that is looked up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    addresses: Vec<IpAddr>,
    port: u16,
}

impl Pinned {
    /// Never empty.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The port, written or not.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// Whether somebody's browser may be sent to this place: by name with `https`, else only where we would go ourselves.
///
/// Of names, `localhost` alone is loopback for every browser (RFC 6761 section 6.3).
///
/// # Errors
/// [`Denied`].
pub fn for_browsers(target: &Target, allow: &Allowance) -> Result<(), Denied> {
    match target.host() {
        Host::Address(address) => admit(target, &[*address], allow).map(drop),
        Host::Name(_) if target.is_https() => Ok(()),
        Host::Name(name) if name == "localhost" && allow.names(target) => Ok(()),
        Host::Name(_) => Err(Denied::Scheme),
    }
}

/// Holds all that the name of `target` was resolved to against the special ranges.
///
/// One special address among others refuses all of them. Whoever mixes them wants us to choose, and no public service
/// has reason to; picking the good ones would leave the choice to the order and to who answers first.
///
/// # Errors
/// [`Denied`]; never contains the URL.
pub fn admit(target: &Target, answers: &[IpAddr], allow: &Allowance) -> Result<Pinned, Denied> {
    let literal = match target.host() {
        Host::Address(address) => Some(*address),
        Host::Name(_) => None,
    };
    if answers.is_empty() || literal.is_some_and(|literal| answers != [literal]) {
        return Err(Denied::Nowhere);
    }
    let is_named = allow.names(target);
    for address in answers {
        let Some(class) = class_of(*address) else {
            continue;
        };
        let is_allowed = allow.holds(*address) || (is_named && class.is_internal());
        if !is_allowed {
            return Err(Denied::Address(class));
        }
    }
    let is_vouched = is_named || answers.iter().all(|address| allow.holds(*address));
    if target.port() != 443 && !is_vouched {
        return Err(Denied::Port);
    }
    // What stays on this machine has no way on which it could be read; it came this far only because it is allowed.
    if !target.is_https() && !answers.iter().all(IpAddr::is_loopback) {
        return Err(Denied::Scheme);
    }
    Ok(Pinned {
        addresses: answers.to_vec(),
        port: target.port(),
    })
}
