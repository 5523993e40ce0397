//! Should they still? What is looked over of access, by whom, and what its reviewers may not decide.

use crate::authenticate::Identity;
use crate::authorize::Forbidden;
use crate::authorize::policy::{Grant, Needs, Policy, Who};
use crate::hexadecimal::hexadecimal;
use crate::points::{ADMIN, POINTS};
use crate::protocol::Method;
use crate::route::Ticket;
use crate::time::Timestamp;

/// Digits of a grant's id.
const ID_DIGITS: usize = 16;

/// What a review calls a grant: 16 hexadecimal digits that follow from whom it is for, what it permits and when it
/// ends. A grant that is changed is another one.
pub fn grant_id(grant: &Grant) -> String {
    let until = grant.until.map(|until| until.to_string());
    let parts = [
        "grant 1",
        &grant.id,
        until.as_deref().unwrap_or("without end"),
    ];
    let mut text = String::new();
    for part in parts {
        text.push_str(&part.len().to_string());
        text.push(':');
        text.push_str(part);
    }
    let mut id = hexadecimal(text.as_bytes());
    id.truncate(ID_DIGITS);
    id
}

/// What a review calls the inventory: it follows from every point of decision and from the hash of the policies.
pub fn inventory_id(policy: &str) -> String {
    let mut text = format!("inventory 1\n{policy}\n");
    for point in POINTS.iter().chain([&ADMIN]) {
        let parts = [point.id, point.decides, point.room];
        for part in parts.iter().chain(point.inputs) {
            text.push_str(part);
            text.push('\n');
        }
    }
    let mut id = hexadecimal(text.as_bytes());
    id.truncate(ID_DIGITS);
    id
}

/// What is remembered of a token by which somebody has acted: a digest of what its signature covers, as a signature could
/// be written in another way.
pub fn token_digest(token: &str) -> String {
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    hexadecimal(signed.as_bytes())
}

/// Who may start reviews, and decide in them.
#[derive(Debug, Clone)]
pub struct Reviewers {
    /// The `iss` of their tokens.
    pub issuer: String,
    /// Who they are.
    pub who: Vec<Who>,
    /// What their tokens must have.
    pub scopes: Vec<String>,
}

/// Why somebody does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// No reviewer.
    #[error("not one of the reviewers that the configuration names")]
    NotReviewer,
    /// The token lacks a scope.
    #[error("the token lacks a scope that reviewers need")]
    Scope,
    /// Whoever started the review.
    #[error("whoever starts a review decides nothing in it: a second person must")]
    Starter,
    /// Whoever has access by the grant.
    #[error("nobody decides about their own access")]
    OwnAccess,
    /// Perhaps whoever has access by the grant.
    #[error(
        "the token leaves groups out, so that it cannot be told whether this is the reviewer's own access"
    )]
    UnknownGroups,
}

impl Objection {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotReviewer => "not_reviewer",
            Self::Scope => "scope",
            Self::Starter => "starter",
            Self::OwnAccess => "own_access",
            Self::UnknownGroups => "groups_unknown",
        }
    }
}

impl Reviewers {
    /// Whether somebody is one.
    ///
    /// # Errors
    /// [`Objection`].
    pub fn admit(&self, identity: &Identity) -> Result<(), Objection> {
        let is_named = self.who.iter().any(|who| is_one(who, identity));
        if identity.issuer != self.issuer || !is_named {
            return Err(Objection::NotReviewer);
        }
        let has = |scope: &String| identity.scopes.contains(scope);
        if !self.scopes.iter().all(has) {
            return Err(Objection::Scope);
        }
        Ok(())
    }
}

/// Whether a review holds back by now what permitted an exchange that is under way.
///
/// # Errors
/// [`Forbidden::Held`].
pub fn check_held(policy: &Policy, ticket: &Ticket, now: Timestamp) -> Result<(), Forbidden> {
    if !policy.has_held() {
        return Ok(());
    }
    // A subscription was permitted in parts, one for each resource.
    let needs = match ticket.method() {
        Some(Method::Listen) => Needs::Each,
        Some(_) | None => Needs::Any,
    };
    let held = policy.held_back(ticket.rule(), needs, now);
    held.map_or(Ok(()), |(rule, review)| {
        Err(Forbidden::Held { rule, review })
    })
}

/// Whether a reviewer may decide in a review that somebody else started, about what a grant gives to `who`; to nobody, if
/// it is no grant. Whatever everyone has is nobody's own.
///
/// # Errors
/// [`Objection`].
pub fn may_decide(
    identity: &Identity,
    (issuer, subject): (&str, &str),
    who: Option<&Who>,
) -> Result<(), Objection> {
    if (identity.vouched_by(), identity.subject.as_str()) == (issuer, subject) {
        return Err(Objection::Starter);
    }
    let Some(who) = who.filter(|who| **who != Who::Anyone) else {
        return Ok(());
    };
    if is_one(who, identity) {
        return Err(Objection::OwnAccess);
    }
    if matches!(who, Who::Group(_)) && identity.has_unknown_groups {
        return Err(Objection::UnknownGroups);
    }
    Ok(())
}

