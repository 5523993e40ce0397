//! Lists, and what a server says of itself, as they were approved.

use super::BadAnswer;
use crate::catalog::{self, CHANGES, Definition, Kind, Page, Pinned, Terms};
use crate::protocol::{Envelope, Method, field_range, splice};
use crate::route::Ticket;
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";
/// What of a server's capabilities is a list, whose changes we tell of ourselves.
const LISTS: [&str; 3] = ["prompts", "resources", "tools"];

type Members<'a> = BTreeMap<std::borrow::Cow<'a, str>, &'a RawValue>;

/// The message with everything in it that defines something as it was approved, and without what was not.
///
/// What does not belong to the exchange is left as it is: who looks at the message next refuses it.
///
/// # Errors
/// [`BadAnswer::List`] if what it defines cannot be read.
pub(crate) fn as_approved(
    message: Bytes,
    ticket: &Ticket,
    (pinned, terms): (&Pinned, Terms),
) -> Result<Bytes, BadAnswer> {
    let asked = ticket.method();
    let defines = asked.is_some_and(|method| {
        matches!(method, Method::Initialize | Method::Discover) || catalog::lists(method).is_some()
    });
    let may_tell = || memmem::find(&message, b"list_changed").is_some();
    let concerns = defines || (terms.is_binding() && may_tell());
    if !concerns {
        return Ok(message);
    }
    let Ok(envelope) = Envelope::parse(&message) else {
        return Ok(message);
    };
    if let Some(method) = envelope.method.as_deref() {
        let changed = CHANGES.iter().find(|(name, _)| *name == method);
        for kind in changed.into_iter().flat_map(|(_, kinds)| *kinds) {
            pinned.forget(ticket.server(), *kind);
        }
        return Ok(message);
    }
    let is_own = || {
        let id = envelope.id.map(crate::protocol::Id::read)?.ok();
        (id.as_ref() == ticket.id()).then_some(())
    };
    let (Some(result), Some(method)) = (envelope.result, asked) else {
        return Ok(message);
    };
    if is_own().is_none() {
        return Ok(message);
    }
    let server = ticket.server();
    let edits = match (catalog::lists(method), method) {
        (Some((kind, member)), _) => {
            // Only a list that we have asked for ourselves tells what there is, and when.
            let whole = None;
            let page = Page {
                server,
                terms,
                kind,
                whole,
            };
            list_edits(&message, result, (page, member), pinned)
        }
        (None, Method::Initialize | Method::Discover) => {
            server_edits(&message, result, (server, terms), pinned)
        }
        (None, _) => Ok(Vec::new()),
    };
    if !terms.is_binding() {
        // Whether or not it could be read.
        return Ok(message);
    }
    let edits = edits?;
    if edits.is_empty() {
        return Ok(message);
    }
    let edits: Vec<(Range<usize>, &[u8])> = edits
        .iter()
        .map(|(range, new)| (range.clone(), new.as_bytes()))
        .collect();
    Ok(splice(&message, &edits))
}

/// Takes up a whole list that was asked for by ourselves, page by page.
pub fn whole_list(pinned: &Pinned, page: &Page<'_>, entries: &[Box<RawValue>]) {
    let entries: Vec<&str> = entries.iter().map(|entry| entry.get()).collect();
    drop(pinned.compare(page, &entries));
}

type Edits = Vec<(Range<usize>, String)>;

fn members(raw: &RawValue) -> Result<Members<'_>, BadAnswer> {
    serde_json::from_str(raw.get()).map_err(|_| BadAnswer::List)
}

#[derive(Deserialize)]
struct Entries<'a>(#[serde(borrow)] Vec<&'a RawValue>);

