//! Keys of ours; nothing of them that is secret.

use super::asked::beside;
use super::{Answer, Asked, Trouble};
use crate::keys::{Purpose, listed, replace, ring};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Told {
    at_once: bool,
    server: Option<String>,
}

pub(super) async fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let home = asked.office.home.clone();
    let all = beside(move || listed(&home).map_err(|error| Trouble::Failed(format!("{error:#}"))));
    let all = serde_json::to_value(all.await?);
    let all = all.map_err(|error| Trouble::Failed(error.to_string()))?;
    Ok(Answer::ok(json!({ "keys": all })))
}

pub(super) async fn rotate(asked: &Asked) -> Result<Answer, Trouble> {
    let told: Told = if asked.body.is_empty() {
        Told::default()
    } else {
        asked.told()?
    };
    let purpose = Purpose::ALL
        .into_iter()
        .find(|own| own.word() == asked.name());
    let purpose = purpose.ok_or(Trouble::NotFound("no such key can be replaced"))?;
    let mut overlaps = asked.office.overlaps.iter();
    let overlap = overlaps.find(|(own, _)| *own == purpose);
    let Some(overlap) = overlap.and_then(|(_, overlap)| *overlap) else {
        let why = "the key is in a token: make another one there, and start again";
        return Err(Trouble::Conflict(why.to_owned()));
    };
    let (home, by) = (asked.office.home.clone(), asked.by());
    let overlap = (!told.at_once).then_some(overlap);
    let replaced = beside(move || {
        let ring = ring(purpose, &home.keys(), told.server.as_deref());
        let replaced = ring.and_then(|ring| replace(&ring, (overlap, by)));
        replaced.map_err(|error| Trouble::Conflict(format!("{error:#}")))
    });
    Ok(Answer::ok(replaced.await?.json()))
}
