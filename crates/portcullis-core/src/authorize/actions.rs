//! Which policy action a method is.

use super::policy::Action;
use crate::protocol::Method;

/// The action of a client's message; `None` for what only servers send, or nobody.
pub(super) fn of(method: &Method) -> Option<Action> {
    Some(match method {
        Method::ToolsCall => Action::CallTool,
        Method::ToolsList => Action::ListTools,
        Method::ResourcesRead => Action::ReadResource,
        Method::ResourcesList | Method::ResourceTemplatesList => Action::ListResources,
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => Action::SubscribeResource,
        Method::PromptsGet => Action::GetPrompt,
        Method::PromptsList => Action::ListPrompts,
        Method::Complete => Action::Complete,
        Method::Initialize
        | Method::Ping
        | Method::Discover
        | Method::Listen
        | Method::SetLevel
        | Method::TasksList
        | Method::TasksGet
        | Method::TasksResult
        | Method::TasksUpdate
        | Method::TasksCancel
        | Method::Initialized
        | Method::RootsChanged
        | Method::Cancelled
        | Method::Progress => Action::UseServer,
        Method::Sampling | Method::Elicitation | Method::RootsList | Method::Other(_) => {
            return None;
        }
    })
}

/// The action of a server's request to its client.
pub(super) fn of_server(method: &Method) -> Option<Action> {
    match method {
        Method::Sampling => Some(Action::Sample),
        Method::Elicitation => Some(Action::Elicit),
        Method::RootsList => Some(Action::ListRoots),
        Method::Ping => Some(Action::UseServer),
        Method::Initialize
        | Method::Discover
        | Method::Listen
        | Method::ToolsList
        | Method::ToolsCall
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::ResourcesRead
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::PromptsList
        | Method::PromptsGet
        | Method::Complete
        | Method::SetLevel
        | Method::TasksList
        | Method::TasksGet
        | Method::TasksResult
        | Method::TasksUpdate
        | Method::TasksCancel
        | Method::Initialized
        | Method::RootsChanged
        | Method::Cancelled
        | Method::Progress
        | Method::Other(_) => None,
    }
}
