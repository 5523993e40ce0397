//! One JWT access token: strict header, signature first, then claims.

use super::confirm::confirmation;
use super::{
    Algorithm, Identity, Issuer, KeySet, MAX_SKEW, Principal, Resource, Trust, Unauthenticated,
    key_of,
};
use crate::protocol::read_strict;
use crate::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::time::Duration;

/// The most plain-text claims; a token with more is refused.
const MAX_CLAIMS: usize = 64;

/// The longest token that is looked at beside those of callers, in bytes.
const MAX_SIGNED_BYTES: usize = 16 * 1024;

/// Header parameters that bring a key of their own or change how the token is read.
const TROUBLE: &[&str] = &["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"];

/// The JOSE header of a token.
pub(crate) struct Header {
    algorithm: Algorithm,
    key: Option<String>,
    kind: Option<String>,
}

/// Verifies the token from its bytes.
pub(super) fn verify(
    token: &str,
    resource: &Resource,
    trust: &Trust,
    now: Timestamp,
) -> Result<Identity, Unauthenticated> {
    let (header, claims, issuer) = open(token, trust, |claims| {
        trusted_issuer(claims, resource, trust)
    })?;
    header.check_type(issuer)?;
    let identity = identify(claims, issuer, resource, now)?;
    trust.check_revoked(&identity)?;
    Ok(trust.hold_against(issuer, identity))
}

/// Header and claims of a token that a key of its issuer has signed; nothing else of it is checked.
pub(crate) fn open<'a>(
    token: &str,
    trust: &Trust,
    issuer_of: impl FnOnce(&Map<String, Value>) -> Result<&'a Issuer, Unauthenticated>,
) -> Result<(Header, Map<String, Value>, &'a Issuer), Unauthenticated> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Unauthenticated::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Unauthenticated::Malformed)?;
    let header = Header::read(&decode(header)?)?;
    let claims = decode(payload)?;

    // The issuer is only a question until the signature holds: "which trusted key must this be?"
    let issuer = issuer_of(&claims)?;
    if !issuer.algorithms.contains(&header.algorithm) {
        return Err(Unauthenticated::Algorithm);
    }
    let unknown = || Unauthenticated::UnknownKey {
        issuer: issuer.issuer.clone(),
    };
    let keys = trust.keys.0.get(&issuer.issuer).ok_or_else(unknown)?;
    header.check_signature(keys, (signed, signature), unknown)?;
    Ok((header, claims, issuer))
}

