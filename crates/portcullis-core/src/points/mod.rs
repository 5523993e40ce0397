//! Every place where something is decided, by name, so that it can be listed, counted and reviewed.
//!
//! INVARIANT: no refusal and no action is without a point. [`of_refusal`] and [`of_action`] match on every case, so what is
//! added to a closed set does not compile before it has one; tests hold the table against them.

mod refusals;

use crate::authorize::policy::Action;

pub use refusals::of_refusal;

/// A place where something is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its name, which stays.
    pub id: &'static str,
    /// The question that it answers.
    pub decides: &'static str,
    /// What it looks at.
    pub inputs: &'static [&'static str],
    /// The folder in which it is decided.
    pub room: &'static str,
    /// The events of the audit log that it causes; those of permissions bear the action's method.
    pub events: &'static [&'static str],
}

const CORE: &str = "crates/portcullis-core/src/authorize";
const RULED: &[&str] = &[
    "principal",
    "scopes",
    "target",
    "arguments",
    "time",
    "revision",
    "network",
    "rules",
];

const fn of_rules(id: &'static str, decides: &'static str) -> Point {
    Point {
        id,
        decides,
        inputs: RULED,
        room: CORE,
        events: &[],
    }
}

/// All of them, in the order of the walk.
pub const POINTS: [Point; 36] = [
    Point {
        id: "edge",
        decides: "whether a request is for a host of ours, and from an origin of ours",
        inputs: &["Host", "Origin"],
        room: "crates/portcullis/src/listener",
        events: &["http.origin_rejected"],
    },
    Point {
        id: "http",
        decides: "whether it is a request that its path takes",
        inputs: &["path", "method", "media type", "size", "time"],
        room: "crates/portcullis/src/relay",
        events: &["http.rejected"],
    },
    Point {
        id: "metadata",
        decides: "nothing: what a resource says of itself is public",
        inputs: &[],
        room: "crates/portcullis/src/relay",
        events: &["metadata.served"],
    },
    Point {
        id: "signal",
        decides: "whether a security event is one of its issuer's, and what it takes away",
        inputs: &["event", "keys of the issuer", "time"],
        room: "crates/portcullis-core/src/signals",
        events: &["signal.accepted", "signal.refused"],
    },
    Point {
        id: "directory",
        decides: "whether a directory is that of its issuer, and whose access it ends",
        inputs: &["secret of the directory", "request", "users", "time"],
        room: "crates/portcullis-core/src/scim",
        events: &[
            "identity.deprovisioned",
            "identity.provisioned",
            "scim.read",
            "scim.rejected",
        ],
    },
    Point {
        id: "consent",
        decides: "whether a browser may let a server be used in a caller's name, and which authorization server is believed",
        inputs: &["link", "cookie", "state", "metadata", "answer", "time"],
        room: "crates/portcullis-core/src/sign_in",
        events: &[
            "oauth.connected",
            "oauth.consent_needed",
            "oauth.iss_mismatch",
            "oauth.link_opened",
            "oauth.metadata_rejected",
            "oauth.refused",
            "oauth.started",
        ],
    },
    Point {
        id: "authority",
        decides: "who is a client, where its answers go, what it may ask for, and whether a code or a token gives tokens",
        inputs: &[
            "client",
            "document",
            "redirect URI",
            "parameters",
            "assertion",
            "proof",
            "code",
            "refresh token",
            "revocations",
            "time",
        ],
        room: "crates/portcullis-authority/src",
        events: &[
            "oauth.cimd_rejected",
            "oauth.client_registered",
            "oauth.client_rejected",
            "oauth.code_replay",
            "oauth.dcr_rejected",
            "oauth.device_pending",
            "oauth.device_started",
            "oauth.introspected",
            "oauth.pkce_rejected",
            "oauth.pushed",
            "oauth.redirect_rejected",
            "oauth.refresh_reuse",
            "oauth.request_refused",
            "oauth.token_issued",
            "oauth.token_refused",
            "oauth.token_revoked",
        ],
    },
    Point {
        id: "egress",
        decides: "whether the gateway goes where another party sends it",
        inputs: &["URL", "addresses of its name", "allowed places"],
        room: "crates/portcullis-core/src/egress",
        events: &["egress.denied"],
    },
    Point {
        id: "peer",
        decides: "whether the other end of a TLS connection is who it should be",
        inputs: &["certificates", "roots", "pins", "revocation lists", "time"],
        room: "crates/portcullis/src/tls",
        events: &["tls.pin_mismatch", "tls.rejected"],
    },
    Point {
        id: "identify",
        decides: "who is calling",
        inputs: &[
            "credentials",
            "proof",
            "keys of issuers",
            "revocations",
            "time",
        ],
        room: "crates/portcullis-core/src/authenticate",
        events: &["authn.reject"],
    },
    Point {
        id: "misuse",
        decides: "whether what is seen of tokens is told, and what it revokes",
        inputs: &["token", "network", "key", "refusals", "time"],
        room: "crates/portcullis-core/src/misuse",
        events: &["token.misuse", "exfil.budget_exceeded"],
    },
    Point {
        id: "session",
        decides: "which conversation it belongs to, and whose that is",
        inputs: &["principal", "Mcp-Session-Id", "Last-Event-ID", "time"],
        room: "crates/portcullis-core/src/session",
        events: &[
            "session.reject",
            "session.principal_mismatch",
            "session.duplicate_stream",
            "stream.resume_rejected",
        ],
    },
    Point {
        id: "message",
        decides: "whether the message has exactly one reading",
        inputs: &["body", "mirrored headers", "revision"],
        room: "crates/portcullis-core/src/protocol",
        events: &["request.malformed", "request.header_mismatch"],
    },
    Point {
        id: "quota",
        decides: "whether it is too much",
        inputs: &["principal", "network", "server", "tool", "bytes", "time"],
        room: "crates/portcullis-core/src/quota",
        events: &["ratelimit.triggered"],
    },
    Point {
        id: "step_up",
        decides: "whether the login behind a token is strong and recent enough",
        inputs: &["acr", "amr", "auth_time", "target", "time", "rules"],
        room: CORE,
        events: &["authn.step_up_required"],
    },
    of_rules("authorize/tools/call", "whether they may call this tool"),
    of_rules(
        "authorize/tools/list",
        "whether they may list tools, and which are shown",
    ),
    of_rules(
        "authorize/resources/read",
        "whether they may read this resource",
    ),
    of_rules(
        "authorize/resources/list",
        "whether they may list resources, and which are shown",
    ),
    of_rules(
        "authorize/resources/subscribe",
        "whether they may watch this resource",
    ),
    of_rules("authorize/prompts/get", "whether they may get this prompt"),
    of_rules(
        "authorize/prompts/list",
        "whether they may list prompts, and which are shown",
    ),
    of_rules(
        "authorize/completion/complete",
        "whether they may have this completed",
    ),
    of_rules(
        "authorize/server/use",
        "whether they may use the server at all",
    ),
    of_rules(
        "authorize/sampling/createMessage",
        "whether the server may ask for a model's answer",
    ),
    of_rules(
        "authorize/elicitation/create",
        "whether the server may ask the user",
    ),
    of_rules(
        "authorize/roots/list",
        "whether the server may ask for roots",
    ),
    Point {
        id: "task",
        decides: "whose task it is",
        inputs: &["principal", "task"],
        room: "crates/portcullis-core/src/session",
        events: &["handle.reject", "handle.principal_mismatch"],
    },
    Point {
        id: "credential",
        decides: "what a server is shown of who calls, and whether an issued token may be shown",
        inputs: &["principal", "tool", "audience", "answer", "time"],
        room: "crates/portcullis-core/src/credentials",
        events: &["token.issued", "token.not_issued"],
    },
    Point {
        id: "catalog",
        decides: "whether what is called is defined as it was approved, and its arguments fit",
        inputs: &[
            "definition",
            "approvals",
            "what the server lists now",
            "arguments",
        ],
        room: "crates/portcullis-core/src/catalog",
        events: &[
            "tool.quarantined",
            "tool.definition_changed",
            "tool.removed",
            "tool.arguments_refused",
        ],
    },
    Point {
        id: "upstream",
        decides: "whether what the server gave is an answer, and to whom it was",
        inputs: &["answer", "request state", "time"],
        room: "crates/portcullis/src/upstream",
        events: &["upstream.failed", "state.rejected"],
    },
    Point {
        id: "release",
        decides: "whether a message of the server's is passed on, and what of it",
        inputs: &["message", "request", "rules"],
        room: "crates/portcullis-core/src/inspect",
        events: &["upstream.refused"],
    },
    Point {
        id: "available",
        decides: "whether all is there that a decision needs",
        inputs: &["audit log", "revocations", "randomness"],
        room: "crates/portcullis/src/relay",
        events: &["gateway.unavailable", "gateway.panic"],
    },
    Point {
        id: "elevation",
        decides: "who is raised to a privileged tool, and until when",
        inputs: &["token", "who asked", "tenant", "time"],
        room: CORE,
        events: &[
            "elevation.approved",
            "elevation.refused",
            "elevation.requested",
            "elevation.withdrawn",
        ],
    },
    Point {
        id: "approval",
        decides: "whether somebody has approved just this call, and whether it is theirs to approve",
        inputs: &["arguments", "principal", "who is signed in", "time"],
        room: CORE,
        events: &[
            "approval.denied",
            "approval.digest_mismatch",
            "approval.granted",
            "approval.refused",
            "approval.required",
            "approval.shown",
            "approval.sign_in_needed",
        ],
    },
    Point {
        id: "review",
        decides: "who keeps or revokes a grant, and whether one that nobody has kept gives access",
        inputs: &[
            "token",
            "who started the review",
            "who has the grant",
            "time",
        ],
        room: "crates/portcullis-core/src/review",
        events: &[
            "access.review_started",
            "access.reviewed",
            "access.lapsed",
            "access.review_refused",
        ],
    },
];

