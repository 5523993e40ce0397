//! A token that has to be shown to its issuer (RFC 7662): the question, and what its answer means.

use super::confirm::confirmation;
use super::jwt::{check_audience, decode, identify, moment, open};
use super::{
    Confirmation, Credentials, Identity, Issuer, MAX_SKEW, Principal, Resource, Trust,
    Unauthenticated, Verified, cache,
};
use crate::protocol::read_strict;
use crate::secret::Secret;
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::time::Duration;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How old a signed answer may be: it was made for this question.
const MAX_ANSWER_AGE: Duration = Duration::from_mins(1);
/// The only accepted `typ` of a signed answer (RFC 9701 section 5).
const KIND: &str = "token-introspection+jwt";

/// Which tokens an issuer is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Introspection {
    /// None: it signs what has to be known.
    #[default]
    Never,
    /// Those that nobody else can read.
    Opaque,
    /// Also those that it has signed.
    Always,
}

/// What an issuer answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A JSON object (RFC 7662): whoever can answer in the issuer's place is believed.
    Plain,
    /// A JWT (RFC 9701), and nothing else.
    Signed {
        /// Our name at the issuer, which `aud` must name.
        client: String,
    },
}

/// Whom to ask about which token.
#[derive(Debug)]
pub struct Question {
    /// The issuer.
    pub issuer: String,
    /// Whether the token was good before: then somebody waits who is no stranger.
    pub is_known: bool,
    token: Secret<String>,
    place: cache::Place,
}

/// Why an answer makes nobody known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It is no answer of RFC 7662: nothing is known of the token.
    #[error("not an introspection response")]
    Broken,
    /// It is not one that the issuer has signed, for us, a moment ago: nothing is known of the token.
    #[error("not a signed introspection response: {0}")]
    Unsigned(Unauthenticated),
    /// The token is not accepted.
    #[error(transparent)]
    Refused(#[from] Unauthenticated),
}

impl Question {
    /// The question that [`Unauthenticated::Unasked`] speaks of.
    ///
    /// # Errors
    /// [`Unauthenticated`] if there is no token.
    pub fn new(
        credentials: &Credentials<'_>,
        resource: &Resource,
        issuer: &str,
        cache: &Verified,
    ) -> Result<Self, Unauthenticated> {
        let (_, token) = credentials.token()?;
        let place = cache::place(token, &resource.audience);
        Ok(Self {
            issuer: issuer.to_owned(),
            is_known: cache.has_known(&place),
            token: Secret::new(token.to_owned()),
            place,
        })
    }

    /// The body of the request (RFC 7662 section 2.1).
    pub fn form(&self) -> Secret<String> {
        let token = encode(self.token.expose());
        Secret::new(format!("token={token}&token_type_hint=access_token"))
    }

    /// What tells one question from another: a digest of token and audience.
    pub const fn place(&self) -> [u8; 32] {
        self.place
    }

    /// Whether it was answered meanwhile.
    pub fn is_answered(&self, trust: &Trust, cache: &Verified, now: Timestamp) -> bool {
        cache.find(&self.place, trust.generation, now).is_some()
    }

    /// Takes the issuer's answer: until `ttl` is over, or the token, [`super::verify()`] knows the caller by it.
    ///
    /// # Errors
    /// [`NoAnswer`]; it contains nothing of the answer.
    pub fn believe(
        &self,
        (answer, form): (&[u8], &Form),
        resource: &Resource,
        trust: &Trust,
        (cache, ttl, now): (&Verified, Duration, Timestamp),
    ) -> Result<(), NoAnswer> {
        let issuer = trust.issuers.get(&self.issuer);
        let issuer = issuer.ok_or(Unauthenticated::Issuer)?;
        let claims = match form {
            Form::Plain => parse(answer).ok_or(NoAnswer::Broken)?,
            Form::Signed { client } => unwrap(answer, client, (issuer, trust), now)?,
        };
        let mut identity = read(claims, issuer, resource, now)?;
        identity.bound = self.bound(identity.bound)?;
        trust.check_revoked(&identity)?;
        let identity = trust.hold_against(issuer, identity);
        let until = identity.expires.min(now.plus(ttl));
        let known = Principal::new(identity);
        cache.keep_until(self.place, trust.generation, known, until);
        Ok(())
    }

    /// What the caller is held to: what the answer says, and what the token itself does if it can be read.
    fn bound(&self, said: Option<Confirmation>) -> Result<Option<Confirmation>, Unauthenticated> {
        let payload = self.token.expose().split('.').nth(1);
        let claims = payload.and_then(|payload| decode(payload).ok());
        let own = claims.map_or(Ok(None), |claims| confirmation(&claims))?;
        match (own, said) {
            (Some(own), Some(said)) if own != said => Err(Unauthenticated::Bound),
            (own, said) => Ok(own.or(said)),
        }
    }
}

