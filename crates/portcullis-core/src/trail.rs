//! What an exchange leaves behind for its audit record, however far it came.

use crate::authenticate::{Claimed, Principal, Scheme};
use crate::authorize::{Forbidden, Needed};
use crate::catalog::Digest;
use crate::catalog::schemas::Unfit;
use crate::inspect::{self, BadAnswer, Summary, View};
use crate::protocol::{Call, Id, Kind, Revision, Target};
use crate::refusal::{Refusal, Unanswered};
use crate::session::Closed;
use std::sync::Arc;

/// What is known of an exchange so far, for its audit record.
#[derive(Debug, Default)]
pub struct Trail {
    /// How the caller's token was presented.
    pub scheme: Scheme,
    /// The nonce that the caller's next proof should have, where one is needed.
    pub nonce: Option<String>,
    /// Who.
    pub principal: Option<Principal>,
    /// What a token that was refused said of itself: not believed, only recorded.
    pub claimed: Option<Claimed>,
    /// The server of ours that a token was made for which was refused at another: whoever has it, has it from there.
    pub issued_for: Option<Arc<str>>,
    /// What may help whoever wants to know why it was refused.
    pub hint: Option<&'static str>,
    /// Under which session ([`crate::session::SessionId::fingerprint`]).
    pub session: Option<String>,
    /// The session that has ended, since its caller has other rights now.
    pub outgrown: Option<Closed>,
    /// Whether the client's software changed in mid-session.
    pub context_changed: bool,
    /// Asked for what.
    pub method: Option<String>,
    /// About what.
    pub target: Option<String>,
    /// With which arguments.
    pub arguments: Option<Summary>,
    /// Under which revision.
    pub revision: Option<Revision>,
    /// Decided by which rule.
    pub rule: Option<String>,
    /// The rules that said no, where any did.
    pub denied_by: Option<String>,
    /// The review that said no, where one did.
    pub review: Option<String>,
    /// The call that somebody has to approve, by the beginning of its digest.
    pub approval: Option<String>,
    /// What the rules that concern it look at, besides what the record holds anyway.
    pub looked_at: Vec<(&'static str, String)>,
    /// Whether the policy was asked, so that there is a decision to record.
    pub is_decided: bool,
    /// The version of what is called, as it was approved.
    pub definition: Option<Digest>,
    /// What does not fit its schema.
    pub unfit: Option<Unfit>,
    /// The request's id, to answer a refusal with.
    pub id: Option<Id>,
}

impl Trail {
    /// Takes down that a review said no, also where it was permitted when it began.
    pub fn refused(&mut self, refusal: &Refusal) {
        if let Refusal::Forbidden(why @ Forbidden::Held { .. }) = refusal {
            self.denied(why);
        }
        if let Refusal::Unanswered(Unanswered::Consent(consent)) = refusal {
            self.approval = consent.purpose.needed().map(Needed::id);
        }
        if let Refusal::Unfit(why) | Refusal::BadAnswer(BadAnswer::Unfit(why)) = refusal {
            self.unfit = Some(why.clone());
        }
    }

    /// Takes down who said no.
    pub(crate) fn denied(&mut self, why: &Forbidden) {
        self.rule = None;
        self.denied_by = why.rule().map(str::to_owned);
        self.review = why.review().map(str::to_owned);
    }

    /// Takes down what is asked.
    pub(crate) fn asks(&mut self, call: &Call, view: View) {
        self.revision = Some(call.revision());
        self.id = call.id().cloned();
        self.method = Some(match call.kind() {
            Kind::Request(_) | Kind::Notification => call.method().name().to_owned(),
            Kind::Response(_) => "response".to_owned(),
        });
        self.target = match call.target() {
            Target::Server => None,
            other @ (Target::Tool(_)
            | Target::Resource(_)
            | Target::Prompt(_)
            | Target::Task(_)) => Some(inspect::name(other.name())),
        };
        self.arguments = call
            .argument_bytes()
            .map(|bytes| inspect::summarize(bytes, view));
    }
}