pub(crate) fn is_one(who: &Who, identity: &Identity) -> bool {
    match who {
        Who::Anyone => true,
        Who::Subject { issuer, subject } => {
            let is_theirs = |issuer: &String| *issuer == identity.vouched_by();
            *subject == identity.subject && issuer.as_ref().is_none_or(is_theirs)
        }
        Who::Role(role) => identity.roles.contains(role),
        Who::Group(group) => identity.groups.contains(group),
        Who::Client(client) => identity.client.as_ref() == Some(client),
        Who::Issuer(issuer) => *issuer == identity.issuer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::operating_system_user;

    fn identity(subject: &str, roles: &[&str]) -> Identity {
        let some = operating_system_user(1, "some", Timestamp::default());
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Identity {
            issuer: "https://idp.example".to_owned(),
            subject: subject.to_owned(),
            client: Some("cli".to_owned()),
            roles: texts(roles),
            scopes: texts(&["review"]),
            ..Identity::clone(&some)
        }
    }

    #[test]
    fn authz_05_nobody_decides_alone_or_for_themselves() {
        let starter = ("https://idp.example", "ann");
        for (subject, roles, who, expected) in [
            ("bea", vec![], Some("user:alice"), Ok(())),
            ("ann", vec![], Some("user:alice"), Err(Objection::Starter)),
            ("ann", vec![], None, Err(Objection::Starter)),
            ("bea", vec![], None, Ok(())),
            ("bea", vec![], Some("anyone"), Ok(())),
            ("bea", vec![], Some("user:bea"), Err(Objection::OwnAccess)),
            (
                "bea",
                vec![],
                Some("user:https://idp.example|bea"),
                Err(Objection::OwnAccess),
            ),
            (
                "bea",
                vec![],
                Some("user:https://other.example|bea"),
                Ok(()),
            ),
            (
                "bea",
                vec!["editor"],
                Some("role:editor"),
                Err(Objection::OwnAccess),
            ),
            ("bea", vec![], Some("role:editor"), Ok(())),
            ("bea", vec![], Some("client:cli"), Err(Objection::OwnAccess)),
            ("bea", vec![], Some("group:all"), Ok(())),
        ] {
            let who = who.map(|who| who.parse::<Who>().unwrap());
            let reviewer = identity(subject, &roles);
            let decided = may_decide(&reviewer, starter, who.as_ref());
            assert_eq!(decided, expected, "{subject} {who:?}");
        }
        // Who has signed in at a provider is the provider's, whoever has made the token.
        let signed_in = Identity {
            issuer: "https://gate.example".to_owned(),
            provider: Some("https://idp.example".to_owned()),
            ..identity("bea", &[])
        };
        for (user, expected) in [
            ("user:https://idp.example|bea", Err(Objection::OwnAccess)),
            ("user:https://gate.example|bea", Ok(())),
        ] {
            let who: Who = user.parse().unwrap();
            assert_eq!(may_decide(&signed_in, starter, Some(&who)), expected);
        }
        let unsure = Identity {
            has_unknown_groups: true,
            ..identity("bea", &[])
        };
        let group = Who::Group("all".to_owned());
        let decided = may_decide(&unsure, starter, Some(&group));
        assert_eq!(decided, Err(Objection::UnknownGroups));
    }

    #[test]
    fn authz_05_reviewers_are_those_who_are_named_by_their_issuer() {
        let reviewers = Reviewers {
            issuer: "https://idp.example".to_owned(),
            who: vec!["role:reviewer".parse().unwrap()],
            scopes: vec!["review".to_owned()],
        };
        let good = identity("bea", &["reviewer"]);
        assert_eq!(reviewers.admit(&good), Ok(()));
        let other = identity("bea", &["reviewers"]);
        assert_eq!(reviewers.admit(&other), Err(Objection::NotReviewer));
        let elsewhere = Identity {
            issuer: "https://other.example".to_owned(),
            ..good.clone()
        };
        assert_eq!(reviewers.admit(&elsewhere), Err(Objection::NotReviewer));
        let without = Identity {
            scopes: Vec::new(),
            ..good
        };
        assert_eq!(reviewers.admit(&without), Err(Objection::Scope));
    }

    #[test]
    fn authz_05_a_token_is_known_again_whatever_its_signature_looks_like() {
        assert_eq!(token_digest("a.b.c"), token_digest("a.b.d"));
        assert_ne!(token_digest("a.b.c"), token_digest("a.x.c"));
        assert_ne!(inventory_id("p"), inventory_id("q"));
    }
}
