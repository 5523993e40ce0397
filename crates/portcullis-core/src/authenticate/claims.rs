//! Which claims of an issuer's tokens say what, and which of them tell an access token from its other tokens.

use super::jwt::text;
use super::{ClaimValue, DeclaredClaim, Implied, Membership, Unauthenticated, declared};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The most scopes, roles or groups of each; a token with more is refused, since a rule may forbid
/// what the last of them names.
const MAX_LISTED: usize = 1024;
/// The longest accepted subject, in bytes.
const MAX_SUBJECT_BYTES: usize = 512;

/// What an issuer calls things. The default is that of RFC 9068.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Lists scopes; Entra's `scp` is read where it is absent.
    pub scopes: String,
    /// What its scopes imply.
    pub implied: Implied,
    /// Lists roles.
    pub roles: ClaimPath,
    /// Lists groups.
    pub groups: ClaimPath,
    /// Names the subject, for as long as it exists and nobody else after it.
    pub subject: String,
    /// Whether a client that comes for itself, without that claim, is named by `sub`: then no user may have its id.
    pub client_subject: bool,
    /// Names the OAuth client, and must be there; without it, `client_id`, else `azp`, if there is one.
    pub client: Option<String>,
    /// What policies can speak of.
    pub declared: Vec<DeclaredClaim>,
    /// What must be there, with one of these texts.
    pub required: Vec<(String, Vec<String>)>,
    /// One of these must be there, and not be empty; any token passes if none is named.
    pub one_of: Vec<String>,
    /// What no access token of the issuer has.
    pub forbidden: Vec<String>,
    /// To which tenant its callers belong.
    pub membership: Membership,
    /// Who vouches for users that have not signed in at the issuer itself: theirs they are, and what is revoked there is revoked.
    pub provider: Option<Vouching>,
}

/// Who vouches for the users of an issuer that leaves their sign-in to somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouching {
    /// The claim that says so.
    pub claim: String,
    /// All that it may say. A token in which somebody else vouches is refused.
    pub by: BTreeSet<String>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            scopes: "scope".to_owned(),
            implied: Implied::default(),
            roles: ClaimPath::new(vec!["roles".to_owned()]),
            groups: ClaimPath::new(vec!["groups".to_owned()]),
            subject: "sub".to_owned(),
            client_subject: false,
            client: None,
            declared: Vec::new(),
            required: Vec::new(),
            one_of: Vec::new(),
            forbidden: Vec::new(),
            membership: Membership::default(),
            provider: None,
        }
    }
}

/// Where a claim stands: the names of the objects that hold it, then its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// The path of these names; an empty one leads nowhere.
    pub const fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The names on the way.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    pub(super) fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter()
            .try_fold(claims.get(first)?, |value, name| value.get(name))
    }

    /// Whether the token says that the issuer keeps the claim elsewhere (OpenID Connect Core section 5.6.2).
    pub(super) fn is_elsewhere(&self, claims: &Map<String, Value>) -> bool {
        let Some(first) = self.0.first() else {
            return false;
        };
        match claims.get("_claim_names") {
            None => false,
            Some(Value::Object(names)) => names.contains_key(first),
            Some(
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_),
            ) => true,
        }
    }
}

/// The groups of a caller.
pub(super) struct Groups {
    pub(super) known: Vec<String>,
    /// Whether there are more that the token does not name.
    pub(super) has_unknown: bool,
}

