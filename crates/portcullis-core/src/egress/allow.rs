//! Places inside that the configuration opens: names, and ranges of addresses.

use super::address::embedded;
use super::target::{Host, Target, host, port};
use std::net::IpAddr;

/// Where a peer may send us besides the Internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    names: Vec<(String, Option<u16>)>,
    networks: Vec<(IpAddr, u32)>,
}

/// An entry that is neither a name nor a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a host name, nor an address, nor a range of addresses")]
pub struct NotAllowance;

impl Allowance {
    /// Adds `name`, `name:port`, `10.1.2.3`, `10.0.0.0/8`, `::1` or `fd00::/8`.
    ///
    /// # Errors
    /// [`NotAllowance`], also for a range whose address has bits beyond its prefix.
    pub fn add(&mut self, entry: &str) -> Result<(), NotAllowance> {
        if let Some((address, length)) = entry.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| NotAllowance)?;
            let is_plain = length == "0" || !length.starts_with('0');
            let is_plain = is_plain && length.bytes().all(|byte| byte.is_ascii_digit());
            let length: u32 = length.parse().map_err(|_| NotAllowance)?;
            if !is_plain || length > width(address) || beyond(address, length) {
                return Err(NotAllowance);
            }
            self.networks.push((address, length));
            return Ok(());
        }
        if let Ok(address) = entry.parse::<IpAddr>() {
            self.networks.push((address, width(address)));
            return Ok(());
        }
        let (name, written) = match entry.rsplit_once(':') {
            Some((name, written)) => (name, Some(port(written).ok_or(NotAllowance)?)),
            None => (entry, None),
        };
        let name = name.to_ascii_lowercase();
        match host(&name) {
            Some(Host::Name(name)) => self.names.push((name, written)),
            Some(Host::Address(_)) | None => return Err(NotAllowance),
        }
        Ok(())
    }

    /// Whether nothing inside is open.
    pub const fn is_empty(&self) -> bool {
        self.names.is_empty() && self.networks.is_empty()
    }

    /// Whether the name of this target is allowed, on its port.
    pub(super) fn names(&self, target: &Target) -> bool {
        let Host::Name(name) = target.host() else {
            return false;
        };
        let fits = |(own, port): &(String, Option<u16>)| {
            own == name && port.is_none_or(|port| port == target.port())
        };
        self.names.iter().any(fits)
    }

    /// Whether an address is in an allowed range. One that leads to another is so only if that one passes too.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let fits = |(first, length): &(IpAddr, u32)| match (first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= *length
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (first.to_bits() ^ address.to_bits()).leading_zeros() >= *length
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        };
        if !self.networks.iter().any(fits) {
            return false;
        }
        let IpAddr::V6(address) = address else {
            return true;
        };
        if address.is_loopback() || address.is_unspecified() {
            return true;
        }
        embedded(address).is_none_or(|inner| {
            let inner = IpAddr::V4(inner);
            super::class_of(inner).is_none() || self.holds(inner)
        })
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Whether an address has bits that its prefix does not cover.
fn beyond(address: IpAddr, length: u32) -> bool {
    let zeros = match address {
        IpAddr::V4(address) => address.to_bits().trailing_zeros(),
        IpAddr::V6(address) => address.to_bits().trailing_zeros(),
    };
    length + zeros < width(address)
}
