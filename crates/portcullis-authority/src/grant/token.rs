//! What an access token says (RFC 9068 section 2.2).

use super::{CLIENTS, Given, Granted};
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value, json};

/// The claim that names who vouches for the user.
pub const PROVIDER: &str = "idp";

/// What is said besides.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Our own name.
    pub issuer: &'a str,
    /// The id of the token, drawn for it alone.
    pub id: &'a str,
    /// The family of the token: by this it can be revoked with all others of it.
    pub family: &'a str,
    /// When it is made, and when it ends.
    pub times: (Timestamp, Timestamp),
}

/// The claims of an access token: of whom, for which server, and what policies want to know of the sign-in.
pub fn claims(granted: &Granted, given: &Given, said: &Said<'_>) -> Value {
    let user = &granted.user;
    let mut claims: Map<String, Value> = Map::new();
    // What the provider calls things never stands in the place of what we say.
    for (name, value) in &user.claims {
        claims.insert(name.clone(), json!(value));
    }
    let (made, until) = said.times;
    let own = json!({
        "iss": said.issuer,
        "sub": user.subject,
        "aud": granted.audience,
        "client_id": granted.client,
        "scope": given.scopes.join(" "),
        "iat": made.seconds(),
        "exp": until.seconds(),
        "jti": said.id,
        "grant_id": said.family,
        PROVIDER: user.issuer,
    });
    let own = own.as_object().cloned().unwrap_or_default();
    for reserved in ["nbf", "cnf", "acr", "amr", "azp", "scp", "act"] {
        claims.remove(reserved);
    }
    claims.extend(own);
    // A client that comes for itself has not signed in anywhere.
    if user.issuer != CLIENTS {
        claims.insert("auth_time".to_owned(), json!(user.auth_time));
        claims.insert("groups".to_owned(), json!(user.groups));
        claims.insert("roles".to_owned(), json!(user.roles));
    }
    if let Some(acr) = &user.acr {
        claims.insert("acr".to_owned(), json!(acr));
    }
    if !user.amr.is_empty() {
        claims.insert("amr".to_owned(), json!(user.amr));
    }
    if let Some(key) = given.key {
        claims.insert("cnf".to_owned(), json!({ "jkt": key.to_string() }));
    }
    Value::Object(claims)
}