impl Claims {
    /// Whether these are the claims of an access token of this issuer.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), Unauthenticated> {
        let wrong = |name: &str| Unauthenticated::Claim {
            name: name.to_owned(),
        };
        if let Some(name) = self
            .forbidden
            .iter()
            .find(|name| claims.contains_key(*name))
        {
            return Err(wrong(name));
        }
        for (name, accepted) in &self.required {
            let value = claims.get(name).and_then(Value::as_str);
            if !value.is_some_and(|value| accepted.iter().any(|one| one == value)) {
                return Err(wrong(name));
            }
        }
        let is_there = |name: &String| claims.get(name).is_some_and(is_filled);
        match self.one_of.first() {
            Some(first) if !self.one_of.iter().any(is_there) => Err(wrong(first)),
            Some(_) | None => Ok(()),
        }
    }

    /// Who vouches for the user, if not the issuer itself.
    pub(super) fn provider(
        &self,
        claims: &Map<String, Value>,
        issuer: &str,
    ) -> Result<Option<String>, Unauthenticated> {
        let Some(vouching) = &self.provider else {
            return Ok(None);
        };
        match claims.get(&vouching.claim) {
            None => Ok(None),
            Some(Value::String(named)) if vouching.by.contains(named) => {
                Ok((named != issuer).then(|| named.clone()))
            }
            Some(_) => Err(Unauthenticated::Claim {
                name: vouching.claim.clone(),
            }),
        }
    }

    /// Who vouches for a user of whom these plain claims are known.
    pub(super) fn vouching<'a>(&self, claims: &'a [(String, String)]) -> Option<&'a str> {
        let named = &self.provider.as_ref()?.claim;
        let found = claims.iter().find(|(name, _)| name == named);
        found.map(|(_, provider)| provider.as_str())
    }

    pub(super) fn client(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Option<String>, Unauthenticated> {
        let Some(name) = &self.client else {
            return Ok(text(claims, "client_id").or_else(|| text(claims, "azp")));
        };
        match text(claims, name) {
            Some(client) if !client.is_empty() => Ok(Some(client)),
            Some(_) | None => Err(Unauthenticated::Claim { name: name.clone() }),
        }
    }

    /// Who it is. `sub` of a client that comes for itself is its own id (RFC 9068 section 2.2).
    pub(super) fn subject(
        &self,
        claims: &Map<String, Value>,
        client: Option<&str>,
    ) -> Result<String, Unauthenticated> {
        let itself = || text(claims, "sub").filter(|subject| client == Some(subject));
        let subject = match claims.get(&self.subject) {
            Some(_) => text(claims, &self.subject),
            None if self.client_subject => itself(),
            None => None,
        };
        subject
            .filter(|subject| (1..=MAX_SUBJECT_BYTES).contains(&subject.len()))
            .ok_or(Unauthenticated::Subject)
    }

    /// The scopes that the token names with those that they imply, and the latter alone.
    pub(super) fn all_scopes(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<(Vec<String>, Vec<String>), Unauthenticated> {
        let mut scopes = self.scopes(claims)?;
        let implied = self.implied.of(&scopes);
        scopes.extend(implied.iter().cloned());
        Ok((scopes, implied))
    }

    fn scopes(&self, claims: &Map<String, Value>) -> Result<Vec<String>, Unauthenticated> {
        match claims.get(&self.scopes).or_else(|| claims.get("scp")) {
            Some(Value::String(list)) => bounded(
                list.split(' ')
                    .filter(|scope| !scope.is_empty())
                    .map(str::to_owned),
            ),
            other => texts(other),
        }
    }

    pub(super) fn declared(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Vec<(String, ClaimValue)>, Unauthenticated> {
        declared::read(&self.declared, claims)
    }

    /// A token that keeps its roles elsewhere is refused: a rule may forbid what one of them names.
    pub(super) fn roles(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Vec<String>, Unauthenticated> {
        if self.roles.is_elsewhere(claims) {
            return Err(Unauthenticated::Claim {
                name: "_claim_names".to_owned(),
            });
        }
        names(self.roles.find(claims))
    }

    /// Entra keeps more than 200 groups elsewhere, and says so in either of two ways.
    pub(super) fn groups(&self, claims: &Map<String, Value>) -> Result<Groups, Unauthenticated> {
        let has_more = |says: &Value| *says != Value::Bool(false);
        Ok(Groups {
            known: names(self.groups.find(claims))?,
            has_unknown: self.groups.is_elsewhere(claims)
                || claims.get("hasgroups").is_some_and(has_more),
        })
    }
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Roles or groups: a list, or one alone. Of anything else nobody knows what it names.
fn names(value: Option<&Value>) -> Result<Vec<String>, Unauthenticated> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(_)) => texts(value),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Err(Unauthenticated::Malformed)
        }
    }
}

/// The texts of a list; whatever is no list is an empty one.
fn texts(value: Option<&Value>) -> Result<Vec<String>, Unauthenticated> {
    let listed = value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    bounded(listed.iter().filter_map(Value::as_str).map(str::to_owned))
}

fn bounded(texts: impl Iterator<Item = String>) -> Result<Vec<String>, Unauthenticated> {
    let texts: Vec<String> = texts.take(MAX_LISTED + 1).collect();
    if texts.len() > MAX_LISTED {
        return Err(Unauthenticated::Malformed);
    }
    Ok(texts)
}