/// The operators' listener has a point of its own: it is on no walk.
pub const ADMIN: Point = Point {
    id: "admin",
    decides: "whether a request to the operators' listener is for it, who asks through the admin API, and whether they may",
    inputs: &[
        "Host",
        "Origin",
        "Authorization",
        "method",
        "path",
        "roles",
        "tenant",
        "time",
    ],
    room: "crates/portcullis-core/src/operate",
    events: &["admin.rejected", "admin.denied"],
};

/// The point that decides about an action.
pub const fn of_action(action: Action) -> &'static str {
    match action {
        Action::CallTool => "authorize/tools/call",
        Action::ListTools => "authorize/tools/list",
        Action::ReadResource => "authorize/resources/read",
        Action::ListResources => "authorize/resources/list",
        Action::SubscribeResource => "authorize/resources/subscribe",
        Action::GetPrompt => "authorize/prompts/get",
        Action::ListPrompts => "authorize/prompts/list",
        Action::Complete => "authorize/completion/complete",
        Action::UseServer => "authorize/server/use",
        Action::Sample => "authorize/sampling/createMessage",
        Action::Elicit => "authorize/elicitation/create",
        Action::ListRoots => "authorize/roots/list",
    }
}

/// The point that causes an event.
pub fn of_event(event: &str) -> Option<&'static str> {
    let all = POINTS.iter().chain([&ADMIN]);
    let mut causes = all.filter(|point| point.events.contains(&event));
    causes.next().map(|point| point.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::{Authentication, Unauthenticated};
    use crate::authorize::Forbidden;
    use crate::authorize::{Lack, StepUp, Strength};
    use crate::catalog::Unapproved;
    use crate::catalog::schemas::Unfit;
    use crate::credentials::NoCredential;
    use crate::elicit::{Consent, Purpose, Way};
    use crate::inspect::BadAnswer;
    use crate::protocol::Malformed;
    use crate::refusal::Unavailable;
    use crate::refusal::{Refusal, Unacceptable, Unanswered};
    use crate::secret::Secret;
    use crate::session::{NoSession, NoTask};
    use std::collections::BTreeSet;

    #[test]
    fn authz_01_every_action_has_a_point_and_every_point_of_rules_an_action() {
        let of_actions: BTreeSet<&str> = Action::ALL.into_iter().map(of_action).collect();
        let listed = POINTS.iter().map(|point| point.id);
        let listed: BTreeSet<&str> = listed.filter(|id| id.starts_with("authorize/")).collect();
        assert_eq!(of_actions, listed);
        for action in Action::ALL {
            assert_eq!(of_action(action), format!("authorize/{}", action.as_str()));
        }
    }

    #[test]
    fn authz_01_every_refusal_is_counted_at_its_point() {
        let step_up = StepUp {
            seen: Authentication::default(),
            age: None,
            required: Strength::default(),
            rule: None,
            scopes: Vec::new(),
            held: Vec::new(),
            grant: None,
        };
        let consent = Consent {
            url: Secret::new(String::new()),
            server: "notes".into(),
            purpose: Purpose::SignIn,
            way: Way::Told,
        };
        let refusals: [Refusal; 26] = [
            Unacceptable::Host.into(),
            Unacceptable::Origin.into(),
            Unacceptable::Path.into(),
            Unacceptable::Resume.into(),
            Unacceptable::StreamTaken.into(),
            Unauthenticated::Missing.into(),
            NoSession::Unknown.into(),
            NoSession::NotYours.into(),
            Malformed::Batch.into(),
            Forbidden::NoRule.into(),
            Forbidden::StepUp {
                lack: Lack::Class,
                detail: Box::new(step_up),
            }
            .into(),
            Unapproved::New.into(),
            Unfit::TooLarge.into(),
            NoTask::Unknown.into(),
            NoTask::NotYours.into(),
            Unanswered::Timeout.into(),
            Unanswered::Consent(consent).into(),
            Unanswered::from(NoCredential::Echoed).into(),
            BadAnswer::List.into(),
            Unavailable::Audit.into(),
            Unavailable::Entropy.into(),
            Unavailable::State.into(),
            Unavailable::Introspection.into(),
            Unavailable::Secret.into(),
            Unavailable::Feed.into(),
            Unavailable::Bug.into(),
        ];
        for refusal in refusals {
            let (event, _) = refusal.event();
            assert_eq!(of_event(event), of_refusal(&refusal), "{refusal:?}");
        }
    }

    #[test]
    fn authz_01_points_have_names_of_their_own_and_rooms_that_are_there() {
        let all = || POINTS.iter().chain([&ADMIN]);
        let ids: BTreeSet<&str> = all().map(|point| point.id).collect();
        assert_eq!(ids.len(), all().count());
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for point in all() {
            assert!(top.join(point.room).is_dir(), "{}", point.room);
        }
        let events: Vec<&str> = all().flat_map(|point| point.events).copied().collect();
        let distinct: BTreeSet<&str> = events.iter().copied().collect();
        assert_eq!(events.len(), distinct.len(), "one event, one point");
    }
}
