//! How unusual is what a caller does? A score that rules can read: a sum of factors, each of which fades within an hour.
//!
//! It goes by what is verified. What a forged or foreign token claims counts for the network that it came from only, so
//! that nobody raises the score of somebody who is merely named.

use super::{Held, Limits, MAX_HELD, Misuse, Refused, Rule};
use crate::authenticate::Identity;
use crate::authorize::Forbidden;
use crate::hashed::Hashed;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

/// The most that a score can be.
const MOST: u8 = 100;
/// How long a factor takes to fade.
const FADES: Duration = Duration::from_hours(1);
/// Refusals by rules within a window that are a factor.
const DENIALS: u32 = 10;
/// Networks that are remembered of a caller.
const MAX_NETWORKS: usize = 8;
/// Days on which somebody must have been seen before an hour can be unusual.
const DAYS: u16 = 7;
const HOURS_OF_DAY: u64 = 24;
const SECONDS_OF_HOUR: u64 = 3600;

/// Something unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    TokenKeys,
    ImpossibleTravel,
    TokenNetworks,
    Denials,
    Volume,
    SuspectNetwork,
    NewNetwork,
    UnusualHour,
}

/// How many factors there are.
const FACTORS: usize = 8;

impl Factor {
    const ALL: [Self; FACTORS] = [
        Self::TokenKeys,
        Self::ImpossibleTravel,
        Self::TokenNetworks,
        Self::Denials,
        Self::Volume,
        Self::SuspectNetwork,
        Self::NewNetwork,
        Self::UnusualHour,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::TokenKeys => "token_keys",
            Self::ImpossibleTravel => "impossible_travel",
            Self::TokenNetworks => "token_networks",
            Self::Denials => "denials",
            Self::Volume => "volume",
            Self::SuspectNetwork => "suspect_network",
            Self::NewNetwork => "new_network",
            Self::UnusualHour => "unusual_hour",
        }
    }

    const fn weight(self) -> u8 {
        match self {
            Self::TokenKeys => 70,
            Self::ImpossibleTravel => 60,
            Self::TokenNetworks => 40,
            Self::Denials | Self::Volume => 25,
            Self::SuspectNetwork => 20,
            Self::NewNetwork | Self::UnusualHour => 15,
        }
    }

    /// What a rule that has found a known caller adds.
    const fn of(rule: Rule) -> Option<Self> {
        match rule {
            Rule::TokenNetworks => Some(Self::TokenNetworks),
            Rule::TokenKeys => Some(Self::TokenKeys),
            Rule::ImpossibleTravel => Some(Self::ImpossibleTravel),
            Rule::Volume => Some(Self::Volume),
            Rule::AudienceProbing
            | Rule::InvalidBurst
            | Rule::IssuerBurst
            | Rule::UsedAfterRevocation
            | Rule::ProofReplay => None,
        }
    }
}

/// The score of a caller at one moment, from 0 to 100, and of what it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    score: u8,
    points: [u8; FACTORS],
}

impl Anomaly {
    /// Nothing unusual.
    pub const CALM: Self = Self {
        score: 0,
        points: [0; FACTORS],
    };

    /// A score of which nothing else is known.
    pub fn assumed(score: u8) -> Self {
        Self {
            score: score.min(MOST),
            ..Self::CALM
        }
    }

    fn made_of(points: [u8; FACTORS]) -> Self {
        let sum = points
            .iter()
            .fold(0_u8, |sum, more| sum.saturating_add(*more));
        Self {
            score: sum.min(MOST),
            points,
        }
    }

    /// From 0, as usual, to 100.
    pub const fn score(self) -> u8 {
        self.score
    }

    /// Its factors with their points, the heaviest kind first.
    pub fn made_up(self) -> String {
        let parts = Factor::ALL.into_iter().zip(self.points);
        let parts = parts.filter(|(_, points)| *points > 0);
        let parts: Vec<String> = parts
            .map(|(factor, points)| format!("{} {points}", factor.name()))
            .collect();
        parts.join("; ")
    }
}

/// What is remembered for scores.
#[derive(Default)]
pub(super) struct Anomalies {
    callers: Hashed<Habits>,
    /// Networks of which bursts of bad tokens came, with when.
    suspects: HashMap<IpAddr, Timestamp>,
}

/// What somebody does.
struct Habits {
    seen: Timestamp,
    since: [Option<Timestamp>; FACTORS],
    networks: Vec<IpAddr>,
    /// The hours of the day in which they were seen, a bit each: on days before, and today.
    hours: u32,
    today: u32,
    day: u64,
    days: u16,
}

impl Habits {
    const fn of(now: Timestamp) -> Self {
        Self {
            seen: now,
            since: [None; FACTORS],
            networks: Vec::new(),
            hours: 0,
            today: 0,
            day: 0,
            days: 0,
        }
    }

    fn add(&mut self, factor: Factor, now: Timestamp) {
        if let Some(since) = self.since.get_mut(factor as usize) {
            *since = Some(now);
        }
    }

    /// Whether they were never there before, but elsewhere. The two families are apart: one client may have both.
    fn comes_from(&mut self, network: IpAddr) -> bool {
        let is_like = |other: &&IpAddr| other.is_ipv4() == network.is_ipv4();
        let is_new =
            self.networks.iter().any(|other| is_like(&other)) && !self.networks.contains(&network);
        self.networks.retain(|other| *other != network);
        if self.networks.len() >= MAX_NETWORKS {
            self.networks.remove(0);
        }
        self.networks.push(network);
        is_new
    }

