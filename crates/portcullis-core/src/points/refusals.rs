//! Which point causes which refusal.

use crate::authorize::Forbidden;
use crate::refusal::{Refusal, Unacceptable, Unanswered};

/// The point that says no so; none where the action says which it is.
pub fn of_refusal(refusal: &Refusal) -> Option<&'static str> {
    Some(match refusal {
        Refusal::Unacceptable(Unacceptable::Host | Unacceptable::Origin) => "edge",
        Refusal::Unacceptable(Unacceptable::Resume | Unacceptable::StreamTaken)
        | Refusal::NoSession(_) => "session",
        Refusal::Unacceptable(
            Unacceptable::Path
            | Unacceptable::Method
            | Unacceptable::MediaType
            | Unacceptable::TooLarge
            | Unacceptable::Slow
            | Unacceptable::Broken,
        ) => "http",
        Refusal::Unauthenticated(_) => "identify",
        Refusal::Malformed(_) => "message",
        Refusal::Exhausted(_) => "quota",
        Refusal::Forbidden(Forbidden::StepUp { .. }) => "step_up",
        Refusal::Forbidden(Forbidden::Approval(_) | Forbidden::OtherCall { .. }) => "approval",
        Refusal::Forbidden(_) => return None,
        Refusal::NoTask(_) => "task",
        Refusal::Unanswered(Unanswered::Consent(consent)) => consent.purpose.point(),
        Refusal::Unapproved(_) | Refusal::Unfit(_) => "catalog",
        Refusal::Unanswered(Unanswered::NoCredential(_)) => "credential",
        Refusal::Unanswered(_) => "upstream",
        Refusal::BadAnswer(_) => "release",
        Refusal::Unavailable(_) => "available",
    })
}
