//! Who was here and is there, faster than anybody travels.

use super::{Block, Limits, MAX_HELD, Misuse, Rule};
use crate::authenticate::Identity;
use crate::time::Timestamp;
use std::fmt;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::PoisonError;

/// What lies nearer is one place: providers move addresses about.
const NEAR_KM: f64 = 100.0;
/// The mean radius of the earth.
const RADIUS_KM: f64 = 6371.0;

/// A point on the earth, in millionths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    latitude: i32,
    longitude: i32,
}

impl Position {
    /// Of degrees north and east.
    ///
    /// # Errors
    /// [`NotPosition`]: there is no such point.
    pub fn of_degrees(latitude: f64, longitude: f64) -> Result<Self, NotPosition> {
        let text = format!("{latitude:.6}, {longitude:.6}");
        text.parse()
    }
}

/// Networks that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Their addresses.
    pub networks: Vec<Block>,
    /// Where.
    pub at: Position,
}

/// Not two numbers of degrees, north and east.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a latitude from -90 to 90 and a longitude from -180 to 180")]
pub struct NotPosition;

impl FromStr for Position {
    type Err = NotPosition;

    fn from_str(text: &str) -> Result<Self, NotPosition> {
        let (latitude, longitude) = text.split_once(',').ok_or(NotPosition)?;
        Ok(Self {
            latitude: millionths(latitude, 90)?,
            longitude: millionths(longitude, 180)?,
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let degrees = |millionths: i32| f64::from(millionths) / 1_000_000.0;
        let (north, east) = (degrees(self.latitude), degrees(self.longitude));
        write!(out, "{north}, {east}")
    }
}

/// `-12.345678`: digits, and at most six after the point.
fn millionths(text: &str, most: i32) -> Result<i32, NotPosition> {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || whole.len() > 3 || part.len() > 6 {
        return Err(NotPosition);
    }
    let number: i32 = format!("{whole}{part:0<6}")
        .parse()
        .map_err(|_| NotPosition)?;
    let is_there = number <= most * 1_000_000;
    is_there.then_some(sign * number).ok_or(NotPosition)
}

impl Position {
    /// The way between two points, by the haversine formula.
    fn km(self, to: Self) -> f64 {
        let radians = |millionths: i32| (f64::from(millionths) / 1_000_000.0).to_radians();
        let (from_north, to_north) = (radians(self.latitude), radians(to.latitude));
        let north = ((to_north - from_north) / 2.0).sin().powi(2);
        let east = (radians(to.longitude) - radians(self.longitude)) / 2.0;
        let half = north + from_north.cos() * to_north.cos() * east.sin().powi(2);
        2.0 * RADIUS_KM * half.sqrt().min(1.0).asin()
    }
}

/// Where somebody was last.
pub(super) struct Seen {
    at: Position,
    when: Timestamp,
}

impl Misuse {
    /// A caller is known, and comes from there; `elsewhere` is where others say that this is, and counts where no place is
    /// configured for it. Cost where nobody says anything: one comparison.
    pub fn travels(
        &self,
        caller: &Identity,
        peer: IpAddr,
        (limits, elsewhere): (&Limits, Option<Position>),
        now: Timestamp,
    ) -> Option<Rule> {
        let is_unknown = limits.places.is_empty() && elsewhere.is_none();
        if is_unknown || limits.is_exempt(peer) {
            return None;
        }
        let peer = peer.to_canonical();
        let here = limits.places.iter().flat_map(|place| {
            let blocks = place.networks.iter();
            let blocks = blocks.filter(|block| block.contains(peer));
            blocks.map(|block| (block.bits(), place.at))
        });
        // Of networks within networks, the smallest.
        let named = here.max_by_key(|(bits, _)| *bits);
        let at = named.map(|(_, at)| at).or(elsewhere)?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.travellers.len() >= MAX_HELD && !held.travellers.contains_key(&caller.key) {
            held.travellers.clear();
        }
        let seen = Seen { at, when: now };
        let before = held.travellers.insert(caller.key.clone(), seen)?;
        let km = before.at.km(at);
        let hours = now.since(before.when).as_secs_f64() / 3600.0;
        if km < NEAR_KM || km <= f64::from(limits.max_kmh) * hours {
            return None;
        }
        held.blame(self.whose(caller), Rule::ImpossibleTravel, now);
        let times = (now, now.plus(limits.window));
        let place = |rule: Rule| self.hasher.hash_one((5u8, rule, &*caller.key));
        let rule = held.once(Rule::ImpossibleTravel, place, times)?;
        held.admits(rule, times).then_some(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tok_19_a_position_is_two_numbers_of_degrees() {
        let berlin: Position = "52.52, 13.405".parse().unwrap();
        let new_york: Position = "40.7128,-74.006".parse().unwrap();
        let km = berlin.km(new_york);
        assert!((6380.0..6390.0).contains(&km), "{km}");
        assert!(berlin.km(berlin) < 0.001);
        let antipodes = |text: &str| text.parse::<Position>().unwrap();
        let km = antipodes("0, 0").km(antipodes("0, 180"));
        assert!((20_010.0..20_020.0).contains(&km), "{km}");
        for bad in [
            "",
            "52.52",
            "91, 0",
            "0, 181",
            "-90.1, 0",
            "a, b",
            "1.2.3, 4",
            "1e3, 4",
            "+1, 2",
            "1.1234567, 2",
            "--1, 2",
            "NaN, 0",
        ] {
            assert_eq!(bad.parse::<Position>(), Err(NotPosition), "{bad}");
        }
    }
}
