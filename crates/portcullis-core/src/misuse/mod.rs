//! Is a token misused? Rules over what the gateway sees of tokens, each a count or a comparison in bounded memory.
//!
//! It is apart from the walk and refuses nothing. What nobody has verified is counted by network only: the names in it
//! may be a victim's.

mod block;
mod travel;
mod anomaly;

use crate::authenticate::{Confirmation, Identity};
use crate::hashed::Hashed;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anomaly::Anomalies;

pub use anomaly::Anomaly;
pub use block::{Block, NotBlock};
pub use travel::{NotPosition, Place, Position};

/// The most tokens, and the most counts, that are remembered; at one more, all are forgotten.
const MAX_HELD: usize = 16_384;
/// What one rule tells at most in one window.
pub const MAX_TOLD: u32 = 20;
/// How many invalid tokens of one issuer are a burst, for each of one network.
const NETWORKS_OF_ISSUER: u32 = 10;

/// A rule about misuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// One token (`jti`), from two networks.
    TokenNetworks,
    /// One `jti`, bound to two keys.
    TokenKeys,
    /// One network tries tokens at several servers for which they are not meant.
    AudienceProbing,
    /// Many invalid tokens from one network.
    InvalidBurst,
    /// Many invalid tokens that name one issuer.
    IssuerBurst,
    /// A token that is revoked.
    UsedAfterRevocation,
    /// A proof of possession that was used before.
    ProofReplay,
    /// More bytes of one principal than its quota has.
    Volume,
    /// One principal at two places, faster than anybody travels.
    ImpossibleTravel,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::TokenNetworks,
        Self::TokenKeys,
        Self::AudienceProbing,
        Self::InvalidBurst,
        Self::IssuerBurst,
        Self::UsedAfterRevocation,
        Self::ProofReplay,
        Self::Volume,
        Self::ImpossibleTravel,
    ];

    /// Its id.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenNetworks => "token_networks",
            Self::TokenKeys => "token_keys",
            Self::AudienceProbing => "audience_probing",
            Self::InvalidBurst => "invalid_burst",
            Self::IssuerBurst => "issuer_burst",
            Self::UsedAfterRevocation => "used_after_revocation",
            Self::ProofReplay => "proof_replay",
            Self::Volume => "volume",
            Self::ImpossibleTravel => "impossible_travel",
        }
    }

    /// What it may revoke. Only verified facts take access away; others could name a victim.
    pub const fn reach(self) -> Option<Reach> {
        match self {
            Self::TokenNetworks | Self::TokenKeys => Some(Reach::Token),
            Self::Volume | Self::ImpossibleTravel => Some(Reach::Subject),
            Self::AudienceProbing
            | Self::InvalidBurst
            | Self::IssuerBurst
            | Self::UsedAfterRevocation
            | Self::ProofReplay => None,
        }
    }
}

/// What a rule may revoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The token.
    Token,
    /// All tokens of the subject that were issued up to now.
    Subject,
}

/// What counts as misuse, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Within this time.
    pub window: Duration,
    /// Invalid tokens of one network.
    pub refusals: u32,
    /// Servers that one network tries with tokens that are not meant for them.
    pub audiences: u32,
    /// The bits of an IPv4 address that are its network.
    pub prefix_v4: u8,
    /// The bits of an IPv6 address that are its network.
    pub prefix_v6: u8,
    /// Networks behind which one token may come from anywhere.
    pub exempt: Vec<Block>,
    /// Where networks are; without any, nobody is held to travel.
    pub places: Vec<Place>,
    /// Kilometres an hour that nobody travels faster than.
    pub max_kmh: u32,
    /// Rules that revoke; each has a [`Rule::reach`].
    pub revoke: Vec<Rule>,
}

impl Limits {
    fn network(&self, peer: IpAddr) -> IpAddr {
        Block::of(peer, (self.prefix_v4, self.prefix_v6)).address()
    }

    fn is_exempt(&self, peer: IpAddr) -> bool {
        self.exempt.iter().any(|block| block.contains(peer))
    }
}

/// A request that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// Why.
    pub why: &'a Refusal,
    /// From where.
    pub peer: IpAddr,
    /// The server that was asked for.
    pub server: &'a str,
    /// The issuer that the token claimed.
    pub claimed: Option<&'a str>,
    /// Who is known to have sent it.
    pub caller: Option<&'a Identity>,
}

/// What was seen of late.
#[derive(Default)]
pub struct Misuse {
    hasher: RandomState,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    tokens: Hashed<Seen>,
    counts: Hashed<Count>,
    told: HashMap<Rule, Count>,
    travellers: HashMap<Arc<str>, travel::Seen>,
    anomalies: Anomalies,
}

/// Where a token was seen last. The two families are apart: one client may have both.
struct Seen {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
    key: Option<Confirmation>,
    until: Timestamp,
}

struct Count {
    seen: u32,
    /// The servers, where they count: no more than make it complete.
    servers: Vec<u64>,
    until: Timestamp,
}

impl fmt::Debug for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Misuse(..)")
    }
}

