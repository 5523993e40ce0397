//! Blocks of addresses, as they are written: `192.0.2.0/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    address: IpAddr,
    bits: u8,
}

/// Not a block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address, and not an address and a length such as 192.0.2.0/24")]
pub struct NotBlock;

impl Block {
    /// The block of so many bits (IPv4, IPv6) around an address.
    pub fn of(address: IpAddr, (v4, v6): (u8, u8)) -> Self {
        match address.to_canonical() {
            IpAddr::V4(own) => Self::v4(own, v4.min(32)),
            IpAddr::V6(own) => Self::v6(own, v6.min(128)),
        }
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    pub(super) const fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether an address is one of it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let other = Self::of(address, (self.bits, self.bits));
        other.address == self.address && other.bits == self.bits
    }

    fn v4(address: Ipv4Addr, bits: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let address = Ipv4Addr::from_bits(address.to_bits() & mask).into();
        Self { address, bits }
    }

    fn v6(address: Ipv6Addr, bits: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        let address = Ipv6Addr::from_bits(address.to_bits() & mask).into();
        Self { address, bits }
    }
}

impl FromStr for Block {
    type Err = NotBlock;

    fn from_str(text: &str) -> Result<Self, NotBlock> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NotBlock)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotBlock)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(NotBlock);
        }
        Ok(Self::of(address, (bits, bits)))
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
