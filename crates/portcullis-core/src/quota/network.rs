//! How much one network may ask for before anybody is known.

use super::{Exhausted, Quota, Rate};
use crate::time::Timestamp;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};

/// What networks have used up so far; apart from what callers have, so that neither takes the other's room.
#[derive(Debug, Default)]
pub struct Networks(Quota);

impl Networks {
    /// Takes what one question costs.
    ///
    /// # Errors
    /// [`Exhausted`], with the time after which it would pass.
    pub fn take(&self, peer: IpAddr, rate: Rate, now: Timestamp) -> Result<(), Exhausted> {
        let bucket = self.0.hasher.hash_one(network(peer));
        self.0.held().charge(&[(bucket, rate, 1, "network")], now)
    }
}

/// An IPv4 address, or the 64 bits of an IPv6 address that its owner did not choose.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_05_a_network_has_one_rate_of_its_own() {
        let networks = Networks::default();
        let rate = Rate {
            per_minute: 60,
            burst: 2,
        };
        let now = Timestamp::from_seconds(1_800_000_000);
        let take = |peer: &str| networks.take(peer.parse().unwrap(), rate, now);
        for peer in [
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "2001:db8::1",
            "2001:db8::2",
        ] {
            assert_eq!(take(peer), Ok(()), "{peer}");
        }
        for peer in ["192.0.2.1", "2001:db8::ffff"] {
            assert_eq!(take(peer).unwrap_err().which, "network", "{peer}");
        }
        assert_eq!(take("2001:db8:0:1::1"), Ok(()));
        assert_eq!(take("192.0.2.2"), Ok(()));
    }
}
