//! A server that believes what the gateway signs, and checks all of it.

use super::client::Request;
use super::http::{Answer, Seen};
use super::upstream::Upstream;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// A server of one audience, which it checks in every request.
pub(crate) struct Relying {
    pub(crate) upstream: Upstream,
    gateway: Arc<Mutex<Option<SocketAddr>>>,
    audience: String,
    /// Its name at the gateway, if it trusts the key that signs for it alone.
    own: Option<&'static str>,
}

impl Relying {
    pub(crate) fn start(audience: &str) -> Self {
        Self::trusting(audience, None)
    }

    /// One that trusts the key that signs for this server alone.
    pub(crate) fn alone(name: &'static str, audience: &str) -> Self {
        Self::trusting(audience, Some(name))
    }

    fn trusting(audience: &str, name: Option<&'static str>) -> Self {
        let upstream = Upstream::start();
        let gateway: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let (trusted, own) = (Arc::clone(&gateway), audience.to_owned());
        upstream.misbehave(move |seen| {
            let gateway = trusted.lock().unwrap().expect("a gateway to trust");
            match claims(seen, gateway, (name, &own)) {
                Ok(_) => None,
                Err(_) => Some(Answer::status(401)),
            }
        });
        Self {
            upstream,
            gateway,
            audience: audience.to_owned(),
            own: name,
        }
    }

    /// Trusts the keys of this gateway from now on.
    pub(crate) fn trust(&self, gateway: SocketAddr) {
        *self.gateway.lock().unwrap() = Some(gateway);
    }

    /// The claims of every request so far, with the request.
    pub(crate) fn believed(&self) -> Vec<(Seen, Value)> {
        let gateway = self.gateway.lock().unwrap().unwrap();
        let seen = self.upstream.requests().into_iter();
        seen.filter_map(|seen| {
            let claims = claims(&seen, gateway, (self.own, &self.audience)).ok()?;
            Some((seen, claims))
        })
        .collect()
    }
}

/// What the token of a request says, if it is one of the gateway's for this audience.
fn claims(
    seen: &Seen,
    gateway: SocketAddr,
    (own, audience): (Option<&str>, &str),
) -> Result<Value, String> {
    let shown = seen.header("authorization").ok_or("no credential")?;
    let token = shown.strip_prefix("Bearer ").ok_or("no bearer token")?;
    verified_by(token, gateway, (own, audience))
}

/// What a token of the gateway's says (RFC 9068 section 4).
pub(crate) fn verified(token: &str, gateway: SocketAddr, audience: &str) -> Result<Value, String> {
    verified_by(token, gateway, (None, audience))
}

/// The same for one that trusts the key that signs for this server alone.
pub(crate) fn verified_by(
    token: &str,
    gateway: SocketAddr,
    (own, audience): (Option<&str>, &str),
) -> Result<Value, String> {
    let path = own.map_or_else(
        || "/.well-known/jwks.json".to_owned(),
        |name| format!("/credentials/{name}/jwks.json"),
    );
    let issuer = own.map_or_else(
        || format!("http://{gateway}/credentials"),
        |name| format!("http://{gateway}/credentials/{name}"),
    );
    let header = decode_header(token).map_err(|error| error.to_string())?;
    if header.typ.as_deref() != Some("at+jwt") || header.alg != Algorithm::ES256 {
        return Err(format!("{header:?}"));
    }
    let keys = Request::new("GET", &path).send(gateway);
    let keys: JwkSet = serde_json::from_str(&keys.body).map_err(|error| error.to_string())?;
    let key = keys
        .find(&header.kid.ok_or("no kid")?)
        .ok_or("no such key")?;
    let key = DecodingKey::from_jwk(key).map_err(|error| error.to_string())?;
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[issuer]);
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    rules.leeway = 0;
    let claims = decode::<Value>(token, &key, &rules)
        .map_err(|error| error.to_string())?
        .claims;
    // Who acts must be the gateway: a token without says only who is meant.
    if claims["act"]["sub"] != format!("http://{gateway}") {
        return Err("no act".to_owned());
    }
    for required in ["iat", "jti", "client_id"] {
        if claims[required].is_null() {
            return Err(format!("no {required}"));
        }
    }
    Ok(claims)
}
