//! The usual scene: one issuer, one upstream, one gateway, and what must be so after each request.

use super::client::{Request, Response, Stream, initialize};
use super::gateway::Gateway;
use super::idp::Idp;
use super::jwt::Draft;
use super::upstream::Upstream;
use serde_json::json;

/// One server, of which everyone who is known may use everything.
const OPEN: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["*"]
"#;

pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) upstream: Upstream,
    pub(crate) idp: Idp,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(OPEN)
    }

    /// The usual configuration and more; `more` may begin with keys of the server.
    pub(crate) fn and(more: &str) -> Self {
        Self::with(&format!("{OPEN}{more}"))
    }

    /// The usual configuration and more, in a process in which a shell ran `before` first.
    pub(crate) fn after(before: &str, more: &str) -> Self {
        Self::started(before, &format!("{OPEN}{more}"))
    }

    /// A configuration in which `{idp}` and `{upstream}` stand for theirs.
    pub(crate) fn with(config: &str) -> Self {
        Self::started("", config)
    }

    /// Both.
    pub(crate) fn started(before: &str, config: &str) -> Self {
        let (idp, upstream) = (Idp::start(), Upstream::start());
        let config = config
            .replace("{idp}", &idp.issuer())
            .replace("{upstream}", &upstream.url());
        Self {
            gateway: Gateway::start_after(before, &config),
            upstream,
            idp,
        }
    }

    /// A token of this subject for the usual server, still to be changed.
    pub(crate) fn draft(&self, subject: &str) -> Draft {
        self.idp.draft(subject, &self.gateway.url("notes"))
    }

    pub(crate) fn token(&self, subject: &str) -> String {
        self.draft(subject).sign()
    }

    pub(crate) fn send(&self, request: &Request) -> Response {
        request.send(self.gateway.address)
    }

    pub(crate) fn open(&self, request: &Request) -> Stream {
        request.open(self.gateway.address)
    }

    /// Sends what must be refused so, recorded so, and seen by no upstream.
    pub(crate) fn refuses(
        &self,
        request: &Request,
        (status, code): (u16, i64),
        (event, reason): (&str, &str),
    ) -> Response {
        let before = self.upstream.requests().len();
        let response = self.send(request);
        assert_eq!(
            (response.status, response.code()),
            (status, code),
            "{request:?} {response:?}"
        );
        let record = self.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&json!(event), &json!(reason)),
            "{request:?} {record}"
        );
        assert_eq!(record["outcome"]["status"], json!(status), "{record}");
        assert_eq!(
            self.upstream.requests().len(),
            before,
            "the upstream was reached: {request:?}"
        );
        response
    }

    /// Sends a request whose credentials must be refused, with a challenge (RFC 6750 section 3, RFC 9728 section 5.1).
    pub(crate) fn unauthenticated(&self, request: &Request, reason: &str) {
        let response = self.refuses(request, (401, 401), ("authn.reject", reason));
        let error = match reason {
            "missing" | "scheme" => None,
            "duplicate" | "query" => Some("invalid_request"),
            _ => Some("invalid_token"),
        };
        let challenge = response.challenge();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        assert_eq!(error.is_some(), challenge.contains("error="), "{challenge}");
        assert!(
            error.is_none_or(|error| challenge.contains(&format!("error=\"{error}\""))),
            "{challenge}"
        );
        let metadata = format!(
            "http://{}/.well-known/oauth-protected-resource/servers/",
            self.gateway.address
        );
        assert!(
            challenge.contains(&format!("resource_metadata=\"{metadata}")),
            "{challenge}"
        );
        assert_eq!(
            response.json()["error"]["message"],
            "authentication required",
            "one text for every reason"
        );
    }

    /// The benign twin: permitted, recorded, and seen by the upstream once.
    pub(crate) fn permits(&self, request: &Request) -> Response {
        // That a session before has ended, the upstream may be told just now.
        let posted = || {
            let seen = self.upstream.requests().into_iter();
            seen.filter(|seen| seen.method == "POST").count()
        };
        let before = posted();
        let response = self.send(request);
        assert_eq!(response.status, 200, "{request:?} {response:?}");
        assert_eq!(response.code(), 0, "{response:?}");
        let record = self.gateway.record_of(&response);
        assert_eq!(record["event"], "call.completed", "{record}");
        assert_eq!(posted(), before + 1, "{request:?}");
        response
    }

    /// Opens a session; gives its id.
    pub(crate) fn session(&self, token: &str) -> String {
        let response = self.send(&initialize(token));
        assert_eq!(response.status, 200, "{response:?}");
        response
            .header("mcp-session-id")
            .expect("a session id")
            .to_owned()
    }

    /// The names of the tools that this token is shown.
    pub(crate) fn tools(&self, token: &str) -> Vec<String> {
        let listed = self
            .permits(&super::message("tools/list", json!({})).token(token))
            .json();
        let tools = listed["result"]["tools"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        tools
            .iter()
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    }
}
