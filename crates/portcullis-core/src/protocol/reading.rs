//! Reading a message: what it asks for, under which revision, and whether its headers agree.

use super::call::{Kind, Places, Target};
use super::envelope::{members, refuse_case, text_of};
use super::{Envelope, Headers, Id, Malformed, Method, Revision, decode_mirrored, field_range};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// The longest accepted tool name, prompt name, URI or task id, in bytes.
const MAX_NAME_BYTES: usize = 2048;
/// The `_meta` fields that 2026-07-28 requires of every request.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Relates a message to a task (2025-11-25 basic/utilities/tasks).
const META_TASK: &str = "io.modelcontextprotocol/related-task";
/// The members of `params` that decisions read.
const PARAMS: &[&str] = &[
    "name",
    "arguments",
    "uri",
    "_meta",
    "ref",
    "taskId",
    "requestId",
    "protocolVersion",
    "inputResponses",
    "requestState",
];

/// Kind, method, revision, target, and where they stand.
type Reading = (Kind, Method, Revision, Target, Places);

/// Reads a message and compares it with the headers that mirror it.
pub(super) fn read(
    body: &[u8],
    headers: &Headers<'_>,
    settled: Option<Revision>,
) -> Result<Reading, Malformed> {
    let envelope = Envelope::parse(body)?;
    let id = envelope.id.map(Id::read).transpose()?;
    let kind = kind(&envelope, id.clone())?;
    let mut places = Places {
        id: envelope.id.map(|id| field_range(body, id)),
        ..Places::default()
    };
    let method = Method::parse(envelope.method.as_deref().unwrap_or_default());
    let bad_params = || Malformed::Params { id: id.clone() };
    let params = Params::read(envelope.params).map_err(|flaw| {
        if flaw == Malformed::Case {
            flaw
        } else {
            bad_params()
        }
    })?;
    let revision = revision(&kind, &method, headers, &params, settled)?;
    let method = if revision.is_stateless() {
        method.of_stateless()
    } else {
        method
    };
    let target = target(&kind, &method, &params, body, &mut places).ok_or_else(bad_params)?;
    places.progress_token = progress_token(&params, body).map_err(|_| bad_params())?;
    places.related_task = related_task(&params, body).map_err(|_| bad_params())?;
    if method == Method::Cancelled {
        places.cancelled = params.get("requestId").map(|id| field_range(body, id));
    }
    if revision.is_stateless() && !headers.is_absent {
        check_mirrors(headers, &method, &target, id.as_ref())?;
    }
    Ok((kind, method, revision, target, places))
}

/// The members of `params`, and of its `_meta`.
#[derive(Default)]
struct Params<'a> {
    own: Vec<(Cow<'a, str>, &'a RawValue)>,
    meta: Vec<(Cow<'a, str>, &'a RawValue)>,
    has_meta: bool,
}

impl<'a> Params<'a> {
    fn read(raw: Option<&'a RawValue>) -> Result<Self, Malformed> {
        let Some(raw) = raw else {
            return Ok(Self::default());
        };
        let own = members(raw.get())?;
        refuse_cases(&own, PARAMS)?;
        let mut params = Self {
            own,
            ..Self::default()
        };
        if let Some(meta) = params.get("_meta") {
            params.meta = members(meta.get())?;
            refuse_cases(
                &params.meta,
                &[META_VERSION, META_CAPABILITIES, META_TASK, "progressToken"],
            )?;
            params.has_meta = true;
        }
        if let Some(reference) = params
            .get("ref")
            .and_then(|value| members(value.get()).ok())
        {
            refuse_cases(&reference, &["type", "name", "uri"])?;
        }
        Ok(params)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.own
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| *value)
    }

    fn meta(&self, name: &str) -> Option<&'a RawValue> {
        self.meta
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| *value)
    }
}

