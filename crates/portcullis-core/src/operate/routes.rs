//! The paths of the admin API, and which roles each is for: one table, by which requests are routed and which the document
//! of the API is made of.

use super::Role;

/// Whether something is a tenant's, or everybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A role over a tenant is enough for what belongs to it.
    Tenant,
    /// It needs a role over everything.
    Everything,
}

/// Why nothing is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRoute {
    /// No such path.
    Path,
    /// The path takes these methods only.
    Method(Vec<&'static str>),
}

/// One row of the table.
struct Row {
    method: &'static str,
    /// A segment in braces is anything but nothing.
    path: &'static str,
    summary: &'static str,
    roles: &'static [Role],
    reach: Reach,
    query: &'static [&'static str],
}

/// Whoever may look.
const LOOK: &[Role] = &[Role::Viewer, Role::Operator, Role::Admin];
/// Whoever may look at who has access.
const ACCESS: &[Role] = &[
    Role::Viewer,
    Role::Operator,
    Role::Approver,
    Role::Auditor,
    Role::Admin,
];
/// Whoever may take access away and give it back.
const OPERATE: &[Role] = &[Role::Operator, Role::Admin];
const APPROVE: &[Role] = &[Role::Approver];
/// Whoever may give or take away what a privileged tool needs.
const WITHDRAW: &[Role] = &[Role::Operator, Role::Approver, Role::Admin];
const AUDIT: &[Role] = &[Role::Auditor];
const ADMINISTER: &[Role] = &[Role::Admin];
/// What every list takes.
const PAGE: &[&str] = &["limit", "after"];
/// What names a version of a definition.
const NAMED: &[&str] = &["server", "kind", "name", "digest"];

macro_rules! endpoints {
    ($($name:ident: $method:literal $path:literal $summary:literal $roles:ident $reach:ident $query:expr;)*) => {
        /// What can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Endpoint {
            $(#[doc = $summary] $name,)*
        }

        impl Endpoint {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        method: $method,
                        path: $path,
                        summary: $summary,
                        roles: $roles,
                        reach: Reach::$reach,
                        query: $query,
                    },)*
                }
            }
        }
    };
}

endpoints! {
    Document: "GET" "/api/v1/openapi.json" "This document." ACCESS Tenant &[];
    Health: "GET" "/api/v1/health" "What the gateway needs, and what of it is there." LOOK Everything &[];
    Servers: "GET" "/api/v1/servers" "Servers, with their processes and sessions." LOOK Tenant PAGE;
    Server: "GET" "/api/v1/servers/{server}" "One server." LOOK Tenant &[];
    Sessions: "GET" "/api/v1/sessions" "Open sessions." LOOK Tenant &["server", "subject", "limit", "after"];
    EndSession: "DELETE" "/api/v1/sessions/{session}" "End a session." OPERATE Tenant &[];
    Revocations: "GET" "/api/v1/revocations" "What is revoked." LOOK Tenant PAGE;
    Revoke: "POST" "/api/v1/revocations" "Revoke a token, a subject, a client or whoever has a claim." OPERATE Tenant &[];
    Reinstate: "POST" "/api/v1/reinstatements" "Take a revocation back." OPERATE Tenant &[];
    Grants: "GET" "/api/v1/grants" "Grants with their last use." ACCESS Everything &["since", "limit", "after"];
    Review: "GET" "/api/v1/review" "The newest review of grants." ACCESS Everything &[];
    StartReview: "POST" "/api/v1/reviews" "Start a review." APPROVE Everything &[];
    DecideReview: "POST" "/api/v1/reviews/{number}/decisions" "Keep or revoke, as a second person." APPROVE Everything &[];
    Elevations: "GET" "/api/v1/elevations" "Elevations to privileged tools: asked for, approved, refused." ACCESS Tenant PAGE;
    AskElevation: "POST" "/api/v1/elevations" "Ask for an elevation, for oneself." ACCESS Tenant &[];
    DecideElevation: "POST" "/api/v1/elevations/{number}/decision" "Approve or refuse, as a second person." APPROVE Tenant &[];
    WithdrawElevation: "DELETE" "/api/v1/elevations/{number}" "Withdraw an elevation, or a request for one." WITHDRAW Tenant &[];
    Tools: "GET" "/api/v1/tools" "What servers define, and what of it is approved." ACCESS Tenant &["server", "state", "limit", "after"];
    Tool: "GET" "/api/v1/tools/definition" "One definition: how things stand, and its text." ACCESS Tenant NAMED;
    ToolDiff: "GET" "/api/v1/tools/diff" "What changed of a definition: what waits beside what is served." ACCESS Tenant &["server", "kind", "name", "from", "to"];
    ToolHistory: "GET" "/api/v1/tools/history" "What became of a definition." ACCESS Tenant &["server", "kind", "name"];
    DecideTool: "POST" "/api/v1/tools/decisions" "Approve, reject or roll back a version of a definition." APPROVE Tenant &[];
    Policy: "GET" "/api/v1/policy" "The hash and the rules of the policy." ACCESS Everything &[];
    Explain: "POST" "/api/v1/policy/explanations" "Why the rules permit something that is described, or do not." ACCESS Everything &[];
    Records: "GET" "/api/v1/audit/records" "Records of the audit log, the newest first." AUDIT Everything &["event", "subject", "server", "target", "trace", "effect", "since", "until", "limit", "before"];
    ExplainRecord: "POST" "/api/v1/audit/records/{trace}/explanation" "Why a recorded request was decided so, and whether the rules of now would decide alike." AUDIT Everything &[];
    Checkpoint: "GET" "/api/v1/audit/checkpoint" "The newest signed checkpoint of the audit log." AUDIT Everything &[];
    Keys: "GET" "/api/v1/keys" "Keys of this installation; nothing of them that is secret." LOOK Everything &[];
    RotateKey: "POST" "/api/v1/keys/{key}/rotation" "Replace a key." ADMINISTER Everything &[];
    Reload: "POST" "/api/v1/configuration/reload" "Have the configuration read again." OPERATE Everything &[];
}