/// `typ` and claims of a token that one of these keys has signed, by one of these algorithms; nothing else of it is checked.
///
/// # Errors
/// [`Unauthenticated`].
pub fn signed_by(
    token: &str,
    keys: &KeySet,
    algorithms: &[Algorithm],
) -> Result<(String, Map<String, Value>), Unauthenticated> {
    if token.len() > MAX_SIGNED_BYTES {
        return Err(Unauthenticated::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Unauthenticated::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Unauthenticated::Malformed)?;
    let header = Header::read(&decode(header)?)?;
    if !algorithms.contains(&header.algorithm) {
        return Err(Unauthenticated::Algorithm);
    }
    header.check_signature(keys, (signed, signature), || Unauthenticated::Signature)?;
    Ok((header.kind(), decode(payload)?))
}

/// Whether a token names a key that is not among these, as it does when they have changed since.
pub fn names_other_key(token: &str, keys: &KeySet) -> bool {
    let header = token
        .split('.')
        .next()
        .filter(|_| token.len() <= MAX_SIGNED_BYTES);
    let header = header.and_then(|header| Header::read(&decode(header).ok()?).ok());
    header.is_some_and(|header| keys.find(header.key.as_deref(), header.algorithm).is_none())
}

/// The `iss` and the `kid` of a token that nobody has verified.
pub(super) fn named(token: &str) -> (Option<String>, Option<String>) {
    let mut parts = token.split('.').map(decode);
    let mut member = |name: &str| parts.next().and_then(|part| text(&part.ok()?, name));
    let key = member("kid");
    (member("iss"), key)
}

/// A cached principal, checked again for what time alone can change.
pub(super) fn still_valid(
    principal: Principal,
    trust: &Trust,
    now: Timestamp,
) -> Result<Principal, Unauthenticated> {
    let skew = trust
        .issuers
        .get(&principal.issuer)
        .map_or(Duration::ZERO, |issuer| issuer.skew.min(MAX_SKEW));
    if principal.expires.plus(skew) <= now {
        return Err(Unauthenticated::Expired);
    }
    Ok(principal)
}

impl Header {
    fn read(header: &Map<String, Value>) -> Result<Self, Unauthenticated> {
        if TROUBLE.iter().any(|name| header.contains_key(*name)) {
            return Err(Unauthenticated::Header);
        }
        let algorithm = optional_text(header, "alg")?.ok_or(Unauthenticated::Malformed)?;
        Ok(Self {
            algorithm: algorithm.parse().map_err(|_| Unauthenticated::Algorithm)?,
            key: optional_text(header, "kid")?,
            kind: optional_text(header, "typ")?,
        })
    }

    fn check_signature(
        &self,
        keys: &KeySet,
        (signed, signature): (&str, &str),
        unknown: impl FnOnce() -> Unauthenticated,
    ) -> Result<(), Unauthenticated> {
        let key = keys.find(self.key.as_deref(), self.algorithm);
        let (key, algorithm) = (key.ok_or_else(unknown)?, self.algorithm.library());
        match jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Unauthenticated::Signature),
        }
    }

    fn check_type(&self, issuer: &Issuer) -> Result<(), Unauthenticated> {
        let kind = self.kind();
        if issuer.token_types.contains(&kind) {
            return Ok(());
        }
        Err(Unauthenticated::Type)
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `typ` in lower case, without `application/`.
    pub(crate) fn kind(&self) -> String {
        let typ = self.kind.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ).to_owned()
    }
}

/// The members of one part: an object with one reading, so that nobody can read it differently.
pub(super) fn decode(part: &str) -> Result<Map<String, Value>, Unauthenticated> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Unauthenticated::Malformed)?;
    read_strict(&bytes).map_err(|_| Unauthenticated::Malformed)
}

/// A header parameter that must be a text where it is there.
pub(super) fn optional_text(
    header: &Map<String, Value>,
    name: &str,
) -> Result<Option<String>, Unauthenticated> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
        ) => Err(Unauthenticated::Malformed),
    }
}

fn trusted_issuer<'a>(
    claims: &Map<String, Value>,
    resource: &Resource,
    trust: &'a Trust,
) -> Result<&'a Issuer, Unauthenticated> {
    let named = claims
        .get("iss")
        .and_then(Value::as_str)
        .ok_or(Unauthenticated::Issuer)?;
    if !resource.issuers.iter().any(|trusted| trusted == named) {
        return Err(Unauthenticated::Issuer);
    }
    trust.issuers.get(named).ok_or(Unauthenticated::Issuer)
}

/// Reads the claims of a token whose signature holds, or for which its issuer vouches.
pub(super) fn identify(
    claims: Map<String, Value>,
    issuer: &Issuer,
    resource: &Resource,
    now: Timestamp,
) -> Result<Identity, Unauthenticated> {
    let times = check_times(&claims, issuer, now)?;
    check_audience(&claims, &resource.audience)?;
    let names = &issuer.claims;
    names.check(&claims)?;
    let client = names.client(&claims)?;
    let subject = names.subject(&claims, client.as_deref())?;
    let groups = names.groups(&claims)?;
    let (scopes, implied) = names.all_scopes(&claims)?;
    let provider = names.provider(&claims, &issuer.issuer)?;
    Ok(Identity {
        // Users of a provider are theirs: what the issuer itself calls by the same name is somebody else.
        key: key_of(provider.as_deref().unwrap_or(&issuer.issuer), &subject),
        provider,
        issuer: issuer.issuer.clone(),
        subject,
        client,
        token_id: text(&claims, "jti"),
        scopes,
        implied,
        roles: names.roles(&claims)?,
        groups: groups.known,
        has_unknown_groups: groups.has_unknown,
        authentication: super::login::authentication(&claims)?,
        issued: times.made,
        bound: confirmation(&claims)?,
        declared: names.declared(&claims)?,
        own_declared: None,
        expires: times.expires,
        lifetime: times.lifetime,
        tenant: names.membership.of(&claims)?,
        claims: plain_claims(claims)?,
    })
}

