//! What is known of definitions, and decided about them: for the gateway, for the commands and for the admin API.

use crate::clock;
use crate::config::Checked;
use crate::keys::{Purpose, Signer};
use crate::lifecycle::Home;
use anyhow::bail;
use portcullis_audit::time_text;
use portcullis_core::catalog::{
    Broken, Change, Definition, Digest, Event, Head, History, Kind, Piece, Thing, diff, visible,
};
use portcullis_state::{Catalog, Durable, Failed, Notary};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The `typ` of what is signed.
const TYPE: &str = "portcullis-catalog+jwt";

/// What the gateway's key signs: the end of one history, and what is approved by it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    server: String,
    kind: String,
    name: String,
    place: u64,
    hash: String,
    approved: Option<String>,
}

impl Signed {
    fn of(head: &Head) -> Self {
        Self {
            server: head.thing.server.to_string(),
            kind: head.thing.kind.name().to_owned(),
            name: head.thing.name.to_string(),
            place: head.place,
            hash: head.hash.to_string(),
            approved: head.approved.map(|digest| digest.to_string()),
        }
    }
}

/// The catalogue in a database, signed by that key.
pub(crate) fn catalog(durable: Durable, signer: &Arc<Signer>) -> Catalog {
    let (signs, verifies) = (Arc::clone(signer), Arc::clone(signer));
    let sign = move |head: &Head| {
        let token = signs.sign_here(TYPE, &Signed::of(head)).ok()?;
        Some(token.expose().clone())
    };
    let holds = move |head: &Head, token: &str| {
        let read = verifies.verified::<Signed>(TYPE, token, clock::now());
        read.is_some_and(|read| read == Signed::of(head))
    };
    Catalog::new(durable, Notary::new(sign, holds))
}

/// Whether something was signed by another key than that.
pub(crate) fn is_by_another(token: &str, id: &str) -> bool {
    let header = jsonwebtoken::decode_header(token);
    header.is_ok_and(|header| header.kid.as_deref() != Some(id))
}

/// The same for a command, which opens the key itself: where there is no configuration, as `wrap` needs none, it is a file.
///
/// # Errors
/// As [`Signer::open`]; or nobody knows where the key is.
pub(crate) fn opened(
    home: &Home,
    checked: Option<&Checked>,
    durable: &Durable,
) -> anyhow::Result<Catalog> {
    let purpose = Purpose::Catalog;
    let signer = match checked {
        Some(checked) => Signer::open(home, purpose, checked)?,
        None if home.keys().join(purpose.file()).exists() => Signer::in_file(home, purpose)?,
        None => bail!(
            "name the configuration file with --config: it says where the key is that signs approvals"
        ),
    };
    Ok(catalog(durable.clone(), &Arc::new(signer)))
}

/// What became of one thing, or why nothing of that is believed.
pub(crate) type Known = (Thing, Result<History, Broken>);

/// How things stand, in a word.
pub(crate) fn state(history: &Result<History, Broken>) -> &'static str {
    let Ok(history) = history else {
        return "forged";
    };
    let standing = history.standing();
    match (standing.pending(), standing.approved, standing.listed) {
        (Some(_), Some(_), _) => "changed",
        (Some(_), None, _) => "pending",
        (None, Some(_), None) => "removed",
        (None, Some(approved), Some(listed)) if approved != listed => "held",
        (None, Some(_), Some(_)) => "approved",
        (None, None, Some(_)) => "rejected",
        (None, None, None) => "gone",
    }
}

/// How things stand, in full.
pub(crate) fn json_of((thing, history): &Known) -> Value {
    let standing = history.as_ref().ok().map(History::standing);
    let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    let endorsed = standing.and_then(|standing| standing.endorsed.as_ref());
    let approval = history.as_ref().ok().and_then(History::approval);
    json!({
        "server": &*thing.server,
        "kind": thing.kind.name(),
        "name": &*thing.name,
        "state": state(history),
        "listed": text(standing.and_then(|standing| standing.listed)),
        "approved": text(standing.and_then(|standing| standing.approved)),
        "pending": text(standing.and_then(|standing| standing.pending())),
        "by": approval.map(|event| &event.said.by),
        "at": approval.map(|event| time_text(event.said.at.micros())),
        "endorsed_by": endorsed.map(|(_, by)| by),
        "why": history.as_ref().err().map(ToString::to_string),
    })
}

/// One event of a history.
pub(crate) fn event_json(event: &Event) -> Value {
    let from = event.said.provenance.as_ref();
    json!({
        "place": event.place,
        "event": event.said.deed.word(),
        "digest": event.said.digest.map(|digest| digest.to_string()),
        "by": event.said.by,
        "reason": event.said.reason,
        "at": time_text(event.said.at.micros()),
        "era": from.map(|from| &from.era),
        "transport": from.map(|from| &from.transport),
        "origin": from.map(|from| &from.origin),
        "parent": event.parent.map(|parent| parent.to_string()),
        "hash": event.hash.to_string(),
    })
}

/// One change, with its words.
pub(crate) fn change_json(change: &Change) -> Value {
    let words = change.words.iter().map(|piece| match piece {
        Piece::Same(text) => json!({ "same": text }),
        Piece::Gone(text) => json!({ "gone": text }),
        Piece::New(text) => json!({ "new": text }),
    });
    json!({
        "pointer": change.pointer,
        "said": change.said,
        "words": words.collect::<Vec<_>>(),
    })
}

/// What of a version is not as in the other one. Without another one, everything is new.
pub(crate) fn compared(old: Option<&Definition>, new: &Definition) -> Vec<Change> {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let old = old.map_or_else(|| json!({}), |old| value(old.canonical()));
    diff(&old, &value(new.canonical()))
}

/// Which versions somebody wants to see side by side: what waits beside what is served, unless others are named.
///
/// # Errors
/// [`Failed`].
pub(crate) async fn sides(
    catalog: &Catalog,
    history: &History,
    (from, to): (Option<Digest>, Option<Digest>),
) -> Result<Option<(Option<Definition>, Definition)>, Failed> {
    let (kind, standing) = (history.thing().kind, history.standing());
    let Some(to) = to.or(standing.listed).or(standing.approved) else {
        return Ok(None);
    };
    let from = from.or(standing.approved).filter(|from| *from != to);
    let Some(new) = catalog.text(kind, to).await? else {
        return Ok(None);
    };
    let old = match from {
        Some(from) => catalog.text(kind, from).await?,
        None => None,
    };
    Ok(Some((old, new)))
}

/// The one thing that is meant.
///
/// # Errors
/// There is none, or there are several; in words.
pub(crate) fn meant(all: Vec<Known>, (kind, name): (Option<Kind>, &str)) -> Result<Known, String> {
    let is_meant =
        |(thing, _): &Known| *thing.name == *name && kind.is_none_or(|kind| thing.kind == kind);
    let mut found: Vec<Known> = all.into_iter().filter(is_meant).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err("several kinds have that name: say which one is meant".to_owned()),
        (None, _) => Err(format!(
            "nothing of that name was ever seen: {:?}",
            visible(name)
        )),
    }
}