impl Endpoint {
    /// Its HTTP method.
    pub const fn method(self) -> &'static str {
        self.row().method
    }

    /// Its path, in which segments in braces stand for names.
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// What it does, in a sentence.
    pub const fn summary(self) -> &'static str {
        self.row().summary
    }

    /// The roles that it is for.
    pub const fn roles(self) -> &'static [Role] {
        self.row().roles
    }

    /// Whether a role over a tenant is enough.
    pub const fn reach(self) -> Reach {
        self.row().reach
    }

    /// The parameters that its query may have.
    pub const fn query(self) -> &'static [&'static str] {
        self.row().query
    }

    /// The segments of a path that stand where this one's has braces; `None` if it is another path.
    fn matches(self, path: &str) -> Option<Vec<&str>> {
        let (mut own, mut given) = (self.path().split('/'), path.split('/'));
        let mut named = Vec::new();
        loop {
            match (own.next(), given.next()) {
                (None, None) => return Some(named),
                (Some(own), Some(given)) if own.starts_with('{') && !given.is_empty() => {
                    named.push(given);
                }
                (Some(own), Some(given)) if own == given => {}
                (Some(_), Some(_) | None) | (None, Some(_)) => return None,
            }
        }
    }
}

/// What a request is for, with the segments of its path that are names.
///
/// # Errors
/// [`NoRoute`].
pub fn find<'p>(method: &str, path: &'p str) -> Result<(Endpoint, Vec<&'p str>), NoRoute> {
    let all = Endpoint::ALL.iter().copied();
    let here: Vec<_> = all
        .filter_map(|endpoint| Some((endpoint, endpoint.matches(path)?)))
        .collect();
    if here.is_empty() {
        return Err(NoRoute::Path);
    }
    let methods = here.iter().map(|(endpoint, _)| endpoint.method()).collect();
    let mut here = here.into_iter();
    here.find(|(endpoint, _)| endpoint.method() == method)
        .ok_or(NoRoute::Method(methods))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authz_03_a_path_has_one_meaning() {
        for (method, path, expected) in [
            ("GET", "/api/v1/servers", Ok((Endpoint::Servers, vec![]))),
            (
                "GET",
                "/api/v1/servers/a",
                Ok((Endpoint::Server, vec!["a"])),
            ),
            ("POST", "/api/v1/servers", Err(NoRoute::Method(vec!["GET"]))),
            (
                "PUT",
                "/api/v1/revocations",
                Err(NoRoute::Method(vec!["GET", "POST"])),
            ),
            ("GET", "/api/v1/servers/", Err(NoRoute::Path)),
            ("GET", "/api/v1/servers/a/b", Err(NoRoute::Path)),
            ("GET", "/api/v1//servers", Err(NoRoute::Path)),
            ("GET", "/api/v1/Servers", Err(NoRoute::Path)),
            ("GET", "/", Err(NoRoute::Path)),
        ] {
            assert_eq!(find(method, path), expected, "{method} {path}");
        }
        for (at, endpoint) in Endpoint::ALL.iter().enumerate() {
            let same = |other: &Endpoint| {
                (other.method(), other.path()) == (endpoint.method(), endpoint.path())
            };
            assert_eq!(Endpoint::ALL.iter().position(same), Some(at));
            assert!(!endpoint.roles().is_empty(), "{endpoint:?} is for nobody");
        }
    }
}