fn list_edits(
    message: &[u8],
    result: &RawValue,
    (page, member): (Page<'_>, &str),
    pinned: &Pinned,
) -> Result<Edits, BadAnswer> {
    let members = members(result)?;
    let Some(list) = members.get(member) else {
        return Ok(Vec::new());
    };
    let entries: Entries<'_> = serde_json::from_str(list.get()).map_err(|_| BadAnswer::List)?;
    let entries: Vec<&str> = entries.0.into_iter().map(RawValue::get).collect();
    let served = pinned.compare(&page, &entries);
    if !page.terms.is_binding() {
        return Ok(Vec::new());
    }
    let served: Vec<&str> = served.iter().flatten().map(|text| &**text).collect();
    let mut edits = vec![(
        field_range(message, list),
        format!("[{}]", served.join(",")),
    )];
    // What is shown depends on who asks: nobody else may be shown it (2026-07-28 caching).
    if let Some(scope) = members.get("cacheScope") {
        edits.push((field_range(message, scope), r#""private""#.to_owned()));
    }
    edits.sort_by_key(|(range, _)| range.start);
    Ok(edits)
}

/// What a server says of itself, in the words of both eras, as one definition.
fn server_edits(
    message: &[u8],
    result: &RawValue,
    (server, terms): (&Arc<str>, Terms),
    pinned: &Pinned,
) -> Result<Edits, BadAnswer> {
    let members_of = members(result)?;
    let meta = members_of.get("_meta").map(|meta| members(meta));
    let meta = meta.transpose()?.unwrap_or_default();
    let instructions = members_of.get("instructions").copied();
    let names = [members_of.get("serverInfo"), meta.get(META_SERVER)];
    let names: Vec<&RawValue> = names.into_iter().flatten().copied().collect();
    let own = names.first();
    let is_one = names
        .iter()
        .all(|name| Some(name.get()) == own.map(|own| own.get()));
    let written = json!({ "instructions": instructions, "serverInfo": own });
    let written = without_null(written).to_string();
    let mut edits = announced(message, &members_of)?;
    let page = Page {
        server,
        terms,
        kind: Kind::Server,
        whole: None,
    };
    let shown = pinned
        .compare(&page, &[&written])
        .into_iter()
        .flatten()
        .next();
    let same = Definition::read(Kind::Server, &written).map_err(|_| BadAnswer::List)?;
    if is_one && shown.as_deref() == Some(&**same.canonical()) {
        return Ok(edits);
    }
    let approved = shown.unwrap_or_else(|| {
        let placeholder = json!({ "serverInfo": { "name": &**server, "version": "" } });
        placeholder.to_string().into()
    });
    let approved: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(&approved).map_err(|_| BadAnswer::List)?;
    let instead = |name: &str, empty: &str| {
        let kept = approved.get(name).map(|value| value.get().to_owned());
        kept.unwrap_or_else(|| empty.to_owned())
    };
    if let Some(place) = instructions {
        edits.push((
            field_range(message, place),
            instead("instructions", r#""""#),
        ));
    }
    for place in names {
        let nobody = r#"{"name":"","version":""}"#;
        edits.push((field_range(message, place), instead("serverInfo", nobody)));
    }
    edits.sort_by_key(|(range, _)| range.start);
    Ok(edits)
}

/// Has the server say that its lists change: what is approved of them does, and we tell of it.
fn announced(message: &[u8], members_of: &Members<'_>) -> Result<Edits, BadAnswer> {
    let Some(said) = members_of.get("capabilities") else {
        return Ok(Edits::new());
    };
    let said = members(said)?;
    let mut edits = Edits::new();
    for list in LISTS.iter().filter_map(|name| said.get(*name)) {
        let mut own: BTreeMap<String, Value> =
            serde_json::from_str(list.get()).map_err(|_| BadAnswer::List)?;
        let before = own.insert("listChanged".to_owned(), true.into());
        if before != Some(Value::Bool(true)) {
            edits.push((field_range(message, list), json!(own).to_string()));
        }
    }
    edits.sort_by_key(|(range, _)| range.start);
    Ok(edits)
}

fn without_null(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    value
}
