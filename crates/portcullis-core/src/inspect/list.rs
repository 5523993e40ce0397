//! Lists narrowed to what the caller could use: the other entries are cut out, the rest stays as it came.

use super::BadAnswer;
use crate::authorize::{self, Gate, policy::Policy};
use crate::catalog::Pinned;
use crate::protocol::{Method, Target, field_range, replace};
use crate::route::Ticket;
use crate::time::Timestamp;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    resources: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "resourceTemplates")]
    templates: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    prompts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "uriTemplate")]
    template: Option<Cow<'a, str>>,
}

/// The message with its list narrowed; `None` if it has none or all of it may be seen.
pub(super) fn narrow(
    message: &[u8],
    result: &RawValue,
    ticket: &Ticket,
    (policy, pinned): (&Policy, &Pinned),
    (gate, now): (&Gate, Timestamp),
) -> Result<Option<Bytes>, BadAnswer> {
    let Some(pick) = ticket.method().and_then(picker) else {
        return Ok(None);
    };
    let listed: Listed<'_> = serde_json::from_str(result.get()).map_err(|_| BadAnswer::List)?;
    let Some(entries) = (pick.entries)(listed) else {
        return Ok(None);
    };
    let is_rated = policy.reads_risk();
    let mut kept = Vec::with_capacity(entries.len());
    for entry in &entries {
        let read: Entry<'_> = serde_json::from_str(entry.get()).map_err(|_| BadAnswer::List)?;
        let target = (pick.target)(read).ok_or(BadAnswer::List)?;
        let rated = is_rated.then(|| pinned.rated(ticket.server(), &target));
        let rated = rated.flatten();
        let what = (&target, rated.as_ref());
        if authorize::is_visible(policy, gate, ticket.principal(), what, now) {
            kept.push(entry.get());
        }
    }
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(None);
    };
    if kept.len() == entries.len() {
        return Ok(None);
    }
    let from = field_range(message, first).start;
    let to = field_range(message, last).end;
    Ok(Some(replace(message, from..to, kept.join(",").as_bytes())))
}

struct Picker {
    entries: for<'a> fn(Listed<'a>) -> Option<Vec<&'a RawValue>>,
    target: fn(Entry<'_>) -> Option<Target>,
}

fn picker(method: &Method) -> Option<Picker> {
    if *method == Method::ToolsList {
        return Some(Picker {
            entries: |l| l.tools,
            target: |e| Some(Target::Tool(e.name?.into())),
        });
    }
    if *method == Method::ResourcesList {
        return Some(Picker {
            entries: |l| l.resources,
            target: |e| Some(Target::Resource(e.uri?.into())),
        });
    }
    if *method == Method::ResourceTemplatesList {
        return Some(Picker {
            entries: |l| l.templates,
            target: |e| Some(Target::Resource(e.template?.into())),
        });
    }
    if *method == Method::PromptsList {
        return Some(Picker {
            entries: |l| l.prompts,
            target: |e| Some(Target::Prompt(e.name?.into())),
        });
    }
    None
}
