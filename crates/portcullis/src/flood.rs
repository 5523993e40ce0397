//! What strangers do too much of: it is counted and told in sums, so that a flood does not fill the disk.
//!
//! Who is authenticated has a quota, and each exchange of theirs a record. A stranger has neither. Of each network
//! and reason so many are recorded as everything is; what goes beyond is counted, by network, reason, and what tokens
//! claimed of themselves, and a sum is recorded every [`SUM_EVERY`]. What is rare among a flood of something else is
//! therefore still recorded by itself, and what is hidden among its like is still in the sum.

use portcullis_audit::{Record, time_text};
use portcullis_core::authenticate::Claimed;
use portcullis_core::time::Timestamp;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often there is a record of what was counted.
pub(crate) const SUM_EVERY: Duration = Duration::from_secs(10);

/// What one network may have recorded for one reason.
const OF_NETWORK: Pace = Pace {
    burst: 100,
    every: Duration::from_secs(6),
};
/// What all networks together may have recorded for one reason.
const OF_REASON: Pace = Pace {
    burst: 500,
    every: Duration::from_secs(1),
};
/// The most networks and reasons whose pace is kept; what would need one more is counted.
const MAX_PACES: usize = 4096;
/// The most networks that have a sum of their own; the rest share one.
const MAX_NETWORKS: usize = 64;
/// Where a sum names issuers and key ids that tokens claimed; one more is only counted.
const CLAIMS: [&str; 8] = [
    "claim_1", "claim_2", "claim_3", "claim_4", "claim_5", "claim_6", "claim_7", "claim_8",
];

/// So many at once, and one more after each of these spans.
struct Pace {
    burst: u32,
    every: Duration,
}

/// Event and reason, words of ours.
type Why = (&'static str, &'static str);

/// What a stranger did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    /// Where it came from.
    pub(crate) peer: SocketAddr,
    /// The event that would be recorded.
    pub(crate) event: &'static str,
    /// And its reason; empty if it has none.
    pub(crate) reason: &'static str,
    /// What the token said of itself.
    pub(crate) claimed: Option<&'a Claimed>,
}

/// What strangers did of late. Its memory is bounded.
#[derive(Debug, Default)]
pub(crate) struct Floods(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// When each pace is whole again (GCRA's theoretical arrival time).
    networks: BTreeMap<(IpAddr, Why), Timestamp>,
    reasons: BTreeMap<Why, Timestamp>,
    /// What was counted and not told yet; under none, that of further networks.
    sums: BTreeMap<Option<IpAddr>, Sum>,
}

#[derive(Debug)]
struct Sum {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// The last of them.
    peer: SocketAddr,
    whys: BTreeMap<Why, u64>,
    claims: BTreeMap<Claimed, u64>,
    /// How many had a claim that is not in `claims`.
    further_claims: u64,
}

impl Floods {
    /// Whether this is to be recorded by itself; if not, it has been counted.
    pub(crate) fn admits(&self, deed: &Deed<'_>, now: Timestamp) -> bool {
        let mut held = self.held();
        let is_admitted = held.take(network(deed.peer.ip()), (deed.event, deed.reason), now);
        if !is_admitted {
            held.count(deed, now);
        }
        is_admitted
    }

    /// Whether nothing was counted that was not told.
    pub(crate) fn is_empty(&self) -> bool {
        self.held().sums.is_empty()
    }