    /// Whether nothing was ever seen of them near this hour, on any day before.
    fn comes_at(&mut self, now: Timestamp) -> bool {
        let hours = now.seconds() / SECONDS_OF_HOUR;
        let (day, hour) = (hours / HOURS_OF_DAY, hours % HOURS_OF_DAY);
        if day != self.day {
            self.hours |= self.today;
            self.today = 0;
            self.day = day;
            self.days = self.days.saturating_add(1);
        }
        let bit = |hour: u64| 1_u32 << (hour % HOURS_OF_DAY);
        self.today |= bit(hour);
        let near = bit(hour) | bit(hour + 1) | bit(hour + HOURS_OF_DAY - 1);
        self.days > DAYS && self.hours & near == 0
    }

    fn points(&self, now: Timestamp) -> [u8; FACTORS] {
        let mut points = [0; FACTORS];
        for ((points, since), factor) in points.iter_mut().zip(self.since).zip(Factor::ALL) {
            let Some(since) = since else { continue };
            let left = FADES.saturating_sub(now.since(since)).as_secs();
            let left = (u64::from(factor.weight()) * left).div_ceil(FADES.as_secs());
            *points = u8::try_from(left).unwrap_or(MOST);
        }
        points
    }
}

impl Anomalies {
    fn habits(&mut self, caller: u64, now: Timestamp) -> &mut Habits {
        if self.callers.len() >= MAX_HELD && !self.callers.contains_key(&caller) {
            self.forget_half();
        }
        let habits = self.callers.entry(caller);
        let habits = habits.or_insert_with(|| Habits::of(now));
        habits.seen = now;
        habits
    }

    /// Those who were not here for longest.
    fn forget_half(&mut self) {
        let mut times: Vec<Timestamp> = self.callers.values().map(|habits| habits.seen).collect();
        let (_, middle, _) = times.select_nth_unstable(MAX_HELD / 2);
        let middle = *middle;
        self.callers.retain(|_, habits| habits.seen > middle);
    }

    #[cfg(test)]
    pub(super) fn callers(&self) -> usize {
        self.callers.len()
    }

    pub(super) fn add(&mut self, caller: u64, factor: Factor, now: Timestamp) {
        self.habits(caller, now).add(factor, now);
    }

    pub(super) fn suspect(&mut self, network: IpAddr, now: Timestamp) {
        if self.suspects.len() >= MAX_HELD {
            self.suspects.retain(|_, since| now.since(*since) < FADES);
            if self.suspects.len() >= MAX_HELD {
                self.suspects.clear();
            }
        }
        self.suspects.insert(network, now);
    }
}

impl Misuse {
    /// The score of a caller who is known, and is here now. What is seen for the first time is not unusual.
    pub fn score(
        &self,
        caller: &Identity,
        peer: IpAddr,
        limits: &Limits,
        now: Timestamp,
    ) -> Anomaly {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &mut held.anomalies;
        let network = (!limits.is_exempt(peer)).then(|| limits.network(peer));
        let since = network.and_then(|network| held.suspects.get(&network));
        let is_suspect = since.is_some_and(|since| now.since(*since) < FADES);
        let habits = held.habits(self.whose(caller), now);
        if is_suspect {
            habits.add(Factor::SuspectNetwork, now);
        }
        if network.is_some_and(|network| habits.comes_from(network)) {
            habits.add(Factor::NewNetwork, now);
        }
        if habits.comes_at(now) {
            habits.add(Factor::UnusualHour, now);
        }
        Anomaly::made_of(habits.points(now))
    }

    /// Who somebody is, whichever clients and keys they use.
    pub(super) fn whose(&self, caller: &Identity) -> u64 {
        let who = (6_u8, caller.vouched_by(), &*caller.subject);
        self.hasher.hash_one(who)
    }

    /// The score as it was left, of a caller whose conversation goes on.
    pub fn score_now(&self, caller: &Identity, now: Timestamp) -> Anomaly {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let habits = held.anomalies.callers.get(&self.whose(caller));
        habits.map_or(Anomaly::CALM, |habits| Anomaly::made_of(habits.points(now)))
    }
}

impl Misuse {
    /// What a refusal adds to scores: of a caller who is known, or of a network.
    pub(super) fn note(
        &self,
        held: &mut Held,
        refused: &Refused<'_>,
        (network, complete): (IpAddr, Option<Rule>),
        times: (Timestamp, Timestamp),
    ) {
        if let Some(Rule::AudienceProbing | Rule::InvalidBurst) = complete {
            held.anomalies.suspect(network, times.0);
        }
        let Some(caller) = refused.caller.map(|caller| self.whose(caller)) else {
            return;
        };
        if let Some(rule) = complete {
            held.blame(caller, rule, times.0);
        }
        if is_denial(refused.why) {
            let count = held.count(self.hasher.hash_one((7u8, caller)), times);
            count.seen = count.seen.saturating_add(1);
            if count.seen >= DENIALS {
                held.anomalies.add(caller, Factor::Denials, times.0);
            }
        }
    }
}

impl Held {
    /// What a rule has found of a known caller adds to their score.
    pub(super) fn blame(&mut self, caller: u64, rule: Rule, now: Timestamp) {
        if let Some(factor) = Factor::of(rule) {
            self.anomalies.add(caller, factor, now);
        }
    }
}

/// Whether a refusal is one that somebody gets who tries what they may not: not one that tells what is missing.
const fn is_denial(why: &Refusal) -> bool {
    matches!(
        why,
        Refusal::Forbidden(
            Forbidden::Tenant { .. }
                | Forbidden::NoRule
                | Forbidden::Beyond { .. }
                | Forbidden::Rule { .. }
        )
    )
}
