//! Sessions of callers, as far as the operator is over their tenants.

use super::{Answer, Asked, Trouble};
use portcullis_audit::time_text;
use portcullis_core::authenticate::Principal;
use portcullis_core::session::Listed;
use serde_json::{Value, json};

pub(super) fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let is = |wanted: &str, own: &str| asked.query.text(wanted).is_none_or(|wanted| wanted == own);
    let all = asked.gateway.state.sessions.listed().into_iter();
    let own = all.filter(|session| {
        is_theirs(asked, &session.opener)
            && is("server", &session.server)
            && is("subject", &session.opener.subject)
    });
    asked.page(
        "sessions",
        own.map(|one| (one.fingerprint.clone(), told(&one)))
            .collect(),
    )
}

pub(super) fn end(asked: &Asked) -> Result<Answer, Trouble> {
    let gateway = &asked.gateway;
    let is_meant = |opener: &Principal, _server: &str| is_theirs(asked, opener);
    let sessions = &gateway.state.sessions;
    let closed = sessions.end_one(asked.name(), is_meant, "operator");
    let closed = closed.ok_or(Trouble::NotFound("there is no session of this name"))?;
    gateway.ended(&asked.live, closed);
    gateway.revocations.wake(); // its streams look whether it is open
    Ok(Answer::ok(json!({ "ended": asked.name() })))
}

fn is_theirs(asked: &Asked, opener: &Principal) -> bool {
    asked.mandate.over().covers(opener.tenant.as_ref())
}

fn told(session: &Listed) -> Value {
    let opener = &session.opener;
    json!({
        "session": session.fingerprint,
        "issuer": opener.vouched_by(),
        "subject": opener.subject,
        "client": opener.client,
        "tenant": opener.tenant.as_deref(),
        "server": &*session.server,
        "revision": session.revision.name(),
        "opened": time_text(session.opened.micros()),
        "used": time_text(session.used.micros()),
    })
}
