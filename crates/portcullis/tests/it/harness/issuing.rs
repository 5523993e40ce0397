//! An authorization server that gives tokens for tokens (RFC 8693) and checks all that it is given.

use super::client::Request;
use super::gateway::now;
use super::http::{Answer, Host, Seen};
use super::jwt::{Draft, Key};
use super::proofs::{BadProof, Proofs};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The gateway's name and secret there.
pub(crate) const CLIENT: &str = "gate";
pub(crate) const SECRET: &str = "s%cret:of ours";

/// What it knows of others, and how it behaves.
#[derive(Default)]
struct State {
    gateway: Option<SocketAddr>,
    /// The keys of the issuer whose tokens it exchanges.
    issuer: Option<(String, Key)>,
    /// What is answered instead, by status and members that are replaced.
    instead: Option<(u16, Value)>,
    hangs: bool,
    seconds: u64,
    used: BTreeSet<String>,
    /// What it has seen of keys that tokens are bound to.
    proofs: Proofs,
}

/// Such a server.
#[derive(Clone)]
pub(crate) struct Issuing {
    host: Host,
    state: Arc<Mutex<State>>,
    key: Key,
}

impl Issuing {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            seconds: 60,
            ..State::default()
        }));
        let (key, own): (Key, Arc<OnceLock<String>>) = (Key::ec("as-1"), Arc::default());
        let (answering, signing, address) = (Arc::clone(&state), key.clone(), Arc::clone(&own));
        let host = Host::start(move |seen| {
            if answering.lock().unwrap().hangs {
                return Answer::Open(Vec::new());
            }
            let url = format!("{}/token", address.get().unwrap());
            let proved = seen
                .header("dpop")
                .map(|_| answering.lock().unwrap().proofs.check(seen, &url, None));
            let bound = match proved.transpose() {
                Ok(bound) => bound,
                Err(BadProof::Nonce) => {
                    let nonce = answering
                        .lock()
                        .unwrap()
                        .proofs
                        .nonce
                        .clone()
                        .unwrap_or_default();
                    let nonce = format!("dpop-nonce: {nonce}\r\n");
                    return Answer::json(400, &nonce, r#"{"error":"use_dpop_nonce"}"#);
                }
                Err(BadProof::Wrong(why)) => {
                    let body = json!({ "error": "invalid_dpop_proof", "error_description": why });
                    return Answer::json(400, "", &body.to_string());
                }
            };
            let asked = (seen, bound.as_deref());
            let issued = answer(asked, &mut answering.lock().unwrap(), &url, &signing);
            let mut issued = match issued {
                Ok(issued) => issued,
                Err(why) => {
                    let body = json!({ "error": "invalid_request", "error_description": why });
                    return Answer::json(400, "", &body.to_string());
                }
            };
            let Some((status, change)) = answering.lock().unwrap().instead.clone() else {
                return Answer::json(200, "", &issued.to_string());
            };
            for (name, value) in change.as_object().unwrap() {
                issued[name] = value.clone();
            }
            Answer::json(status, "", &issued.to_string())
        });
        own.set(host.url()).unwrap();
        Self { host, state, key }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/token", self.host.url())
    }

    /// Trusts this gateway, and exchanges what this issuer has signed for it.
    pub(crate) fn trust(&self, gateway: SocketAddr, issuer: &str, key: Key) {
        let mut state = self.state.lock().unwrap();
        state.gateway = Some(gateway);
        state.issuer = Some((issuer.to_owned(), key));
    }

    /// Answers with this status, and with these members instead, from now on.
    pub(crate) fn says(&self, status: u16, change: Value) {
        self.state.lock().unwrap().instead = Some((status, change));
    }

    /// Behaves again.
    pub(crate) fn recovers(&self) {
        let mut state = self.state.lock().unwrap();
        (state.instead, state.hangs) = (None, false);
    }

    /// Wants this nonce in proofs from now on.
    pub(crate) fn wants_nonce(&self, nonce: &str) {
        self.state.lock().unwrap().proofs.nonce = Some(nonce.to_owned());
    }

    pub(crate) fn hangs(&self) {
        self.state.lock().unwrap().hangs = true;
    }

    /// Tokens live that long from now on.
    pub(crate) fn lifetime(&self, lifetime: Duration) {
        self.state.lock().unwrap().seconds = lifetime.as_secs();
    }

    /// What it was asked.
    pub(crate) fn asked(&self) -> Vec<BTreeMap<String, String>> {
        self.host
            .seen()
            .iter()
            .map(|seen| form(&seen.body))
            .collect()
    }

    /// Everything that came, as text.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.host.seen()
    }

    /// A token of its own that is bound to something else than was proved.
    pub(crate) fn made(&self, audience: &str, scope: &str, cnf: &Value) -> String {
        let token = Draft::new(&self.host.url(), CLIENT, audience, &self.key);
        token.claim("scope", scope).claim("cnf", cnf.clone()).sign()
    }

    /// What a token of its own says, if it is for this audience.
    pub(crate) fn verified(&self, token: &str, audience: &str) -> Result<Value, String> {
        let rules = rules(Algorithm::ES256, &self.host.url(), audience);
        read(token, &json!({ "keys": [self.key.jwk()] }), &rules)
    }
}

pub(super) fn rules(algorithm: Algorithm, issuer: &str, audience: &str) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[issuer]);
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    rules.leeway = 0;
    rules
}