fn refuse_cases(members: &[(Cow<'_, str>, &RawValue)], known: &[&str]) -> Result<(), Malformed> {
    members
        .iter()
        .try_for_each(|(name, _)| refuse_case(name, known))
}

fn kind(envelope: &Envelope<'_>, id: Option<Id>) -> Result<Kind, Malformed> {
    let answers = (envelope.result.is_some(), envelope.error.is_some());
    match (&envelope.method, answers, id) {
        (Some(_), (false, false), Some(id)) => Ok(Kind::Request(id)),
        (Some(_), (false, false), None) => Ok(Kind::Notification),
        (None, (true, false) | (false, true), Some(id)) if envelope.params.is_none() => {
            Ok(Kind::Response(id))
        }
        (None | Some(_), _, _) => Err(Malformed::Envelope),
    }
}

fn revision(
    kind: &Kind,
    method: &Method,
    headers: &Headers<'_>,
    params: &Params<'_>,
    settled: Option<Revision>,
) -> Result<Revision, Malformed> {
    let id = match kind {
        Kind::Request(id) => Some(id.clone()),
        Kind::Notification | Kind::Response(_) => None,
    };
    let in_meta = params.meta(META_VERSION).and_then(text_of);
    let named = if headers.is_absent {
        in_meta.as_deref()
    } else {
        headers.version
    };
    if headers.is_ambiguous
        || in_meta
            .as_deref()
            .is_some_and(|version| named != Some(version))
    {
        return Err(Malformed::HeaderMismatch { id });
    }
    let Some(name) = named else {
        return Ok(if *method == Method::Initialize {
            Revision::V2025_11_25
        } else {
            settled.unwrap_or(Revision::V2025_03_26)
        });
    };
    let Some(revision) = Revision::parse(name) else {
        return Err(Malformed::Version {
            id,
            requested: name.to_owned(),
            is_stateless: in_meta.is_some(),
        });
    };
    if !revision.is_stateless() {
        return Ok(revision);
    }
    match kind {
        Kind::Response(_) => return Err(Malformed::NotAllowed { id: None }),
        Kind::Notification => return Ok(revision),
        Kind::Request(_) => {}
    }
    let has_capabilities = params
        .meta(META_CAPABILITIES)
        .is_some_and(|value| value.get().starts_with('{'));
    if !params.has_meta || in_meta.is_none() || !has_capabilities {
        return Err(Malformed::Meta { id });
    }
    Ok(revision)
}

/// What the message is about; `None` if its params do not fit its method.
fn target(
    kind: &Kind,
    method: &Method,
    params: &Params<'_>,
    body: &[u8],
    places: &mut Places,
) -> Option<Target> {
    if matches!(kind, Kind::Response(_)) {
        return Some(Target::Server);
    }
    let mut named = |value: Option<&RawValue>| -> Option<Box<str>> {
        let value = value?;
        let name =
            text_of(value).filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)?;
        places.target = Some(field_range(body, value));
        Some(name.into())
    };
    match method {
        Method::ToolsCall => {
            let target = Target::Tool(named(params.get("name"))?);
            places.arguments = arguments(params, body).ok()?;
            Some(target)
        }
        Method::PromptsGet => {
            let target = Target::Prompt(named(params.get("name"))?);
            places.arguments = arguments(params, body).ok()?;
            Some(target)
        }
        Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
            Some(Target::Resource(named(params.get("uri"))?))
        }
        Method::TasksGet | Method::TasksResult | Method::TasksUpdate | Method::TasksCancel => {
            Some(Target::Task(named(params.get("taskId"))?))
        }
        Method::Complete => {
            let reference = members(params.get("ref")?.get()).ok()?;
            let get = |name: &str| {
                reference
                    .iter()
                    .find(|(own, _)| own == name)
                    .map(|(_, value)| *value)
            };
            match &*text_of(get("type")?)? {
                "ref/prompt" => Some(Target::Prompt(named(get("name"))?)),
                "ref/resource" => Some(Target::Resource(named(get("uri"))?)),
                _ => None,
            }
        }
        Method::Initialize
        | Method::Ping
        | Method::Discover
        | Method::Listen
        | Method::ToolsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::PromptsList
        | Method::SetLevel
        | Method::TasksList
        | Method::Sampling
        | Method::Elicitation
        | Method::RootsList
        | Method::Initialized
        | Method::Cancelled
        | Method::Progress
        | Method::RootsChanged
        | Method::Other(_) => Some(Target::Server),
    }
}

/// A value that is there, but not what it must be.
struct Unfit;

/// `arguments` must be an object where it is there.
fn arguments(params: &Params<'_>, body: &[u8]) -> Result<Option<Range<usize>>, Unfit> {
    match params.get("arguments") {
        None => Ok(None),
        Some(value) if value.get().starts_with('{') => Ok(Some(field_range(body, value))),
        Some(_) => Err(Unfit),
    }
}

/// What relates a message to a task must name it.
fn related_task(params: &Params<'_>, body: &[u8]) -> Result<Option<Range<usize>>, Unfit> {
    let Some(value) = params.meta(META_TASK) else {
        return Ok(None);
    };
    let related = members(value.get()).map_err(|_| Unfit)?;
    let task = related.iter().find(|(name, _)| name == "taskId");
    let (_, task) = task.ok_or(Unfit)?;
    text_of(task).ok_or(Unfit)?;
    Ok(Some(field_range(body, task)))
}

/// A progress token must be a text or an integer where it is there.
fn progress_token(params: &Params<'_>, body: &[u8]) -> Result<Option<Range<usize>>, Unfit> {
    let Some(value) = params.meta("progressToken") else {
        return Ok(None);
    };
    Id::read(value).map_err(|_| Unfit)?;
    Ok(Some(field_range(body, value)))
}

fn check_mirrors(
    headers: &Headers<'_>,
    method: &Method,
    target: &Target,
    id: Option<&Id>,
) -> Result<(), Malformed> {
    let mirrors = |header: Option<&str>, expected: &str| {
        header
            .and_then(decode_mirrored)
            .is_some_and(|value| value == expected)
    };
    let needs_name = match method {
        Method::ToolsCall
        | Method::ResourcesRead
        | Method::PromptsGet
        | Method::TasksGet
        | Method::TasksUpdate
        | Method::TasksCancel => true,
        Method::Initialize
        | Method::Ping
        | Method::Discover
        | Method::Listen
        | Method::ToolsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::PromptsList
        | Method::Complete
        | Method::SetLevel
        | Method::TasksList
        | Method::TasksResult
        | Method::Sampling
        | Method::Elicitation
        | Method::RootsList
        | Method::Initialized
        | Method::Cancelled
        | Method::Progress
        | Method::RootsChanged
        | Method::Other(_) => false,
    };
    let agrees = mirrors(headers.method, method.name())
        && (!needs_name || mirrors(headers.name, target.name()));
    if agrees {
        Ok(())
    } else {
        Err(Malformed::HeaderMismatch { id: id.cloned() })
    }
}
