//! An access token of ours that is shown again by its client.

use super::PROVIDER;
use portcullis_core::authenticate::{Algorithm, KeySet, Named, Trust, key_of, signed_by};
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value, json};

/// A token that we have signed; whether it is still good is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    claims: Map<String, Value>,
    id: String,
    client: String,
}

impl Access {
    /// Reads what is shown; none if we have not signed it, or not as an access token.
    pub fn read(token: &str, keys: &KeySet, issuer: &str) -> Option<Self> {
        let (kind, claims) = signed_by(token, keys, &[Algorithm::EdDSA]).ok()?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if kind != "at+jwt" || text("iss") != Some(issuer) {
            return None;
        }
        let (id, client) = (text("jti")?.to_owned(), text("client_id")?.to_owned());
        Some(Self { claims, id, client })
    }

    /// Its `jti`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its `client_id`.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// What is told of it (RFC 7662 section 2.2): nothing of one that is over or revoked.
    pub fn told(&self, trust: &Trust, now: Timestamp) -> Value {
        if !self.is_good(trust, now) {
            return json!({ "active": false });
        }
        let mut told = Map::new();
        told.insert("active".to_owned(), json!(true));
        for name in [
            "iss",
            "sub",
            "aud",
            "client_id",
            "scope",
            "iat",
            "exp",
            "jti",
            "cnf",
        ] {
            if let Some(value) = self.claims.get(name) {
                told.insert(name.to_owned(), value.clone());
            }
        }
        let kind = if self.claims.contains_key("cnf") {
            "DPoP"
        } else {
            "Bearer"
        };
        told.insert("token_type".to_owned(), json!(kind));
        Value::Object(told)
    }

    fn is_good(&self, trust: &Trust, now: Timestamp) -> bool {
        let moment = |name: &str| {
            let seconds = self.claims.get(name).and_then(Value::as_u64);
            Timestamp::from_seconds(seconds.unwrap_or_default())
        };
        let text = |name: &str| {
            let text = self.claims.get(name).and_then(Value::as_str);
            text.unwrap_or_default()
        };
        let plain =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let (issuer, subject) = (text("iss"), text("sub"));
        let vouching = self.claims.get(PROVIDER).and_then(Value::as_str);
        let claims: Vec<(String, String)> = self.claims.iter().filter_map(plain).collect();
        let named = Named {
            issuer,
            subject,
            key: &key_of(vouching.unwrap_or(issuer), subject),
            client: Some(&self.client),
            token_id: Some(&self.id),
            claims: &claims,
            issued: moment("iat"),
        };
        moment("exp") > now && trust.check_named(&named).is_ok()
    }
}