/// What is known of a token here, or whom to ask about it.
pub(super) fn or_ask(
    verified: Result<Identity, Unauthenticated>,
    resource: &Resource,
    trust: &Trust,
) -> Result<Identity, Unauthenticated> {
    let asked = |issuer: &Issuer| Unauthenticated::Unasked {
        issuer: issuer.issuer.clone(),
    };
    match verified {
        Ok(identity) => match trust.issuers.get(&identity.issuer) {
            Some(issuer) if issuer.introspection == Introspection::Always => Err(asked(issuer)),
            Some(_) | None => Ok(identity),
        },
        Err(Unauthenticated::Malformed) => {
            let issuer = only_one(resource, trust).ok_or(Unauthenticated::Malformed)?;
            Err(asked(issuer))
        }
        Err(why) => Err(why),
    }
}

/// The one issuer that can be asked; with two of them, one would be shown a token of the other.
fn only_one<'a>(resource: &Resource, trust: &'a Trust) -> Option<&'a Issuer> {
    let trusted = resource.issuers.iter();
    let mut asked = trusted
        .filter_map(|issuer| trust.issuers.get(issuer))
        .filter(|issuer| issuer.introspection != Introspection::Never);
    let only = asked.next()?;
    asked.next().is_none().then_some(only)
}

/// What a signed answer says (RFC 9701 section 5), if it is one for us.
fn unwrap(
    answer: &[u8],
    client: &str,
    (issuer, trust): (&Issuer, &Trust),
    now: Timestamp,
) -> Result<Map<String, Value>, NoAnswer> {
    let mut claims = verify(answer, client, (issuer, trust), now).map_err(NoAnswer::Unsigned)?;
    match claims.remove("token_introspection") {
        Some(Value::Object(said)) => Ok(said),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
        )
        | None => Err(NoAnswer::Broken),
    }
}

fn verify(
    answer: &[u8],
    client: &str,
    (issuer, trust): (&Issuer, &Trust),
    now: Timestamp,
) -> Result<Map<String, Value>, Unauthenticated> {
    let text = std::str::from_utf8(answer).map_err(|_| Unauthenticated::Malformed)?;
    if text.len() > MAX_ANSWER_BYTES {
        return Err(Unauthenticated::Malformed);
    }
    let (header, claims, _) = open(text, trust, |claims| {
        let named = claims.get("iss").and_then(Value::as_str);
        let is_ours = named == Some(&*issuer.issuer);
        is_ours.then_some(issuer).ok_or(Unauthenticated::Issuer)
    })?;
    if header.kind() != KIND {
        return Err(Unauthenticated::Type);
    }
    check_audience(&claims, client)?;
    let skew = issuer.skew.min(MAX_SKEW);
    let made = moment(&claims, "iat")?.ok_or(Unauthenticated::Lifetime)?;
    if made > now.plus(skew) {
        return Err(Unauthenticated::NotYet);
    }
    if now.since(made) > MAX_ANSWER_AGE + skew {
        return Err(Unauthenticated::Expired);
    }
    Ok(claims)
}

/// Reads an answer (RFC 7662 section 2.2) by the same rules as the claims of a token.
fn read(
    claims: Map<String, Value>,
    issuer: &Issuer,
    resource: &Resource,
    now: Timestamp,
) -> Result<Identity, NoAnswer> {
    match claims.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(Unauthenticated::Inactive.into()),
        Some(
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
        )
        | None => return Err(NoAnswer::Broken),
    }
    let is_other = |name: &Value| name.as_str() != Some(&*issuer.issuer);
    if claims.get("iss").is_some_and(is_other) {
        return Err(Unauthenticated::Issuer.into());
    }
    let kind = claims.get("token_type").cloned();
    let identity = identify(claims, issuer, resource, now)?;
    // A refresh token is none to come with, and what is called bound says to which key.
    let accepted: &[&str] = match identity.bound {
        Some(Confirmation::Key(_)) => &["bearer", "access_token", "dpop"],
        Some(Confirmation::Certificate(_)) | None => &["bearer", "access_token"],
    };
    let is_accepted = |kind: Value| {
        let kind = kind.as_str().unwrap_or_default();
        accepted.iter().any(|own| kind.eq_ignore_ascii_case(own))
    };
    if !kind.is_none_or(is_accepted) {
        return Err(Unauthenticated::Type.into());
    }
    Ok(identity)
}

fn parse(answer: &[u8]) -> Option<Map<String, Value>> {
    if answer.len() > MAX_ANSWER_BYTES {
        return None;
    }
    read_strict(answer).ok()
}

/// A value of a form (`application/x-www-form-urlencoded`).
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            encoded.push(char::from(byte));
        } else {
            // INVARIANT: writing to a text never fails.
            let _written = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
