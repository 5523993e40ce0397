//! The methods that decisions know by name; every other one keeps its own.

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// A JSON-RPC method or notification of the protocol.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Method {
            $(#[doc = concat!("`", $name, "`")] $variant,)+
            /// One that no decision knows.
            Other(Box<str>),
        }

        impl Method {
            /// Reads a method's name.
            pub fn parse(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }

            /// Its name on the wire.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name,
                }
            }
        }
    };
}

methods! {
    Initialize = "initialize",
    Ping = "ping",
    Discover = "server/discover",
    Listen = "subscriptions/listen",
    ToolsList = "tools/list",
    ToolsCall = "tools/call",
    ResourcesList = "resources/list",
    ResourceTemplatesList = "resources/templates/list",
    ResourcesRead = "resources/read",
    ResourcesSubscribe = "resources/subscribe",
    ResourcesUnsubscribe = "resources/unsubscribe",
    PromptsList = "prompts/list",
    PromptsGet = "prompts/get",
    Complete = "completion/complete",
    SetLevel = "logging/setLevel",
    TasksList = "tasks/list",
    TasksGet = "tasks/get",
    TasksResult = "tasks/result",
    TasksUpdate = "tasks/update",
    TasksCancel = "tasks/cancel",
    Sampling = "sampling/createMessage",
    Elicitation = "elicitation/create",
    RootsList = "roots/list",
    Initialized = "notifications/initialized",
    Cancelled = "notifications/cancelled",
    Progress = "notifications/progress",
    RootsChanged = "notifications/roots/list_changed",
}

impl Method {
    /// Whether it is about a task: an experiment in 2025-11-25, an extension of another shape after it.
    pub const fn is_of_tasks(&self) -> bool {
        matches!(
            self,
            Self::TasksList
                | Self::TasksGet
                | Self::TasksResult
                | Self::TasksUpdate
                | Self::TasksCancel
        )
    }

    /// The method as a stateless revision knows it: what 2026-07-28 removed is unknown there.
    pub(super) fn of_stateless(self) -> Self {
        const REMOVED: [Method; 8] = [
            Method::Initialize,
            Method::Ping,
            Method::SetLevel,
            Method::ResourcesSubscribe,
            Method::ResourcesUnsubscribe,
            Method::Initialized,
            Method::RootsChanged,
            Method::TasksResult,
        ];
        if REMOVED.contains(&self) {
            Self::Other(self.name().into())
        } else {
            self
        }
    }
}
