//! How the contents of answers are dealt with.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::quantity::{Count, Range};
use crate::config::raw;
use crate::config::raw_inspect::Inspect;
use portcullis_core::inspect::{Action, Care, Contents, Spotlight};
use std::collections::BTreeMap;

const ACTIONS: &[(&str, Option<Action>)] = &[
    ("off", None),
    ("observe", Some(Action::Observe)),
    ("mark", Some(Action::Mark)),
    ("redact", Some(Action::Redact)),
    ("refuse", Some(Action::Refuse)),
];
const SPOTLIGHTS: &[(&str, Spotlight)] = &[
    ("off", Spotlight::Off),
    ("delimit", Spotlight::Delimit),
    ("datamark", Spotlight::Datamark),
    ("encode", Spotlight::Encode),
];

/// How contents are dealt with, and those of single tools.
pub(super) fn contents(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Option<Inspect>,
    tools: &mut BTreeMap<String, raw::Tool>,
) -> Contents {
    let all = care(desk, place, raw, Care::OBSERVED);
    let place = place.key("tools");
    let own = tools.iter_mut().filter_map(|(name, tool)| {
        let raw = tool.inspect.take()?;
        let own = care(desk, &place.key(name), Some(raw), all);
        Some((name.as_str().into(), own))
    });
    let tools = own.collect();
    Contents { all, tools }
}

/// What is written at `place`, on top of what holds without it.
fn care(desk: &mut Desk<'_>, place: &Place, raw: Option<Inspect>, all: Care) -> Care {
    let Some(raw) = raw else { return all };
    let place = place.key("inspect");
    let action = raw.action.as_deref();
    let action = action.and_then(|word| desk.choose(&place.key("action"), word, ACTIONS));
    let spotlight = raw.spotlight.as_deref();
    let spotlight =
        spotlight.and_then(|word| desk.choose(&place.key("spotlight"), word, SPOTLIGHTS));
    let range = Range {
        default: Count(u32::from(all.threshold / 10)),
        ..bounds::INSPECT_SCORE
    };
    let score = desk.count(&place.key("score"), raw.score, &range);
    Care {
        action: action.unwrap_or(all.action),
        threshold: u16::try_from(score * 10).unwrap_or(all.threshold),
        spotlight: spotlight.unwrap_or(all.spotlight),
    }
}