/// Reads the claims of an ID token whose signature and times hold: who somebody is. No right at a server comes of it.
pub(crate) fn signed_in(
    claims: Map<String, Value>,
    issuer: &Issuer,
    (subject, client): (&str, &str),
    made: Timestamp,
) -> Result<Identity, Unauthenticated> {
    let names = super::Claims {
        subject: subject.to_owned(),
        client_subject: false,
        ..issuer.claims.clone()
    };
    let subject = names.subject(&claims, None)?;
    let groups = names.groups(&claims)?;
    Ok(Identity {
        key: key_of(&issuer.issuer, &subject),
        issuer: issuer.issuer.clone(),
        provider: None,
        subject,
        client: Some(client.to_owned()),
        token_id: None,
        scopes: Vec::new(),
        implied: Vec::new(),
        roles: names.roles(&claims)?,
        groups: groups.known,
        has_unknown_groups: groups.has_unknown,
        authentication: super::login::authentication(&claims)?,
        issued: made,
        bound: None,
        declared: names.declared(&claims)?,
        own_declared: None,
        expires: made,
        lifetime: Duration::ZERO,
        tenant: names.membership.of(&claims)?,
        claims: plain_claims(claims)?,
    })
}

struct Times {
    made: Timestamp,
    expires: Timestamp,
    lifetime: Duration,
}

fn check_times(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Times, Unauthenticated> {
    let skew = issuer.skew.min(MAX_SKEW);
    let expires = moment(claims, "exp")?.ok_or(Unauthenticated::Lifetime)?;
    if expires.plus(skew) <= now {
        return Err(Unauthenticated::Expired);
    }
    let not_before = moment(claims, "nbf")?;
    let made = moment(claims, "iat")?;
    if [not_before, made]
        .into_iter()
        .flatten()
        .any(|start| start > now.plus(skew))
    {
        return Err(Unauthenticated::NotYet);
    }
    // Without `iat` the lifetime is counted from now: it can only be longer than that.
    let lifetime = expires.since(made.or(not_before).unwrap_or(now));
    if lifetime > issuer.max_lifetime {
        return Err(Unauthenticated::Lifetime);
    }
    Ok(Times {
        made: made.unwrap_or_default(),
        expires,
        lifetime,
    })
}

/// A `NumericDate` (RFC 7519 section 2), if the claim is there.
pub(crate) fn moment(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<Timestamp>, Unauthenticated> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value
        .as_u64()
        .or_else(|| whole_seconds(value.as_f64()?))
        .ok_or(Unauthenticated::Malformed)?;
    Ok(Some(Timestamp::from_seconds(seconds)))
}

fn whole_seconds(seconds: f64) -> Option<u64> {
    let whole = seconds.trunc();
    if !(0.0..=9e15).contains(&whole) {
        return None;
    }
    format!("{whole:.0}").parse().ok()
}

pub(crate) fn check_audience(
    claims: &Map<String, Value>,
    audience: &str,
) -> Result<(), Unauthenticated> {
    let names_us = match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    };
    if names_us {
        Ok(())
    } else {
        Err(Unauthenticated::Audience)
    }
}

pub(super) fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn plain_claims(claims: Map<String, Value>) -> Result<Vec<(String, String)>, Unauthenticated> {
    let plain: Vec<(String, String)> = claims
        .into_iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        })
        .collect();
    if plain.len() > MAX_CLAIMS {
        return Err(Unauthenticated::Malformed);
    }
    Ok(plain)
}
