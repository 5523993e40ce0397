//! What calls and lists are of.

use super::analyse::{Finding, analyse};
use super::{Definition, Kind};
use crate::protocol::{Method, Target};

/// What a call needs the approval of, if it needs any.
pub fn needed<'a>(method: &Method, target: &'a Target) -> Option<(Kind, &'a str)> {
    let name = target.name();
    match method {
        Method::ToolsCall => Some((Kind::Tool, name)),
        Method::PromptsGet => Some((Kind::Prompt, name)),
        Method::ResourcesRead | Method::ResourcesSubscribe => Some((Kind::Resource, name)),
        Method::Initialize
        | Method::Ping
        | Method::Discover
        | Method::Listen
        | Method::ToolsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::ResourcesUnsubscribe
        | Method::PromptsList
        | Method::Complete
        | Method::SetLevel
        | Method::TasksList
        | Method::TasksGet
        | Method::TasksResult
        | Method::TasksUpdate
        | Method::TasksCancel
        | Method::Sampling
        | Method::Elicitation
        | Method::RootsList
        | Method::Initialized
        | Method::Cancelled
        | Method::Progress
        | Method::RootsChanged
        | Method::Other(_) => None,
    }
}

/// What a method lists, and the member of its answer that has it.
pub fn lists(method: &Method) -> Option<(Kind, &'static str)> {
    [
        (Method::ToolsList, (Kind::Tool, "tools")),
        (Method::PromptsList, (Kind::Prompt, "prompts")),
        (Method::ResourcesList, (Kind::Resource, "resources")),
        (
            Method::ResourceTemplatesList,
            (Kind::Template, "resourceTemplates"),
        ),
    ]
    .into_iter()
    .find_map(|(own, what)| (own == *method).then_some(what))
}

/// Notifications that tell of another list, and of what.
pub(crate) const CHANGES: &[(&str, &[Kind])] = &[
    ("notifications/tools/list_changed", &[Kind::Tool]),
    ("notifications/prompts/list_changed", &[Kind::Prompt]),
    (
        "notifications/resources/list_changed",
        &[Kind::Resource, Kind::Template],
    ),
];

/// The notification that tells of another list of that kind; what a server says of itself has none.
pub fn change(kind: Kind) -> Option<&'static str> {
    let is_meant = |(_, kinds): &&(&str, &[Kind])| kinds.contains(&kind);
    CHANGES.iter().find(is_meant).map(|(name, _)| *name)
}

/// The gravest of what was found in a definition, if it is so grave that somebody has to read it first.
///
/// What cannot be looked at is not here: a [`Definition`] is one JSON object.
pub fn gravest(definition: &Definition) -> Option<Finding> {
    let value = serde_json::from_str(definition.canonical()).unwrap_or_default();
    let found = analyse(definition.kind(), &value).into_iter();
    let mut grave = found.filter(Finding::is_grave);
    grave.next()
}

/// Whether a URI begins and ends as the literal text of a template does (RFC 6570), and something stands between.
pub(super) fn stands_for(template: &str, uri: &str) -> bool {
    let (Some((before, _)), Some((_, after))) =
        (template.split_once('{'), template.rsplit_once('}'))
    else {
        return template == uri;
    };
    let within = before.len() + after.len() < uri.len();
    !before.is_empty() && within && uri.starts_with(before) && uri.ends_with(after)
}
