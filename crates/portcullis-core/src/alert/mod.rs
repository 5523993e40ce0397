//! Which records are alerts, how grave each is, and how often the same is told.
//!
//! It decides by records and their times alone, so whoever reads the log again comes to the same.

mod known;

use crate::time::Timestamp;
pub use known::{KNOWN, is_event};
use std::collections::HashMap;
use std::time::Duration;

/// The most subjects that are held apart; at one more, those whose time is over are forgotten, then all.
const MAX_HELD: usize = 4_096;
/// The time within which alerts are counted.
const MINUTE: Duration = Duration::from_mins(1);

/// How grave it is, as OCSF has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `2`
    Low,
    /// `3`
    Medium,
    /// `4`
    High,
    /// `5`
    Critical,
}

impl Severity {
    /// `severity` and `severity_id` of OCSF.
    pub const fn ocsf(self) -> (&'static str, u8) {
        match self {
            Self::Low => ("Low", 2),
            Self::Medium => ("Medium", 3),
            Self::High => ("High", 4),
            Self::Critical => ("Critical", 5),
        }
    }
}

/// What a record says that counts here.
#[derive(Debug, Clone, Copy)]
pub struct Occurrence<'a> {
    /// The event.
    pub event: &'a str,
    /// Its reason.
    pub reason: Option<&'a str>,
    /// By whom, of what was revoked.
    pub by: Option<&'a str>,
    /// A hash of whom and what it concerns: the same again is the same.
    pub about: u64,
    /// When.
    pub time: Timestamp,
}

/// What one destination is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Of what is known to be an alert, this grave or graver.
    pub least: Severity,
    /// Further events, `event` or `event/reason`.
    pub events: Vec<String>,
    /// How many in a minute.
    pub per_minute: u32,
    /// For so long the same is not told again.
    pub repeat_after: Duration,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its id, such as `token_networks` or `key.unavailable`.
    pub rule: String,
    /// In a few words.
    pub title: &'static str,
    /// How grave.
    pub severity: Severity,
    /// How often it has happened since it was told last, this time included.
    pub count: u32,
}

/// What has become of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is none.
    Usual,
    /// It is one.
    Alert(Alert),
    /// The same was told a moment ago; it is counted in the next.
    Repeated,
    /// More than are wanted in a minute.
    TooMany,
}

/// What was told of late to one destination.
#[derive(Debug, Default)]
pub struct Told {
    held: HashMap<u64, Held>,
    minute: Option<(Timestamp, u32)>,
}

#[derive(Debug)]
struct Held {
    until: Timestamp,
    missed: u32,
}

impl Told {
    /// Judges what has happened; to be asked in the order of the log.
    pub fn judge(&mut self, seen: &Occurrence<'_>, wanted: &Wanted) -> Verdict {
        let Some((rule, title, severity)) = rule_of(seen, wanted) else {
            return Verdict::Usual;
        };
        self.make_room(seen);
        if let Some(held) = self.held.get_mut(&seen.about)
            && seen.time < held.until
        {
            held.missed = held.missed.saturating_add(1);
            return Verdict::Repeated;
        }
        if !self.admits(seen.time, wanted.per_minute) {
            return if is_about_alerts(seen.event) {
                Verdict::Repeated
            } else {
                Verdict::TooMany
            };
        }
        let held = Held {
            until: seen.time.plus(wanted.repeat_after),
            missed: 0,
        };
        let before = self.held.insert(seen.about, held);
        Verdict::Alert(Alert {
            rule,
            title,
            severity,
            count: before.map_or(1, |before| before.missed.saturating_add(1)),
        })
    }

    fn make_room(&mut self, seen: &Occurrence<'_>) {
        if self.held.len() < MAX_HELD || self.held.contains_key(&seen.about) {
            return;
        }
        self.held.retain(|_, held| held.until > seen.time);
        if self.held.len() >= MAX_HELD {
            self.held.clear();
        }
    }

    fn admits(&mut self, now: Timestamp, most: u32) -> bool {
        let (began, count) = match self.minute {
            Some((began, count)) if now.since(began) < MINUTE => (began, count),
            Some(_) | None => (now, 0),
        };
        self.minute = Some((began, count.saturating_add(1)));
        count < most
    }
}

/// Whether an event, or the rule of an alert, is about alerts themselves: that one is left out is not recorded, or each
/// record would be the next one.
pub fn is_about_alerts(event: &str) -> bool {
    event.starts_with("alert.")
}

/// Its id, its title and how grave it is; none if it is no alert.
fn rule_of(seen: &Occurrence<'_>, wanted: &Wanted) -> Option<(String, &'static str, Severity)> {
    let known = known::find(seen);
    let is_named = wanted.events.iter().any(|name| {
        let (event, reason) = name
            .split_once('/')
            .map_or((name.as_str(), None), |(event, reason)| {
                (event, Some(reason))
            });
        event == seen.event && (reason.is_none() || reason == seen.reason)
    });
    match known {
        Some((rule, title, severity)) if is_named || severity >= wanted.least => {
            Some((rule.to_owned(), title, severity))
        }
        None if is_named => Some((
            seen.event.to_owned(),
            "An event that is watched",
            Severity::Low,
        )),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests;
