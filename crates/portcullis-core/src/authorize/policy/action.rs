//! The actions that a policy can name, one for each family of MCP methods.

/// What the caller, or for the last three the server, wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// `tools/call`, on a tool.
    CallTool,
    /// `tools/list`, on a server.
    ListTools,
    /// `resources/read`, on a resource.
    ReadResource,
    /// `resources/list` and `resources/templates/list`, on a server.
    ListResources,
    /// `resources/subscribe` and its end, on a resource.
    SubscribeResource,
    /// `prompts/get`, on a prompt.
    GetPrompt,
    /// `prompts/list`, on a server.
    ListPrompts,
    /// `completion/complete`, on a prompt or a resource.
    Complete,
    /// Session plumbing (initialize, discover, ping, logging, listen), on a server.
    UseServer,
    /// `sampling/createMessage`: the server asks the client for a model's answer.
    Sample,
    /// `elicitation/create`: the server asks the user.
    Elicit,
    /// `roots/list`: the server asks which roots the client offers.
    ListRoots,
}

impl Action {
    /// Every action, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::CallTool,
        Self::ListTools,
        Self::ReadResource,
        Self::ListResources,
        Self::SubscribeResource,
        Self::GetPrompt,
        Self::ListPrompts,
        Self::Complete,
        Self::UseServer,
        Self::Sample,
        Self::Elicit,
        Self::ListRoots,
    ];

    /// The identifier of the action in a policy: `Action::"tools/call"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallTool => "tools/call",
            Self::ListTools => "tools/list",
            Self::ReadResource => "resources/read",
            Self::ListResources => "resources/list",
            Self::SubscribeResource => "resources/subscribe",
            Self::GetPrompt => "prompts/get",
            Self::ListPrompts => "prompts/list",
            Self::Complete => "completion/complete",
            Self::UseServer => "server/use",
            Self::Sample => "sampling/createMessage",
            Self::Elicit => "elicitation/create",
            Self::ListRoots => "roots/list",
        }
    }
}

/// The families of actions in the schema.
pub(super) const FAMILIES: [&str; 4] = ["call", "read", "list", "ask"];

/// The known name that differs the least from a mistyped one, by at most a third.
pub(super) fn nearest(
    name: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let (difference, nearest) = known.map(|known| (distance(name, known), known)).min()?;
    (difference <= nearest.len().div_ceil(3)).then_some(nearest)
}

/// Levenshtein's distance in bytes.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.bytes().enumerate() {
        let mut above_left = index;
        let mut left = index.saturating_add(1);
        let mut next = vec![left];
        for (above, own) in row.iter().skip(1).zip(other.bytes()) {
            let replaced = above_left.saturating_add(usize::from(byte != own));
            left = replaced.min(above.min(&left).saturating_add(1));
            above_left = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