impl Misuse {
    /// A caller is known by a token. Cost: two hashes and a look at a table.
    pub fn known(
        &self,
        caller: &Identity,
        peer: IpAddr,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<Rule> {
        let id = caller.token_id.as_deref()?;
        let place = self.hasher.hash_one((0u8, &*caller.issuer, id));
        let network = (!limits.is_exempt(peer)).then(|| limits.network(peer));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now.plus(limits.window);
        let rule = held.seen(place, now).compare(network, caller.bound);
        held.keep(place, until);
        let rule = rule?;
        held.blame(self.whose(caller), rule, now);
        let told = |rule: Rule| self.hasher.hash_one((1u8, rule, place));
        let rule = held.once(rule, told, (now, until))?;
        held.admits(rule, (now, until)).then_some(rule)
    }

    /// A request was refused.
    pub fn refused(&self, refused: &Refused<'_>, limits: &Limits, now: Timestamp) -> Vec<Rule> {
        let times = (now, now.plus(limits.window));
        let network = limits.network(refused.peer);
        let place = |rule: Rule| self.hasher.hash_one((2u8, rule, network));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = refused.why.event().1;
        let complete = match reason {
            "revoked" => held.once(Rule::UsedAfterRevocation, place, times),
            "dpop_replay" => held.once(Rule::ProofReplay, place, times),
            "bytes" => refused.caller.and_then(|caller| {
                let place = |rule: Rule| self.hasher.hash_one((3u8, rule, &*caller.key));
                held.once(Rule::Volume, place, times)
            }),
            "audience" => {
                let server = self.hasher.hash_one(refused.server);
                let count = held.count(place(Rule::AudienceProbing), times);
                let is_complete = count.tries(server, limits.audiences);
                is_complete.then_some(Rule::AudienceProbing)
            }
            reason if is_invalid(reason) => {
                let count = held.count(place(Rule::InvalidBurst), times);
                let is_complete = count.reaches(limits.refusals);
                is_complete.then_some(Rule::InvalidBurst)
            }
            _ => None,
        };
        let claimed = refused.claimed.filter(|_| is_invalid(reason));
        let of_issuer = claimed.and_then(|issuer| {
            let most = limits.refusals.saturating_mul(NETWORKS_OF_ISSUER);
            let count = held.count(self.hasher.hash_one((4u8, issuer)), times);
            count.reaches(most).then_some(Rule::IssuerBurst)
        });
        self.note(&mut held, refused, (network, complete), times);
        let complete = complete.into_iter().chain(of_issuer);
        complete.filter(|rule| held.admits(*rule, times)).collect()
    }
}

/// A token that no issuer of ours has made so. One that is old or missing is ordinary.
fn is_invalid(reason: &str) -> bool {
    matches!(
        reason,
        "malformed"
            | "header"
            | "alg"
            | "typ"
            | "issuer"
            | "kid"
            | "signature"
            | "lifetime"
            | "subject"
            | "cnf"
            | "dpop_key"
            | "dpop_signature"
            | "dpop_ath"
            | "mtls_certificate"
    )
}

impl Held {
    fn seen(&mut self, place: u64, now: Timestamp) -> &mut Seen {
        if self.tokens.len() >= MAX_HELD && !self.tokens.contains_key(&place) {
            self.tokens.retain(|_, seen| seen.until > now);
            if self.tokens.len() >= MAX_HELD {
                self.tokens.clear();
            }
        }
        let fresh = || Seen {
            v4: None,
            v6: None,
            key: None,
            until: now,
        };
        let seen = self.tokens.entry(place).or_insert_with(fresh);
        if seen.until <= now {
            *seen = fresh();
        }
        seen
    }

    fn keep(&mut self, place: u64, until: Timestamp) {
        if let Some(seen) = self.tokens.get_mut(&place) {
            seen.until = until;
        }
    }

    fn count(&mut self, place: u64, (now, until): (Timestamp, Timestamp)) -> &mut Count {
        if self.counts.len() >= MAX_HELD && !self.counts.contains_key(&place) {
            self.counts.retain(|_, count| count.until > now);
            if self.counts.len() >= MAX_HELD {
                self.counts.clear();
            }
        }
        let count = self
            .counts
            .entry(place)
            .or_insert_with(|| Count::until(until));
        if count.until <= now {
            *count = Count::until(until);
        }
        count
    }

    /// The rule, the first time in a window.
    fn once(
        &mut self,
        rule: Rule,
        place: impl Fn(Rule) -> u64,
        times: (Timestamp, Timestamp),
    ) -> Option<Rule> {
        self.count(place(rule), times).reaches(1).then_some(rule)
    }

    /// Whether this is told: not too often for its rule.
    fn admits(&mut self, rule: Rule, (now, until): (Timestamp, Timestamp)) -> bool {
        let told = self.told.entry(rule).or_insert_with(|| Count::until(until));
        if told.until <= now {
            *told = Count::until(until);
        }
        told.seen = told.seen.saturating_add(1);
        told.seen <= MAX_TOLD
    }
}

impl Seen {
    fn compare(&mut self, network: Option<IpAddr>, key: Option<Confirmation>) -> Option<Rule> {
        let is_other_key = self.key.is_some() && key.is_some() && self.key != key;
        self.key = key.or(self.key);
        let place = match network {
            Some(IpAddr::V4(_)) => &mut self.v4,
            Some(IpAddr::V6(_)) => &mut self.v6,
            None => return is_other_key.then_some(Rule::TokenKeys),
        };
        let before = std::mem::replace(place, network);
        if is_other_key {
            return Some(Rule::TokenKeys);
        }
        (before.is_some() && before != network).then_some(Rule::TokenNetworks)
    }
}

impl Count {
    const fn until(until: Timestamp) -> Self {
        Self {
            seen: 0,
            servers: Vec::new(),
            until,
        }
    }

    /// Counts one more; whether that is the last that was missing.
    const fn reaches(&mut self, most: u32) -> bool {
        self.seen = self.seen.saturating_add(1);
        self.seen == most
    }

    /// Counts a server that was not counted yet.
    fn tries(&mut self, server: u64, most: u32) -> bool {
        if self.seen >= most || self.servers.contains(&server) {
            return false;
        }
        self.servers.push(server);
        self.reaches(most)
    }
}

#[cfg(test)]
mod tests;