pub(super) fn read(token: &str, keys: &Value, rules: &Validation) -> Result<Value, String> {
    let keys: JwkSet = serde_json::from_value(keys.clone()).map_err(|error| error.to_string())?;
    let id = decode_header(token).map_err(|error| error.to_string())?.kid;
    let key = keys.find(&id.ok_or("no kid")?).ok_or("no such key")?;
    let key = DecodingKey::from_jwk(key).map_err(|error| error.to_string())?;
    decode::<Value>(token, &key, rules)
        .map(|read| read.claims)
        .map_err(|error| error.to_string())
}

pub(super) fn published(gateway: SocketAddr, path: &str) -> Result<Value, String> {
    let answer = Request::new("GET", path).send(gateway);
    if answer.status == 200 {
        Ok(answer.json())
    } else {
        Err(format!("no {path}"))
    }
}

fn answer(
    (seen, bound): (&Seen, Option<&str>),
    state: &mut State,
    url: &str,
    key: &Key,
) -> Result<Value, String> {
    let form = form(&seen.body);
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if seen.header("content-type") != Some("application/x-www-form-urlencoded") {
        return Err("content-type".to_owned());
    }
    authenticate(seen, &form, state, url)?;
    let (sub, client) = match field("grant_type") {
        "client_credentials" => (CLIENT.to_owned(), CLIENT.to_owned()),
        "urn:ietf:params:oauth:grant-type:token-exchange" => {
            for (name, expected) in [
                (
                    "subject_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
                (
                    "requested_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
            ] {
                if field(name) != expected {
                    return Err(name.to_owned());
                }
            }
            expect_actor(&form, state, url)?;
            subject(field("subject_token"), state)?
        }
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            if field("requested_token_use") != "on_behalf_of" {
                return Err("requested_token_use".to_owned());
            }
            subject(field("assertion"), state)?
        }
        other => return Err(format!("unsupported_grant_type {other}")),
    };
    let audience = match field("audience") {
        "" => "https://notes.example",
        audience => audience,
    };
    let issuer = url.trim_end_matches("/token");
    let token = Draft::new(issuer, &sub, audience, key);
    let token = token
        .claim("client_id", client)
        .claim("scope", field("scope"));
    let token = token.claim("exp", now() + state.seconds);
    let (token, kind) = match bound {
        Some(key) => (token.claim("cnf", json!({ "jkt": key })), "DPoP"),
        None => (token, "Bearer"),
    };
    let token = token.sign();
    Ok(json!({
        "access_token": token, "token_type": kind, "expires_in": state.seconds, "scope": field("scope"),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }))
}

/// The client is who it says (RFC 6749 section 2.3.1, RFC 7523 section 3): by one way, and each signature once.
fn authenticate(
    seen: &Seen,
    form: &BTreeMap<String, String>,
    state: &mut State,
    url: &str,
) -> Result<(), String> {
    // `gate:s%25cret%3Aof%20ours`
    let basic = seen
        .header("authorization")
        .map(|value| value == "Basic Z2F0ZTpzJTI1Y3JldCUzQW9mJTIwb3Vycw==");
    let post = form.get("client_secret").map(|secret| secret == SECRET);
    let word = form.get("client_assertion");
    match (basic, post, word) {
        (Some(true), None, None) => Ok(()),
        (None, Some(true), None) if form["client_id"] == CLIENT => Ok(()),
        (None, None, Some(word)) => {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            if form.get("client_assertion_type").map(String::as_str) != Some(kind) {
                return Err("client_assertion_type".to_owned());
            }
            let keys = published(state.gateway.unwrap(), "/.well-known/client-jwks.json")?;
            let claims = read(word, &keys, &rules(Algorithm::ES256, CLIENT, url))?;
            if claims["sub"] != CLIENT || !state.used.insert(claims["jti"].to_string()) {
                return Err("client_assertion".to_owned());
            }
            Ok(())
        }
        _ => Err("invalid_client".to_owned()),
    }
}

/// Where there is an actor, it is the gateway.
fn expect_actor(form: &BTreeMap<String, String>, state: &State, url: &str) -> Result<(), String> {
    let Some(actor) = form.get("actor_token") else {
        return Ok(());
    };
    let gateway = state.gateway.unwrap();
    let keys = published(gateway, "/.well-known/jwks.json")?;
    let issuer = format!("http://{gateway}/credentials");
    let claims = read(actor, &keys, &rules(Algorithm::ES256, &issuer, url))?;
    let kind = form.get("actor_token_type").map(String::as_str);
    if claims["sub"] != format!("http://{gateway}")
        || kind != Some("urn:ietf:params:oauth:token-type:jwt")
    {
        return Err("actor_token".to_owned());
    }
    Ok(())
}

/// Whom a token of the issuer's names, if it is for the gateway.
fn subject(token: &str, state: &State) -> Result<(String, String), String> {
    let (issuer, key) = state.issuer.as_ref().ok_or("no issuer")?;
    let gateway = state.gateway.unwrap();
    let (one, all) = (
        format!("http://{gateway}/servers/notes/mcp"),
        format!("http://{gateway}/mcp"),
    );
    let mut rules = rules(Algorithm::EdDSA, issuer, &one);
    rules.set_audience(&[one, all]);
    let claims = read(token, &json!({ "keys": [key.jwk()] }), &rules)?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    Ok((text("sub"), text("client_id")))
}

/// The fields of a form, each of which may come once.
pub(super) fn form(body: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for pair in body.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').expect("a field of a form");
        assert!(
            fields.insert(decoded(name), decoded(value)).is_none(),
            "{name} twice"
        );
    }
    fields
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).unwrap()
}
