//! Named networks.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::raw;
use portcullis_core::authorize::policy::Zone;
use portcullis_core::misuse::Block;
use std::collections::BTreeMap;

/// Longest name of a zone.
const MAX_NAME_CHARS: usize = 64;

pub(super) fn zones(desk: &mut Desk<'_>, raw: BTreeMap<String, raw::Zone>) -> Vec<Zone> {
    let top = Place::default().key("zones");
    if raw.len() > bounds::MAX_ZONES {
        let reason = format!("too many zones: at most {}", bounds::MAX_ZONES);
        desk.refuse(&top, &reason);
    }
    let mut zones = Vec::new();
    for (name, raw) in raw.into_iter().take(bounds::MAX_ZONES) {
        let place = top.key(&name);
        let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.bytes().all(is_named) {
            desk.refuse(
                &place,
                "a name has up to 64 letters, digits, `-`, `_` and `.`",
            );
        }
        let networks = networks(desk, &place, &raw.networks);
        zones.push(Zone { name, networks });
    }
    zones
}

pub(super) fn networks(desk: &mut Desk<'_>, zone: &Place, texts: &[String]) -> Vec<Block> {
    let place = zone.key("networks");
    if texts.is_empty() {
        desk.refuse_missing(zone, "no `networks`", "write networks = [\"10.0.0.0/8\"]");
    }
    if texts.len() > bounds::MAX_ALLOWED {
        let reason = format!("too many networks: at most {}", bounds::MAX_ALLOWED);
        desk.refuse(&place, &reason);
    }
    let mut networks = Vec::new();
    for (index, text) in texts.iter().take(bounds::MAX_ALLOWED).enumerate() {
        let place = place.at(index);
        match text.parse::<Block>() {
            Err(problem) => desk.refuse(&place, &problem.to_string()),
            // What is written so may be meant otherwise, and a wider zone would let more in.
            Ok(block) if text.contains('/') && block.to_string() != *text => desk.refuse_with(
                &place,
                "an address within a network, and not its first",
                &format!("write \"{block}\", or the address alone"),
            ),
            Ok(block) => networks.push(block),
        }
    }
    networks
}