    /// The sum of one network, which begins anew.
    pub(crate) fn take(&self) -> Option<Record> {
        let (network, sum) = self.held().sums.pop_first()?;
        Some(sum.record(network))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Takes one of both paces, or of none.
    fn take(&mut self, network: IpAddr, why: Why, now: Timestamp) -> bool {
        let key = (network, why);
        if self.networks.len() >= MAX_PACES && !self.networks.contains_key(&key) {
            self.networks.retain(|_, whole| *whole > now);
            if self.networks.len() >= MAX_PACES {
                return false;
            }
        }
        let of_network = OF_NETWORK.after(self.networks.get(&key), now);
        let of_reason = OF_REASON.after(self.reasons.get(&why), now);
        let (Some(of_network), Some(of_reason)) = (of_network, of_reason) else {
            return false;
        };
        self.networks.insert(key, of_network);
        self.reasons.insert(why, of_reason);
        true
    }

    fn count(&mut self, deed: &Deed<'_>, now: Timestamp) {
        let network = Some(network(deed.peer.ip()));
        let is_known = self.sums.contains_key(&network) || self.sums.len() < MAX_NETWORKS;
        let sum = self.sums.entry(network.filter(|_| is_known));
        let sum = sum.or_insert_with(|| Sum {
            count: 0,
            first: now,
            last: now,
            peer: deed.peer,
            whys: BTreeMap::new(),
            claims: BTreeMap::new(),
            further_claims: 0,
        });
        sum.count += 1;
        (sum.last, sum.peer) = (now, deed.peer);
        *sum.whys.entry((deed.event, deed.reason)).or_default() += 1;
        let Some(claimed) = deed.claimed else { return };
        if let Some(count) = sum.claims.get_mut(claimed) {
            *count += 1;
        } else if sum.claims.len() < CLAIMS.len() {
            sum.claims.insert(claimed.clone(), 1);
        } else {
            sum.further_claims += 1;
        }
    }
}

impl Pace {
    /// When the pace is whole again after one more; none if that is too much.
    fn after(&self, whole: Option<&Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let next = whole.copied().unwrap_or(now).max(now).plus(self.every);
        (next.since(now) <= self.every * self.burst).then_some(next)
    }
}

impl Sum {
    fn record(&self, network: Option<IpAddr>) -> Record {
        let mut record = Record::new("flood.summarised");
        record.peer = Some(self.peer);
        let detail = &mut record.detail;
        detail.set("network", name(network));
        detail.set("count", self.count.to_string());
        detail.set("first", time_text(self.first.micros()));
        detail.set("last", time_text(self.last.micros()));
        let whys = self.whys.iter().map(|((event, reason), count)| {
            let mark = if reason.is_empty() { "" } else { "/" };
            format!("{event}{mark}{reason} {count}")
        });
        detail.set("reasons", whys.collect::<Vec<_>>().join(", "));
        for (place, (claimed, count)) in CLAIMS.into_iter().zip(&self.claims) {
            detail.set(place, format!("{claimed} {count}"));
        }
        if self.further_claims > 0 {
            detail.set("further_claims", self.further_claims.to_string());
        }
        record
    }
}

/// What one party is likely to have to itself: a /24, or a /64 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

fn name(network: Option<IpAddr>) -> String {
    match network {
        Some(network @ IpAddr::V4(_)) => format!("{network}/24"),
        Some(network @ IpAddr::V6(_)) => format!("{network}/64"),
        None => "further".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn deed(peer: &str, reason: &'static str) -> Deed<'static> {
        Deed {
            peer: SocketAddr::new(peer.parse().unwrap(), 1),
            event: "authn.reject",
            reason,
            claimed: None,
        }
    }

    fn admitted(floods: &Floods, deed: &Deed<'_>, tries: u32, now: Timestamp) -> usize {
        (0..tries).filter(|_| floods.admits(deed, now)).count()
    }

    fn sums(floods: &Floods) -> Vec<Record> {
        std::iter::from_fn(|| floods.take()).collect()
    }

    #[test]
    fn tok_01_a_flood_is_recorded_at_a_pace_and_counted_beyond() {
        let floods = Floods::default();
        let flood = deed("203.0.113.7", "signature");
        assert_eq!(admitted(&floods, &flood, 1000, NOW), 100);
        // Its neighbour floods too; another network and another reason have their own.
        assert_eq!(
            admitted(&floods, &deed("203.0.113.8", "signature"), 5, NOW),
            0
        );
        assert_eq!(
            admitted(&floods, &deed("203.0.114.7", "signature"), 5, NOW),
            5
        );
        assert_eq!(
            admitted(&floods, &deed("203.0.113.7", "audience"), 5, NOW),
            5
        );
        let later = NOW.plus(Duration::from_secs(12));
        assert_eq!(admitted(&floods, &flood, 10, later), 2);
        let told = sums(&floods);
        assert_eq!(told.len(), 1);
        let detail = |name: &str| told[0].detail.get(name).unwrap();
        assert_eq!(detail("network"), "203.0.113.0/24");
        assert_eq!(
            (detail("count"), detail("reasons")),
            ("913", "authn.reject/signature 913")
        );
        assert_eq!(detail("first"), "1970-01-12T13:46:40.000000Z");
        assert_eq!(detail("last"), "1970-01-12T13:46:52.000000Z");
        assert!(floods.is_empty());
    }

    #[test]
    fn tok_01_many_networks_share_one_pace_and_one_sum() {
        let floods = Floods::default();
        let mut recorded = 0;
        for network in 0..=u16::MAX {
            let peer = format!("2001:db8:0:{network:x}::1");
            recorded += admitted(&floods, &deed(&peer, "missing"), 1, NOW);
        }
        assert_eq!(recorded, 500);
        let told = sums(&floods);
        assert_eq!(told.len(), MAX_NETWORKS + 1);
        assert_eq!(told[0].detail.get("network"), Some("further"));
        let count = |record: &Record| {
            record
                .detail
                .get("count")
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        assert_eq!(told.iter().map(count).sum::<usize>() + recorded, 65_536);
        assert!(floods.held().networks.len() <= MAX_PACES);
    }

    #[test]
    fn tok_01_the_table_of_paces_is_bounded_and_emptied() {
        let floods = Floods::default();
        let reasons = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let mut recorded = 0;
        for network in 0..MAX_PACES + 100 {
            let peer = format!("10.{}.{}.1", network / 256, network % 256);
            recorded += admitted(&floods, &deed(&peer, reasons[network % 10]), 1, NOW);
        }
        assert_eq!(recorded, MAX_PACES);
        assert_eq!(floods.held().networks.len(), MAX_PACES);
        let later = NOW.plus(Duration::from_hours(1));
        assert_eq!(admitted(&floods, &deed("12.0.0.1", "k"), 1, later), 1);
        assert_eq!(floods.held().networks.len(), 1);
    }

    #[test]
    fn tok_01_what_tokens_claim_is_told_up_to_a_bound() {
        let floods = Floods::default();
        let flood = deed("::ffff:192.0.2.1", "issuer");
        admitted(&floods, &flood, 100, NOW);
        for number in 0..20 {
            let claimed = Claimed {
                issuer: Some("https://evil.example".to_owned()),
                key: Some(format!("{:02}", number % 10)),
            };
            let deed = Deed {
                claimed: Some(&claimed),
                ..flood
            };
            assert!(!floods.admits(&deed, NOW));
        }
        let told = sums(&floods);
        let detail = |name: &str| told[0].detail.get(name);
        assert_eq!(detail("network"), Some("192.0.2.0/24"));
        assert_eq!(detail("claim_1"), Some("https://evil.example 00 2"));
        assert_eq!(detail("claim_8"), Some("https://evil.example 07 2"));
        assert_eq!(detail("further_claims"), Some("4"));
    }
}
