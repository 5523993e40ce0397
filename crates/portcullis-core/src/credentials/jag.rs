//! An identity assertion grant (ID-JAG) of the caller's identity provider: what it is asked for with, and what it may be.
//!
//! It says to one authorization server which user comes, and through which client. What it is worth is that server's to
//! judge; here it is held against what was asked, so that none goes to a place that it was not made for.

use super::exchange::{ACCESS_TOKEN, Form, claims_of, is_id, parse, token_in, whole_seconds};
use super::{NoCredential, Want};
use crate::secret::Secret;
use crate::time::Timestamp;
use serde_json::Value;

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// `typ` of such a grant.
const TYPE: &str = "oauth-id-jag+jwt";

/// For whom such grants are (enterprise-managed authorization, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jag {
    /// The issuer identifier of the authorization server that takes it.
    pub authority: String,
    /// The upstream's URI.
    pub resource: String,
    /// The gateway's own name at that authorization server.
    pub client: String,
    /// What callers bring.
    pub subject: SubjectToken,
}

/// What the caller's token is to its issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectToken {
    /// An access token.
    Access,
    /// An ID token.
    Id,
}

/// A grant as it was given.
#[derive(Debug)]
pub struct Grant {
    /// The grant itself.
    pub text: Secret<String>,
    /// Its `jti`.
    pub id: Option<String>,
}

impl Jag {
    /// The fields of the request at the identity provider (RFC 8693 section 2.1), but for the client's own authentication.
    ///
    /// # Errors
    /// [`NoCredential::Nothing`] if the caller brought no token, [`NoCredential::Expired`] if it is over.
    pub fn form(&self, want: &Want, now: Timestamp) -> Result<Secret<String>, NoCredential> {
        let mut form = Form::default();
        form.set(
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        );
        form.set("requested_token_type", ID_JAG);
        form.set("audience", &self.authority);
        form.set("resource", &self.resource);
        form.set("subject_token", want.brought(now)?.expose());
        let kind = match self.subject {
            SubjectToken::Access => ACCESS_TOKEN,
            SubjectToken::Id => ID_TOKEN,
        };
        form.set("subject_token_type", kind);
        if !want.scope.is_empty() {
            form.set("scope", &want.scope);
        }
        Ok(form.finish())
    }

    /// Reads the answer: a grant for that authorization server, this upstream and us, for no more than was asked.
    ///
    /// # Errors
    /// [`NoCredential`]; it contains nothing of the answer.
    pub fn believe(
        &self,
        want: &Want,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<Grant, NoCredential> {
        let answer = parse(answer).ok_or(NoCredential::Broken)?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let token = token_in(&answer)?;
        let is_kind = text("issued_token_type") == Some(ID_JAG)
            && text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("N_A"));
        if !is_kind {
            return Err(NoCredential::Type);
        }
        let (header, claims) = claims_of(token).ok_or(NoCredential::Type)?;
        if header.get("typ").and_then(Value::as_str) != Some(TYPE) {
            return Err(NoCredential::Type);
        }
        let is = |name: &str, own: &str| claims.get(name).and_then(Value::as_str) == Some(own);
        let is_for_it = match claims.get("aud") {
            Some(Value::Array(all)) => matches!(all.as_slice(), [one] if *one == *self.authority),
            Some(one) => *one == *self.authority,
            None => false,
        };
        if !is_for_it || !is("resource", &self.resource) || !is("client_id", &self.client) {
            return Err(NoCredential::Audience);
        }
        let ends = claims.get("exp").and_then(whole_seconds);
        if ends.is_none_or(|ends| Timestamp::from_seconds(ends) <= now) {
            return Err(NoCredential::Lifetime);
        }
        for scope in [answer.get("scope"), claims.get("scope")] {
            match scope {
                None => {}
                Some(Value::String(scope)) => want.expect_scope(scope)?,
                Some(_) => return Err(NoCredential::Broken),
            }
        }
        let id = claims.get("jti").and_then(Value::as_str);
        Ok(Grant {
            text: Secret::new(token.to_owned()),
            id: id.filter(|id| is_id(id)).map(str::to_owned),
        })
    }
}
